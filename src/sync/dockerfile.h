/* Dockerfile: parsing, and the one question asked of it: which context paths does the image copy, and where do they land?
 *
 * Two steps. dockerfile_parse: text → instructions per stage, nothing expanded (docs.docker.com/reference/dockerfile; parser directives, escapes,
 * heredocs, JSON forms, continuation with comments between, flags, any letter case). dockerfile_evaluate: with build arguments, target and what is
 * known of base images → a struct copy_map: for each stage that matters its COPY/ADD with everything expanded, WORKDIR applied, lineage
 * through COPY --from followed. Neither opens a file: base images and ONBUILD triggers come in through a callback. */
#ifndef SYNC_DOCKERFILE_H
#define SYNC_DOCKERFILE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "base/vec.h"
#include "sync/ignore.h"

struct dockerfile;

/* name: the path shown in places. At most 1 MiB of text, 65,536 instructions. Errors: -EINVAL with the place. The result
 * copies what it needs. */
int dockerfile_parse(const char *name, const char *text, size_t len, struct dockerfile **dockerfile, struct error *err);
void dockerfile_free(struct dockerfile *dockerfile);
DEFINE_CLEANUP(struct dockerfile, dockerfile_free)

struct base_image { /* what the engine (or nobody) knows of an image named in FROM; strings owned by the answerer's caller: free with base_image_release */
	bool known;
	char *workdir; /* NULL or "" = "/" */
	struct strv env;     /* NAME=value */
	struct strv onbuild; /* trigger lines */
};
void base_image_release(struct base_image *image);

struct dockerfile_context { /* what evaluation depends on besides the text */
	const char *target; /* NULL: the last stage */
	const char *const *build_args; /* "NAME=value" or "NAME" (from the environment: getenv was asked by the caller), ends with NULL; may be NULL */
	/* Fills *image for a FROM that is not `scratch` and not an earlier stage; known = false where the image isn't at hand. May be NULL (nothing known). */
	void (*base_image)(void *data, const char *name, struct base_image *image);
	void *data;
};

/* What becomes of context files through one COPY or ADD, followed to the final stage. */
struct copy_rule {
	struct strv sources; /* context patterns, normalised, relative ("." = all); Go's filepath.Match wildcards, one level */
	bool source_is_wildcard;
	char *dest;          /* absolute, normalised; NULL while the WORKDIR is unknown: then dest_relative holds what follows it */
	char *dest_relative;
	bool dest_is_directory; /* ends in "/", "." or "..", several sources, or a wildcard */
	unsigned line;       /* of the COPY or ADD in the Dockerfile; of a COPY --from followed back: the context COPY's line */
	bool is_add;         /* ADD: a local archive is extracted, so archives are never synced */
	const char *unsyncable; /* NULL, or why files of it can't be synced one to one ("--parents", "--exclude", …) */
	/* The first RUN that could have read the copied files (in its own stage after it, or in a later stage of its lineage): they are
	 * not direct for `auto`, since the build may have made something of them. 0: none. infer ignores this. */
	unsigned run_line;
	bool final;          /* lands in the final stage (directly, or by lineage); else only an input of the build */
	bool lineage;        /* came through COPY --from: `auto` uses it, infer does not (Skaffold skips --from) */
	int chmod;           /* --chmod as octal mode, -1: none */
	char *chown;         /* --chown as written, NULL: none */
};

struct copy_map {
	VEC(struct copy_rule) rules; /* in the order of the Dockerfile; final ones in the order in which they take effect in the final stage */
	char *workdir;   /* of the final stage; NULL: unknown (base image not at hand) */
	bool workdir_known;
	char *unknown_base; /* the base image that made it unknown, NULL otherwise */
	bool scratch;    /* the final stage's lineage starts FROM scratch */
	bool has_run;    /* the final stage's own lineage (its FROM chain) has a RUN */
	struct strv bind_mounts; /* sources of RUN --mount=type=bind without from: inputs too; "." = all */
	struct strv bases; /* every base image named, expanded, without stages and scratch */
	/* The final stage's configuration, for laying out an image without an engine: */
	struct strv env;        /* NAME=value */
	struct strv entrypoint; /* exec form, or {"/bin/sh","-c",text} */
	struct strv cmd;
	struct strv exposed;    /* "8080/tcp" */
	struct strv volumes;
	char *user;             /* NULL: none */
	char *stop_signal;
};

int dockerfile_evaluate(const struct dockerfile *dockerfile, const struct dockerfile_context *context, struct copy_map *map,
			struct error *err);
void copy_map_release(struct copy_map *map);

/* The destinations of one context path (relative, normalised) through one rule, appended to out: none if the rule does not copy it. The answer
 * needs no listing: a path equal to a source is a file, a path below one is in a directory. Returns false (and adds nothing) if the
 * destination is not known because the WORKDIR is not. */
bool copy_rule_destination(const struct copy_rule *rule, const char *path, char **dest);

/* True if the rule's sources name the path, or something above it (so that it is an input of the build). */
bool copy_rule_covers(const struct copy_rule *rule, const char *path);

#endif
