/* The line to an agent, as agent.c and agent-carry.c share it. */
#ifndef RUNTIME_AGENT_LINE_H
#define RUNTIME_AGENT_LINE_H

#include "base/str.h"
#include "runtime/agent.h"

enum {
	AGENT_GATHER = 256 << 10, /* bytes that are gathered before they are sent */
	AGENT_SILENCE_MS = 60000, /* without a byte while an answer is due: the line is taken for broken */
	AGENT_BUFFER = 2 * WIRE_FRAME_MAX,
};

struct agent {
	struct agent_transport transport;
	struct wire_input input;
	struct str out;
	struct wire_message hello;
	uint32_t next_id;

	/* Of the batch that is carried now. */
	struct agent_item *items;
	size_t count;
	uint32_t base;		   /* the first item's id */
	bool committed;		   /* COMMITTED came */
	struct wire_message state; /* the last STATE */
	bool state_came;
	unsigned char have[WIRE_CHUNKS_MAX / 8];
	bool have_came;

	struct cancel *cancel; /* of the call */
	struct error *err;
};

/* Adds a message to what is sent; sends where much was gathered. */
int agent_say(struct agent *agent, const struct wire_message *message);

/* Sends all that was gathered. */
int agent_flush(struct agent *agent);

/* Sends all, then waits until *flag, or *other (which may be NULL). */
int agent_wait(struct agent *agent, const bool *flag, const bool *other);

#endif
