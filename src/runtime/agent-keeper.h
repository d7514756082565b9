/* The agent of a session, kept: started where it is needed, started once more where its line breaks, put off where it fails. What every runtime with
 * agents shares; how a container is and how an agent gets there are the runtime's own (struct agent_keeper_ops). By one thread at a time, as the session. */
#ifndef RUNTIME_AGENT_KEEPER_H
#define RUNTIME_AGENT_KEEPER_H

#include "base/owner.h"
#include "runtime/agent.h"

struct agent_keeper_ops {
	/* How the container is. anew: what is known may be old. 1: it runs; 0: it does not; -EBUSY with words: it is paused; or why that can't be told. */
	int (*look)(struct session *session, bool anew, struct cancel *cancel, struct error *err);
	/* Starts an agent, over a line of its own. patience_ms: agent_open's. -ENOTSUP: there never is one for this machine; -EAGAIN: nothing can be run
	 * there now, by whatever way: that is no reason to do without one. */
	int (*start)(struct session *session, unsigned patience_ms, struct agent **agent, struct cancel *cancel,
		     struct error *err);
	/* The container's accounts, read when a name is first needed. 0, or what broke the line. */
	int (*accounts)(struct session *session, const struct accounts **accounts, struct cancel *cancel,
			struct error *err);
	/* Fills a result that failed: names the path, the container's user, a way out. item->above_… tell of its directory, unless item->words are set;
	 * words and help (may be NULL) are what is known already. */
	void (*explain)(struct session *session, const char *dest, const struct agent_item *item, const char *words,
			const char *help, struct carry_result *result);
	const char *other_way; /* for the note: how files travel without an agent */
};

struct agent_keeper {
	const struct agent_keeper_ops *ops;
	struct session *session;
	const char *name; /* of the instance, for words; the session's */
	const char *user; /* that it runs as, for words; the session's */
	bool unwanted;	  /* --no-agent, or there is none for this machine */
	/* Its own: */
	struct agent *agent; /* NULL: none is open */
	bool running;	     /* the container, when it was last looked at */
	bool stale;	     /* a line broke: what is known may be of before a restart */
	unsigned failures;   /* since one last worked */
	unsigned slow;	     /* how often it was silent for too long: maybe its machine is slow */
	uint64_t after_ns;   /* monotonic: none is tried before */
	bool told;	     /* that there is none */
	char *note;	     /* in words, until it was reported */
};

/* What is known of the container is of now: no agent is open. The keeper may be used again. */
void agent_keeper_reset(struct agent_keeper *keeper);
void agent_keeper_release(struct agent_keeper *keeper);

/* Opens the agent, where there can be one now. 0 also where there can't. */
int agent_keeper_open(struct agent_keeper *keeper, struct cancel *cancel, struct error *err);

/* Has work done by the agent, which is opened where it is not; a line that breaks is opened once more, and all is asked again. work: negative where the line broke. What it
 * returned, or: -ENOTSUP, there is no agent (now); -EBUSY, the container is paused; -EAGAIN, nothing can be run there now; -ECANCELED; another error: it was lost each time, and is not tried again for a while. */
int agent_keeper_with(struct agent_keeper *keeper,
		      int (*work)(struct agent *agent, void *data, struct cancel *cancel, struct error *err),
		      void *data, struct cancel *cancel, struct error *err);

/* As runtime_ops has them. apply: 0 or the first item's error with the report filled; else as agent_keeper_with, with an empty report. ping: 0 also where
 * there is no agent. */
int agent_keeper_apply(struct agent_keeper *keeper, const struct carry *carry, struct carry_report *report,
		       struct cancel *cancel, struct error *err);
int agent_keeper_look(struct agent_keeper *keeper, const struct strv *dests, const struct instance_file *before,
		      struct instance_file *found, struct cancel *cancel, struct error *err);
int agent_keeper_check(struct agent_keeper *keeper, const struct strv *dests, struct carry_report *report,
		       struct cancel *cancel, struct error *err);
int agent_keeper_ping(struct agent_keeper *keeper, struct cancel *cancel, struct error *err);

/* The program that `agent supervise` started gets the signal, or is started anew (0). -ENOTSUP: no agent can be reached, or none supervises it. */
int agent_keeper_supervise(struct agent_keeper *keeper, int signal, struct cancel *cancel, struct error *err);

#endif
