/* Carried items as a tar stream that is made as it is asked for: memory is bounded by one small file (source.h), whatever travels.
 *
 * pax, names and link targets as raw bytes: any name that Linux allows. The engine reads it, and GNU's and busybox's tar. A file that
 * changes while it is streamed is entered again; of two entries of one name the later wins. */
#ifndef RUNTIME_TAR_H
#define RUNTIME_TAR_H

#include <sys/types.h>

#include "runtime/runtime.h"

struct tar_place { /* what is known of a destination */
	int64_t uid, gid;
	uint64_t after_ns; /* the modification time must be later than this; 0: now */
	unsigned replaced; /* st_mode of what is there, 0: nothing */
	bool leave;	   /* nothing to do: a directory that is there through a link */
};

struct carry_tar;

/* indices: which of carry's items, in order, none of them a delete. base: the directory that the names are relative to ("/" or a destination above
 * all items). places and results: parallel to carry->items. All borrowed until carry_tar_free. */
struct carry_tar *carry_tar_new(const struct carry *carry, const size_t *indices, size_t count, const char *base,
				const struct tar_place *places, struct carry_result *results);
void carry_tar_free(struct carry_tar *tar);
DEFINE_CLEANUP(struct carry_tar, carry_tar_free)

/* The next bytes, as docker_archive_put wants them. Fills the results of the items that are passed: hash, skipped, or code and message where
 * the source can't be read. */
ssize_t carry_tar_produce(void *tar, void *buffer, size_t cap);

uint64_t carry_tar_content(const struct carry_tar *tar); /* bytes of file content so far */

#endif
