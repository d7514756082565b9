#include "runtime/source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static uint64_t in_ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool same_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && in_ns(a->st_mtim) == in_ns(b->st_mtim) &&
	       in_ns(a->st_ctim) == in_ns(b->st_ctim);
}

void source_release(struct source *source)
{
	cleanup_close(&source->fd);
	if (!source->borrowed)
		free(source->bytes);
	free(source->target);
	hasher_drop(source->hasher);
	*source = (struct source){.fd = -1};
}

static int open_link(const char *path, struct source *source, struct error *err)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target));
	if (n < 0 || n == sizeof(target))
		return error_errno(err, n < 0 ? errno : ENAMETOOLONG, "can't read the link %s", path);
	source->kind = CARRY_SYMLINK;
	source->target = xstrndup(target, (size_t)n);
	source->hash = hash_bytes(target, (size_t)n);
	return 0;
}

/* Content of a small file, as it was between two equal fstats. 1: it has grown past small. */
static int read_small(const char *path, struct source *source, struct stat *seen, struct error *err)
{
	for (int attempt = 0; attempt < SOURCE_TRIES; attempt++) {
		struct stat after;
		size_t size = (size_t)seen->st_size;
		free(steal(&source->bytes));
		source->bytes = xmalloc(size + 1);
		ssize_t n = file_read_start(source->fd, source->bytes, size);
		if (n < 0 || fstat(source->fd, &after) < 0)
			return error_errno(err, n < 0 ? (int)-n : errno, "can't read %s", path);
		source->size = (uint64_t)n;
		if (same_state(seen, &after) && source->size == size)
			break;
		*seen = after;
		if (seen->st_size > SOURCE_SMALL_MAX)
			return 1;
	}
	source->hash = hash_bytes(source->bytes, source->size);
	cleanup_close(&source->fd);
	source->fd = -1;
	return 0;
}

int source_open_descriptor(const char *path)
{
	enum { FLAGS = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK };
	int fd = open(path, FLAGS | O_NOATIME);
	if (fd < 0 && errno == EPERM) /* another's file */
		fd = open(path, FLAGS);
	return fd < 0 ? -errno : fd;
}

static int open_file(const char *path, struct source *source, struct error *err)
{
	struct stat seen;
	source->fd = source_open_descriptor(path);
	if (source->fd < 0)
		return error_errno(err, -source->fd, "can't read %s", path);
	if (fstat(source->fd, &seen) < 0)
		return error_errno(err, errno, "can't read %s", path);
	if (!S_ISREG(seen.st_mode))
		return error_set(err, ENOENT, "%s is not a file any more", path);
	source->kind = CARRY_FILE;
	int r = seen.st_size <= SOURCE_SMALL_MAX ? read_small(path, source, &seen, err) : 1;
	source->mode = seen.st_mode;
	if (r <= 0)
		return r;
	free(steal(&source->bytes));
	source->size = (uint64_t)seen.st_size;
	source->mtime_ns = in_ns(seen.st_mtim);
	source->ctime_ns = in_ns(seen.st_ctim);
	source->hasher = hasher_new();
	return 0;
}

int source_open_file(const char *path, struct source *source, struct error *err)
{
	*source = (struct source){.fd = -1};
	int r = open_file(path, source, err);
	if (r < 0)
		source_release(source);
	return r;
}

int source_open(const struct carry_item *item, struct source *source, struct error *err)
{
	struct stat seen;
	*source = (struct source){.fd = -1};
	if (item->held) {
		*source = (struct source){.kind = CARRY_FILE,
					  .mode = item->held->mode,
					  .size = item->held->size,
					  .fd = -1,
					  .bytes = item->held->bytes,
					  .borrowed = true,
					  .hash = item->held->hash};
		return 0;
	}
	if (lstat(item->src, &seen) < 0)
		return error_errno(err, errno == ENOTDIR ? ENOENT : errno, "can't read %s", item->src);
	source->mode = seen.st_mode;
	int r;
	if (S_ISDIR(seen.st_mode)) {
		source->kind = CARRY_DIRECTORY;
		return 0;
	}
	if (S_ISLNK(seen.st_mode))
		r = open_link(item->src, source, err);
	else if (S_ISREG(seen.st_mode))
		r = open_file(item->src, source, err);
	else
		r = error_set(err, ENOENT, "%s is neither a file, a directory nor a link", item->src);
	if (r < 0)
		source_release(source);
	return r;
}

unsigned source_mode(const struct carry_item *item, const struct source *source, unsigned replaced)
{
	if (source->kind == CARRY_SYMLINK)
		return 0777;
	if (item->mode >= 0)
		return (unsigned)item->mode & 07777;
	if (item->mode == MODE_HOST)
		return source->mode & 07777;
	if (source->kind == CARRY_DIRECTORY)
		return S_ISDIR(replaced) ? replaced & 07777 : 0755;
	return S_ISREG(replaced) ? replaced & 0777 : 0644;
}

ssize_t source_read(struct source *source, void *buffer, size_t cap, struct error *err)
{
	if (cap > source->size - source->position)
		cap = (size_t)(source->size - source->position);
	if (!cap)
		return 0;
	ssize_t n;
	do
		n = pread(source->fd, buffer, cap, (off_t)source->position);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(err, errno, "can't read a source");
	if (n == 0) { /* shorter than it was: source_settled will say so */
		memset(buffer, 0, cap);
		n = (ssize_t)cap;
	}
	hasher_add_piece(source->hasher, buffer, (size_t)n);
	source->position += (uint64_t)n;
	return n;
}

bool source_settled(struct source *source)
{
	struct stat now;
	if (source->hasher)
		source->hash = hasher_finish(steal(&source->hasher));
	return source->fd < 0 || (fstat(source->fd, &now) == 0 && (uint64_t)now.st_size == source->size &&
				  in_ns(now.st_mtim) == source->mtime_ns && in_ns(now.st_ctim) == source->ctime_ns);
}
