#include "test.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/change.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/owner.h"
#include "base/path.h"

static void normalizes_paths(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"", "."},
		{".", "."},
		{"./a", "a"},
		{"a//b/", "a/b"},
		{"a/../b", "b"},
		{"a/..", "."},
		{"../a", "../a"},
		{"a/../../b", "../b"},
		{"/..", "/"},
		{"/a/../..", "/"},
		{"/", "/"},
		{"/a/./b//", "/a/b"},
		{"../../x/..", "../.."},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *out = path_normalize(cases[i][0]);
		assert_string_equal(out, cases[i][1]);
	}
}

static void tells_what_is_below(void **state)
{
	(void)state;
	assert_string_equal(path_below("/a/b", "/a"), "b");
	assert_string_equal(path_below("/a", "/a"), "");
	assert_null(path_below("/ab", "/a"));
	assert_string_equal(path_below("/a", "/"), "a");
	assert_string_equal(path_below("a/b", "."), "a/b");
	assert_null(path_below("../a", "."));
	_cleanup_free_ char *up = path_relative("/a/b/c", "/a/x/y");
	assert_string_equal(up, "../../b/c");
	_cleanup_free_ char *same = path_relative("/a", "/a");
	assert_string_equal(same, ".");
}

static void knows_safe_destinations(void **state)
{
	(void)state;
	assert_true(path_is_safe_destination("/a/b c\n"));
	assert_false(path_is_safe_destination("/"));
	assert_false(path_is_safe_destination("a"));
	assert_false(path_is_safe_destination("/a/../b"));
	assert_false(path_is_safe_destination("/a//b"));
	assert_false(path_is_safe_destination("/a/"));
	assert_false(path_is_safe_destination("/./a"));
}

static void strings_stop_at_their_maximum(void **state)
{
	(void)state;
	struct str s = {.max = 4};
	assert_int_equal(str_add(&s, "abc"), 0);
	assert_int_equal(str_add(&s, "de"), -EOVERFLOW);
	assert_true(s.overflow);
	assert_string_equal(str_text(&s), "abc");
	str_release(&s);
}

static void finds_the_nearest_word(void **state)
{
	(void)state;
	static const char *const words[] = {"dest", "src", "strip", NULL};
	assert_string_equal(str_nearest("dests", words), "dest");
	assert_string_equal(str_nearest("scr", words), "src");
	assert_null(str_nearest("zebra", words));
}

static void maps_keep_order_through_removals(void **state)
{
	(void)state;
	struct map m = {0};
	char key[16];
	for (intptr_t i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "k%ld", (long)i);
		assert_null(map_set(&m, key, (void *)(i + 1)));
	}
	for (int i = 0; i < 1000; i += 2) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal((intptr_t)map_remove(&m, key), i + 1);
	}
	for (int i = 1000; i < 3000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		map_set(&m, key, (void *)(intptr_t)(i + 1));
	}
	assert_int_equal(m.len, 2500);
	intptr_t last = 0;
	for map_each (e, &m) {
		assert_true((intptr_t)e->value > last);
		last = (intptr_t)e->value;
	}
	assert_int_equal(last, 3000);
	assert_false(map_has(&m, "k0"));
	assert_true(map_has(&m, "k1"));
	map_release(&m, NULL);
}

static void merges_what_happened_to_a_path(void **state)
{
	(void)state;
	struct change_set set = {0};
	change_set_add(&set, CHANGE_DELETED, false, "/c");
	change_set_add(&set, CHANGE_ADDED, false, "/c");
	change_set_add(&set, CHANGE_ADDED, false, "/a");
	change_set_add(&set, CHANGE_DELETED, false, "/a");
	change_set_add(&set, CHANGE_MODIFIED, false, "/b");
	change_set_add(&set, CHANGE_DELETED, false, "/b");
	change_set_add(&set, CHANGE_DELETED, false, "/d");
	change_set_add(&set, CHANGE_ADDED, true, "/d");
	change_set_sort(&set);
	assert_int_equal(set.len, 4);
	assert_string_equal(set.items[0].path, "/b");
	assert_int_equal(set.items[0].kind, CHANGE_DELETED);
	assert_int_equal(set.items[1].kind, CHANGE_MODIFIED);
	assert_int_equal(set.items[2].kind, CHANGE_DELETED);
	assert_int_equal(set.items[3].kind, CHANGE_ADDED);
	assert_true(set.items[3].directory);
	change_set_release(&set);
}

/* One by one or all at once: the same comes of it. */
static void inserts_as_it_sorts(void **state)
{
	(void)state;
	static const char *const paths[] = {"/a", "/b", "/b/c", "/d", "/e"};
	unsigned random = 1;
	for (int round = 0; round < 500; round++) {
		struct change_set one = {0}, all = {0};
		for (int i = 0; i < 12; i++) {
			random = random * 1103515245 + 12345;
			enum change_kind kind = (random >> 16) % 3;
			bool directory = (random >> 20) % 4 == 0;
			const char *path = paths[(random >> 24) % ARRAY_LEN(paths)];
			change_set_insert(&one, kind, directory, path);
			change_set_add(&all, kind, directory, path);
		}
		change_set_sort(&all);
		assert_int_equal(one.len, all.len);
		for (size_t i = 0; i < all.len; i++) {
			assert_string_equal(one.items[i].path, all.items[i].path);
			assert_int_equal(one.items[i].kind, all.items[i].kind);
			assert_int_equal(one.items[i].directory, all.items[i].directory);
		}
		change_set_release(&one);
		change_set_release(&all);
	}
}

static void hashes_read_back(void **state)
{
	(void)state;
	struct hash h = hash_bytes("abc", 3), back;
	char hex[HASH_HEX_SIZE];
	hash_to_hex(h, hex);
	assert_int_equal(hash_from_hex(hex, &back), 0);
	assert_true(hash_equal(h, back));
	assert_int_equal(hash_from_hex("xyz", &back), -EINVAL);
}

static void shows_hostile_names(void **state)
{
	(void)state;
	_cleanup_free_ char *shown = str_printable("a\x1b[31m\n\xff\xc2\x85ü");
	assert_string_equal(shown, "a\\x1b[31m\\n\\xff\\xc2\\x85ü");
	_cleanup_free_ char *replaced = utf8_replace_invalid("a\xff", 2);
	assert_string_equal(replaced, "a\xef\xbf\xbd");
}

static void chains_errors(void **state)
{
	(void)state;
	struct error err = {0};
	assert_int_equal(error_at(&err, (struct place){"f.yaml", 3, 5}, EINVAL, "bad %d", 1), -EINVAL);
	assert_int_equal(error_wrap(&err, "reading"), -EINVAL);
	_cleanup_free_ char *text = error_format(&err);
	assert_string_equal(text, "f.yaml:3:5: reading: bad 1");
	error_clear(&err);
}

static void reads_only_regular_files_within_the_limit(void **state)
{
	(void)state;
	struct error err = {0};
	char path[] = "/tmp/skiff-test-XXXXXX";
	int fd = mkstemp(path);
	assert_int_equal(write_all(fd, "12345", 5), 0);
	close(fd);
	char *data = NULL;
	size_t len;
	assert_int_equal(file_read(path, 5, &data, &len, &err), 0);
	assert_int_equal(len, 5);
	free(data);
	assert_int_equal(file_read(path, 4, &data, &len, &err), -EFBIG);
	assert_int_equal(file_read("/tmp", 4, &data, &len, &err), -EISDIR);
	assert_int_equal(file_write_atomic(path, "x", 1, 0644, &err), 0);
	assert_int_equal(file_remove_tree(path, &err), 0);
	error_clear(&err);
}

static void owners_are_numbers_or_names_of_the_accounts(void **state)
{
	(void)state;
	const struct accounts accounts = {
		.passwd = (char *)(uintptr_t) "root:x:0:0::/:/bin/sh\nbob:x:77:88::/:\nsolo:x:5:6::/"
					      ":\nbad:x:99999999999:1\ncut:x",
		.group = (char *)(uintptr_t) "root:x:0:\nbob:x:99:\nstaff:x:50:bob\n",
	};
	static const struct {
		const char *written;
		int code;
		uint32_t uid, gid;
	} cases[] = {
		{"1000", 0, 1000, 1000},     {"1000:50", 0, 1000, 50}, {"bob", 0, 77, 99},
		{"bob:staff", 0, 77, 50},    {"7:staff", 0, 7, 50},    {"bob:3", 0, 77, 3},
		{"solo", 0, 5, 6},	     {":staff", 0, 0, 50},     {"9:", 0, 9, 9},
		{"bad", -EINVAL, 0, 0},	     {"cut", -EINVAL, 0, 0},   {"nobody", -EINVAL, 0, 0},
		{"bob:solo", -EINVAL, 0, 0}, {"-1", -EINVAL, 0, 0},    {"4294967295", -EINVAL, 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = {0};
		uint32_t uid = 0, gid = 0;
		int r = owner_resolve(cases[i].written, &accounts, &uid, &gid, &err);
		assert_int_equal(r, cases[i].code);
		if (r == 0) {
			assert_int_equal(uid, cases[i].uid);
			assert_int_equal(gid, cases[i].gid);
		}
		error_clear(&err);
	}
	assert_false(owner_is_named("1:2"));
	assert_true(owner_is_named("1:staff"));
	assert_int_equal(owner_resolve("bob", NULL, &(uint32_t){0}, &(uint32_t){0}, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(normalizes_paths),
		cmocka_unit_test(tells_what_is_below),
		cmocka_unit_test(knows_safe_destinations),
		cmocka_unit_test(strings_stop_at_their_maximum),
		cmocka_unit_test(finds_the_nearest_word),
		cmocka_unit_test(maps_keep_order_through_removals),
		cmocka_unit_test(merges_what_happened_to_a_path),
		cmocka_unit_test(inserts_as_it_sorts),
		cmocka_unit_test(hashes_read_back),
		cmocka_unit_test(shows_hostile_names),
		cmocka_unit_test(owners_are_numbers_or_names_of_the_accounts),
		cmocka_unit_test(chains_errors),
		cmocka_unit_test(reads_only_regular_files_within_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
