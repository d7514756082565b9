/* The line to an agent, as agent.c and agent-carry.c share it. */
#ifndef RUNTIME_AGENT_LINE_H
#define RUNTIME_AGENT_LINE_H

#include <errno.h>

#include "base/str.h"
#include "runtime/agent.h"

enum {
	AGENT_GATHER = 256 << 10, /* bytes that are gathered before they are sent */
	AGENT_BUFFER = 2 * WIRE_FRAME_MAX,
};

struct agent {
	struct agent_transport transport;
	struct wire_input input;
	struct str out;
	struct wire_message hello;
	uint32_t next_id;

	/* Of the call that goes on: what was asked, and who takes the answers. */
	void (*take)(void *data, size_t index, const struct wire_message *message);
	void *data;
	uint32_t base; /* the first question's id */
	size_t count;
	unsigned patience_ms;
	struct cancel *cancel;
	struct error *err;
};

/* Begins a call: `count` questions with the ids from agent->base on. take gets what is answered to them (index: id - base; the agent may answer as often, and by what
 * type of message, as it likes) until agent_end. */
void agent_begin(struct agent *agent, size_t count,
		 void (*take)(void *data, size_t index, const struct wire_message *message), void *data,
		 struct cancel *cancel, struct error *err);
void agent_end(struct agent *agent);

/* An errno as the agent tells it: what can't be one is EIO. */
static inline int agent_code(uint32_t value)
{
	enum { ERRNO_MAX = 4095 };
	return value <= ERRNO_MAX ? (int)value : EIO;
}

/* What a RESULT says, for the item. */
void agent_take_result(struct agent_item *item, const struct wire_message *message);

/* Adds a message to what is sent; sends where much was gathered. */
int agent_say(struct agent *agent, const struct wire_message *message);

/* Sends all that was gathered. */
int agent_flush(struct agent *agent);

/* Sends all, then waits until *flag, or *other (which may be NULL). */
int agent_wait(struct agent *agent, const bool *flag, const bool *other);

static inline struct wire_bytes agent_path(const char *path)
{
	return (struct wire_bytes){path, strlen(path)};
}

#endif
