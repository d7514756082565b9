#include "runtime/embedded-apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "client/rootfs.h"
#include "runtime/source.h"

enum { BUFFER_SIZE = 64 << 10 };

struct apply {
	const struct embedded_roots *roots;
	const struct embedded_instance *instance;
	struct carry_report *report;
	struct staged {
		int root;	  /* where it is, or will be */
		char *temporary;  /* the staged file's name, beside its destination; NULL: not staged */
	} * staged;		  /* per item */
	struct accounts accounts; /* of the root, once a name was met */
	bool accounts_read;
};

/* What an item says of its owner, its names resolved. */
struct ownership {
	bool given, if_new;
	uint32_t uid, gid;
};

static uint64_t mount_of(int fd)
{
	struct statx st = {0};
	return statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) == 0 ? st.stx_mnt_id : 0;
}

int embedded_open_above(int root, const char *dest)
{
	_cleanup_free_ char *above = xstrdup(dest);
	for (;;) {
		char *slash = strrchr(above, '/');
		if (slash)
			*slash = '\0';
		int fd = rootfs_open(root, slash && *above ? above : "/", O_PATH | O_DIRECTORY, 0);
		if (fd >= 0 || !slash || !*above)
			return fd;
	}
}

int embedded_root_for(const struct embedded_roots *roots, const char *dest)
{
	if (!roots->read_only)
		return roots->seen;
	_cleanup_close_ int above = embedded_open_above(roots->seen, dest);
	return above >= 0 && mount_of(above) == mount_of(roots->seen) ? roots->disk : roots->seen;
}

/* A name that no other staging of this process uses. */
static char *temporary_name(void)
{
	static atomic_uint counter;
	return xasprintf(".skiff-%d-%u", (int)getpid(), atomic_fetch_add(&counter, 1));
}

static int write_source(int fd, struct source *source)
{
	if (source->bytes)
		return write_all(fd, source->bytes, source->size);
	_cleanup_free_ char *buffer = xmalloc(BUFFER_SIZE);
	ssize_t n;
	while ((n = source_read(source, buffer, BUFFER_SIZE, NULL)) > 0) {
		int r = write_all(fd, buffer, (size_t)n);
		if (r < 0)
			return r;
	}
	return (int)n;
}

/* Writes the item's source into the open file; what changed while it was read is read again. */
static int fill(int fd, const struct carry_item *item, struct source *source)
{
	for (int attempt = 1;; attempt++) {
		if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
			return -errno;
		int r = write_source(fd, source);
		if (r < 0 || source_settled(source) || attempt == SOURCE_TRIES)
			return r;
		source_release(source);
		r = source_open(item, source, NULL);
		if (r < 0 || source->kind != CARRY_FILE)
			return r < 0 ? r : -ENOENT;
	}
}

/* Modification time: now, and later than the replaced file's, for those who compare times. */
static int set_time(int fd, const struct stat *replaced)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (replaced && (replaced->st_mtim.tv_sec > now.tv_sec ||
			 (replaced->st_mtim.tv_sec == now.tv_sec && replaced->st_mtim.tv_nsec >= now.tv_nsec))) {
		now = replaced->st_mtim;
		now.tv_nsec += 1000000;
		now.tv_sec += now.tv_nsec / 1000000000;
		now.tv_nsec %= 1000000000;
	}
	struct timespec times[2] = {now, now};
	return futimens(fd, times) < 0 ? -errno : 0;
}

/* A replaced file keeps its owner, a new one takes its directory's, unless the item says better. What may not be given away stays ours. */
static int give(int parent, const char *beside, const char *name, const struct ownership *ownership)
{
	struct stat old, directory, mine;
	bool replaces = fstatat(parent, name, &old, AT_SYMLINK_NOFOLLOW) == 0;
	if (fstat(parent, &directory) < 0 || fstatat(parent, beside, &mine, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	const struct stat *model = replaces ? &old : &directory;
	bool said = ownership->given && !(ownership->if_new && replaces);
	uid_t uid = said ? ownership->uid : model->st_uid;
	gid_t gid = said ? ownership->gid : model->st_gid;
	if ((uid != mine.st_uid || gid != mine.st_gid) && fchownat(parent, beside, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 &&
	    errno != EPERM && errno != EINVAL)
		return -errno;
	return 0;
}

/* After give: a change of owner takes bits of the mode away. */
static int dress(int fd, int parent, const char *name, const struct carry_item *item, const struct source *source)
{
	struct stat old;
	bool replaces = fstatat(parent, name, &old, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(old.st_mode);
	if (fchmod(fd, source_mode(item, source, replaces ? old.st_mode : 0)) < 0)
		return -errno;
	return set_time(fd, replaces ? &old : NULL);
}

static int stage_file(int root, const struct carry_item *item, const struct ownership *ownership, struct source *source,
		      char **temporary)
{
	const char *name;
	_cleanup_close_ int parent = rootfs_open_parent(root, item->dest, true, &name);
	if (parent < 0)
		return parent;
	_cleanup_free_ char *beside = temporary_name();
	_cleanup_close_ int fd = openat(parent, beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = fill(fd, item, source);
	if (r == 0)
		r = give(parent, beside, name, ownership);
	if (r == 0)
		r = dress(fd, parent, name, item, source);
	if (r < 0) {
		unlinkat(parent, beside, 0);
		return r;
	}
	*temporary = steal(&beside);
	return 0;
}

static int stage_link(int root, const struct carry_item *item, const struct ownership *ownership,
		      const struct source *source, char **temporary)
{
	const char *name;
	_cleanup_close_ int parent = rootfs_open_parent(root, item->dest, true, &name);
	if (parent < 0)
		return parent;
	_cleanup_free_ char *beside = temporary_name();
	if (symlinkat(source->target, parent, beside) < 0)
		return -errno;
	int r = give(parent, beside, name, ownership);
	if (r < 0) {
		unlinkat(parent, beside, 0);
		return r;
	}
	*temporary = steal(&beside);
	return 0;
}

/* A directory appears at once: files are staged in it. What stood there and is none goes away in the same moment. */
static int make_directory(int root, const struct carry_item *item, const struct ownership *ownership,
			  const struct source *source)
{
	const char *name;
	_cleanup_close_ int parent = rootfs_open_parent(root, item->dest, true, &name);
	if (parent < 0)
		return parent;
	_cleanup_close_ int there = rootfs_open(root, item->dest, O_RDONLY | O_DIRECTORY, 0);
	if (there >= 0)
		return item->mode == MODE_KEEP || fchmod(there, source_mode(item, source, 0)) == 0 ? 0 : -errno;
	_cleanup_free_ char *beside = temporary_name();
	if (mkdirat(parent, beside, 0700) < 0)
		return -errno;
	int r = give(parent, beside, name, ownership);
	if (r == 0 && fchmodat(parent, beside, source_mode(item, source, 0), 0) < 0)
		r = -errno;
	if (r == 0 && renameat2(parent, beside, parent, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (r == 0)
		r = errno == EEXIST && renameat2(parent, beside, parent, name, RENAME_EXCHANGE) == 0 ? 0 : -errno;
	rootfs_remove(parent, beside);
	return r;
}

/* Where a rename can't be: a file that is a mount point, a directory that may not be written. */
static int write_in_place(int root, const struct carry_item *item, struct carry_report *report,
			  struct carry_result *result)
{
	struct source source;
	int r = source_open(item, &source, NULL);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = rootfs_open(root, item->dest, O_WRONLY | O_NONBLOCK, 0);
	struct stat st;
	if (source.kind != CARRY_FILE)
		r = -ENOENT;
	else if (fd < 0)
		r = fd;
	else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		r = -EEXIST;
	else
		r = fill(fd, item, &source);
	if (r == 0) {
		report->atomic = false;
		result->hash = source.hash;
		(void)!fchmod(fd, source_mode(item, &source, st.st_mode));
		(void)!set_time(fd, &st);
	}
	source_release(&source);
	return r;
}

static bool may_write_in_place(int code)
{
	return code == -EACCES || code == -EPERM || code == -EROFS || code == -EBUSY || code == -EXDEV;
}

/* Puts the staged entry in its place; a directory that stands there leaves with all below it. */
static int switch_staged(const struct staged *staged, const struct carry_item *item)
{
	const char *name;
	_cleanup_close_ int parent = rootfs_open_parent(staged->root, item->dest, false, &name);
	if (parent < 0)
		return parent;
	int r = renameat(parent, staged->temporary, parent, name) < 0 ? -errno : 0;
	if (r == -EISDIR)
		r = renameat2(parent, staged->temporary, parent, name, RENAME_EXCHANGE) < 0 ? -errno : 0;
	int removed = rootfs_remove(parent, staged->temporary);
	return r < 0 ? r : removed;
}

static int delete_item(int root, const struct carry_item *item)
{
	const char *name;
	_cleanup_close_ int parent = rootfs_open_parent(root, item->dest, false, &name);
	if (parent == -ENOENT || parent == -ENOTDIR)
		return 0; /* what held it is gone, or is no directory any more */
	return parent < 0 ? parent : rootfs_remove(parent, name);
}

void embedded_explain(const struct embedded_roots *roots, const struct embedded_instance *instance, const char *dest,
		      struct carry_result *result)
{
	_cleanup_free_ char *above = path_dir(dest);
	_cleanup_free_ char *shown = str_printable(dest);
	_cleanup_close_ int fd = rootfs_open(roots->seen, above, O_PATH | O_DIRECTORY, 0);
	struct stat st;
	struct str text = {0};
	str_addf(&text, "can't write %s: %s", shown, strerror(result->code));
	if (fd >= 0 && fstat(fd, &st) == 0 &&
	    (result->code == EACCES || result->code == EPERM || result->code == EROFS))
		str_addf(&text,
			 "; its directory is owned by user %u, the program runs as user %u; `user` or `volumes` in "
			 "deploy.docker.run of skiff.yaml "
			 "would change that",
			 st.st_uid, instance->uid);
	if (result->code == ENOTDIR)
		str_add(&text, "; something above it is a file in the container");
	result->message = str_steal(&text);
}

static void settle(const struct apply *a, const struct carry_item *item, struct carry_result *result, int r)
{
	if (r == -ENOENT && item->kind != CARRY_DELETE && !file_exists(item->src)) {
		result->skipped = true;
	} else if (r < 0) {
		result->code = -r;
		embedded_explain(a->roots, a->instance, item->dest, result);
	}
}

static int find_owner(struct apply *a, const struct carry_item *item, struct ownership *ownership, struct error *err)
{
	*ownership = (struct ownership){.given = item->owner, .if_new = item->owner_if_new};
	if (!item->owner)
		return 0;
	if (owner_is_named(item->owner) && !a->accounts_read) {
		rootfs_accounts(a->roots->disk, &a->accounts);
		a->accounts_read = true;
	}
	return owner_resolve(item->owner, &a->accounts, &ownership->uid, &ownership->gid, err);
}

/* Everything but the switch: directories are made, files and links staged. */
static void prepare_item(struct apply *a, const struct carry_item *item, size_t i)
{
	struct carry_result *result = &a->report->results[i];
	struct staged *staged = &a->staged[i];
	staged->root = embedded_root_for(a->roots, item->dest);
	struct source source;
	struct ownership ownership = {0};
	CLEANUP(error_clear) struct error why = {0};
	int r = source_open(item, &source, &why);
	if (r == -ENOENT) {
		result->skipped = true;
		return;
	}
	if (r == 0)
		r = find_owner(a, item, &ownership, &why);
	if (r < 0) {
		result->code = -r;
		result->message = steal(&why.message);
		source_release(&source);
		return;
	}
	if (source.kind == CARRY_DIRECTORY)
		r = make_directory(staged->root, item, &ownership, &source);
	else if (source.kind == CARRY_SYMLINK)
		r = stage_link(staged->root, item, &ownership, &source, &staged->temporary);
	else
		r = stage_file(staged->root, item, &ownership, &source, &staged->temporary);
	if (r < 0 && source.kind == CARRY_FILE && may_write_in_place(r))
		r = write_in_place(staged->root, item, a->report, result);
	else if (r == 0)
		result->hash = source.hash;
	if (r == 0 && source.kind == CARRY_FILE)
		a->report->bytes += source.size;
	settle(a, item, result, r);
	source_release(&source);
}

static void finish_item(struct apply *a, const struct carry_item *item, size_t i)
{
	struct carry_result *result = &a->report->results[i];
	struct staged *staged = &a->staged[i];
	int r = 0;
	if (item->kind == CARRY_DELETE) {
		r = delete_item(embedded_root_for(a->roots, item->dest), item);
	} else if (staged->temporary) {
		r = switch_staged(staged, item);
		if (may_write_in_place(r))
			r = write_in_place(staged->root, item, a->report, result);
	}
	settle(a, item, result, r);
}

static void drop_staged(const struct apply *a, const struct carry *carry)
{
	for (size_t i = 0; i < carry->len; i++) {
		const char *name;
		if (!a->staged[i].temporary)
			continue;
		_cleanup_close_ int parent = rootfs_open_parent(a->staged[i].root, carry->items[i].dest, false, &name);
		if (parent >= 0)
			unlinkat(parent, a->staged[i].temporary, 0);
	}
}

int embedded_apply(const struct embedded_roots *roots, const struct embedded_instance *instance,
		   const struct carry *carry, struct carry_report *report, struct cancel *cancel, struct error *err)
{
	*report = (struct carry_report){.results = xcalloc(carry->len + 1, sizeof(*report->results)),
					.len = carry->len,
					.atomic = true};
	struct apply a = {.roots = roots, .instance = instance, .report = report};
	a.staged = xcalloc(carry->len + 1, sizeof(*a.staged));
	uint64_t begin = monotonic_ns();
	for (size_t i = 0; i < carry->len && !cancel_requested(cancel); i++) {
		if (!path_is_safe_destination(carry->items[i].dest))
			report->results[i].code = EINVAL;
		else if (carry->items[i].kind != CARRY_DELETE)
			prepare_item(&a, &carry->items[i], i);
	}
	bool cancelled = cancel_requested(cancel);
	if (cancelled)
		drop_staged(&a, carry);
	for (size_t i = 0; i < carry->len && !cancelled; i++)
		if (!report->results[i].code && !report->results[i].skipped)
			finish_item(&a, &carry->items[i], i);
	for (size_t i = 0; i < carry->len; i++)
		free(a.staged[i].temporary);
	free(a.staged);
	accounts_release(&a.accounts);
	report->transfer_us = (unsigned)((monotonic_ns() - begin) / 1000);
	if (cancelled)
		return error_set(err, ECANCELED, "cancelled");
	for (size_t i = 0; i < report->len; i++)
		if (report->results[i].code)
			return error_set(err, report->results[i].code, "%s",
					 report->results[i].message ? report->results[i].message
								    : "a destination that is no path");
	return 0;
}
