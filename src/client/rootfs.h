/* Working below a directory as if it were "/": whatever links lie in it, nothing outside is ever opened, made or removed. For roots of the
 * embedded runtime, whose programs may place links as they like while we work. All functions: 0 or a descriptor, else a negative errno. */
#ifndef CLIENT_ROOTFS_H
#define CLIENT_ROOTFS_H

#include <sys/stat.h>
#include <sys/types.h>

#include "base/hash.h"
#include "base/owner.h"
#include "io/cancel.h"

/* Opens `path` (leading slashes mean nothing) below the directory descriptor `root`, O_CLOEXEC added. Links are resolved inside the root. Uses
 * openat2(2) (Linux 5.6), else rootfs_open_walk. */
int rootfs_open(int root, const char *path, int flags, mode_t mode);

/* The same element by element, for kernels and sandboxes without openat2. */
int rootfs_open_walk(int root, const char *path, int flags, mode_t mode);

/* An O_PATH descriptor of the directory, made with its parents (0755) where it is missing. */
int rootfs_make_directory(int root, const char *path);

/* The directory that holds `path`, made where `make` and missing; *name points to the last element in path. */
int rootfs_open_parent(int root, const char *path, bool make, const char **name);

/* The root's /etc/passwd and /etc/group, at most ACCOUNTS_MAX of each. */
void rootfs_accounts(int root, struct accounts *accounts);

/* Removes the entry, a directory with all that is in it; links are not followed. Nothing there is success. */
int rootfs_remove(int directory, const char *name);

/* Copies a regular file from its start to the (empty) target. -EAGAIN: it changed while it was read, the target's content is worth nothing. *hash (may be
 * NULL; the target must then be open for reading too): of what was written. st: the source's, as it was. */
int rootfs_copy_file(int source, int target, struct stat *st, struct hash *hash);

/* Copies what is below one directory into another: files, directories, links; modes, times, and owners where that is allowed. */
int rootfs_copy_tree(int from, int to, struct cancel *cancel);

/* Adds all that is below a directory to a digest: names, kinds, permission bits, owners, contents, link targets, in the order of names; no times. */
int rootfs_digest(int directory, struct hasher *hasher, struct cancel *cancel);

#endif
