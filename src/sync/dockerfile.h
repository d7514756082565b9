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
	char *workdir;	     /* NULL or "" = "/" */
	struct strv env;     /* NAME=value */
	struct strv onbuild; /* trigger lines */
	struct strv labels;  /* NAME=value */
};
void base_image_release(struct base_image *image);

struct dockerfile_context { /* what evaluation depends on besides the text */
	const char *target; /* NULL: the last stage */
	const char *const *
		build_args; /* "NAME=value" or "NAME" (from the environment: getenv was asked by the caller), ends with NULL; may be NULL */
	/* Fills *image for a FROM that is not `scratch` and not an earlier stage; known = false where the image isn't at hand. May be NULL (nothing known). */
	void (*base_image)(void *data, const char *name, struct base_image *image);
	void *data;
};

/* How the source of a rule is taken. Evaluation depends on no listing, so a rule that stands in the Dockerfile is both; what COPY --from takes out
 * of it may be one of the two. */
enum copy_part {
	COPY_WHOLE, /* a file, or the contents of a directory, whichever the path is */
	COPY_FILE,  /* a file of that name only */
	COPY_TREE,  /* the contents of a directory of that name only */
};

/* What becomes of context files through one source of one COPY or ADD, followed to the final stage. An instruction with several sources gives
 * several rules, one after the other, of the same line.
 *
 * A rule without sources is a cover: something that is not from the context (of an image, a URL, a heredoc, an archive, made by a RUN) lands
 * at dest, or at places below it, and so may have replaced what an earlier rule put there. */
struct copy_rule {
	struct strv
		sources; /* one context pattern, normalised, relative ("." = all), with Go's filepath.Match wildcards, one level; or none: a cover */
	bool source_is_wildcard;
	enum copy_part part;
	char *rename; /* the name that a file gets in dest where dest_is_directory; NULL: its own */
	char *dest; /* absolute, normalised; NULL while the WORKDIR is unknown: then dest_relative holds what follows it */
	char *dest_relative;
	bool dest_is_directory; /* ends in "/", "." or "..", several sources, or a wildcard */
	unsigned
		line; /* of the COPY or ADD in the Dockerfile; of a COPY --from followed back: the context COPY's line */
	bool is_add;  /* ADD: a local archive is extracted, so archives are never synced (copy_rule_unsyncable) */
	const char *unsyncable; /* NULL, or why files of it can't be synced one to one ("--parents", "--exclude", …) */
	/* The first RUN that could have read the copied files (in its own stage after it, or in a later stage of its lineage): they are
	 * not direct for `auto`, since the build may have made something of them. 0: none. infer ignores this. */
	unsigned run_line;
	/* The first RUN after it in the stage that a COPY --from took it from: it may have changed it, so infer does not follow it. */
	unsigned stage_run_line;
	bool final;	/* lands in the final stage (directly, or by lineage); else only an input of the build */
	bool inherited; /* put there by the stage that the final one starts FROM: auto counts it, infer does not (Skaffold looks at the last stage) */
	bool lineage;	/* came through COPY --from */
	bool exact; /* of a cover: just the path dest is replaced, and surely; else perhaps, dest or anything below it */
	int chmod;  /* --chmod as octal mode, -1: none */
	char *chown; /* --chown, expanded (base/owner.h); COPY --from without it keeps what the stage gave. NULL: none, so root's, whatever USER says */
};

VEC_TYPE(rule_list, struct copy_rule);

struct copy_map {
	struct rule_list
		rules; /* first those that only feed the build, in the order of the Dockerfile; then the final ones, in the order in
						      * which they take effect */
	char *name;    /* of the Dockerfile, for places */
	char *workdir; /* of the final stage; NULL: unknown (base image not at hand) */
	bool workdir_known;
	char *unknown_base;	 /* the base image that made it unknown, NULL otherwise */
	bool scratch;		 /* the final stage's lineage starts FROM scratch */
	bool has_run;		 /* the final stage's own lineage (its FROM chain) has a RUN */
	unsigned base_line;	 /* of the FROM of an image where that lineage starts; 0: scratch */
	unsigned first_run_line; /* of the first RUN of that lineage; 0: none */
	struct strv bind_mounts; /* sources of RUN --mount=type=bind without from: inputs too; "." = all */
	struct strv bases;	 /* every base image named, expanded, without stages and scratch */
	/* The final stage's configuration, for laying out an image without an engine: */
	struct strv env;	/* NAME=value */
	struct strv entrypoint; /* exec form, or {"/bin/sh","-c",text} */
	struct strv cmd;
	struct strv exposed; /* "8080/tcp" */
	struct strv volumes;
	char *user; /* NULL: none */
	char *stop_signal;
};

int dockerfile_evaluate(const struct dockerfile *dockerfile, const struct dockerfile_context *context,
			struct copy_map *map, struct error *err);
void copy_map_release(struct copy_map *map);

/* The destination of one context path (relative, normalised) through one rule, owned by the caller; *dest is NULL if the rule does not copy
 * it. The answer needs no listing: a path equal to a source is a file, a path below one is in a directory. Returns false (*dest NULL) if the rule copies it
 * and the destination is not known because the WORKDIR is not. */
bool copy_rule_destination(const struct copy_rule *rule, const char *path, char **dest);

/* True if the rule's sources name the path, or something above it (so that it is an input of the build). */
bool copy_rule_covers(const struct copy_rule *rule, const char *path);

/* Why the path can't be synced through the rule: its `unsyncable`, or an ADD of what looks like an archive (Docker sniffs the content; here the name
 * decides: .tar .tar.gz .tgz .tar.bz2 .tbz2 .tar.xz .txz .tar.zst). NULL: it can. */
const char *copy_rule_unsyncable(const struct copy_rule *rule, const char *path);

/* The context as it is now, without what .dockerignore excludes: paths are relative and normalised. */
enum copy_entry { COPY_ENTRY_NONE, COPY_ENTRY_FILE, COPY_ENTRY_DIRECTORY };
struct copy_tree {
	enum copy_entry (*kind)(void *data, const char *path);
	void (*list)(void *data, const char *directory,
		     struct strv *names); /* appends the names in it; asked only for rules with wildcards */
	void *data;
};

enum copy_use { COPY_FOR_INFER, COPY_FOR_AUTO };

/* True if the rule gives destinations in that mode: final, and for infer of the last stage itself or followed back through COPY --from
 * without a RUN that could have changed it (what can't be followed is skipped there, as Skaffold skips --from). */
bool copy_rule_counts(const struct copy_rule *rule, enum copy_use use);

/* True if something that takes effect after rules.items[rule] lands on dest too, where that rule puts the path: the later one wins. *line (may
 * be NULL) is its line. For infer covers count only where they surely replace dest. */
bool copy_map_overridden(const struct copy_map *map, size_t rule, const char *path, const char *dest, enum copy_use use,
			 const struct copy_tree *tree, unsigned *line);

/* All of the above in one answer: what a change of the path (a file, or a link) means to the image. */
struct copy_answer {
	bool input;	   /* the build reads it (.dockerignore aside) */
	struct strv dests; /* absolute, in the order of the rules, each once; empty where reason is set */
	int chmod;	   /* -1: none */
	const char *chown; /* NULL: none; the rule's */
	bool run_follows;  /* a RUN comes after it, and may have given it to somebody */
	unsigned line;	   /* the instruction that decided; 0: none */
	char *reason; /* NULL: it can be copied to dests; else why only a rebuild will do, "…it is read by the RUN at line 7" */
	bool workdir_unknown; /* that is the reason */
};
void copy_map_ask(const struct copy_map *map, enum copy_use use, const char *path, const struct copy_tree *tree,
		  struct copy_answer *answer);
void copy_answer_release(struct copy_answer *answer);

/* -ENOENT with the place if a source of an instruction matches nothing ("No source of an instruction matching anything is an error"). */
int copy_map_check_sources(const struct copy_map *map, const struct copy_tree *tree, struct error *err);

#endif
