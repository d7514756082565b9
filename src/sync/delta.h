/* The tar form of the open protocol (docs/protocol.md): a program prints REBUILD, or SYNC: and the path of a tar file, which holds what
 * changed since the last time. */
#ifndef SYNC_DELTA_H
#define SYNC_DELTA_H

#include "base/vec.h"
#include "sync/kept.h"

enum {
	DELTA_ENTRIES_MAX = 200000,
	DELTA_PATH_MAX = 4096,
};
#define DELTA_BYTES_MAX (8ULL << 30) /* of all files, unpacked */

struct delta_entry {
	char *dest;    /* absolute, normalised, safe */
	unsigned mode; /* type (regular, link, directory) and permission bits; set-id bits are dropped */
	char *path;    /* of the kept copy; NULL for a directory */
	struct hash hash;
};

struct delta {
	VEC(struct delta_entry) entries; /* sorted by dest, each once: later entries of the tar won */
	char *rebuild;			 /* as struct syncmap has it */
};
void delta_release(struct delta *delta);

/* From a program's output: the first line REBUILD or SYNC: decides. *tar: the absolute path (relative ones start at the context), NULL with
 * REBUILD. -ENODATA: no such line. The caller frees. */
int delta_parse(const char *output, size_t len, const char *context, char **tar, char **rebuild, struct error *err);

/* Reads the tar (any compression libarchive knows without a program). Refuses it whole, with the entry's name: an absolute path or `..` in a name
 * that leads out, a link that leads out of the root ("/"-links stay: they are the container's), a hard link to what is not in the tar, devices, FIFOs, sparse
 * bombs, too many entries or bytes. Whiteouts are no deletes. */
int delta_read(const char *tar, struct kept *kept, struct delta *delta, struct error *err);

#endif
