/* Running what a sync source asks for: a generator's command, a map or tar program, Jib's sync map. Blocking, for jobs. */
#ifndef BUILD_GENERATE_H
#define BUILD_GENERATE_H

#include "io/cancel.h"
#include "sync/delta.h"
#include "sync/source.h"

/* What a generator's run gave. */
struct generated {
	struct syncmap map; /* of GENERATOR_MAP; map.rebuild: it wants a rebuild */
	struct delta delta; /* of GENERATOR_TAR; the same */
	struct str log;	    /* the last 64 KiB of what it printed */
};
void generated_release(struct generated *generated);

struct generate_request {
	const struct artifact *artifact;
	const struct sync_generator *generator;
	const char *tag;		      /* of the image that runs now; NULL: none was built */
	const struct strv *changed, *deleted; /* what made it stale: absolute paths; NULL: the first run */
	struct kept *kept;		      /* for GENERATOR_TAR */
	void (*line)(void *data, int stream, const char *line, size_t len);
	void *data;
	struct cancel *cancel;
};

/* Runs the generator's command in the artifact's context, in a process group of its own, with the environment of docs/protocol.md. The caller holds
 * build_lock_context. -EIO: the command failed, or what it printed is not valid: the message is the command's own, readable (build_failure_text).
 * -ECANCELED. *generated is to be released in any case. */
int generate_run(const struct generate_request *request, struct generated *generated, struct error *err);

/* One build or generator at a time in a real context directory, on the whole machine: returns a descriptor to close, or a negative errno.
 * Waits (says so through `line` once). -ECANCELED. An artifact with `parallel: true` gets a descriptor without waiting. */
int build_lock_context(const struct artifact *artifact,
		       void (*line)(void *data, int stream, const char *line, size_t len), void *data,
		       struct cancel *cancel, struct error *err);

/* A compiler's own words out of a build's output, at most some lines, paths below the context shown relative to it: Maven's [ERROR] lines without its
 * advice, Gradle's and javac's diagnostics, what Jib says when it refuses, else the last lines. The caller frees; NULL: nothing was printed. */
char *build_failure_text(const char *log, const char *context);

#endif
