/* Builders: from a context to an image. One struct of functions a builder, one line in the table of build.c. Blocking, for jobs. */
#ifndef BUILD_BUILD_H
#define BUILD_BUILD_H

#include "config/config.h"
#include "io/cancel.h"
#include "sync/inputs.h"

struct docker;

struct build_request {
	const struct config *config;
	const struct artifact *artifact;
	/* What says which files are inputs; NULL: not known, then nothing is reused. A map program that runs before the build teaches it. */
	struct sync_source *source;
	struct docker *docker;	   /* NULL where no engine is reachable (embedded) */
	bool embedded;		   /* lay out for the embedded runtime instead of building an image */
	bool for_dev;		   /* dev and debug conveniences (GOOGLE_DEVMODE, skipping tests) */
	const char *tag;	   /* -t; NULL: the tag policy */
	const char *default_repo;  /* NULL: none */
	bool force;		   /* build even where the inputs are unchanged */
	struct pair_list required; /* alias → tag of the artifacts it requires */
	/* Progress: each line of the builder's output, on the job's thread. */
	void (*line)(void *data, int stream, const char *line, size_t len);
	/* Called on the job's thread right before the inputs are looked at for the baseline (again after `before` hooks): what changes from here on, the
	 * image may or may not hold. May be NULL. */
	void (*begins)(void *data);
	void *data;
	struct cancel *cancel;
};

struct build_result {
	char *tag;		/* the full reference that was built */
	char *image_id;		/* "sha256:…"; of an embedded layout: the absolute path of its folder */
	bool cached;		/* the inputs were unchanged, nothing was built */
	struct inputs baseline; /* the inputs as they were before the build began */
	struct str log;		/* the last 64 KiB of output, for a failure */
	bool explained;		/* a failure's error says all that matters of it (build_failure_text) */
};
void build_result_release(struct build_result *result);

/* Runs build hooks, generators whose outputs go into the image (prepare.h), the tag policy, the cache, the builder. One build at a time in a (real) context directory, on the whole machine: waits. A result
 * of unchanged inputs runs no hooks, as in Skaffold. On failure *result has the log (and is to be released, too); the error is in the builder's own words.
 * -ENOTSUP for a builder that is not carried out yet, -ECANCELED. */
int build_artifact(const struct build_request *request, struct build_result *result, struct error *err);

/* Asks what the inputs are, where a program must be asked, and teaches the source: custom's dependencies.command (in the configuration's base
 * directory), Jib's files goal where it is not known or a build definition changed since. Before the first use of a source, and before each build; not while
 * another thread uses the source. -EIO in the program's own words. */
int build_list_dependencies(const struct artifact *artifact, struct sync_source *source, struct cancel *cancel,
			    struct error *err);

/* Runs host hooks in order (container ones are skipped); `line` as above. -EIO on the first that fails, with its words. extra_env may be NULL. */
int hooks_run_host(const struct hook_list *hooks, const char *base_dir, const char *const *extra_env,
		   void (*line)(void *data, int stream, const char *line, size_t len), void *data,
		   struct cancel *cancel, struct error *err);

#endif
