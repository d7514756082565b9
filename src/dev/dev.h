/* The dev loop: build, deploy, watch, and for each change do what the plan says, until told to stop. Everything a person or a
 * program learns of it comes as events (event/event.h). */
#ifndef DEV_DEV_H
#define DEV_DEV_H

#include "config/config.h"
#include "event/event.h"
#include "watch/watch.h"

struct dev_options {
	const struct config_options *config;
	const char *
		runtime; /* "docker", "embedded", "kubernetes"; NULL: what the configuration deploys to, or what is there */
	const char *kube_context, *namespace_; /* NULL: kubectl's */
	const char *default_repo, *tag;
	struct watch_options watch;
	bool auto_build, auto_sync, auto_deploy;
	bool cleanup;	   /* remove what was started at the end */
	bool tail;	   /* EVENT_LOG for containers' output */
	bool port_forward; /* publish ports */
	bool force;	   /* the first build ignores the cache */
	bool no_agent;	   /* in containers (runtime/runtime.h) */
	bool once;	   /* brings what runs up to date, then ends; builds, starts and removes nothing */
};

/* Runs until SIGINT, SIGTERM or SIGHUP (or, `once`, until nothing is left to do). `config` is the configuration as loaded (taken over). Returns 0 after an
 * ordinary end (*ended_by: the signal, or 0), or a negative errno where it could not start; -EIO without a message where `once` something failed, which was told. */
int dev_run(const struct dev_options *options, struct config *config, struct event_bus *bus, int *ended_by,
	    struct error *err);

/* What `run` and `delete` share with the loop: the runtime that is there, the engine behind it, and the run's name. Blocking. */
struct runtime;
struct runtime_options;
struct docker;
struct kubernetes;
struct dev_runtime {
	struct runtime *runtime;
	struct docker *docker;	       /* NULL with the embedded runtime, and with Kubernetes where no engine is here */
	struct kubernetes *kubernetes; /* NULL with the others; the runtime's */
	char *run_id;
	bool embedded;
};
/* *fallback: why the embedded runtime was taken, where nobody asked for it; the caller frees. On error dev_close_runtime is still due. */
int dev_open_runtime(const struct runtime_options *options, const struct config *config, struct dev_runtime *out,
		     char **fallback, struct error *err);
void dev_close_runtime(struct dev_runtime *rt);

/* Containers of that image were started by `run`: dev and sync may take them over. Blocking; what fails only makes dev start its own. */
void dev_note_started(const struct dev_runtime *rt, const struct config *config, const struct artifact *artifact,
		      const char *image_id);
/* Nothing of the project runs any more: what was kept of its containers goes. Blocking. */
void dev_forget(const struct dev_runtime *rt, const struct config *config);

#endif
