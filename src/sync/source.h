/* The sync source of an artifact: what answers for its paths. Built once from the configuration (and the Dockerfile, where the builder has
 * one), then asked: what is this path? The answers follow the order of design.md, "One question: what is this path?". */
#ifndef SYNC_SOURCE_H
#define SYNC_SOURCE_H

#include <sys/types.h>

#include "base/change.h"
#include "config/config.h"
#include "sync/dockerfile.h"
#include "sync/syncmap.h"

struct sync_source;

/* What a path is; the first that holds. */
enum path_class {
	PATH_IGNORED,
	PATH_BUILD_DEFINITION,
	PATH_OUTPUT,
	PATH_DIRECT,
	PATH_GENERATOR_INPUT,
	PATH_NO_INPUT,
	PATH_UNKNOWN
};

struct classification {
	enum path_class class_;
	struct strv dests; /* for PATH_DIRECT and PATH_OUTPUT: absolute, in the order of the rules, without repeats */
	int mode;	   /* permission bits, MODE_HOST or MODE_KEEP (base/file.h) */
	/* As a fresh build of the same tree would have it: --chown, else root's for what a COPY without a later RUN brings (USER says nothing
	 * of COPY). A RUN after it may have given the files away, and manual rules and outputs say nothing: NULL, the replaced file's owner,
	 * else the directory's. */
	char *owner;
	bool owner_if_new; /* what is replaced keeps its owner: only --chown takes it away */
	const struct sync_generator *
		generator; /* for PATH_GENERATOR_INPUT; also where another generator reads a PATH_OUTPUT, or one reads what a
			       Dockerfile copies (PATH_DIRECT). The first that does not watch by itself */
	char *where; /* place of the rule that held: "skaffold.yaml:9:7", "Dockerfile:4", ".dockerignore:2"; NULL: none */
	char *reason; /* a sentence for a person */
};
void classification_release(struct classification *c);

/* Builds the source of an artifact. Reads the Dockerfile and ignore file where the builder has them (this is not the planner: it
 * may open files). base_image may be NULL; it is asked for the images in FROM, and for the artifact's own image where no Dockerfile tells its
 * WORKDIR. Errors: -EINVAL with a place (a Dockerfile that does not parse …), -ENOENT (no Dockerfile). The artifact and the configuration must
 * outlive it. */
int sync_source_new(const struct config *config, const struct artifact *artifact,
		    void (*base_image)(void *data, const char *name, struct base_image *image), void *data,
		    struct sync_source **source, struct error *err);
void sync_source_free(struct sync_source *source);
DEFINE_CLEANUP(struct sync_source, sync_source_free)

/* What answering needs to know of the files as they are now: where two sources of a Dockerfile land on one destination, whether the
 * later one exists; what a link that is itself the source of a COPY would become. Default: lstat(2) and the first bytes of a file. */
struct sync_world {
	mode_t (*mode)(void *data, const char *path);	  /* st_mode without following links; 0: nothing is there */
	bool (*is_archive)(void *data, const char *path); /* ADD would extract it */
	void (*list)(void *data, const char *directory,
		     struct strv *names); /* appends the names in it; asked only where a wildcard is a source */
	void *data;
};
void sync_source_set_world(struct sync_source *source, struct sync_world world);

/* What the built image turned out to be, for a builder without a Dockerfile (with one: nothing to do): its WORKDIR, the rules of a buildpack's
 * label, ko's data folder. -EINVAL if the label can't be used: the source then has no rules, and sync_source_check says the same. */
int sync_source_set_image(struct sync_source *source, const struct base_image *image, struct error *err);

/* True if only the image would tell where files land, and none is at hand. */
bool sync_source_lacks_image(const struct sync_source *source);

/* custom's dependencies.command: NULL where none is configured. Its answer, a JSON array of paths relative to the context, comes in as a value;
 * until it does, every file of the context counts as an input. -EINVAL if it is no such array (the earlier answer stays). */
const char *sync_source_listing_command(const struct sync_source *source);
int sync_source_set_listing(struct sync_source *source, const char *json, size_t len, struct error *err);

/* What builders and programs have told: kept on disk (sync/knowledge.h), loaded by sync_source_new where it is there, and taught anew after each run of
 * Jib's goals or a map program. Takes the contents over (what it had is released; `files` and `map` are left empty) and saves them; a source whose knowledge
 * can't be saved knows it all the same (the error is for a warning). -EINVAL from teach_map: generators that need each other, a bad pattern, a map that asks for
 * a rebuild: what was known before stays. */
int sync_source_teach_files(struct sync_source *source, struct build_files *files, struct error *err);
int sync_source_teach_map(struct sync_source *source, struct syncmap *map, struct error *err);

/* What must be asked before the source can answer for all paths: Jib's files goal; a sync map (Jib's, or the map program's). True as well if what is known
 * was learned under other build definitions: their files are read, and looked for where a rebuild rule is a pattern. For a source that asks nobody: false. */
bool sync_source_needs_files(const struct sync_source *source);
bool sync_source_needs_map(const struct sync_source *source);
/* True if something that must be asked to carry out auto sync was never learned, under whatever build definitions: then it can't explain. */
bool sync_source_knows_nothing(const struct sync_source *source);

/* The generators, in the order in which they run: one whose outputs another reads comes before it. Jib's map, map and tar programs, configured
 * ones and those of a map. Valid until the source is taught or freed. */
size_t sync_source_generators(const struct sync_source *source, const struct sync_generator *const **generators);

/* True if the generator reads the file (absolute). Several may read one file. */
bool sync_source_reads(const struct sync_source *source, const struct sync_generator *generator, const char *path);

/* True if the file is an output of the generator. */
bool sync_source_makes(const struct sync_source *source, const struct sync_generator *generator, const char *path);

/* True if `to` surely reads what `from` makes, so that a run of `from` makes it stale. What only may match is seen when it is there. */
bool sync_source_feeds(const struct sync_source *source, const struct sync_generator *from,
		       const struct sync_generator *to);

/* Pure, but for the questions to the world. path: absolute, normalised. Costs the number of rules. */
void sync_source_classify(const struct sync_source *source, const char *path, enum change_kind kind, bool directory,
			  struct classification *out);

/* What is there now and may be brought to a destination by rules that a person wrote, the last rule's first. directory: also directories in which
 * only something below can match. Whether a path truly is direct, and lands there, is for sync_source_classify to say. Asks the world once or twice a
 * rule. Appended. */
struct provider {
	char *path; /* absolute */
	bool directory;
};
VEC_TYPE(provider_list, struct provider);
void sync_source_providers(const struct sync_source *source, const char *dest, bool directory,
			   struct provider_list *out);
void provider_list_release(struct provider_list *list);

/* The class alone, without words: for walking and watching. */
enum path_class sync_source_class(const struct sync_source *source, const char *path, enum change_kind kind,
				  bool directory);

/* True if the path goes into the image, or steers its build: by the builder's own list, whatever the sync rules say. */
bool sync_source_is_input(const struct sync_source *source, const char *path);

/* True if Jib's map says that its build brings the file to dest as it is. A map of another program says nothing of what an image build does: false. */
bool sync_source_jib_lands(const struct sync_source *source, const char *src, const char *dest);

/* True if nothing at or below the path can matter: it needs not be watched, listed or hashed. Pure and quick. */
bool sync_source_prunes(const struct sync_source *source, const char *path, bool directory);

/* The roots to watch: the context, a Dockerfile outside it, and so on. Absolute. Appended. */
void sync_source_roots(const struct sync_source *source, struct strv *roots);

/* The WORKDIR of the image: NULL if unknown; *base (may be NULL) then names the base image that is not at hand. */
const char *sync_source_workdir(const struct sync_source *source, const char **base);

/* True if a rule of this source has a relative destination, so that an unknown WORKDIR matters. */
bool sync_source_needs_workdir(const struct sync_source *source);

/* The evaluated Dockerfile, NULL where the builder has none. */
const struct copy_map *sync_source_copy_map(const struct sync_source *source);

const struct artifact *sync_source_artifact(const struct sync_source *source);
const char *sync_source_dockerfile(const struct sync_source *source); /* absolute; NULL: none */

/* How a path of the host is shown: relative to the context, absolute where outside of it. Points into path, or "." */
const char *sync_source_shown(const struct sync_source *source, const char *path);

/* -EINVAL if the image's label can't be used. -ENOENT, with the place, if a source of a COPY or ADD matches nothing in the context (facts/skaffold.md: an error). Lists only the directories
 * that a wildcard names. 0 otherwise. */
int sync_source_check(const struct sync_source *source, struct error *err);

#endif
