/* Reading and writing whole files, and where skiff keeps its own. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/str.h"

/* In the place of permission bits: what the host's file has; what the replaced file has, else 0644 (whatever the umask). */
enum { MODE_HOST = -1, MODE_KEEP = -2 };

/* Reads all of a regular file (a FIFO, a device or a directory is refused, without blocking) of at most `limit` bytes into *data
 * (NUL-terminated; the caller frees) and *len. -EFBIG above the limit, otherwise the errno of what failed. */
int file_read(const char *path, size_t limit, char **data, size_t *len, struct error *err);

/* Reads at most len bytes from the start of an open file, whatever its position. How many there were, or a negative errno. */
ssize_t file_read_start(int fd, void *bytes, size_t len);

/* Writes beside, fsyncs, then renames: a reader sees the old or the new content, a full disk leaves the old. */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct error *err);

/* mkdir -p. An existing directory (or a link to one) is success. */
int file_make_directories(const char *path, mode_t mode, struct error *err);

/* Removes a file, or a directory with all below it; does not follow links, does not cross into them. Nothing there is success. */
int file_remove_tree(const char *path, struct error *err);

/* Removes regular files of a directory but the `count` written last: what is kept for things that go without telling. What can't be
 * removed stays. */
void file_keep_newest(const char *directory, size_t count);

bool file_exists(const char *path);	  /* lstat succeeds */
bool file_is_directory(const char *path); /* follows links */

/* $XDG_STATE_HOME/skiff, or ~/.local/state/skiff; made (0700) if missing. The caller frees *dir. */
int file_state_directory(char **dir, struct error *err);

/* The folder of that name (`builds`, `embedded/images`) in it; made (0700) if missing. The caller frees *folder. */
int file_state_folder(const char *name, char **folder, struct error *err);

/* Takes the lock file (flock, exclusive), waiting where `wait`; returns the descriptor to close for unlocking, or a negative
 * errno (-EWOULDBLOCK: someone else holds it). */
int file_lock(const char *path, bool wait, struct error *err);

/* Writes all bytes; retries EINTR and short writes. 0 or a negative errno. */
int write_all(int fd, const void *data, size_t len);

/* Now, in nanoseconds: monotonic, and since 1970. */
uint64_t monotonic_ns(void);
uint64_t realtime_ns(void);

#endif
