/* The planner: change set in, decision out. Pure: it opens no file, starts no program, prints nothing. `skiff explain` is this,
 * printed. What it must know of the world comes in as values (struct world). */
#ifndef SYNC_PLAN_H
#define SYNC_PLAN_H

#include "base/change.h"
#include "base/hash.h"
#include "config/config.h"
#include "sync/dockerfile.h"

enum decision_kind { DECISION_NONE, DECISION_COPY, DECISION_GENERATE, DECISION_REBUILD }; /* dearer later */

struct copy {
	char *src;  /* absolute path on the host */
	char *rel;  /* as shown: relative to the context, absolute where outside */
	struct strv dests; /* absolute in the container, in the order of the rules */
	bool directory;    /* an empty directory is to be made (a directory's contents are changes of their own) */
	int mode;          /* the mode the file must get; -1: the host's bits */
};

struct decision {
	enum decision_kind kind;
	char *reason;         /* a sentence for a person: "Dockerfile is a build definition" */
	char *deciding_path;  /* relative to the context; NULL for none */
	char *deciding_where; /* "skaffold.yaml:9:7", "Dockerfile:4", ".dockerignore:2"; NULL if nothing written decided */
	VEC(struct copy) copies;       /* sorted by rel; also filled for what a rebuild makes unnecessary: the caller looks at kind first */
	struct strv deletes;           /* destinations, sorted */
	VEC(const struct sync_generator *) generators; /* to run, in order */
};
void decision_release(struct decision *d);
const char *decision_kind_name(enum decision_kind kind); /* none, copy, generate, rebuild */

/* A sync source answers for the paths of one artifact: built once from the configuration and what the builder said, then asked. */
struct sync_source;

/* What a path is, in the order of design.md ("One question"). */
enum path_class { PATH_IGNORED, PATH_BUILD_DEFINITION, PATH_OUTPUT, PATH_DIRECT, PATH_GENERATOR_INPUT, PATH_NO_INPUT, PATH_UNKNOWN };

struct classification {
	enum path_class class_;
	struct strv dests; /* for PATH_DIRECT and PATH_OUTPUT */
	int mode;          /* -1: the host's bits */
	char *where;       /* place of the rule that held, NULL: none */
	char *reason;      /* in words; for PATH_UNKNOWN why it needs a rebuild */
};
void classification_release(struct classification *c);

/* Builds the source of an artifact. Reads the Dockerfile and ignore file where the builder has them (this is not the planner: it
 * may open files). base_image may be NULL. Errors: -EINVAL with a place (a Dockerfile that does not parse …). The artifact must outlive it. */
int sync_source_new(const struct config *config, const struct artifact *artifact,
		    void (*base_image)(void *data, const char *name, struct base_image *image), void *data,
		    struct sync_source **source, struct error *err);
void sync_source_free(struct sync_source *source);
DEFINE_CLEANUP(struct sync_source, sync_source_free)

/* Pure. path: absolute. */
void sync_source_classify(const struct sync_source *source, const char *path, enum change_kind kind, bool directory,
			  struct classification *out);

/* True if nothing at or below the path can matter: it needs not be watched, listed or hashed. Pure. */
bool sync_source_prunes(const struct sync_source *source, const char *path, bool directory);

/* The roots to watch: the context, a Dockerfile outside it, and so on. Absolute. Appended. */
void sync_source_roots(const struct sync_source *source, struct strv *roots);

/* The WORKDIR of the image: NULL if unknown; *base (may be NULL) then names the base image that is not at hand. */
const char *sync_source_workdir(const struct sync_source *source, const char **base);

/* The evaluated Dockerfile, NULL where the builder has none. */
const struct copy_map *sync_source_copy_map(const struct sync_source *source);

/* Plans one artifact's part of a change set. required_by_others: synced files count as rebuilds (facts/skaffold.md). Pure. */
void plan_artifact(const struct sync_source *source, const struct change_set *changes, struct decision *decision);

/* The whole map: every file of the context that has a destination now (`skiff map`). Walks the context. */
struct sync_map_entry {
	char *rel;
	struct strv dests;
	bool generated;
};
VEC_TYPE(sync_map, struct sync_map_entry);
int sync_source_map(const struct sync_source *source, struct sync_map *map, struct error *err); /* sorted by rel */
void sync_map_release(struct sync_map *map);

/* The inputs of the image as they are on disk now: path, mode, hash, sorted by path. `before` (may be NULL) is an earlier one: what
 * has the same size, times and inode is not read again. Blocking; for a job. */
struct input {
	char *rel;
	unsigned mode; /* st_mode: type and permission bits */
	uint64_t size, mtime_ns, ctime_ns, inode;
	struct hash hash; /* of the content; of the target of a link */
};
struct inputs {
	struct input *items;
	size_t len, cap;
};
int sync_source_inputs(const struct sync_source *source, const struct inputs *before, struct inputs *inputs, struct error *err);
const struct input *inputs_find(const struct inputs *inputs, const char *rel);
void inputs_release(struct inputs *inputs);

#endif
