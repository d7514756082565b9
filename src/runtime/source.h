/* A carried item's source, as it is at one moment: what every runtime's session reads from.
 *
 * A file is read between two equal fstats, else read again. A small one is read whole when it is opened, or was so before by whoever made the item
 * (`held`): then the host is not looked at. A large one is streamed: source_read until 0, then source_settled says whether what was read is one state
 * of the file. */
#ifndef RUNTIME_SOURCE_H
#define RUNTIME_SOURCE_H

#include <sys/types.h>

#include "runtime/runtime.h"

enum {
	SOURCE_SMALL_MAX = 1 << 20, /* bytes of a file that is held in memory */
	SOURCE_TRIES =
		8, /* readings of a file that changes meanwhile, before it is carried as it is (a later change tells of the rest) */
};

struct source {
	enum carry_kind kind; /* what the host's path is now, whatever the item said; never CARRY_DELETE */
	unsigned mode;	      /* st_mode of the host's path */
	uint64_t size;	      /* of a file */
	int fd;		      /* of a large file; -1 otherwise */
	char *bytes;	      /* of a small file: all of it; never NULL then */
	bool borrowed;	      /* bytes are the item's (`held`): as long-lived as that, and not to be written to */
	char *target;	      /* of a link */
	struct hash hash;     /* of bytes or target; of a large file after source_settled */
	uint64_t position;
	uint64_t mtime_ns, ctime_ns;
	struct hasher *hasher;
};

/* The permission bits that the item's destination gets; replaced: the st_mode of what is there, 0 for nothing. Set-id and sticky bits of what is
 * replaced were given to other content: MODE_KEEP leaves them to a directory alone. */
unsigned source_mode(const struct carry_item *item, const struct source *source, unsigned replaced);

/* Opens what item->src is; what is held of it, without a system call. -ENOENT: gone, or nothing that can be carried (a socket, a device, a FIFO): to be
 * skipped. */
int source_open(const struct carry_item *item, struct source *source, struct error *err);

/* The same of what was a file just now, without looking what it is before opening it. -ENOENT: gone, or no file any more; -ELOOP: a link. */
int source_open_file(const char *path, struct source *source, struct error *err);

/* A descriptor for reading, without waiting for anything (a FIFO) and without following a link; or a negative errno. The access time is left as it is,
 * where that may be asked for: the first reading of what was just written would make the inode dirty once more. */
int source_open_descriptor(const char *path);

/* Reads on in a large file, never past `size`. Where the file has become shorter, the rest reads as zeros. 0 at the end. */
ssize_t source_read(struct source *source, void *buffer, size_t cap, struct error *err);

/* After the last source_read: true if the file is as it was when it was opened. `hash` is valid then (and of what was read, in any case). */
bool source_settled(struct source *source);

void source_release(struct source *source);

#endif
