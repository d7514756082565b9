/* What a sync source is made of: shared by the files that build it, ask it and walk with it, and by nobody else. */
#ifndef SYNC_SOURCE_INTERNAL_H
#define SYNC_SOURCE_INTERNAL_H

#include "base/map.h"
#include "sync/glob.h"
#include "sync/knowledge.h"
#include "sync/source.h"

struct source_glob {
	struct glob *glob;
	char *text; /* the configuration's, without "./" and a slash at the end */
	struct place place;
};
VEC_TYPE(source_globs, struct source_glob);

struct source_rule { /* manual, direct, an output of a generator */
	struct source_glob src;
	const struct sync_rule *written;
	bool by_label; /* of the image's label: it carries deletes, and only what is an input */
};
VEC_TYPE(source_rules, struct source_rule);

struct source_generator {
	const struct sync_generator *written;
	struct source_globs inputs;
	struct source_rules outputs;
	char *name;	   /* in a sentence: Maven, `npm run build` */
	VEC(size_t) feeds; /* those that surely read what this one makes; indices, all behind its own */
};
VEC_TYPE(source_generators, struct source_generator);

/* What was told of a path. A directory stands for all that is below it. */
enum told {
	TOLD_BUILD = 1 << 0,	  /* Jib: defines the build */
	TOLD_INPUT = 1 << 1,	  /* Jib: read by the build */
	TOLD_EXCLUDED = 1 << 2,	  /* Jib: neither of the two */
	TOLD_DEFINITION = 1 << 3, /* the map's `build` */
	TOLD_IGNORED = 1 << 4,	  /* the map's `ignore` */
	TOLD_ENTRY = 1 << 5,	  /* the map brings it somewhere */
	TOLD_BELOW_READ = 1 << 6, /* a directory: a path of one of the first two, or the fourth, lies below it */
	TOLD_BELOW_ENTRY = 1 << 7,
	TOLD_BELOW = TOLD_BELOW_READ | TOLD_BELOW_ENTRY,
};

/* The index of what the knowledge holds: asked by path, whatever its size. */
struct told_index {
	struct map paths;    /* absolute path → enum told */
	struct map entries;  /* src → 1 + index in `order` of its first entry */
	uint32_t *order;     /* indices of the map's entries by src; of one src in the order of the text */
	struct strv outside; /* what is to be watched outside the context */
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
	INPUTS_TOLD,	   /* Jib's files goal; until it has told, every file of the context */
	INPUTS_CONTEXT,	   /* every file of the context: builders whose inputs are not known */
};

struct sync_source {
	const struct config *config;
	const struct artifact *artifact;
	struct sync_world world;

	struct source_globs ignored, rebuild, infer;
	struct source_rules rules;			   /* manual or direct */
	struct source_generators generators;		   /* in running order */
	VEC(const struct sync_generator *) generator_list; /* the same, as they were written */
	struct sync_generator map_program, tar_program;	   /* kept in one shape with the others; command empty: none */
	struct strv jib_command;			   /* the words of map_program, for Jib */

	struct knowledge knowledge;
	struct told_index told;

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

	char *kodata;	   /* ko: the folder of the static data; NULL: none, or not known */
	char *kodata_root; /* where it lands */

	struct sync_rule_list label_rules; /* buildpacks: what the image's label says; those in `rules` point here */
	bool image_known;
	char *label_error; /* why the label can't be used */

	char *workdir;	    /* NULL: unknown */
	char *unknown_base; /* the image that made it so */
};

/* The path relative to the context, with ".." where it is outside: what globs are matched with. The caller frees *owned. */
const char *source_relative(const struct sync_source *s, const char *path, char **owned);

/* True if the build reads the file, by the builder's own list alone. *ignored_line (may be NULL): of the ignore file, where that excludes it. */
bool source_is_input(const struct sync_source *s, const char *path, const char *rel, unsigned *ignored_line);

/* "Dockerfile:4". The caller frees. */
char *source_dockerfile_place(const struct sync_source *s, unsigned line) RETURNS_OWNED;

/* The context as the Dockerfile's questions want it. */
struct copy_tree source_tree(const struct sync_source *s);

/* What defines the build: the Dockerfile, an ignore file that counts or would, ko's go.mod, a project descriptor. */
bool source_is_definition(const struct sync_source *s, const char *path);

/* git's own folder changes with every git command: it counts only where somebody named it. rel: relative to the context. */
bool source_is_git_folder(const char *rel);
bool source_names_git_folder(const struct source_rules *rules);

/* True if an input of the build, or what defines it, may be at or below the directory. */
bool source_inputs_below(const struct sync_source *s, const char *path, const char *rel);

/* True for ko's static data. */
bool source_in_kodata(const struct sync_source *s, const char *path);

/* True if the listing has the path, or a directory above it. */
bool source_listed(const struct sync_source *s, const char *path);

/* What was told of the path and of the directories above it. */
unsigned source_told(const struct sync_source *s, const char *path);

/* The first of the map's entries of exactly this src, and the one behind it of the same src; NULL: no more. Positions in told.order. */
const struct syncmap_entry *source_entry(const struct sync_source *s, const char *src, size_t *position);

/* After the knowledge changed: the index and what follows from it. */
void source_index_told(struct sync_source *s);
void source_told_release(struct told_index *told);

/* Loads what is kept, where the source has anybody to ask. Damaged or missing knowledge is none. */
void source_load_knowledge(struct sync_source *s);

/* True if Jib or a map program has a say in this source. */
bool source_asks_files(const struct sync_source *s);
bool source_asks_map(const struct sync_source *s);

/* Makes all generators, from the configuration and the map, and puts them in order. -EINVAL: two need each other, or a pattern is bad; then those
 * before stay. */
int source_make_generators(struct sync_source *s, struct error *err);
void source_generators_release(struct source_generators *generators);

/* True for the generator that is Jib's own goal. */
bool source_is_jib(const struct sync_source *s, const struct sync_generator *generator);

/* True if the generator reads the file. rel: relative to the context. */
bool source_generator_reads(const struct sync_source *s, const struct source_generator *g, const char *path,
			    const char *rel, const struct source_glob **which);

/* True if the file is one of its outputs. */
bool source_generator_makes(const struct sync_source *s, const struct source_generator *g, const char *path,
			    const char *rel);

/* What a generator is called in a sentence. */
const char *source_generator_name(const struct sync_source *s, const struct sync_generator *generator);

/* "dist/js" of "dist/js/x*": the folders that are written out; the whole where nothing is a pattern. "." for none. */
char *source_fixed_part(const char *pattern) RETURNS_OWNED;

int source_compile_globs(const struct text_list *texts, struct source_globs *out, struct error *err);
int source_compile_rules(const struct sync_rule_list *written, struct source_rules *out, struct error *err);
void source_globs_release(struct source_globs *globs);
void source_rules_release(struct source_rules *rules);

/* The sync rules of an artifact that others require don't count: it is rebuilt with them. */
bool source_rules_count(const struct sync_source *s);

/* A glob of the configuration, or of a label; -EINVAL with the place. */
int source_glob_compile(const struct text *text, struct source_glob *out, struct error *err);

/* True if rules of the image's label are what syncs this artifact (buildpacks, auto). */
bool source_asks_label(const struct sync_source *s);

bool source_globs_match(const struct source_globs *globs, const char *rel, const struct source_glob **which);

#endif
