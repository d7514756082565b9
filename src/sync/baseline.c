/* A baseline on disk, all numbers little-endian:
 *
 *     "skiff baseline 1\n"   u32 length and bytes of the image id   u64 number of inputs
 *     per input: u16 bytes shared with the path before, u16 length of the rest, the rest, u32 mode, u64 size, mtime, ctime, inode, hash (high, low)
 *     the XXH3-128 of all that comes before (high, low) */
#include "sync/baseline.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/bytes.h"

static const char MAGIC[] = "skiff baseline 1\n";

enum {
	KEPT_MAX = 64,
	ID_MAX = 4096,
	INPUT_FIXED = 2 + 2 + 4 + 6 * 8,
	HASH_SIZE = 16,
};
static const size_t FILE_MAX = (size_t)1 << 30;

static size_t shared(const char *a, const char *b)
{
	size_t n = 0;
	while (a[n] && a[n] == b[n] && n < UINT16_MAX)
		n++;
	return n;
}

void inputs_encode(const char *image_id, const struct inputs *inputs, struct str *out)
{
	out->max = FILE_MAX;
	str_add(out, MAGIC);
	bytes_put(out, strlen(image_id), 4);
	str_add(out, image_id);
	bytes_put(out, inputs->len, 8);
	const char *last = "";
	for vec_each (input, inputs) {
		size_t common = shared(last, input->rel);
		bytes_put(out, common, 2);
		bytes_put(out, strlen(input->rel + common), 2);
		str_add(out, input->rel + common);
		bytes_put(out, input->mode, 4);
		const uint64_t fields[] = {input->size,	 input->mtime_ns,  input->ctime_ns,
					   input->inode, input->hash.high, input->hash.low};
		for (size_t i = 0; i < ARRAY_LEN(fields); i++)
			bytes_put(out, fields[i], 8);
		last = input->rel;
	}
	struct hash hash = hash_bytes(str_text(out), out->len);
	bytes_put(out, hash.high, 8);
	bytes_put(out, hash.low, 8);
}

static bool get_input(struct cursor *c, struct str *path, struct inputs *inputs)
{
	_cleanup_free_ char *last = xstrdup(str_text(path));
	size_t keep = (size_t)bytes_get(c, 2), len = (size_t)bytes_get(c, 2);
	if (!bytes_get_text(c, path, keep, len) || path->len == 0 || strcmp(str_text(path), last) <= 0)
		return false;
	struct input *input = inputs_add(inputs, str_text(path));
	input->mode = (unsigned)bytes_get(c, 4);
	uint64_t *const fields[] = {&input->size,  &input->mtime_ns,  &input->ctime_ns,
				    &input->inode, &input->hash.high, &input->hash.low};
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		*fields[i] = bytes_get(c, 8);
	return !c->short_;
}

int inputs_decode(const char *image_id, const void *bytes, size_t len, struct inputs *inputs, struct error *err)
{
	struct inputs found = {0};
	CLEANUP(str_release) struct str path = {0}, id = {0};
	size_t magic = strlen(MAGIC);
	if (len < magic + 4 + 8 + HASH_SIZE || memcmp(bytes, MAGIC, magic) != 0)
		return error_set(err, EBADMSG, "the baseline is of another version");
	struct cursor c = {.at = (const unsigned char *)bytes + magic,
			   .end = (const unsigned char *)bytes + len - HASH_SIZE};
	struct cursor tail = {.at = c.end, .end = c.end + HASH_SIZE};
	struct hash hash = hash_bytes(bytes, len - HASH_SIZE);
	uint64_t high = bytes_get(&tail, 8), low = bytes_get(&tail, 8);
	if (!hash_equal(hash, (struct hash){.high = high, .low = low}))
		return error_set(err, EBADMSG, "the baseline is damaged");
	size_t id_len = (size_t)bytes_get(&c, 4);
	bool good = id_len <= ID_MAX && bytes_get_text(&c, &id, 0, id_len) && strcmp(str_text(&id), image_id) == 0;
	uint64_t count = bytes_get(&c, 8);
	good = good && count <= (uint64_t)(c.end - c.at) / INPUT_FIXED;
	for (uint64_t i = 0; good && i < count; i++)
		good = get_input(&c, &path, &found);
	if (!good || c.at != c.end) {
		inputs_release(&found);
		return error_set(err, EBADMSG, "the baseline is damaged");
	}
	*inputs = found;
	return 0;
}

static char *file_name(const char *dir, const char *image_id)
{
	char hex[HASH_HEX_SIZE];
	hash_to_hex(hash_bytes(image_id, strlen(image_id)), hex);
	return path_join(dir, hex);
}

int inputs_save(const char *image_id, const struct inputs *inputs, struct error *err)
{
	_cleanup_free_ char *dir = NULL;
	CLEANUP(str_release) struct str bytes = {0};
	int r = file_state_folder("baseline", &dir, err);
	if (r < 0)
		return r;
	inputs_encode(image_id, inputs, &bytes);
	if (bytes.overflow || strlen(image_id) > ID_MAX)
		return error_set(err, EFBIG, "the baseline is too large to be kept");
	_cleanup_free_ char *path = file_name(dir, image_id);
	r = file_write_atomic(path, str_text(&bytes), bytes.len, 0600, err);
	if (r == 0)
		file_keep_newest(dir, KEPT_MAX);
	return r;
}

int inputs_load(const char *image_id, struct inputs *inputs, struct error *err)
{
	_cleanup_free_ char *dir = NULL, *bytes = NULL;
	size_t len = 0;
	int r = file_state_folder("baseline", &dir, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *path = file_name(dir, image_id);
	r = file_read(path, FILE_MAX, &bytes, &len, err);
	return r < 0 ? r : inputs_decode(image_id, bytes, len, inputs, err);
}
