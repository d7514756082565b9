/* skiff's end of the line to an agent (wire/wire.h), over whatever carries bytes to it. One thread at a time. */
#ifndef RUNTIME_AGENT_H
#define RUNTIME_AGENT_H

#include "base/str.h"
#include "client/agent-program.h"
#include "runtime/runtime.h"
#include "wire/wire.h"

enum { AGENT_SILENCE_MS = 5000 }; /* for a system in good health */

/* What carries the bytes. */
struct agent_transport {
	void *data;
	/* Sends from the front of *out, hands on what came, waits for one of both; as docker_stream_turn. */
	int (*turn)(void *data, const char **out, size_t *len, int (*take)(void *data, const void *bytes, size_t len),
		    void *take_data, struct cancel *cancel, unsigned timeout_ms, struct error *err);
	/* Asked each second that nothing comes while an answer is due: 0, there is no reason not to wait on; else why none will come (-EPIPE: what runs there ended;
	 * -EBUSY: it is paused). NULL: nobody can tell. */
	int (*silent)(void *data, struct cancel *cancel, struct error *err);
	void (*close)(void *data);
};

struct agent;

/* Takes the transport over, in any case. The HELLOs are exchanged and checked: the version, and where the agent can say it, that it is this program
 * (NULL: the one for its architecture). patience_ms: so long may it be silent while an answer is due (AGENT_SILENCE_MS; at
 * work it gives a sign of life each second). */
int agent_open(struct agent_transport transport, const struct agent_program *program, unsigned patience_ms,
	       struct agent **agent, struct cancel *cancel, struct error *err);
void agent_close(struct agent *agent); /* takes NULL */
const struct wire_message *agent_hello(const struct agent *agent);

struct agent_item { /* beside a carry_item: in, who shall own it; out, how it went */
	bool owner, owner_if_new;
	uint32_t uid, gid;
	bool leave; /* not to be carried */

	int code; /* 0, or a positive errno */
	enum wire_reason reason;
	char *words; /* what went wrong on this side; owned */
	bool skipped, settled;
	bool ours; /* what is there was sent in an earlier round: it need not be what is expected */
	bool atomic;
	struct hash hash;			   /* of what was sent */
	struct hash found;			   /* with WIRE_REASON_EXPECTED: what is there; zero: nothing */
	struct hash before;			   /* what an earlier round has sent: that may be there */
	uint32_t above_mode, above_uid, above_gid; /* of the directory, with a code */
};

/* Carries all items as one batch. 0 where the agent has answered for each; negative where the line broke, or it was cancelled: then it is not known what
 * was done, and all may be carried again, over another line. items: zeroed, or as the last carrying left them. bytes: of content, as in carry_report. */
int agent_carry(struct agent *agent, const struct carry *carry, struct agent_item *items, uint64_t *bytes,
		struct cancel *cancel, struct error *err);

/* What is at each path, as runtime_ops.look says. 0, or what broke the line (then *found is worth nothing). */
int agent_look(struct agent *agent, const struct strv *paths, const struct instance_file *before,
	       struct instance_file *found, struct cancel *cancel, struct error *err);

/* Could files be written there? items (zeroed): as a carry would fill them. 0, or what broke the line. */
int agent_check(struct agent *agent, const struct strv *paths, struct agent_item *items, struct cancel *cancel,
		struct error *err);

/* 0 once it has answered; a silence of some seconds is a broken line. */
int agent_ping(struct agent *agent, struct cancel *cancel, struct error *err);

/* To the program under `agent supervise`: a signal, or 0: it is started anew. *code: 0 or a positive errno. 0, or what broke the line. */
int agent_supervise(struct agent *agent, int signal, int *code, struct cancel *cancel, struct error *err);

#endif
