/* An open docker instance: what is known of the container, looked up once. Shared by the files of the docker runtime. */
#ifndef RUNTIME_DOCKER_SESSION_H
#define RUNTIME_DOCKER_SESSION_H

#include "base/map.h"
#include "base/owner.h"
#include "base/vec.h"
#include "client/docker.h"
#include "runtime/agent-keeper.h"
#include "runtime/ask.h"
#include "runtime/docker-look.h"
#include "runtime/runtime.h"

struct docker_mount {
	char *at;	/* where it is in the container */
	bool temporary; /* a tmpfs: the archive API would answer 200 and lose the file */
	bool writable;
	bool usual; /* in every container: /dev, /proc, /sys */
};

enum image_agent { /* in the container's image, where it stays: it may be the entry point */
		   IMAGE_AGENT_NONE,
		   IMAGE_AGENT_SAME,
		   IMAGE_AGENT_OTHER /* another skiff's */
};

struct session {
	struct docker *docker; /* the runtime's */
	char *id;
	char *name;
	char *image_id;
	char *user; /* as configured; "" for root */
	bool running, paused;
	bool read_only; /* the root file system */
	enum image_agent image_agent;
	bool root_temporary;
	VEC(struct docker_mount) mounts;
	struct look look;
	struct asker asker;	  /* where look can't tell */
	struct accounts accounts; /* docker_accounts */
	bool accounts_read;
	struct agent_keeper keeper;
	bool supervised; /* its entry point is `agent supervise` */
};

/* What is known of the container, anew: the agent's line and all that was looked up are dropped. -ENOENT: it is gone. */
int docker_refresh(struct session *session, struct cancel *cancel, struct error *err);

/* Only how it is now. */
int docker_state(struct session *session, bool *running, bool *paused, struct cancel *cancel, struct error *err);

/* The container's /etc/passwd and /etc/group through the archive API, read when a session first needs a name; a link there, or a file of more than
 * ACCOUNTS_MAX, counts as none. 0, or what broke the line. */
int docker_accounts(struct session *session, struct cancel *cancel, struct error *err);

extern const struct agent_keeper_ops docker_agent_ops; /* docker-agent.c */

/* The archive API's way. docker_runtime_apply takes the agent's where there is one. */
int docker_archive_apply(struct session *session, const struct carry *carry, struct carry_report *report,
			 struct cancel *cancel, struct error *err);

/* Of the table (runtime.h), by the agent: docker-agent.c. */
int docker_runtime_apply(struct session *session, const struct carry *carry, struct carry_report *report,
			 struct cancel *cancel, struct error *err);
int docker_runtime_look(struct session *session, const struct strv *dests, const struct instance_file *before,
			struct instance_file *found, struct cancel *cancel, struct error *err);
int docker_runtime_check(struct session *session, const struct strv *dests, struct carry_report *report,
			 struct cancel *cancel, struct error *err);
int docker_runtime_ping(struct session *session, struct cancel *cancel, struct error *err);

/* For session->asker: an exec (70 ms). */
int docker_ask_run(struct session *session, const char *const *argv, struct str *output, struct cancel *cancel);

/* What one destination is, from its entry in the archive API: any container, also one that does not run or has no programs. False: can't say, or
 * nothing is there. */
bool docker_peek(struct session *session, const char *dest, struct looked *looked, struct cancel *cancel);

/* How an item must travel. */
enum docker_way {
	WAY_ARCHIVE,  /* through the archive API, from the root */
	WAY_VOLUME,   /* through the archive API, from the volume's own root: the container's is read-only */
	WAY_TAR,      /* by exec of tar: a tmpfs */
	WAY_IN_PLACE, /* by exec of a shell, over the file: it is a mount of its own, and can't be replaced */
	WAY_REFUSED,
};

struct docker_route {
	enum docker_way way;
	const char *base; /* of WAY_VOLUME: the mount */
	int code;	  /* of WAY_REFUSED: a positive errno */
	const char *why;  /* then: in words */
	const char *help; /* and the way out */
};

/* looked: what is there, NULL where that is not known. */
struct docker_route docker_route(const struct session *session, const char *dest, const struct looked *looked);

/* Fills a result that failed: the path, its owner, the container's user, a way out. words: the engine's or a program's. */
void docker_explain(const struct session *session, const char *dest, const struct looked *looked, int code,
		    const char *words, const char *help, struct carry_result *result);

#endif
