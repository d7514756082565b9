/* A journal on disk, all numbers little-endian:
 *
 *     "skiff journal 1\n", then lines:
 *     u32 length of the content   u32 the same, mixed with a constant   the content   u64 XXH3-64 of the content
 *
 *     content: a letter, then
 *     I  image id                                    (the first line, only there)
 *     N  image id                                    (about to be deployed)
 *     O  destination, src, origin, owner, u32 kind, flags, mode, st_mode, u64 hash (high, low), number, replaced
 *     S  path, u32 st_mode, u64 hash (high, low)
 *
 * A text is u16 length and bytes; NO_TEXT for none. */
#include "sync/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/bytes.h"

static const char MAGIC[] = "skiff journal 1\n";

enum {
	HEAD = 4 + 4,
	TAIL = 8,
	LINE_MAX_BYTES = 5 * PATH_MAX,
	LENGTH_MIX = 0x5ca1ab1e,
	NO_TEXT = UINT16_MAX,
	OLD_MIN = 1 << 20, /* bytes that may be old before the file is written anew */
	KEPT_MAX = 256,	   /* journals */
};
enum { LINE_IMAGE = 'I', LINE_NEXT = 'N', LINE_OWNED = 'O', LINE_SEEN = 'S' };
enum { FLAG_GENERATED = 1, FLAG_OWNER_IF_NEW = 2 };
static const size_t FILE_MAX = (size_t)1 << 30;

static void owned_release(void *data)
{
	struct journal_owned *owned = data;
	free(owned->src);
	free(owned->origin);
	free(owned->owner);
	free(owned);
}

void journal_state_release(struct journal_state *state)
{
	free(state->base_id);
	free(state->next_id);
	map_release(&state->owned, owned_release);
	map_release(&state->seen, free);
	*state = (struct journal_state){0};
}

/* Where it is. */

char *journal_name(const char *run_id, const char *runtime, const char *image)
{
	char hex[HASH_HEX_SIZE];
	struct hasher *hasher = hasher_new();
	hasher_add_string(hasher, run_id);
	hasher_add_string(hasher, runtime);
	hasher_add_string(hasher, image);
	hash_to_hex(hasher_finish(hasher), hex);
	return xstrdup(hex);
}

static int path_of(const char *name, char **path, struct error *err)
{
	_cleanup_free_ char *dir = NULL;
	int r = file_state_folder("journal", &dir, err);
	if (r == 0)
		*path = path_join(dir, name);
	return r;
}

void journal_remove(const char *name)
{
	_cleanup_free_ char *path = NULL;
	if (path_of(name, &path, NULL) == 0)
		unlink(path);
}

bool journal_exists(const char *name)
{
	_cleanup_free_ char *path = NULL;
	return path_of(name, &path, NULL) == 0 && file_exists(path);
}

/* Reading. */

/* *text: NULL for none. False: it can't be one. */
static bool get_text(struct cursor *c, char **text)
{
	CLEANUP(str_release) struct str bytes = {0};
	size_t len = (size_t)bytes_get(c, 2);
	if (len == NO_TEXT)
		return !c->short_;
	if (!bytes_get_text(c, &bytes, 0, len))
		return false;
	*text = str_steal(&bytes);
	return true;
}

static struct hash get_hash(struct cursor *c)
{
	uint64_t high = bytes_get(c, 8);
	return (struct hash){.high = high, .low = bytes_get(c, 8)};
}

static bool is_path_or_none(const char *path)
{
	return !path || path_is_absolute(path);
}

static bool read_owned(struct cursor *c, struct journal_state *state)
{
	_cleanup_free_ char *dest = NULL;
	struct journal_owned *owned = xcalloc(1, sizeof(*owned));
	bool good = get_text(c, &dest) && get_text(c, &owned->src) && get_text(c, &owned->origin) &&
		    get_text(c, &owned->owner);
	owned->kind = (unsigned)bytes_get(c, 4);
	unsigned flags = (unsigned)bytes_get(c, 4);
	owned->generated = flags & FLAG_GENERATED;
	owned->owner_if_new = flags & FLAG_OWNER_IF_NEW;
	owned->mode = (int)(uint32_t)bytes_get(c, 4);
	owned->host_mode = (unsigned)bytes_get(c, 4);
	owned->hash = get_hash(c);
	owned->number = bytes_get(c, 8);
	owned->replaced = bytes_get(c, 8);
	good = good && !c->short_ && dest && path_is_safe_destination(dest) && is_path_or_none(owned->src) &&
	       is_path_or_none(owned->origin) && owned->mode >= MODE_KEEP && owned->mode <= 07777 &&
	       flags <= (FLAG_GENERATED | FLAG_OWNER_IF_NEW);
	if (good)
		owned = map_set(&state->owned, dest, owned);
	if (owned)
		owned_release(owned);
	return good;
}

static bool read_seen(struct cursor *c, struct journal_state *state)
{
	_cleanup_free_ char *path = NULL;
	bool good = get_text(c, &path);
	struct journal_seen seen = {.mode = (unsigned)bytes_get(c, 4)};
	seen.hash = get_hash(c);
	if (!good || c->short_ || !path || !path_is_absolute(path))
		return false;
	free(map_set(&state->seen, path, xmemdup(&seen, sizeof(seen))));
	return true;
}

static bool read_id(struct cursor *c, char **id)
{
	char *text = NULL;
	bool good = get_text(c, &text) && text && *text;
	if (good) {
		free(*id);
		*id = steal(&text);
	}
	free(text);
	return good;
}

static bool read_line(struct cursor c, struct journal_state *state)
{
	unsigned letter = (unsigned)bytes_get(&c, 1);
	bool first = !state->base_id, good = false;
	if (first != (letter == LINE_IMAGE))
		return false;
	switch (letter) {
	case LINE_IMAGE:
		good = read_id(&c, &state->base_id);
		break;
	case LINE_NEXT:
		good = read_id(&c, &state->next_id);
		break;
	case LINE_OWNED:
		good = read_owned(&c, state);
		break;
	case LINE_SEEN:
		good = read_seen(&c, state);
		break;
	default:
		break;
	}
	return good && c.at == c.end;
}

int journal_decode(const void *bytes, size_t len, struct journal_state *state, struct error *err)
{
	size_t magic = strlen(MAGIC);
	struct cursor c = {.at = bytes, .end = (const unsigned char *)bytes + len};
	bool good = bytes && len >= magic && memcmp(bytes, MAGIC, magic) == 0;
	*state = (struct journal_state){0};
	if (good)
		c.at += magic;
	while (good && (size_t)(c.end - c.at) >= HEAD) {
		size_t content = (size_t)bytes_get(&c, 4);
		good = bytes_get(&c, 4) == (content ^ LENGTH_MIX) && content > 0 && content <= LINE_MAX_BYTES;
		if (!good || (size_t)(c.end - c.at) < content + TAIL)
			break; /* damaged; or torn: it was not written to its end */
		struct cursor line = {.at = c.at, .end = c.at + content};
		c.at += content;
		good = bytes_get(&c, TAIL) == hash64(line.at, content) && read_line(line, state);
	}
	if (good && state->base_id)
		return 0;
	journal_state_release(state);
	return error_set(err, EBADMSG, "the journal is damaged, or of another version");
}

int journal_load(const char *name, struct journal_state *state, struct error *err)
{
	_cleanup_free_ char *path = NULL, *bytes = NULL;
	size_t len = 0;
	*state = (struct journal_state){0};
	int r = path_of(name, &path, err);
	if (r == 0)
		r = file_read(path, FILE_MAX, &bytes, &len, err);
	return r < 0 ? r : journal_decode(bytes, len, state, err);
}

/* Writing. */

struct journal {
	char *name;
	int fd;	       /* -1: nothing is written (yet, or any more) */
	uint64_t size; /* of the file, and of what was in it when it was last replaced */
	uint64_t replaced_size;
	struct str waiting;
};

struct journal *journal_new(const char *name)
{
	struct journal *journal = xcalloc(1, sizeof(*journal));
	journal->name = xstrdup(name);
	journal->fd = -1;
	journal->waiting.max = FILE_MAX;
	return journal;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	cleanup_close(&journal->fd);
	str_release(&journal->waiting);
	free(journal->name);
	free(journal);
}

const struct str *journal_waiting(const struct journal *journal)
{
	return &journal->waiting;
}

static void put_text(struct str *out, const char *text)
{
	size_t len = text ? strlen(text) : NO_TEXT;
	bytes_put(out, len, 2);
	if (text)
		str_add_bytes(out, text, len);
}

/* A text that is too long to be read again (there is none: paths are bounded) makes the journal unreadable, which is safe. */
static size_t begin_line(struct str *out, int letter)
{
	bytes_put(out, 0, HEAD);
	size_t begin = out->len;
	bytes_put(out, (uint64_t)letter, 1);
	return begin;
}

static void end_line(struct str *out, size_t begin)
{
	if (out->overflow)
		return;
	size_t content = out->len - begin;
	uint64_t head = content | (uint64_t)(content ^ LENGTH_MIX) << 32;
	for (size_t i = 0; i < HEAD; i++)
		out->data[begin - HEAD + i] = (char)(head >> (8 * i));
	bytes_put(out, hash64(out->data + begin, content), TAIL);
}

static void put_id(struct journal *journal, int letter, const char *id)
{
	size_t begin = begin_line(&journal->waiting, letter);
	put_text(&journal->waiting, id);
	end_line(&journal->waiting, begin);
}

void journal_put_image(struct journal *journal, const char *base_id)
{
	str_clear(&journal->waiting);
	str_add(&journal->waiting, MAGIC);
	put_id(journal, LINE_IMAGE, base_id);
}

void journal_put_next(struct journal *journal, const char *next_id)
{
	put_id(journal, LINE_NEXT, next_id);
}

static void put_numbers(struct str *out, size_t size, const uint64_t *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bytes_put(out, numbers[i], size);
}

void journal_put_owned(struct journal *journal, const char *dest, const struct journal_owned *owned)
{
	struct str *out = &journal->waiting;
	const unsigned flags =
		(owned->generated ? FLAG_GENERATED : 0U) | (owned->owner_if_new ? FLAG_OWNER_IF_NEW : 0U);
	const char *const texts[] = {dest, owned->src, owned->origin, owned->owner};
	const uint64_t small[] = {owned->kind, flags, (uint32_t)owned->mode, owned->host_mode};
	const uint64_t large[] = {owned->hash.high, owned->hash.low, owned->number, owned->replaced};
	size_t begin = begin_line(out, LINE_OWNED);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		put_text(out, texts[i]);
	put_numbers(out, 4, small, ARRAY_LEN(small));
	put_numbers(out, 8, large, ARRAY_LEN(large));
	end_line(out, begin);
}

void journal_put_seen(struct journal *journal, const char *path, const struct journal_seen *seen)
{
	struct str *out = &journal->waiting;
	size_t begin = begin_line(out, LINE_SEEN);
	put_text(out, path);
	bytes_put(out, seen->mode, 4);
	put_numbers(out, 8, (const uint64_t[]){seen->hash.high, seen->hash.low}, 2);
	end_line(out, begin);
}

static int failed(struct journal *journal, int code, struct error *err)
{
	cleanup_close(&journal->fd);
	journal->fd = -1;
	str_release(&journal->waiting);
	journal_remove(journal->name);
	return error_errno(err, code,
			   "what was copied can't be written down (a skiff that is killed and started "
			   "again will start its containers anew)");
}

int journal_append(struct journal *journal, struct error *err)
{
	struct str *waiting = &journal->waiting;
	if (journal->fd < 0 || waiting->len == 0) {
		str_clear(waiting);
		return 0;
	}
	ssize_t n = waiting->overflow ? -1 : write(journal->fd, waiting->data, waiting->len);
	if (n < 0 || (size_t)n < waiting->len)
		return failed(journal, waiting->overflow ? EFBIG : n < 0 ? errno : ENOSPC, err);
	journal->size += waiting->len;
	str_clear(waiting);
	return 0;
}

/* The new file, opened for what is appended. */
static int write_beside(const struct str *bytes, const char *beside)
{
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? -errno : write_all(fd, bytes->data, bytes->len);
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

int journal_replace(struct journal *journal, struct error *err)
{
	struct str *waiting = &journal->waiting;
	_cleanup_free_ char *path = NULL, *dir = NULL, *beside = NULL;
	int r = path_of(journal->name, &path, err);
	if (r < 0)
		return r;
	dir = path_dir(path);
	beside = xasprintf("%s.new", path);
	int fd = waiting->overflow ? -EFBIG : write_beside(waiting, beside);
	if (fd < 0)
		return failed(journal, -fd, err);
	if (rename(beside, path) < 0) {
		int code = errno;
		close(fd);
		unlink(beside);
		return failed(journal, code, err);
	}
	cleanup_close(&journal->fd);
	journal->fd = fd;
	journal->size = journal->replaced_size = waiting->len;
	str_clear(waiting);
	file_keep_newest(dir, KEPT_MAX);
	return 0;
}

bool journal_is_long(const struct journal *journal)
{
	return journal->fd >= 0 && journal->size - journal->replaced_size > OLD_MIN &&
	       journal->size > 2 * journal->replaced_size;
}
