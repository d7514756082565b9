#include "runtime/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/path.h"
#include "runtime/source.h"

enum { STREAM_STEP = 64 << 10, OUT_MAX = SOURCE_SMALL_MAX + (256 << 10) };

struct carry_tar {
	const struct carry *carry;
	const size_t *indices;
	size_t count;
	const char *base;
	const struct tar_place *places;
	struct carry_result *results;
	struct archive *archive;
	struct archive_entry *entry;
	size_t next;	      /* into indices */
	struct source source; /* of the large file that is being streamed: fd >= 0 */
	unsigned tries;	      /* of that file */
	struct str out;	      /* made, not yet taken */
	size_t taken;
	uint64_t content;
	uint64_t now_ns;
	bool closed;
	int failed; /* negative errno */
	char piece[STREAM_STEP];
};

static la_ssize_t take_output(struct archive *archive, void *data, const void *bytes, size_t len)
{
	struct carry_tar *tar = data;
	(void)archive;
	return str_add_bytes(&tar->out, bytes, len) < 0 ? -1 : (la_ssize_t)len;
}

struct carry_tar *carry_tar_new(const struct carry *carry, const size_t *indices, size_t count, const char *base,
				const struct tar_place *places, struct carry_result *results)
{
	struct carry_tar *tar = xmalloc(sizeof(*tar));
	*tar = (struct carry_tar){.carry = carry,
				  .indices = indices,
				  .count = count,
				  .base = base,
				  .places = places,
				  .results = results,
				  .source = {.fd = -1},
				  .out = {.max = OUT_MAX},
				  .now_ns = realtime_ns()};
	tar->archive = archive_write_new();
	tar->entry = archive_entry_new();
	if (!tar->archive || !tar->entry)
		abort();
	if (archive_write_set_format_pax(tar->archive) != ARCHIVE_OK ||
	    archive_write_set_format_option(tar->archive, "pax", "hdrcharset", "BINARY") != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(tar->archive, 0) != ARCHIVE_OK ||
	    archive_write_open(tar->archive, tar, NULL, take_output, NULL) != ARCHIVE_OK)
		tar->failed = -EINVAL;
	return tar;
}

void carry_tar_free(struct carry_tar *tar)
{
	if (!tar)
		return;
	archive_entry_free(tar->entry);
	archive_write_free(tar->archive); /* may still write: out goes after it */
	source_release(&tar->source);
	str_release(&tar->out);
	free(tar);
}

uint64_t carry_tar_content(const struct carry_tar *tar)
{
	return tar->content;
}

static int write_header(struct carry_tar *tar, size_t index, const struct source *source)
{
	static const mode_t types[] = {[CARRY_FILE] = S_IFREG, [CARRY_SYMLINK] = S_IFLNK, [CARRY_DIRECTORY] = S_IFDIR};
	const struct tar_place *place = &tar->places[index];
	const char *name = path_below(tar->carry->items[index].dest, tar->base);
	uint64_t mtime = place->after_ns < tar->now_ns ? tar->now_ns : place->after_ns + 1;
	if (!name || !*name)
		return -EINVAL;
	archive_entry_clear(tar->entry);
	archive_entry_copy_pathname(tar->entry, name);
	archive_entry_set_mode(tar->entry,
			       types[source->kind] | source_mode(&tar->carry->items[index], source, place->replaced));
	archive_entry_set_uid(tar->entry, place->uid);
	archive_entry_set_gid(tar->entry, place->gid);
	archive_entry_set_mtime(tar->entry, (time_t)(mtime / 1000000000u), (long)(mtime % 1000000000u));
	archive_entry_set_size(tar->entry, source->kind == CARRY_FILE ? (la_int64_t)source->size : 0);
	if (source->kind == CARRY_SYMLINK)
		archive_entry_copy_symlink(tar->entry, source->target);
	return archive_write_header(tar->archive, tar->entry) == ARCHIVE_OK ? 0 : -EIO;
}

static int write_data(struct carry_tar *tar, const void *bytes, size_t len)
{
	tar->content += len;
	return !len || archive_write_data(tar->archive, bytes, len) == (la_ssize_t)len ? 0 : -EIO;
}

/* The next item: a header, and what fits in memory. A large file stays open in tar->source. */
static int start_item(struct carry_tar *tar)
{
	size_t index = tar->indices[tar->next];
	struct carry_result *result = &tar->results[index];
	CLEANUP(error_clear) struct error why = {0};
	if (tar->places[index].leave) {
		tar->next++;
		return 0;
	}
	int r = source_open(&tar->carry->items[index], &tar->source, &why);
	if (r < 0) {
		result->skipped = r == -ENOENT;
		result->code = r == -ENOENT ? 0 : -r;
		replace_string(&result->message, r == -ENOENT ? NULL : why.message);
		tar->next++;
		return 0;
	}
	r = write_header(tar, index, &tar->source);
	if (r < 0 || tar->source.fd >= 0)
		return r;
	if (tar->source.bytes)
		r = write_data(tar, tar->source.bytes, tar->source.size);
	result->hash = tar->source.hash;
	source_release(&tar->source);
	tar->next++;
	return r;
}

/* A piece of the large file, or its end: then it is entered again if it has changed. */
static int stream_on(struct carry_tar *tar)
{
	ssize_t n = source_read(&tar->source, tar->piece, STREAM_STEP, NULL);
	if (n != 0)
		return n < 0 ? (int)n : write_data(tar, tar->piece, (size_t)n);
	bool again = !source_settled(&tar->source) && ++tar->tries < SOURCE_TRIES;
	tar->results[tar->indices[tar->next]].hash = tar->source.hash;
	source_release(&tar->source);
	if (!again) {
		tar->tries = 0;
		tar->next++;
	}
	return archive_write_finish_entry(tar->archive) == ARCHIVE_OK ? 0 : -EIO;
}

static int make_more(struct carry_tar *tar)
{
	if (tar->source.fd >= 0)
		return stream_on(tar);
	if (tar->next < tar->count)
		return start_item(tar);
	tar->closed = true;
	return archive_write_close(tar->archive) == ARCHIVE_OK ? 0 : -EIO;
}

ssize_t carry_tar_produce(void *data, void *buffer, size_t cap)
{
	struct carry_tar *tar = data;
	if (tar->taken == tar->out.len) {
		str_clear(&tar->out);
		tar->taken = 0;
	}
	while (!tar->failed && !tar->closed && tar->out.len < cap && tar->out.len < STREAM_STEP)
		tar->failed = make_more(tar);
	if (tar->failed)
		return tar->failed;
	size_t take = tar->out.len - tar->taken;
	if (take > cap)
		take = cap;
	memcpy(buffer, str_text(&tar->out) + tar->taken, take);
	tar->taken += take;
	return (ssize_t)take;
}
