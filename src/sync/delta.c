#include "sync/delta.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/path.h"
#include "sync/printed.h"

enum {
	BLOCK = 512, /* of a tar */
	READ_SIZE = 128 << 10,
	/* A tar may unpack to so many bytes however small it is, and to so many times its size: gzip's best is 1032. */
	BOMB_FREE = 64 << 20,
	BOMB_RATIO = 1000,
};

static void entry_release(struct delta_entry *entry)
{
	free(entry->dest);
	free(entry->path);
}

void delta_release(struct delta *delta)
{
	for vec_each (entry, &delta->entries)
		entry_release(entry);
	vec_release(&delta->entries);
	free(delta->rebuild);
	*delta = (struct delta){0};
}

int delta_parse(const char *output, size_t len, const char *context, char **tar, char **rebuild, struct error *err)
{
	struct printed printed = {output, output + len};
	struct printed_line line, rest;
	*tar = NULL;
	*rebuild = NULL;
	while (printed_next(&printed, &line)) {
		if ((*rebuild = printed_rebuild(line)))
			return 0;
		if (!printed_after(line, "SYNC:", &rest))
			continue;
		if (rest.len == 0 || rest.len >= PATH_MAX || memchr(rest.text, '\0', rest.len))
			return error_set(err, EINVAL, "no path of a tar file stands behind SYNC:");
		_cleanup_free_ char *path = xstrndup(rest.text, rest.len);
		_cleanup_free_ char *joined = path_join(context, path);
		*tar = path_normalize(joined);
		return 0;
	}
	return error_set(err, ENODATA, "neither REBUILD nor SYNC: was printed");
}

/* Reading. */

struct reader {
	struct archive *archive;
	struct kept *kept;
	struct delta *delta;
	struct map places;	   /* dest → index in delta->entries, plus one */
	uint64_t bytes, bytes_max; /* unpacked: so far, at most */
};

static int PRINTF_LIKE(3, 4) refuse(struct error *err, const char *name, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *text = xvasprintf(fmt, ap);
	_cleanup_free_ char *shown = str_printable(name);
	va_end(ap);
	return error_set(err, EINVAL, "%s: %s", shown, text);
}

static int archive_failure(const struct reader *r, struct error *err)
{
	const char *text = archive_error_string(r->archive);
	_cleanup_free_ char *shown = str_printable(text ? text : "it can't be read");
	return error_set(err, EINVAL, "not a tar file that is whole: %s", shown);
}

/* A leading "/" or "./" means the root. *dest: NULL for the root itself. */
static int destination(const char *name, char **dest, struct error *err)
{
	_cleanup_free_ char *rooted = xasprintf("/%s", name ? name : "");
	_cleanup_free_ char *path = path_normalize(rooted);
	if (!name || !*name)
		return error_set(err, EINVAL, "an entry without a name");
	if (strlen(name) >= DELTA_PATH_MAX)
		return refuse(err, name, "the name is longer than %d bytes", DELTA_PATH_MAX - 1);
	for (const char *at = rooted; (at = strstr(at, "/..")); at += 3)
		if (at[3] == '/' || at[3] == '\0')
			return refuse(err, name, "a name must not have '..' in it");
	if (path[1] != '\0' && !path_is_safe_destination(path))
		return refuse(err, name, "no place in a container");
	*dest = path[1] == '\0' ? NULL : steal(&path);
	return 0;
}

/* A relative target must not climb above the root; an absolute one is the container's own. */
static bool leads_out(const char *dest, const char *target)
{
	long depth = -1; /* of the link's directory */
	if (path_is_absolute(target))
		return false;
	for (const char *c = dest; *c; c++)
		depth += *c == '/';
	while (*target) {
		size_t len = strcspn(target, "/");
		if (len == 2 && target[0] == '.' && target[1] == '.')
			depth--;
		else if (len > 0 && !(len == 1 && target[0] == '.'))
			depth++;
		if (depth < 0)
			return true;
		target += len;
		target += strspn(target, "/");
	}
	return false;
}

static ssize_t read_content(void *data, void *buffer, size_t cap, struct error *err)
{
	struct reader *r = data;
	la_ssize_t n = archive_read_data(r->archive, buffer, cap);
	if (n < 0)
		return archive_failure(r, err);
	r->bytes += (uint64_t)n;
	if (r->bytes > r->bytes_max)
		return error_set(err, EINVAL, "it unpacks to more than %llu MiB",
				 (unsigned long long)r->bytes_max >> 20);
	return n;
}

static int take_file(struct reader *r, struct archive_entry *entry, struct delta_entry *out, struct error *err)
{
	const char *name = archive_entry_pathname(entry);
	la_int64_t size = archive_entry_size(entry);
	if (size < 0 || (uint64_t)size > r->bytes_max - r->bytes)
		return refuse(err, name, "it unpacks to more than %llu MiB", (unsigned long long)r->bytes_max >> 20);
	int code = kept_stream(r->kept, read_content, r, &out->path, &out->hash, err);
	if (code < 0) {
		_cleanup_free_ char *shown = str_printable(name);
		error_wrap(err, "%s", shown);
	}
	return code;
}

static int take_link(struct reader *r, struct archive_entry *entry, struct delta_entry *out, struct error *err)
{
	const char *target = archive_entry_symlink(entry), *name = archive_entry_pathname(entry);
	if (!target || !*target || strlen(target) >= PATH_MAX)
		return refuse(err, name, "a link without a target that can be read");
	if (leads_out(out->dest, target))
		return refuse(err, name, "the link leads out of the root");
	out->mode = S_IFLNK | 0777;
	return kept_link(r->kept, target, &out->path, &out->hash, err);
}

/* The same content once more: no link is made, as the two may land on different file systems. */
static int take_hard_link(struct reader *r, struct archive_entry *entry, struct delta_entry *out, struct error *err)
{
	_cleanup_free_ char *dest = NULL;
	const char *name = archive_entry_pathname(entry);
	int code = destination(archive_entry_hardlink(entry), &dest, err);
	if (code < 0) {
		_cleanup_free_ char *shown = str_printable(name);
		error_wrap(err, "%s, a hard link", shown);
		return code;
	}
	size_t index = dest ? (size_t)(uintptr_t)map_get(&r->places, dest) : 0;
	const struct delta_entry *target = index ? &r->delta->entries.items[index - 1] : NULL;
	if (!target || S_ISDIR(target->mode))
		return refuse(err, name, "a hard link to what is no file of this tar");
	if (S_ISLNK(target->mode)) { /* a link's meaning depends on its place */
		_cleanup_free_ char *shown = str_printable(name);
		return error_set(err, EINVAL, "%s: a hard link to a symbolic link", shown);
	}
	out->mode = target->mode;
	out->hash = target->hash;
	out->path = xstrdup(target->path);
	return 0;
}

static int take_content(struct reader *r, struct archive_entry *entry, struct delta_entry *out, struct error *err)
{
	const char *name = archive_entry_pathname(entry);
	unsigned type = archive_entry_filetype(entry);
	if (archive_entry_hardlink(entry))
		return take_hard_link(r, entry, out, err);
	out->mode = type | (archive_entry_perm(entry) & 01777);
	switch (type) {
	case AE_IFREG:
		return take_file(r, entry, out, err);
	case AE_IFLNK:
		return take_link(r, entry, out, err);
	case AE_IFDIR:
		return 0;
	default:
		return refuse(err, name, "neither a file, a directory nor a link");
	}
}

static int take_entry(struct reader *r, struct archive_entry *entry, struct error *err)
{
	struct delta_entry out = {0};
	int code = destination(archive_entry_pathname(entry), &out.dest, err);
	if (code < 0)
		return code;
	if (!out.dest)
		return archive_entry_filetype(entry) == AE_IFDIR
			       ? 0
			       : error_set(err, EINVAL, "the root itself as something else than a directory");
	code = take_content(r, entry, &out, err);
	if (code < 0) {
		entry_release(&out);
		return code;
	}
	size_t index = (size_t)(uintptr_t)map_get(&r->places, out.dest);
	if (index) {
		entry_release(&r->delta->entries.items[index - 1]);
		r->delta->entries.items[index - 1] = out;
		return 0;
	}
	vec_push(&r->delta->entries, out);
	map_set(&r->places, out.dest, (void *)(uintptr_t)r->delta->entries.len);
	return 0;
}

/* What lies below a link or a file of the same tar would land elsewhere, or nowhere. */
static int check_parents(const struct reader *r, struct error *err)
{
	for vec_each (entry, &r->delta->entries) {
		_cleanup_free_ char *parent = path_dir(entry->dest);
		while (parent[1] != '\0') {
			size_t index = (size_t)(uintptr_t)map_get(&r->places, parent);
			if (index && !S_ISDIR(r->delta->entries.items[index - 1].mode))
				return refuse(err, entry->dest, "it is below %s, which is not a directory in this tar",
					      parent);
			char *above = path_dir(parent);
			free(parent);
			parent = above;
		}
	}
	return 0;
}

static int read_entries(struct reader *r, struct error *err)
{
	struct archive_entry *entry;
	for (size_t count = 0;; count++) {
		la_int64_t before = archive_filter_bytes(r->archive, 0);
		int status = archive_read_next_header(r->archive, &entry);
		if (status ==
		    ARCHIVE_EOF) /* two blocks of zeros end a tar: without them it may have been cut between two entries */
			return archive_filter_bytes(r->archive, 0) - before >= BLOCK
				       ? check_parents(r, err)
				       : error_set(err, EINVAL, "not a tar file that is whole: its end is missing");
		if (status != ARCHIVE_OK) /* also a warning: a name that was altered, for one */
			return archive_failure(r, err);
		if (count == DELTA_ENTRIES_MAX)
			return error_set(err, EINVAL, "more than %d entries", DELTA_ENTRIES_MAX);
		int code = take_entry(r, entry, err);
		if (code < 0)
			return code;
		if (archive_read_data_skip(r->archive) != ARCHIVE_OK)
			return archive_failure(r, err);
	}
}

/* What libarchive unpacks by itself; "all" would start programs for others. */
static struct archive *new_archive(void)
{
	static int (*const filters[])(struct archive *) = {
		archive_read_support_filter_gzip, archive_read_support_filter_bzip2, archive_read_support_filter_xz,
		archive_read_support_filter_zstd, archive_read_support_filter_lz4,
	};
	struct archive *archive = archive_read_new();
	if (!archive)
		abort();
	archive_read_support_format_tar(archive);
	for (size_t i = 0; i < ARRAY_LEN(filters); i++)
		filters[i](archive);
	return archive;
}

static int by_dest(const void *a, const void *b)
{
	return strcmp(((const struct delta_entry *)a)->dest, ((const struct delta_entry *)b)->dest);
}

static int read_open(struct reader *r, int fd, struct error *err)
{
	struct stat before, after;
	if (fstat(fd, &before) < 0)
		return error_errno(err, errno, "can't read it");
	if (!S_ISREG(before.st_mode))
		return error_set(err, EINVAL, "it is not a regular file");
	r->bytes_max = BOMB_FREE + (uint64_t)before.st_size * BOMB_RATIO;
	if (r->bytes_max > DELTA_BYTES_MAX)
		r->bytes_max = DELTA_BYTES_MAX;
	if (archive_read_open_fd(r->archive, fd, READ_SIZE) != ARCHIVE_OK)
		return archive_failure(r, err);
	int code = read_entries(r, err);
	if (code < 0)
		return code;
	if (fstat(fd, &after) < 0 || after.st_size != before.st_size || after.st_mtim.tv_sec != before.st_mtim.tv_sec ||
	    after.st_mtim.tv_nsec != before.st_mtim.tv_nsec)
		return error_set(err, EINVAL, "it was written to while it was read");
	return 0;
}

int delta_read(const char *tar, struct kept *kept, struct delta *delta, struct error *err)
{
	_cleanup_close_ int fd = open(tar, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_errno(err, errno, "can't open the tar file %s", tar);
	struct delta read = {0};
	struct reader r = {.archive = new_archive(), .kept = kept, .delta = &read};
	int code = read_open(&r, fd, err);
	archive_read_free(r.archive);
	map_release(&r.places, NULL);
	if (code < 0) {
		delta_release(&read);
		error_wrap(err, "the tar file %s", tar);
		return code;
	}
	if (read.entries.len > 1)
		qsort(read.entries.items, read.entries.len, sizeof(read.entries.items[0]), by_dest);
	*delta = read;
	return 0;
}
