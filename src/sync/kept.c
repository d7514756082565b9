#include "sync/kept.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/path.h"
#include "sync/journal.h"

enum {
	SMALL_MAX = 1 << 20, /* is read and hashed in memory */
	PIECE = 128 << 10,
	TRIES = 10, /* of a file that keeps changing */
};

static const char LOCK[] = "lock", TEMPORARY[] = "new";

struct kept {
	char *dir;
	int fd;	  /* of the directory */
	int lock; /* held as long as this lives: who can take it may remove the folder, unless a journal needs it */
	bool stays;
};

/* Opening, closing. */

/* Called with the lock of all folders held, so that no folder is just being made. */
static void remove_stale(const char *all)
{
	DIR *dir = opendir(all);
	const struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, LOCK) == 0 || journal_exists(entry->d_name))
			continue;
		_cleanup_free_ char *folder = path_join(all, entry->d_name);
		_cleanup_free_ char *path = path_join(folder, LOCK);
		_cleanup_close_ int lock = file_lock(path, false, NULL);
		if (lock >= 0)
			file_remove_tree(folder, NULL);
	}
	if (dir)
		closedir(dir);
}

static int make_folder(struct kept *kept, const char *all, const char *journal, struct error *err)
{
	_cleanup_free_ char *dir = path_join(all, journal ? journal : "XXXXXX");
	if (journal ? mkdir(dir, 0700) < 0 && errno != EEXIST : !mkdtemp(dir))
		return error_errno(err, errno, "can't make a folder in %s", all);
	kept->stays = journal; /* before it is known to be ours */
	kept->dir = steal(&dir);
	_cleanup_free_ char *path = path_join(kept->dir, LOCK);
	kept->lock = file_lock(path, false, err);
	if (kept->lock < 0)
		return kept->lock;
	kept->fd = open(kept->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return kept->fd < 0 ? error_errno(err, errno, "can't open %s", kept->dir) : 0;
}

int kept_open(const char *journal, struct kept **kept, struct error *err)
{
	_cleanup_free_ char *all = NULL;
	int r = file_state_folder("kept", &all, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *path = path_join(all, LOCK);
	_cleanup_close_ int lock = file_lock(path, true, err);
	if (lock < 0)
		return lock;
	remove_stale(all);
	struct kept *made = xcalloc(1, sizeof(*made));
	made->fd = made->lock = -1;
	if ((r = make_folder(made, all, journal, err)) < 0) {
		kept_close(made);
		return r;
	}
	*kept = made;
	return 0;
}

void kept_close(struct kept *kept)
{
	if (!kept)
		return;
	if (kept->dir && !kept->stays)
		file_remove_tree(kept->dir, NULL);
	cleanup_close(&kept->fd);
	cleanup_close(&kept->lock);
	free(kept->dir);
	free(kept);
}

void kept_remove(const char *journal)
{
	_cleanup_free_ char *all = NULL, *dir = NULL;
	if (file_state_folder("kept", &all, NULL) < 0)
		return;
	dir = path_join(all, journal);
	if (!file_is_directory(dir))
		return;
	_cleanup_free_ char *path = path_join(dir, LOCK);
	_cleanup_close_ int lock = file_lock(path, false, NULL);
	if (lock >= 0)
		file_remove_tree(dir, NULL);
}

/* Names. */

static bool has(const struct kept *kept, const char *name)
{
	struct stat st;
	return fstatat(kept->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static char *path_of(const struct kept *kept, const char *name)
{
	return path_join(kept->dir, name);
}

/* Nobody but root can write to a copy, not even its owner by accident. Returns the descriptor of the new temporary file. */
static int open_temporary(const struct kept *kept, struct error *err)
{
	unlinkat(kept->fd, TEMPORARY, 0);
	int fd = openat(kept->fd, TEMPORARY, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	return fd < 0 ? error_errno(err, errno, "can't keep a copy in %s", kept->dir) : fd;
}

/* Gives the temporary file its name, or drops it where the same is there already. */
static int settle(const struct kept *kept, struct hash hash, char **path, struct error *err)
{
	char name[HASH_HEX_SIZE];
	hash_to_hex(hash, name);
	if (has(kept, name))
		unlinkat(kept->fd, TEMPORARY, 0);
	else if (renameat(kept->fd, TEMPORARY, kept->fd, name) < 0)
		return error_errno(err, errno, "can't keep a copy in %s", kept->dir);
	*path = path_of(kept, name);
	return 0;
}

static int give_up(const struct kept *kept, int code)
{
	unlinkat(kept->fd, TEMPORARY, 0);
	return code;
}

/* Links. */

int kept_link(struct kept *kept, const char *target, char **path, struct hash *hash, struct error *err)
{
	char hex[HASH_HEX_SIZE];
	*hash = hash_bytes(target, strlen(target));
	hash_to_hex(*hash, hex);
	_cleanup_free_ char *name = xasprintf("%s.link", hex); /* a file may hold the same bytes */
	if (symlinkat(target, kept->fd, name) < 0 && errno != EEXIST)
		return error_errno(err, errno, "can't keep a link in %s", kept->dir);
	*path = path_of(kept, name);
	return 0;
}

static int take_link(struct kept *kept, const char *src, char **path, struct hash *hash, struct error *err)
{
	char target[PATH_MAX];
	ssize_t n = readlink(src, target, sizeof(target));
	if (n < 0 || n == sizeof(target))
		return error_errno(err, n < 0 ? errno : ENAMETOOLONG, "can't read the link %s", src);
	target[n] = '\0';
	return kept_link(kept, target, path, hash, err);
}

/* Files. */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* In one of the ways in which it goes here: shared blocks, inside the kernel, through memory. */
static int copy_content(int from, int to)
{
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	_cleanup_free_ char *piece = NULL;
	off_t at = 0;
	for (;;) {
		ssize_t n = piece ? pread(from, piece, PIECE, at) : copy_file_range(from, &at, to, NULL, 1 << 30, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && !piece && (errno == EXDEV || errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP)) {
			piece = xmalloc(PIECE);
			continue;
		}
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (!piece)
			continue;
		int r = write_all(to, piece, (size_t)n);
		if (r < 0)
			return r;
		at += n;
	}
}

/* Both leave the copy as the temporary file, unless its content is there already. 0, or a negative errno. */
static int take_small(struct kept *kept, int fd, size_t size, struct hash *hash)
{
	char name[HASH_HEX_SIZE];
	_cleanup_free_ char *bytes = xmalloc(size + 1);
	ssize_t n = file_read_start(fd, bytes, size);
	if (n < 0)
		return (int)n;
	*hash = hash_bytes(bytes, (size_t)n);
	hash_to_hex(*hash, name);
	if (has(kept, name))
		return 0;
	_cleanup_close_ int to = open_temporary(kept, NULL);
	return to < 0 ? to : write_all(to, bytes, (size_t)n);
}

static int take_large(struct kept *kept, int fd, struct hash *hash)
{
	char name[HASH_HEX_SIZE];
	CLEANUP(error_clear) struct error why = {0};
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	int r = hash_fd(fd, hash, &why);
	if (r < 0)
		return r;
	hash_to_hex(*hash, name);
	if (has(kept, name))
		return 0;
	_cleanup_close_ int to = open_temporary(kept, &why);
	if (to < 0)
		return to;
	r = copy_content(fd, to);
	if (r < 0)
		return r;
	/* The copy can't change any more: its name is right whatever happened to the file meanwhile. */
	return lseek(to, 0, SEEK_SET) < 0 ? -errno : hash_fd(to, hash, &why);
}

static int take_file(struct kept *kept, int fd, const char *src, struct hash *hash, unsigned *mode, struct error *err)
{
	struct stat before, after;
	for (int attempt = 0; attempt < TRIES; attempt++) {
		if (fstat(fd, &before) < 0)
			return error_errno(err, errno, "can't read %s", src);
		if (!S_ISREG(before.st_mode))
			return error_set(err, ENOENT, "%s is not a file any more", src);
		int r = before.st_size <= SMALL_MAX ? take_small(kept, fd, (size_t)before.st_size, hash)
						    : take_large(kept, fd, hash);
		if (r < 0)
			return error_errno(err, -r, "can't keep a copy of %s", src);
		if (fstat(fd, &after) < 0)
			return error_errno(err, errno, "can't read %s", src);
		if (is_same(&before, &after)) {
			*mode = after.st_mode;
			return 0;
		}
	}
	return error_set(err, EAGAIN, "%s keeps changing while it is read", src);
}

int kept_file(struct kept *kept, const char *src, char **path, struct hash *hash, unsigned *mode, struct error *err)
{
	struct stat st;
	if (lstat(src, &st) < 0)
		return error_errno(err, errno == ENOTDIR ? ENOENT : errno, "can't read %s", src);
	if (S_ISLNK(st.st_mode)) {
		*mode = st.st_mode;
		return take_link(kept, src, path, hash, err);
	}
	if (!S_ISREG(st.st_mode))
		return error_set(err, ENOENT, "%s is neither a file nor a link", src);
	_cleanup_close_ int fd = open(src, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_errno(err, errno == ELOOP ? ENOENT : errno, "can't read %s", src);
	int r = take_file(kept, fd, src, hash, mode, err);
	return r < 0 ? give_up(kept, r) : settle(kept, *hash, path, err);
}

int kept_stream(struct kept *kept, ssize_t (*read_)(void *data, void *buffer, size_t cap, struct error *err),
		void *data, char **path, struct hash *hash, struct error *err)
{
	_cleanup_close_ int fd = open_temporary(kept, err);
	if (fd < 0)
		return fd;
	_cleanup_free_ char *piece = xmalloc(PIECE);
	struct hasher *hasher = hasher_new();
	ssize_t n;
	while ((n = read_(data, piece, PIECE, err)) > 0) {
		int r = write_all(fd, piece, (size_t)n);
		if (r < 0) {
			n = error_errno(err, -r, "can't keep a copy in %s", kept->dir);
			break;
		}
		hasher_add_piece(hasher, piece, (size_t)n);
	}
	*hash = hasher_finish(hasher);
	return n < 0 ? give_up(kept, (int)n) : settle(kept, *hash, path, err);
}

void kept_prune(struct kept *kept, const struct map *keep)
{
	DIR *dir = opendir(kept->dir);
	const struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *path = path_of(kept, entry->d_name);
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, LOCK) != 0 && !map_has(keep, path))
			unlinkat(kept->fd, entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}
