/* Runtimes: where containers run. One struct of functions a runtime, one line in the table of
 * runtime.c. Blocking calls, for jobs; a struct session is used by one job at a time. */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include "base/change.h"
#include "base/hash.h"
#include "io/cancel.h"

enum {
	RUNTIME_PING_S = 20, /* load balancers cut idle lines */
	RUNTIME_RACY_NS =
		1000000000, /* file systems tell times that coarse: what is younger is read again at the next look */
};

enum carry_kind { CARRY_FILE, CARRY_SYMLINK, CARRY_DIRECTORY, CARRY_DELETE };

/* One state of a file, in memory. Of a carry it is read by several sessions at once: nobody writes to it any more. */
struct held_file {
	char *bytes;   /* never NULL, also where size is 0 */
	size_t size;   /* at most SOURCE_SMALL_MAX (source.h) */
	unsigned mode; /* st_mode */
	struct hash hash;
};
void held_file_free(struct held_file *held);

/* One destination to bring about. Sources are read by the session, each between two equal fstats, else again; what is gone by
 * then (-ENOENT) is skipped and reported in `skipped`: a later change tells of it. What is held is sent as it is, whatever became of the file. */
struct carry_item {
	enum carry_kind kind;
	char *dest; /* absolute, normalised (path_is_safe_destination) */
	char *src;  /* absolute host path; NULL for CARRY_DELETE */
	int mode;   /* permission bits, MODE_HOST or MODE_KEEP (base/file.h) */
	/* base/owner.h, names being the container's own; NULL: what is replaced keeps its owner, what is new takes its directory's. Where
	 * skiff may not give files away (embedded, not as root) it counts for nothing. An unknown name: the item fails, EINVAL. */
	char *owner;
	bool owner_if_new; /* what is replaced keeps its owner all the same */
	/* A file or link that skiff writes there for the first time: `expected` is the content (a link's target) that the image is known to hold; zero: nothing. Where
	 * something else is there, and not the new content already, the item fails with EEXIST and `unexpected`. After a call that broke the line, whose items may be there
	 * in part, it may be asked again as long as the sources are the same. Without an agent it counts for nothing. */
	bool expects;
	struct hash expected;
	/* What src was when it was looked at: sent instead of reading src. Borrowed: its owner keeps it for as long as a session may use the carry. NULL: none is
	 * held (what is held of an empty file is not NULL). */
	const struct held_file *held;
};

struct carry {
	struct carry_item *items; /* deletes last; a directory before what is in it */
	size_t len, cap;
};
void carry_release(struct carry *carry);

struct carry_result {	  /* per item, the same index */
	int code;	  /* 0, or a positive errno: EACCES, EROFS, ENOSPC, ENOTDIR, … */
	bool skipped;	  /* the source was gone */
	bool outside;	  /* with a code: in a mount, where no rebuild of the image changes anything */
	bool unexpected;  /* with EEXIST: as carry_item.expects says; hash is of what is there, zero for nothing */
	struct hash hash; /* of what was carried (file content, link target) */
	char *message; /* for a person, where code is set: names the path, its owner, the container's user, and a way out */
};

struct carry_report {
	struct carry_result *results;
	size_t len;
	uint64_t bytes;
	bool atomic; /* false: written in place, a reader could see half a file */
	char *note;  /* for a person, once a session: why no agent carries here; NULL: nothing to say */
	unsigned transfer_us;
};
void carry_report_release(struct carry_report *report);

struct instance {
	char *id;    /* the engine's */
	char *name;  /* shown to people */
	char *image; /* as in the configuration */
	/* The image that was built for it, without the agent's layer (label skiff.base); of an attached one, the image that it runs. NULL: not told */
	char *base_id;
	bool attached; /* another tool's: nothing of it is started or removed */
	bool ends; /* for good: one that does not run never runs again, and nothing can be carried into it (Kubernetes) */
	bool running;
	bool paused;		/* and running: nothing can be carried there (EBUSY) until it goes on */
	char *started;		/* when, in the runtime's words: others, and it was restarted. NULL: not told */
	int exit_code;		/* where it is not running */
	uint64_t logs_since_ns; /* what it wrote before this time of day is known; 0: nothing is */
};
struct instances {
	struct instance *items;
	size_t len, cap;
	char *problem; /* for a person: containers that were left out; NULL: none were */
};
void instances_release(struct instances *instances);

/* What is at a destination. */
struct instance_file {
	int code; /* 0; ENOENT: nothing is there; else why it can't be told */
	enum carry_kind kind;
	bool special;  /* a socket, a device: kind says nothing */
	unsigned mode; /* permission bits */
	uint64_t size;
	uint64_t mtime_ns; /* 0: so near the time of looking that a later change might not be told by it */
	struct hash hash;  /* as carry_result has it */
};

struct runtime;
struct session;

struct runtime_ops {
	const char *name;
	/* Containers of the run, and attached ones: by label and id, never by name. */
	int (*list)(struct runtime *rt, const char *run_id, struct instances *out, struct cancel *cancel,
		    struct error *err);
	int (*open)(struct runtime *rt, const struct instance *instance, struct session **session,
		    struct cancel *cancel, struct error *err);
	/* Carries all items. 0 if each succeeded (or was skipped); the first error's -errno otherwise, with the report filled for all. A broken line: -EPIPE and
	 * the like, report->len = 0. */
	int (*apply)(struct session *session, const struct carry *carry, struct carry_report *report,
		     struct cancel *cancel, struct error *err);
	/* What is at each destination now. before (may be NULL): what an earlier look found; what has its size, time and kind still is not read again, its hash
	 * is taken from there. Thousands cost milliseconds. -ENOTSUP where no agent runs; a broken line as above. */
	int (*look)(struct session *session, const struct strv *dests, const struct instance_file *before,
		    struct instance_file *found, struct cancel *cancel, struct error *err);
	/* Could files be written there? Writes nothing. The report as apply would fill it; what can't be told counts as yes. -ENOTSUP where no agent runs. */
	int (*check)(struct session *session, const struct strv *dests, struct carry_report *report,
		     struct cancel *cancel, struct error *err);
	/* Keeps an idle line open, and tells whether it is: every RUNTIME_PING_S. 0 also where there is no line to keep. */
	int (*ping)(struct session *session, struct cancel *cancel, struct error *err);
	/* Runs a program inside (hooks). Exit status, or a negative errno. */
	int (*run)(struct session *session, const char *const *argv, struct str *output, struct cancel *cancel,
		   struct error *err);
	/* signal > 0: to the container's main process. 0: restarts it: the program alone where the agent supervises it (the container's entry point is `/.skiff/agent
	 * supervise -- …`), else the container, its files kept. */
	int (*restart)(struct session *session, int signal, struct cancel *cancel, struct error *err);
	void (*close)(struct session *session);
	/* Calls changed (on the calling thread) whenever instances start, stop or go, until cancelled: the caller lists again. */
	int (*follow)(struct runtime *rt, const char *run_id, void (*changed)(void *data), void *data,
		      struct cancel *cancel, struct error *err);
	int (*logs)(struct runtime *rt, const struct instance *instance,
		    void (*line)(void *data, int stream, const char *line, size_t len), void *data,
		    struct cancel *cancel, struct error *err);
	void (*free)(struct runtime *rt);
};

/* The table of the runtime NAME, whose functions are called NAME_runtime_list and so on. */
#define RUNTIME_OPS(of)                                                                                         \
	{                                                                                                       \
		.name = #of, .list = of##_runtime_list, .open = of##_runtime_open, .apply = of##_runtime_apply, \
		.look = of##_runtime_look, .check = of##_runtime_check, .ping = of##_runtime_ping,              \
		.run = of##_runtime_run, .restart = of##_runtime_restart, .close = of##_runtime_close,          \
		.follow = of##_runtime_follow, .logs = of##_runtime_logs, .free = of##_runtime_free             \
	}

/* Containers that another tool runs, to be listed and followed with the run's own. One that two queries find is the first's; a skiff's own are
 * nobody else's. */
struct attach_query {
	char *image;	    /* instance.image of what it finds */
	struct strv labels; /* "KEY" or "KEY=VALUE": a container has all of them */
	char *one_project; /* a Compose service whose project is not known: containers of two projects are left out. NULL: it is, or is no service */
};
VEC_TYPE(attach_queries, struct attach_query);
void attach_queries_release(struct attach_queries *queries);

struct runtime { /* first member of each runtime's own struct */
	const struct runtime_ops *ops;
	struct attach_queries attach; /* owned; set while no list or follow runs */
	bool no_agent;		      /* --no-agent: for sessions that are opened from now on */
	bool brings_back;	      /* what goes comes again by itself: Kubernetes' controllers */
};

struct runtime_options {
	const char *name; /* "docker", "embedded", "kubernetes"; NULL: docker where an engine answers, else embedded */
	const char *context, *namespace_; /* for Kubernetes: kubernetes_options (client/kubernetes.h) */
};

/* *fallback (may be NULL): why the embedded runtime was taken where none was named. */
int runtime_open(const struct runtime_options *options, struct runtime **runtime, char **fallback,
		 struct cancel *cancel, struct error *err);

#endif
