/* What is at destinations of an embedded instance, and whether they could be written: straight on its root. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "client/rootfs.h"
#include "runtime/embedded-apply.h"

static int hash_link(int parent, const char *name, struct hash *hash)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(parent, name, target, sizeof(target));
	if (n < 0)
		return -errno;
	*hash = hash_bytes(target, (size_t)n);
	return 0;
}

static int hash_file(int parent, const char *name, struct hash *hash)
{
	_cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : hash_fd(fd, hash, NULL);
}

static bool still_holds(const struct instance_file *before, const struct instance_file *found)
{
	return before && before->code == 0 && !before->special && before->kind == found->kind && before->mtime_ns &&
	       before->mtime_ns == found->mtime_ns && before->size == found->size;
}

/* 0, or a negative errno. */
static int look_at(int root, const char *dest, const struct instance_file *before, struct instance_file *found)
{
	const char *name;
	struct stat st;
	_cleanup_close_ int parent = rootfs_open_parent(root, dest, false, &name);
	if (parent < 0 || fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		int r = parent < 0 ? parent : -errno;
		return r == -ENOTDIR ? -ENOENT : r;
	}
	found->kind = S_ISDIR(st.st_mode) ? CARRY_DIRECTORY : S_ISLNK(st.st_mode) ? CARRY_SYMLINK : CARRY_FILE;
	found->special = !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode) && !S_ISREG(st.st_mode);
	found->mode = st.st_mode & 07777;
	found->size = (uint64_t)st.st_size;
	found->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	if (found->special || found->kind == CARRY_DIRECTORY)
		return 0;
	if (still_holds(before, found)) {
		found->hash = before->hash;
		return 0;
	}
	return found->kind == CARRY_SYMLINK ? hash_link(parent, name, &found->hash)
					    : hash_file(parent, name, &found->hash);
}

int embedded_look(const struct embedded_roots *roots, const struct strv *dests, const struct instance_file *before,
		  struct instance_file *found, struct cancel *cancel, struct error *err)
{
	uint64_t recent = realtime_ns() - RUNTIME_RACY_NS;
	for (size_t i = 0; i < dests->len; i++) {
		if (cancel_requested(cancel))
			return error_set(err, ECANCELED, "cancelled");
		found[i] = (struct instance_file){0};
		found[i].code = -look_at(roots->seen, dests->items[i], before ? &before[i] : NULL, &found[i]);
		if (found[i].mtime_ns > recent)
			found[i].mtime_ns = 0;
	}
	return 0;
}

/* 1: only in place. */
static int check_one(const struct embedded_roots *roots, const char *dest)
{
	int root = embedded_root_for(roots, dest);
	_cleanup_close_ int above = embedded_open_above(root, dest);
	if (above < 0)
		return above;
	if (faccessat(above, ".", W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	int r = -errno;
	_cleanup_close_ int file = rootfs_open(root, dest, O_WRONLY | O_NONBLOCK, 0);
	return file >= 0 ? 1 : r == -EACCES || r == -EROFS ? r : 0;
}

int embedded_check(const struct embedded_roots *roots, const struct embedded_instance *instance,
		   const struct strv *dests, struct carry_report *report, struct cancel *cancel, struct error *err)
{
	int first = 0;
	*report = (struct carry_report){.results = xcalloc(dests->len + 1, sizeof(*report->results)),
					.len = dests->len,
					.atomic = true};
	for (size_t i = 0; i < dests->len && !cancel_requested(cancel); i++) {
		int r = check_one(roots, dests->items[i]);
		report->atomic = report->atomic && r == 0;
		if (r >= 0)
			continue;
		report->results[i].code = -r;
		embedded_explain(roots, instance, dests->items[i], &report->results[i]);
		if (first == 0)
			first = error_set(err, -r, "%s", report->results[i].message);
	}
	return cancel_requested(cancel) ? error_set(err, ECANCELED, "cancelled") : first;
}
