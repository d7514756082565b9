/* The planner: change set in, decision out. Pure: it opens no file, starts no program, prints nothing (what it must know of the files as
 * they are now comes in with the source's struct sync_world). `skiff explain` is this, printed. */
#ifndef SYNC_PLAN_H
#define SYNC_PLAN_H

#include "sync/inputs.h"
#include "sync/source.h"

enum decision_kind { DECISION_NONE, DECISION_COPY, DECISION_GENERATE, DECISION_REBUILD }; /* dearer later */

struct copy {
	char *src;	   /* absolute path on the host */
	char *rel;	   /* as shown: relative to the context, absolute where outside */
	struct strv dests; /* absolute in the container, in the order of the rules */
	bool directory;	   /* a directory is to be made (its contents are changes of their own) */
	int mode;	   /* the mode the file must get; -1: the host's bits */
	char *owner;	   /* as in struct classification; NULL: the replaced file's, else the directory's */
	bool owner_if_new;
};

struct decision {
	enum decision_kind kind;
	char *reason;	     /* a sentence for a person: "Dockerfile is a build definition" */
	char *deciding_path; /* as shown; the first path, in sorted order, that gave the dearest answer; NULL: no path of the batch concerns the artifact */
	char *deciding_where; /* "skaffold.yaml:9:7", "Dockerfile:4", ".dockerignore:2"; NULL if nothing written decided */
	VEC(struct copy)
	copies; /* sorted by rel; also filled for what a rebuild makes unnecessary: the caller looks at kind first */
	struct strv deletes; /* destinations, sorted, none of which is a destination of a copy */
	VEC(const struct sync_generator *)
	generators; /* to run, in running order: those that read what changed, and those that surely read what these make */
};
void decision_release(struct decision *d);
const char *decision_kind_name(enum decision_kind kind); /* none, copy, generate, rebuild */

/* Plans one artifact's part of a change set (sorted). */
void plan_artifact(const struct sync_source *source, const struct change_set *changes, struct decision *decision);

/* Plans all artifacts of a configuration; sources and decisions are in the order of config->artifacts. What requires an artifact that is
 * rebuilt is rebuilt too. */
void plan_all(const struct config *config, struct sync_source *const *sources, const struct change_set *changes,
	      struct decision *decisions);

#endif
