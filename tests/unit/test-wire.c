/* The agent's frames and the chunker (src/wire). */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "wire/chunk.h"
#include "wire/wire.h"

#define PATH(literal) .path = {literal, sizeof(literal) - 1}
#define DATA(literal) .data = {literal, sizeof(literal) - 1}
#define TEXT(literal) .text = {literal, sizeof(literal) - 1}
#define HELLO .type = WIRE_HELLO, .version_min = WIRE_VERSION_MIN, .version = WIRE_VERSION

static const struct wire_message from_skiff[] = {
	{HELLO, .value = 60},
	{.type = WIRE_WRITE, .id = 1, PATH("/srv/a b.html"), .mode = WIRE_MODE_KEEP, .hash = {1, 2}, DATA("x\0y")},
	{.type = WIRE_WRITE,
	 .id = 2,
	 PATH("/a"),
	 .flags = WIRE_OWNER | WIRE_EXPECT,
	 .uid = 33,
	 .gid = 34,
	 .mode = 04755},
	{.type = WIRE_OPEN, .id = 3, PATH("/app/x.jar"), .flags = WIRE_DELTA, .mode = 0644, .size = 1ULL << 40},
	{.type = WIRE_CHUNKS, .id = 3, DATA("hashhash\1\0\0\0hashhash\0\0\1\0")},
	{.type = WIRE_DATA, .id = 3, DATA("z")},
	{.type = WIRE_CLOSE, .id = 3, .size = 3, .hash = {UINT64_MAX, 7}},
	{.type = WIRE_DROP, .id = 3},
	{.type = WIRE_MKDIR, .id = 4, PATH("/\xff\xfe"), .mode = 0755},
	{.type = WIRE_SYMLINK, .id = 5, PATH("/l"), TEXT("../../etc"), .flags = WIRE_EXPECT_NONE},
	{.type = WIRE_DELETE, .id = 6, PATH("/...")},
	{.type = WIRE_CHMOD, .id = 7, PATH("/x/..y"), .mode = 0},
	{.type = WIRE_COMMIT, .id = 8, .flags = WIRE_STRICT},
	{.type = WIRE_ABORT, .id = 9},
	{.type = WIRE_STAT, .id = 10, PATH("/s"), .flags = WIRE_NO_CONTENT},
	{.type = WIRE_CHECK, .id = 11, PATH("/s")},
	{.type = WIRE_READ, .id = 12, PATH("/etc/passwd"), .value = WIRE_DATA_MAX},
	{.type = WIRE_RUN, .id = 13, .value = 2, .count = 1, TEXT("/app"), DATA("echo\0\0A=b\0")},
	{.type = WIRE_KILL, .id = 13, .value = 15},
	{.type = WIRE_SUPERVISE, .id = 14, .flags = WIRE_MAIN, .value = 1},
	{.type = WIRE_PING, .id = 15},
};

static const struct wire_message from_agent[] = {
	{HELLO, .value = WIRE_ARCH_AARCH64, .flags = WIRE_CAN_PROC, .uid = 65532, .gid = 1, .size = 17, .hash = {3, 4}},
	{.type = WIRE_RESULT, .id = 1, .value = ENOSPC, .reason = WIRE_REASON_SPACE, .kind = WIRE_FILE, .mode = 01777},
	{.type = WIRE_RESULT, .id = 2, .flags = WIRE_ATOMIC, .hash = {5, 6}},
	{.type = WIRE_HAVE, .id = 3, DATA("\3")},
	{.type = WIRE_COMMITTED, .id = 8, .flags = WIRE_ATOMIC, .count = 1, .value = ENOSPC},
	{.type = WIRE_STATE, .id = 10, .kind = WIRE_LINK, .mode = 0777, .size = 9, .mtime = 1, .hash = {8, 9}},
	{.type = WIRE_CONTENT, .id = 12, DATA("root:x:0:0::/:/bin/sh\n")},
	{.type = WIRE_OUTPUT, .id = 13, .value = 2, DATA("no\n")},
	{.type = WIRE_EXIT, .id = 13, .value = 127, .count = ENOENT},
	{.type = WIRE_PONG, .id = 15},
	{.type = WIRE_BYE, .value = EPROTO, TEXT("not a frame")},
};

static void expect_bytes(struct wire_bytes a, struct wire_bytes b)
{
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
}

static void expect_message(const struct wire_message *a, const struct wire_message *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->value, b->value);
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->mtime, b->mtime);
	assert_int_equal(a->version, b->version);
	assert_int_equal(a->version_min, b->version_min);
	assert_true(wire_hash_equal(a->hash, b->hash) && wire_hash_equal(a->expected, b->expected));
	expect_bytes(a->path, b->path);
	expect_bytes(a->text, b->text);
	expect_bytes(a->data, b->data);
}

/* All messages in a row, handed over `step` bytes at a time, come out as they went in. */
static void round_trip(const struct wire_message *messages, size_t count, enum wire_side from, size_t step)
{
	_cleanup_free_ unsigned char *line = xmalloc(WIRE_FRAME_MAX), *buffer = xmalloc(WIRE_FRAME_MAX);
	struct wire_input input;
	struct wire_message got;
	size_t len = 0, seen = 0;
	for (size_t i = 0; i < count; i++) {
		int n = wire_encode(&messages[i], line + len, WIRE_FRAME_MAX - len);
		assert_true(n > WIRE_HEAD - 1);
		len += (size_t)n;
	}
	wire_input_init(&input, buffer, WIRE_FRAME_MAX, from);
	for (size_t at = 0; at < len;) {
		size_t room, take = step < len - at ? step : len - at;
		void *space = wire_input_space(&input, &room);
		assert_true(room > 0);
		take = take < room ? take : room;
		memcpy(space, line + at, take);
		wire_input_filled(&input, take);
		at += take;
		while (wire_input_next(&input, &got) == 1)
			expect_message(&got, &messages[seen++]);
	}
	assert_int_equal(seen, count);
}

static void test_round_trips(void **state)
{
	(void)state;
	for (size_t step = 1; step < 3000; step = step * 3 + 1) {
		round_trip(from_skiff, ARRAY_LEN(from_skiff), WIRE_FROM_SKIFF, step);
		round_trip(from_agent, ARRAY_LEN(from_agent), WIRE_FROM_AGENT, step);
	}
}

/* What the input says to one frame after the HELLO (or without one). */
static int verdict(const void *frame, size_t len, enum wire_side from, bool greeted)
{
	_cleanup_free_ unsigned char *buffer = xmalloc(WIRE_FRAME_MAX);
	struct wire_message message;
	struct wire_input input;
	size_t room;
	wire_input_init(&input, buffer, WIRE_FRAME_MAX, from);
	input.greeted = greeted;
	memcpy(wire_input_space(&input, &room), frame, len);
	wire_input_filled(&input, len);
	return wire_input_next(&input, &message);
}

static void test_limits(void **state)
{
	(void)state;
	_cleanup_free_ unsigned char *buffer = xmalloc(WIRE_FRAME_MAX + 1), *big = xcalloc(1, WIRE_DATA_MAX + 1);
	char longest[WIRE_PATH_MAX + 1];
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 200 ? 'x' : '/';
	struct wire_message m = {.type = WIRE_WRITE, .path = {longest, WIRE_PATH_MAX}, .data = {big, WIRE_DATA_MAX}};
	int n = wire_encode(&m, buffer, WIRE_FRAME_MAX);
	assert_true(n > WIRE_DATA_MAX);
	assert_int_equal(verdict(buffer, (size_t)n, WIRE_FROM_SKIFF, true), 1);
	assert_int_equal(wire_encode(&m, buffer, (size_t)n - 1), -ENOBUFS);
	m.data.len++;
	assert_int_equal(wire_encode(&m, buffer, WIRE_FRAME_MAX), -EINVAL);
	m.data.len = 0;
	m.path.len++;
	assert_int_equal(wire_encode(&m, buffer, WIRE_FRAME_MAX), -EINVAL);
	static const unsigned char huge[] = {0xff, 0xff, 0xff, 0xff}, none[] = {4, 0, 0, 0};
	assert_int_equal(verdict(huge, 4, WIRE_FROM_SKIFF, true), -EPROTO);
	assert_int_equal(verdict(none, 4, WIRE_FROM_SKIFF, true), -EPROTO);
	static const unsigned char long_hello[] = {0, 8, 0, 0};
	assert_int_equal(verdict(long_hello, 4, WIRE_FROM_SKIFF, false), -EPROTO);
	assert_int_equal(verdict(long_hello, 4, WIRE_FROM_SKIFF, true), 0);
}

static void test_refused(void **state)
{
	(void)state;
	static const struct wire_message bad[] = {
		{.type = WIRE_DELETE, PATH("relative")},
		{.type = WIRE_DELETE, PATH("/")},
		{.type = WIRE_DELETE, PATH("/a/")},
		{.type = WIRE_DELETE, PATH("/a//b")},
		{.type = WIRE_DELETE, PATH("/a/../b")},
		{.type = WIRE_DELETE, PATH("/..")},
		{.type = WIRE_DELETE, PATH("/./a")},
		{.type = WIRE_DELETE, PATH("/a\0b")},
		{.type = WIRE_DELETE, PATH("/a"), .flags = WIRE_STRICT},
		{.type = WIRE_DELETE, PATH("/a"), DATA("x")},
		{.type = WIRE_CHMOD, PATH("/a"), .mode = WIRE_MODE_KEEP},
		{.type = WIRE_WRITE, PATH("/a"), .mode = 010000},
		{.type = WIRE_SYMLINK, PATH("/a")},
		{.type = WIRE_SYMLINK, PATH("/a"), TEXT("x\0")},
		{.type = WIRE_CHUNKS, DATA("short")},
		{.type = WIRE_CHUNKS, DATA("hashhash\0\0\0\0")},
		{.type = WIRE_CHUNKS, DATA("hashhash\0\0\0\1")},
		{.type = WIRE_RUN, .value = 2, DATA("one\0")},
		{.type = WIRE_RUN, .value = 1, DATA("one")},
		{.type = WIRE_RUN, .value = UINT32_MAX, .count = 2, DATA("one\0")},
		{.type = WIRE_KILL, .value = 65},
		{.type = WIRE_RESULT, .kind = WIRE_OTHER + 1},
		{.type = 99},
	};
	unsigned char buffer[256];
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(wire_encode(&bad[i], buffer, sizeof(buffer)), -EINVAL);
}

static void test_order(void **state)
{
	(void)state;
	unsigned char buffer[256];
	const struct wire_message ping = {.type = WIRE_PING}, pong = {.type = WIRE_PONG}, hello = {HELLO};
	size_t n = (size_t)wire_encode(&ping, buffer, sizeof(buffer));
	assert_int_equal(verdict(buffer, n, WIRE_FROM_SKIFF, false), -EPROTO); /* before the HELLO */
	assert_int_equal(verdict(buffer, n, WIRE_FROM_AGENT, true), -EPROTO);  /* the wrong way */
	buffer[0]++;
	assert_int_equal(verdict(buffer, n + 1, WIRE_FROM_SKIFF, true), -EPROTO); /* a byte too many */
	n = (size_t)wire_encode(&pong, buffer, sizeof(buffer));
	assert_int_equal(verdict(buffer, n, WIRE_FROM_SKIFF, true), -EPROTO);
	n = (size_t)wire_encode(&hello, buffer, sizeof(buffer));
	assert_int_equal(verdict(buffer, n, WIRE_FROM_AGENT, true), -EPROTO); /* twice */
	assert_int_equal(verdict(buffer, n, WIRE_FROM_AGENT, false), 1);
	buffer[0] = (unsigned char)(buffer[0] + 3); /* a newer end says more */
	assert_int_equal(verdict(buffer, n + 3, WIRE_FROM_AGENT, false), 1);
	buffer[9]++;
	assert_int_equal(verdict(buffer, n + 3, WIRE_FROM_AGENT, false), -EPROTO); /* not our magic */
}

static void test_versions(void **state)
{
	(void)state;
	assert_int_equal(wire_agree(WIRE_VERSION_MIN, WIRE_VERSION), WIRE_VERSION);
	assert_int_equal(wire_agree(1, WIRE_VERSION + 5), WIRE_VERSION);
	assert_int_equal(wire_agree(WIRE_VERSION + 1, WIRE_VERSION + 5), -EPROTONOSUPPORT);
	assert_int_equal(wire_agree(0, 0), -EPROTONOSUPPORT);
}

static void test_hashes_are_skiffs(void **state)
{
	(void)state;
	static const char text[] = "the quick brown fox";
	struct hash a = hash_bytes(text, sizeof(text));
	struct wire_hash b = wire_hash_bytes(text, sizeof(text));
	assert_true(a.high == b.high && a.low == b.low);
	assert_int_equal(hash64(text, 7), wire_hash64(text, 7));
	struct wire_hasher hasher;
	wire_hasher_init(&hasher);
	wire_hasher_add(&hasher, text, 3);
	wire_hasher_add(&hasher, text + 3, sizeof(text) - 3);
	assert_true(wire_hash_equal(wire_hasher_value(&hasher), b));
}

static uint64_t splitmix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15U;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

static unsigned char *random_bytes(size_t len, uint64_t seed)
{
	unsigned char *bytes = xmalloc(len);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (unsigned char)splitmix(&seed);
	return bytes;
}

/* How many bytes of b's chunks a does not have; a list of chunks is counted as CHUNKS would send it. */
static size_t travels(const unsigned char *a, size_t a_len, const unsigned char *b, size_t b_len)
{
	size_t count = 0, cap = b_len / CHUNK_MIN + a_len / CHUNK_MIN + 2, bytes = 0, sent = 0;
	_cleanup_free_ uint64_t *known = xcalloc(cap, sizeof(*known));
	for (size_t at = 0, n; at < a_len; at += n) {
		n = chunk_cut(a + at, a_len - at);
		known[count++] = wire_hash64(a + at, n);
	}
	for (size_t at = 0, n; at < b_len; at += n, bytes += WIRE_CHUNK_SIZE) {
		n = chunk_cut(b + at, b_len - at);
		uint64_t hash = wire_hash64(b + at, n);
		bool found = false;
		for (size_t i = 0; i < count && !found; i++)
			found = known[i] == hash;
		sent += found ? 0 : n;
	}
	return bytes + sent;
}

static void test_little_travels(void **state)
{
	(void)state;
	enum { BIG = 50 << 20, LITTLE = 1 << 10 };
	_cleanup_free_ unsigned char *old = random_bytes(BIG + LITTLE, 1), *new = xmemdup(old, BIG + LITTLE);
	for (size_t i = 0; i < LITTLE; i++)
		new[BIG / 3 + i] ^= 0x55;
	assert_in_range(travels(old, BIG, new, BIG), LITTLE, 200 << 10);
	memcpy(new + LITTLE, old, BIG);
	memcpy(new, old + BIG, LITTLE); /* other bytes, at the front */
	assert_in_range(travels(old, BIG, new, BIG + LITTLE), LITTLE, 200 << 10);
	assert_in_range(travels(old, BIG, old + LITTLE, BIG - LITTLE), 1, 200 << 10);
}

static void test_chunk_sizes(void **state)
{
	(void)state;
	enum { LEN = 8 << 20 };
	_cleanup_free_ unsigned char *bytes = random_bytes(LEN, 7), *zeros = xcalloc(1, LEN);
	size_t count = 0;
	for (size_t at = 0, n; at < LEN; at += n, count++) {
		n = chunk_cut(bytes + at, LEN - at);
		assert_true(n <= CHUNK_MAX && (n >= CHUNK_MIN || at + n == LEN));
		/* what is after CHUNK_MAX bytes has no say */
		assert_int_equal(n, chunk_cut(bytes + at, LEN - at < CHUNK_MAX ? LEN - at : CHUNK_MAX));
	}
	assert_in_range(LEN / count, CHUNK_AVERAGE * 3 / 4, CHUNK_AVERAGE * 5 / 4);
	assert_int_equal(chunk_cut(zeros, LEN), CHUNK_MAX);
	assert_int_equal(chunk_cut(bytes, 0), 0);
	assert_int_equal(chunk_cut(bytes, 1), 1);
}

/* Cuts are part of the protocol: they must be the same for ever. */
static void test_cuts_stay(void **state)
{
	(void)state;
	_cleanup_free_ unsigned char *bytes = random_bytes(1 << 20, 42);
	uint64_t cuts = 0;
	size_t count = 0;
	for (size_t at = 0, n; at < 1 << 20; at += n, count++) {
		n = chunk_cut(bytes + at, (1 << 20) - at);
		cuts = cuts * 31 + n;
	}
	assert_int_equal(count, 32);
	assert_true(cuts == 0xdfa39d50f7612d44U);
}

/* chunk_cut, as plainly as it can be said. */
static size_t plain_cut(const unsigned char *bytes, size_t len)
{
	static uint64_t gear[256];
	uint64_t seed = 0x736b696666U /* "skiff" */, hash = 0;
	for (size_t i = 0; !gear[255] && i < 256; i++)
		gear[i] = splitmix(&seed);
	for (size_t at = CHUNK_MIN; at < len && at < CHUNK_MAX; at++) {
		hash = (hash << 1) + gear[bytes[at]];
		if (hash >> (at < CHUNK_AVERAGE ? 64 - 17 : 64 - 13) == 0)
			return at + 1;
	}
	return len < CHUNK_MAX ? len : CHUNK_MAX;
}

/* All the cuts, and for the first chunk what lengths near the borders make of it: in memory of just that length, where reading more is seen. */
static void check_cuts(const unsigned char *bytes, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		n = chunk_cut(bytes + at, len - at);
		assert_int_equal(n, plain_cut(bytes + at, len - at));
	}
	size_t borders[] = {CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX, plain_cut(bytes, len)};
	for (size_t i = 0; i < sizeof(borders) / sizeof(*borders); i++)
		for (size_t n = borders[i] - 20; n <= borders[i] + 20 && n <= len; n++) {
			_cleanup_free_ unsigned char *copy = xmemdup(bytes, n);
			assert_int_equal(chunk_cut(copy, n), plain_cut(copy, n));
		}
}

static void test_cuts_are_plain_ones(void **state)
{
	(void)state;
	enum { LEN = 2 << 20 };
	static const char text[] = "static int say(const char *words) { return puts(words) < 0 ? -1 : 0; }\n";
	static const size_t periods[] = {1, 2, 3, 8, 63, 64, 65, 1000, CHUNK_MIN + 1, LEN};
	_cleanup_free_ unsigned char *bytes = xcalloc(1, LEN), *random = random_bytes(LEN, 11);
	check_cuts(bytes, LEN);
	for (size_t i = 0; i < sizeof(periods) / sizeof(*periods); i++) {
		for (size_t at = 0; at < LEN; at++)
			bytes[at] = random[at % periods[i]];
		check_cuts(bytes, LEN);
	}
	for (size_t at = 0; at < LEN; at++) /* few bits, as text has */
		bytes[at] = (unsigned char)text[(at + random[at / 16]) % (sizeof(text) - 1)];
	check_cuts(bytes, LEN);
}

/* What cuts, put into zeros around each border. */
static void test_cuts_at_borders(void **state)
{
	(void)state;
	enum { LEN = 2 << 20, ROOM = CHUNK_MAX + 100, CUTS = 8 };
	static const size_t borders[] = {CHUNK_MIN + 64, CHUNK_AVERAGE, CHUNK_MAX};
	_cleanup_free_ unsigned char *random = random_bytes(LEN, 13), *bytes = xcalloc(1, ROOM);
	size_t early = 0, met = 0;
	for (size_t i = 0, cut = 0; i < CUTS; i++) {
		size_t n = plain_cut(random + cut, LEN - cut);
		cut += n;
		early += n <= CHUNK_AVERAGE;
		for (size_t b = 0; b < sizeof(borders) / sizeof(*borders); b++)
			for (size_t end = borders[b] - 10; end <= borders[b] + 10; end++) {
				memcpy(bytes + end - 64, random + cut - 64, 64);
				size_t want = plain_cut(bytes, ROOM);
				assert_int_equal(chunk_cut(bytes, ROOM), want);
				met += want == end;
				memset(bytes + end - 64, 0, 64);
			}
	}
	assert_in_range(early, 1, CUTS - 1); /* of both kinds */
	assert_true(met > CUTS * 20);
}

static void test_paths(void **state)
{
	(void)state;
	assert_true(wire_path_valid("/a/b", 4));
	char element[WIRE_NAME_MAX + 3];
	memset(element, 'x', sizeof(element));
	element[0] = '/';
	assert_true(wire_path_valid(element, WIRE_NAME_MAX + 1));
	assert_false(wire_path_valid(element, WIRE_NAME_MAX + 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),	cmocka_unit_test(test_limits),
		cmocka_unit_test(test_refused),		cmocka_unit_test(test_order),
		cmocka_unit_test(test_versions),	cmocka_unit_test(test_hashes_are_skiffs),
		cmocka_unit_test(test_chunk_sizes),	cmocka_unit_test(test_little_travels),
		cmocka_unit_test(test_cuts_stay),	cmocka_unit_test(test_cuts_are_plain_ones),
		cmocka_unit_test(test_cuts_at_borders), cmocka_unit_test(test_paths),
	};
	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
