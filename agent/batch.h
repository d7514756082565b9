/* A batch: what is to be brought about at the next COMMIT, staged as it arrives. Nothing of it is seen before. */
#ifndef AGENT_BATCH_H
#define AGENT_BATCH_H

#include "place.h"

enum op_state {
	OP_RECEIVING, /* between OPEN and CLOSE */
	OP_READY,
	OP_ENDED, /* done, failed or dropped */
};

struct op {
	uint32_t id;
	uint8_t type; /* WRITE also for OPEN; 0: dropped */
	uint8_t state;
	bool reported;
	bool in_place; /* the destination can only be written over */
	bool direct;   /* its bytes went there as they came: too many to hold */
	bool late_mode;
	uint32_t flags, mode, uid, gid; /* as asked */
	char *path, *text;
	struct wire_hash hash, expected;
	uint64_t size;
	int fd;		   /* of what is staged; -1: none */
	bool fresh;	   /* nothing was there when it was staged */
	bool recent;	   /* what was there came since this agent runs: no layer of the image has it */
	bool hidden;	   /* it has a hidden name */
	bool switched;	   /* it is where it belongs; not reported yet */
	bool twin;	   /* another one of this batch has the hidden name that it would have */
	size_t hidden_len; /* the hidden name's directory: so much of the path */

	int code; /* the outcome: a positive errno, and what RESULT tells beside it */
	enum wire_reason reason;
	uint32_t result_flags;
	struct found found;
	struct statx above;
};

/* Takes the request into the batch. NULL: it can't hold more, which was reported. */
struct op *batch_add(const struct wire_message *message);
struct op *batch_find(uint32_t id); /* that is between OPEN and CLOSE; NULL: none */
size_t batch_count(void);
struct op *batch_op(size_t index);
uint32_t batch_number(const struct op *op); /* from 1 on */
bool batch_is_first(void);		    /* none was ended yet in this session */

/* The request failed (code: negative errno): told at once, what is staged of it goes. */
void batch_fail(struct op *op, int code, enum wire_reason reason);

/* What else it may be by its errno. */
enum wire_reason reason_of(int code);

/* Checks what the request expects to be there; false: it failed. */
bool batch_expected(struct op *op);

void batch_drop(struct op *op);
void batch_report(struct op *op);

/* Everything goes, as if it had never come. */
void batch_abort(void);

/* commit.c: switches everything that is staged, reports, and ends the batch. */
void batch_commit(uint32_t id, bool strict);

#endif
