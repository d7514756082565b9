/* What builders print: Jib's list of build files and inputs, and the sync map, SYNCMAP/1, in Jib's form and in the neutral one
 * (docs/protocol.md; Jib's own: JibSkaffoldFilesV2 and SkaffoldSyncMapTemplate of jib-plugins-common). Values in, values out; the text
 * is hostile: lengths are bounded, paths checked. */
#ifndef SYNC_SYNCMAP_H
#define SYNC_SYNCMAP_H

#include "config/config.h"

enum {
	SYNCMAP_TEXT_MAX = 256 << 20,  /* bytes of a program's output that are kept */
	SYNCMAP_ENTRIES_MAX = 1000000, /* entries, paths, generators: of each */
};

struct syncmap_entry {
	char *src;  /* absolute, normalised; a file, or a directory that stands for every file below it */
	char *dest; /* absolute, normalised, safe (path_is_safe_destination); or "/", for a directory's files */
	int mode;   /* permission bits; MODE_HOST or MODE_KEEP (base/file.h) where none is given */
	bool generated;
};

struct syncmap {
	VEC(struct syncmap_entry)
	entries; /* generated ones first, each in the order of the text; the same src may appear again with another dest */
	struct sync_generator_list
		generators;	   /* of the neutral form; inputs relative to the context, as in a configuration */
	struct strv build, ignore; /* absolute, normalised; a directory stands for what is below */
	char *rebuild; /* the reason of a line "REBUILD reason" ("" if it gives none); NULL: there is a map */
};
void syncmap_release(struct syncmap *map);

/* The first block of the output that begins with "BEGIN JIB JSON: SYNCMAP/1" or "BEGIN SYNCMAP/1", or a line REBUILD. context: absolute; relative
 * src start there, relative dest at "/". Entries without a mode get MODE_KEEP under Jib's marker, MODE_HOST under the neutral one.
 * -ENODATA: neither is there. -EINVAL: what is there is not valid; the message says what. */
int syncmap_parse(const char *output, size_t len, const char *context, struct syncmap *map, struct error *err);

/* Jib's "BEGIN JIB JSON" block of the files goal. All absolute, normalised, sorted, each once; files or directories. */
struct build_files {
	struct strv build, inputs, ignore;
};
void build_files_release(struct build_files *files);
/* -ENODATA, -EINVAL as above. */
int build_files_parse(const char *output, size_t len, const char *context, struct build_files *files,
		      struct error *err);

#endif
