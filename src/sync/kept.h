/* The bytes of what was generated, kept until the next image: a clean or a failed compile may have removed the host's copy while a new
 * container needs it. A folder of files named by their hash; that of a journal (sync/journal.h) outlives a killed skiff as long as the journal does.
 * Blocking, for jobs; one user at a time. */
#ifndef SYNC_KEPT_H
#define SYNC_KEPT_H

#include "base/error.h"
#include "base/hash.h"

struct kept;

/* <state directory>/kept/<journal>, with what is in it (-EWOULDBLOCK: somebody else has it); journal NULL: an empty folder of this process's own. Folders
 * that nobody has and no journal needs are removed. */
int kept_open(const char *journal, struct kept **kept, struct error *err);
/* Removes the folder, unless it is a journal's. NULL is fine. */
void kept_close(struct kept *kept);
/* Removes that of a journal, which nobody has. */
void kept_remove(const char *journal);

/* Takes the file or link (never followed) as it is at one moment: a file between two equal fstats, else again. *path: of the copy, absolute, the
 * caller frees; *hash of the content or the link's target; *mode its st_mode. What is there already is not written again. -ENOENT: it is
 * gone; -ENOSPC and so on: what is there is whole or not there at all. */
int kept_file(struct kept *kept, const char *src, char **path, struct hash *hash, unsigned *mode, struct error *err);

/* The same for bytes that come from `read` until it returns 0 (negative: fails with it), and for a link's target. */
int kept_stream(struct kept *kept, ssize_t (*read)(void *data, void *buffer, size_t cap, struct error *err), void *data,
		char **path, struct hash *hash, struct error *err);
int kept_link(struct kept *kept, const char *target, char **path, struct hash *hash, struct error *err);

/* Removes all that is not named in `keep` (a map of paths of copies). */
struct map;
void kept_prune(struct kept *kept, const struct map *keep);

#endif
