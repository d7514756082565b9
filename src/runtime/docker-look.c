#include "runtime/docker-look.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"

enum { PROC_MAX = 64 << 10 };

/* Reads a file below /proc; NULL if it can't be read. The caller frees. */
static char *read_proc(int pid, const char *name)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", pid, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = xcalloc(1, PROC_MAX + 1);
	size_t len = 0;
	ssize_t n = -1;
	while (fd >= 0 && len < PROC_MAX && (n = read(fd, text + len, PROC_MAX - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		free(steal(&text));
	return text;
}

static bool is_container(int pid, const char *id)
{
	_cleanup_free_ char *groups = read_proc(pid, "cgroup");
	_cleanup_free_ char *users = read_proc(pid, "uid_map");
	unsigned inside = 1, outside = 1, count = 0;
	return groups && users && strlen(id) >= 12 && strstr(groups, id) &&
	       sscanf(users, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 && outside == 0 &&
	       count == UINT32_MAX;
}

void look_open(struct look *look, int pid, const char *id)
{
	*look = (struct look){.pid = pid, .pidfd = -1};
	if (pid <= 0)
		return;
	look->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int root = look_root(look);
	if (root < 0 || !is_container(pid, id))
		look_close(look);
	cleanup_close(&root);
}

void look_close(struct look *look)
{
	cleanup_close(&look->pidfd);
	look->pidfd = -1;
}

int look_root(const struct look *look)
{
	struct pollfd ended = {.fd = look->pidfd, .events = POLLIN};
	if (look->pidfd < 0)
		return -1;
	_cleanup_free_ char *path = xasprintf("/proc/%d/root", look->pid);
	int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0 && poll(&ended, 1, 0) != 0) { /* the process ended: the number may be another's */
		close(root);
		root = -1;
	}
	return root;
}

static int open_inside(int root, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags, .resolve = RESOLVE_IN_ROOT};
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* Owner and file system of the nearest directory that is there. */
static bool look_above(int root, const char *path, struct looked *looked)
{
	_cleanup_free_ char *above = path_dir(path);
	for (;;) {
		_cleanup_close_ int fd = open_inside(root, above, O_DIRECTORY);
		struct stat stat;
		struct statfs system;
		if (fd >= 0 && fstat(fd, &stat) == 0 && fstatfs(fd, &system) == 0) {
			looked->uid = stat.st_uid;
			looked->gid = stat.st_gid;
			looked->temporary = system.f_type == TMPFS_MAGIC;
			return true;
		}
		if (str_equal(above, "/"))
			return false;
		char *next = path_dir(above);
		free(above);
		above = next;
	}
}

bool look_at(int root, const char *path, struct looked *looked)
{
	*looked = (struct looked){0};
	if (root < 0 || !look_above(root, path, looked))
		return false;
	_cleanup_close_ int fd = open_inside(root, path, O_NOFOLLOW);
	struct stat stat;
	struct statfs system;
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR;
	if (fstat(fd, &stat) < 0 || fstatfs(fd, &system) < 0)
		return false;
	looked->exists = true;
	looked->link = S_ISLNK(stat.st_mode);
	looked->directory = S_ISDIR(stat.st_mode);
	looked->mode = stat.st_mode;
	looked->uid = stat.st_uid;
	looked->gid = stat.st_gid;
	looked->mtime_ns = (uint64_t)stat.st_mtim.tv_sec * 1000000000u + (uint64_t)stat.st_mtim.tv_nsec;
	looked->temporary = looked->temporary || system.f_type == TMPFS_MAGIC;
	if (looked->link) {
		_cleanup_close_ int target = open_inside(root, path, O_DIRECTORY);
		looked->directory = target >= 0;
	}
	return true;
}
