#include "client/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"

enum { MAX_LINKS = 40, MAX_DEPTH = 256, MAX_RACES = 16, COPY_BUFFER = 64 << 10 };

/* The directories that were walked through, so that ".." is what it was when we came and never above the root. */
struct walk {
	int root;
	int fds[MAX_DEPTH];
	size_t depth;
	unsigned links;
	char *rest; /* what is still to be resolved */
};

static int walk_top(const struct walk *w)
{
	return w->depth ? w->fds[w->depth - 1] : w->root;
}

static void walk_back_to(struct walk *w, size_t depth)
{
	while (w->depth > depth)
		close(w->fds[--w->depth]);
}

/* Puts the link's target in front of the rest. */
static int walk_link(struct walk *w, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(walk_top(w), name, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	if (++w->links > MAX_LINKS)
		return -ELOOP;
	target[n] = '\0';
	if (target[0] == '/')
		walk_back_to(w, 0);
	char *rest = xasprintf("%s/%s", target, w->rest);
	free(w->rest);
	w->rest = rest;
	if (strlen(rest) >= 2 * PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* Takes the first element off the rest; "" at the end. *last: nothing follows it. */
static char *walk_take(struct walk *w, bool *last)
{
	const char *p = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(p, "/");
	char *name = xstrndup(p, len);
	const char *after = p + len;
	*last = after[strspn(after, "/")] == '\0';
	memmove(w->rest, after, strlen(after) + 1);
	return name;
}

static int walk_step(struct walk *w, const char *name, bool last, int flags, mode_t mode)
{
	struct stat st;
	bool link = fstatat(walk_top(w), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
	if (link && !(last && (flags & (O_NOFOLLOW | O_EXCL))))
		return walk_link(w, name);
	if (last) {
		int fd = openat(walk_top(w), name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
		return fd < 0 ? -errno : fd;
	}
	if (w->depth == MAX_DEPTH)
		return -ENAMETOOLONG;
	int fd = openat(walk_top(w), name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	w->fds[w->depth++] = fd;
	return 0;
}

int rootfs_open_walk(int root, const char *path, int flags, mode_t mode)
{
	struct walk w = {.root = root, .rest = xstrdup(path)};
	int result = -ENOENT;
	for (;;) {
		bool last = false;
		_cleanup_free_ char *name = walk_take(&w, &last);
		if (*name == '\0' || str_equal(name, ".") || str_equal(name, "..")) {
			if (str_equal(name, "..") && w.depth)
				walk_back_to(&w, w.depth - 1);
			if (!last)
				continue;
			result = openat(walk_top(&w), ".", flags | O_CLOEXEC, mode);
			result = result < 0 ? -errno : result;
			break;
		}
		size_t links = w.links;
		int r = walk_step(&w, name, last, flags, mode);
		if (r < 0 || (last && w.links == links)) {
			result = r;
			break;
		}
	}
	walk_back_to(&w, 0);
	free(w.rest);
	return result;
}

int rootfs_open(int root, const char *path, int flags, mode_t mode)
{
	while (*path == '/')
		path++;
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	/* EAGAIN: something was renamed while ".." was resolved. */
	for (int i = 0; i < MAX_RACES; i++) {
		long fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno == ENOSYS || errno == EPERM)
			break;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return rootfs_open_walk(root, path, flags, mode);
}

int rootfs_make_directory(int root, const char *path)
{
	int fd = rootfs_open(root, path, O_PATH | O_DIRECTORY, 0);
	if (fd != -ENOENT)
		return fd;
	_cleanup_free_ char *normal = path_normalize(path);
	_cleanup_free_ char *above = path_dir(normal);
	if (str_equal(above, normal))
		return -ENOENT;
	_cleanup_close_ int parent = rootfs_make_directory(root, above);
	if (parent < 0)
		return parent;
	if (mkdirat(parent, path_base(normal), 0755) < 0 && errno != EEXIST)
		return -errno;
	return rootfs_open(root, normal, O_PATH | O_DIRECTORY, 0);
}

int rootfs_open_parent(int root, const char *path, bool make, const char **name)
{
	_cleanup_free_ char *above = path_dir(path);
	*name = path_base(path);
	return make ? rootfs_make_directory(root, above) : rootfs_open(root, above, O_PATH | O_DIRECTORY, 0);
}

static char *read_accounts(int root, const char *file)
{
	_cleanup_close_ int fd = rootfs_open(root, file, O_RDONLY | O_NONBLOCK, 0);
	char *text = xcalloc(1, ACCOUNTS_MAX + 1);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || read(fd, text, ACCOUNTS_MAX) < 0)
		free(steal(&text));
	return text;
}

void rootfs_accounts(int root, struct accounts *accounts)
{
	*accounts = (struct accounts){read_accounts(root, "etc/passwd"), read_accounts(root, "etc/group")};
}

int rootfs_remove(int directory, const char *name)
{
	if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	int denied = errno;
	int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOTDIR ? -denied : -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	int r = 0;
	struct dirent *entry;
	while (r == 0 && (entry = readdir(dir)))
		if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
			r = rootfs_remove(fd, entry->d_name);
	closedir(dir);
	if (r == 0 && unlinkat(directory, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

static bool same_content(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int copy_bytes(int source, int target)
{
	if (ioctl(target, FICLONE, source) == 0)
		return 0;
	char buffer[COPY_BUFFER];
	for (;;) {
		ssize_t n = read(source, buffer, sizeof(buffer));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		int r = write_all(target, buffer, (size_t)n);
		if (r < 0)
			return r;
	}
}

int rootfs_copy_file(int source, int target, struct stat *st, struct hash *hash)
{
	if (fstat(source, st) < 0 || lseek(source, 0, SEEK_SET) < 0)
		return -errno;
	int r = copy_bytes(source, target);
	struct stat after;
	if (r == 0 && fstat(source, &after) < 0)
		r = -errno;
	if (r == 0 && !same_content(st, &after))
		r = -EAGAIN;
	if (r == 0 && hash)
		r = lseek(target, 0, SEEK_SET) < 0 ? -errno : hash_fd(target, hash, NULL);
	return r;
}

static int copy_link(int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, to, name) < 0 ? -errno : 0;
}

static int copy_regular(int from, int to, const char *name)
{
	_cleanup_close_ int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (source < 0)
		return -errno;
	_cleanup_close_ int target = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (target < 0)
		return -errno;
	struct stat st;
	int r = rootfs_copy_file(source, target, &st, NULL);
	if (r < 0)
		return r;
	/* An ordinary user can't give files away; inside, all is the one user's anyway. */
	(void)!fchown(target, st.st_uid, st.st_gid);
	struct timespec times[2] = {st.st_atim, st.st_mtim};
	return fchmod(target, st.st_mode & 07777) < 0 || futimens(target, times) < 0 ? -errno : 0;
}

static int copy_directory(int from, int to, const char *name, const struct stat *st, struct cancel *cancel)
{
	if (mkdirat(to, name, 0700) < 0)
		return -errno;
	_cleanup_close_ int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int target = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0 || target < 0)
		return -errno;
	int r = rootfs_copy_tree(source, target, cancel);
	if (r < 0)
		return r;
	(void)!fchown(target, st->st_uid, st->st_gid);
	struct timespec times[2] = {st->st_atim, st->st_mtim};
	return fchmod(target, st->st_mode & 07777) < 0 || futimens(target, times) < 0 ? -errno : 0;
}

int rootfs_copy_tree(int from, int to, struct cancel *cancel)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	int r = 0;
	struct dirent *entry;
	while (r == 0 && (entry = readdir(dir))) {
		const char *name = entry->d_name;
		struct stat st;
		if (str_equal(name, ".") || str_equal(name, ".."))
			continue;
		if (cancel_requested(cancel))
			r = -ECANCELED;
		else if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = -errno;
		else if (S_ISLNK(st.st_mode))
			r = copy_link(from, to, name);
		else if (S_ISDIR(st.st_mode))
			r = copy_directory(from, to, name, &st, cancel);
		else if (S_ISREG(st.st_mode))
			r = copy_regular(from, to, name);
	}
	closedir(dir);
	return r;
}

static int list_sorted(int directory, struct strv *names)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	struct dirent *entry;
	while ((entry = readdir(dir)))
		if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
			strv_push(names, entry->d_name);
	closedir(dir);
	strv_sort(names);
	return 0;
}

static int digest_entry(int directory, const char *name, struct hasher *hasher, struct cancel *cancel)
{
	struct stat st;
	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	hasher_add_string(hasher, name);
	hasher_add(hasher, &st.st_mode, sizeof(st.st_mode));
	hasher_add(hasher, &st.st_uid, sizeof(st.st_uid));
	hasher_add(hasher, &st.st_gid, sizeof(st.st_gid));
	if (S_ISLNK(st.st_mode)) {
		char target[PATH_MAX];
		ssize_t n = readlinkat(directory, name, target, sizeof(target));
		if (n < 0)
			return -errno;
		hasher_add(hasher, target, (size_t)n);
		return 0;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	_cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return rootfs_digest(fd, hasher, cancel);
	struct hash content;
	int r = hash_fd(fd, &content, NULL);
	hasher_add(hasher, &content, sizeof(content));
	return r;
}

int rootfs_digest(int directory, struct hasher *hasher, struct cancel *cancel)
{
	CLEANUP(strv_release) struct strv names = {0};
	int r = list_sorted(directory, &names);
	for (size_t i = 0; r == 0 && i < names.len; i++)
		r = cancel_requested(cancel) ? -ECANCELED : digest_entry(directory, names.items[i], hasher, cancel);
	hasher_add_string(hasher, NULL);
	return r;
}
