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

/* Reads the tar (gzip, bzip2, xz, zstd and lz4 are unpacked without a program). A leading "/" or "./" of a name is the root. Refuses it whole, -EINVAL with the
 * entry's name: `..` in a name, a relative link that climbs above the root ("/"-links stay: they are the container's), what is below a link or a file of the
 * same tar, a hard link to what is not a file in it before, devices, FIFOs, bombs (also sparse ones), too many entries or bytes, a tar whose end is missing.
 * Whiteouts are no deletes. LC_CTYPE must be a UTF-8 locale: libarchive refuses such names in pax headers otherwise. */
int delta_read(const char *tar, struct kept *kept, struct delta *delta, struct error *err);

#endif
