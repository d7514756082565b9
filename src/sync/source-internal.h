/* What a sync source is made of: shared by the files that build it, ask it and walk with it, and by nobody else. */
#ifndef SYNC_SOURCE_INTERNAL_H
#define SYNC_SOURCE_INTERNAL_H

#include "base/map.h"
#include "sync/glob.h"
#include "sync/source.h"

struct source_glob {
	struct glob *glob;
	const char *text; /* the configuration's */
	struct place place;
};
VEC_TYPE(source_globs, struct source_glob);

struct source_rule { /* manual, direct, an output of a generator */
	struct source_glob src;
	const struct sync_rule *written;
};
VEC_TYPE(source_rules, struct source_rule);

struct source_generator {
	const struct sync_generator *written;
	struct source_globs inputs;
	struct source_rules outputs;
};

/* A source of COPY that is reached through a symbolic link: changes come with the path of the target. */
struct source_link {
	char *target; /* relative to the context */
	const struct copy_rule *rule;
};

enum input_kind {
	INPUTS_DOCKERFILE, /* what COPY, ADD and bind mounts name, without what the ignore file excludes */
	INPUTS_GLOBS,	   /* custom's dependencies.paths and ignore */
	INPUTS_LISTING,	   /* custom's dependencies.command */
	INPUTS_CONTEXT,	   /* every file of the context: builders whose inputs are not known */
};

struct sync_source {
	const struct config *config;
	const struct artifact *artifact;
	struct sync_world world;

	struct source_globs ignored, rebuild, infer;
	struct source_rules rules; /* manual or direct */
	VEC(struct source_generator) generators;

	enum input_kind input_kind;
	struct source_globs input_paths, input_ignore;
	bool listed;	    /* the listing has come */
	struct map listing; /* absolute path → itself, as a set; directories count with all that is below */

	char *dockerfile;	/* absolute */
	char *dockerfile_shown; /* as places name it: relative to the working directory where it is below it */
	char *specific_ignore;	/* <Dockerfile>.dockerignore: used if it exists, and a build definition in any case */
	char *general_ignore;	/* <context>/.dockerignore: NULL where the specific one is used */
	char *ignore_path, *ignore_shown; /* the one in use; NULL: none */
	struct ignore *ignore;
	struct copy_map copies;
	VEC(struct source_link) links;

	char *workdir;	    /* NULL: unknown */
	char *unknown_base; /* the image that made it so */
};

/* The path relative to the context, with ".." where it is outside: what globs are matched with. The caller frees *owned. */
const char *source_relative(const struct sync_source *s, const char *path, char **owned);

/* "Dockerfile:4". The caller frees. */
char *source_dockerfile_place(const struct sync_source *s, unsigned line) RETURNS_OWNED;

/* The context as the Dockerfile's questions want it. */
struct copy_tree source_tree(const struct sync_source *s);

/* What the Dockerfile's files mean: itself, or an ignore file that counts or would. */
bool source_is_definition(const struct sync_source *s, const char *path);

/* git's own folder changes with every git command: it counts only where somebody named it. rel: relative to the context. */
bool source_is_git_folder(const char *rel);
bool source_names_git_folder(const struct source_rules *rules);

/* True if an input of the build, or what defines it, may be at or below the directory. */
bool source_inputs_below(const struct sync_source *s, const char *path, const char *rel);

/* True if the listing has the path, or a directory above it. */
bool source_listed(const struct sync_source *s, const char *path);

bool source_globs_match(const struct source_globs *globs, const char *rel, const struct source_glob **which);

#endif
