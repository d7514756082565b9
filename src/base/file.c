#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/path.h"
#include "base/vec.h"

int file_read(const char *path, size_t limit, char **data, size_t *len, struct error *err)
{
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_errno(err, errno, "can't open %s", path);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_errno(err, errno, "can't read %s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "%s is not a regular file", path);
	if ((uint64_t)st.st_size > limit)
		return error_set(err, EFBIG, "%s is too large: %lld bytes, at most %zu are read", path,
				 (long long)st.st_size, limit);

	struct str text = {.max = limit};
	for (;;) {
		size_t want = (size_t)st.st_size > text.len ? (size_t)st.st_size - text.len : 1;
		if (want > 1 << 20)
			want = 1 << 20;
		char *to = str_reserve(&text, want);
		if (!to) {
			char extra;
			if (read(fd, &extra, 1) == 0) /* exactly at the limit */
				break;
			str_release(&text);
			return error_set(err, EFBIG, "%s is too large: at most %zu bytes are read", path, limit);
		}
		ssize_t n = read(fd, to, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int code = errno;
			str_release(&text);
			return error_errno(err, code, "can't read %s", path);
		}
		if (n == 0)
			break;
		text.len += (size_t)n;
		text.data[text.len] = '\0';
	}
	if (text.data)
		text.data[text.len] = '\0';
	*len = text.len;
	*data = str_steal(&text);
	return 0;
}

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t file_read_start(int fd, void *bytes, size_t len)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = pread(fd, (char *)bytes + done, len - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct error *err)
{
	_cleanup_free_ char *temporary = xasprintf("%s.XXXXXX", path);
	_cleanup_close_ int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "can't write %s", path);
	int r = write_all(fd, data, len);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0))
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		return error_errno(err, -r, "can't write %s", path);
	}
	return 0;
}

int file_make_directories(const char *path, mode_t mode, struct error *err)
{
	_cleanup_free_ char *copy = path_normalize(path);
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char kept = *p;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST && !(errno == EROFS && file_is_directory(copy)))
			return error_errno(err, errno, "can't make the directory %s", copy);
		*p = kept;
		if (kept == '\0')
			break;
	}
	if (!file_is_directory(copy))
		return error_errno(err, ENOTDIR, "can't make the directory %s", copy);
	return 0;
}

static int remove_below(int parent, const char *name)
{
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	int r = 0;
	struct dirent *entry;
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = remove_below(fd, entry->d_name);
	closedir(dir);
	if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

int file_remove_tree(const char *path, struct error *err)
{
	int r = remove_below(AT_FDCWD, path);
	return r < 0 ? error_errno(err, -r, "can't remove %s", path) : 0;
}

bool file_exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

bool file_is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int file_state_directory(char **dir, struct error *err)
{
	const char *state = getenv("XDG_STATE_HOME");
	_cleanup_free_ char *path = NULL;
	if (state && path_is_absolute(state)) { /* the specification: a relative one is invalid and ignored */
		path = path_join(state, "skiff");
	} else {
		const char *home = getenv("HOME");
		if (!home || !*home) {
			const struct passwd *pw = getpwuid(getuid()); /* once, at start-up, before any thread */
			home = pw ? pw->pw_dir : "/";
		}
		path = path_join(home, ".local/state/skiff");
	}
	int r = file_make_directories(path, 0700, err);
	if (r < 0)
		return error_wrap(err, "no place for skiff's state (XDG_STATE_HOME names another)");
	*dir = steal(&path);
	return 0;
}

int file_state_folder(const char *name, char **folder, struct error *err)
{
	_cleanup_free_ char *state = NULL;
	int r = file_state_directory(&state, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *path = path_join(state, name);
	r = file_make_directories(path, 0700, err);
	if (r == 0)
		*folder = steal(&path);
	return r;
}

int file_lock(const char *path, bool wait, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, errno, "can't open the lock %s", path);
	while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
		if (errno == EINTR)
			continue;
		int code = errno;
		close(fd);
		return error_errno(err, code, "can't take the lock %s", path);
	}
	return fd;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

uint64_t monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

/* Keeping the newest. */

struct aged {
	char *path;
	struct timespec time;
};

static int compare_newest_first(const void *a, const void *b)
{
	const struct aged *x = a, *y = b;
	if (x->time.tv_sec != y->time.tv_sec)
		return x->time.tv_sec < y->time.tv_sec ? 1 : -1;
	return (x->time.tv_nsec < y->time.tv_nsec) - (x->time.tv_nsec > y->time.tv_nsec);
}

void file_keep_newest(const char *directory, size_t count)
{
	VEC(struct aged) all = {0};
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		struct stat st;
		_cleanup_free_ char *path = path_join(directory, entry->d_name);
		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
			vec_push(&all, (struct aged){steal(&path), st.st_mtim});
	}
	if (dir)
		closedir(dir);
	if (all.len > 1)
		qsort(all.items, all.len, sizeof(*all.items), compare_newest_first);
	for (size_t i = 0; i < all.len; i++) {
		if (i >= count)
			unlink(all.items[i].path);
		free(all.items[i].path);
	}
	vec_release(&all);
}
