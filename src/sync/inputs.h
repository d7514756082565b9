/* What an image is built from, as it is on disk now; and the sync map: what would land where. Both walk the context, once, entering only
 * directories that can matter. Blocking; for a job. */
#ifndef SYNC_INPUTS_H
#define SYNC_INPUTS_H

#include "base/hash.h"
#include "sync/source.h"

struct input {
	const char *rel; /* relative to the context, absolute where outside; owned by the struct inputs */
	unsigned mode;	 /* st_mode: type and permission bits; a directory is listed only where it is empty */
	uint64_t size, mtime_ns, ctime_ns, inode;
	struct hash hash; /* of the content; of the target of a link; zero for a directory */
};

struct inputs {		     /* zero-initialised is empty */
	struct input *items; /* sorted by rel (bytes), each once */
	size_t len, cap;
	struct inputs_text *text; /* the memory behind rel */
};

/* Path, mode and hash of every input, and of the Dockerfile and ignore file. `before` (may be NULL) is an earlier answer: what has
 * the same size, times and inode is not read again. Each file is read between two equal fstats; what vanishes meanwhile is left out. At most 4,000,000
 * files, 200 levels. */
int sync_source_inputs(const struct sync_source *source, const struct inputs *before, struct inputs *inputs,
		       struct error *err);

/* One item more at the end (rel is copied); call inputs_sort when all are there. */
struct input *inputs_add(struct inputs *inputs, const char *rel);
void inputs_add_copy(struct inputs *inputs, const struct input *input);
void inputs_sort(struct inputs *inputs);

const struct input *inputs_find(const struct inputs *inputs, const char *rel);
/* True if an item is below the directory. */
bool inputs_are_below(const struct inputs *inputs, const char *directory);
void inputs_release(struct inputs *inputs);

/* What looks otherwise in `after` gets mode 0 in `inputs`: it changed between the two, and who read it meanwhile may have read either. */
void inputs_doubt(struct inputs *inputs, const struct inputs *after);

/* Over path, mode and hash of all: equal digests, equal images (of one builder and its configuration). */
struct hash inputs_digest(const struct inputs *inputs);

/* Every file that a generator made, as it is now: by the sync map and the outputs of generators (a directory stands for every file below it). As
 * sync_source_inputs otherwise; where they land, sync_source_classify says. What is not there is left out. */
int sync_source_outputs(const struct sync_source *source, const struct inputs *before, struct inputs *outputs,
			struct error *err);

/* What one generator reads (without what it makes itself) or makes, as it is now, without what is ignored; not for Jib's goal. */
enum generator_files { GENERATOR_READS, GENERATOR_MAKES };
int sync_source_generator_files(const struct sync_source *source, const struct sync_generator *generator,
				enum generator_files which, struct inputs *files, struct error *err);

/* True if what the generator makes goes into the image, as far as that can be told before it is there: the image's build needs it first. */
bool sync_source_builds_with(const struct sync_source *source, const struct sync_generator *generator);

/* Jib before its map is known: every file where Maven and Gradle put classes and resources, if they are told nothing else. For other sources nothing. */
int sync_source_guess_outputs(const struct sync_source *source, struct inputs *outputs, struct error *err);

/* The whole map: every file that has a destination now (`skiff map`). */
struct sync_map_entry {
	char *rel;
	struct strv dests;
	bool generated;
};
VEC_TYPE(sync_map, struct sync_map_entry);
int sync_source_map(const struct sync_source *source, struct sync_map *map, struct error *err); /* sorted by rel */
void sync_map_release(struct sync_map *map);

#endif
