/* Looking at candidates: what of their files is held until it is sent. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "dev/owned.h"
#include "runtime/source.h"

struct fixture {
	char *directory;
	struct candidate_list list;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->directory = xstrdup("/tmp/skiff-owned-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	candidates_release(&f->list);
	assert_int_equal(file_remove_tree(f->directory, NULL), 0);
	free(f->directory);
	free(f);
	return 0;
}

static struct candidate *add(struct fixture *f, const char *name, enum path_class class)
{
	const struct classification c = {.class_ = class, .mode = MODE_HOST};
	_cleanup_free_ char *path = path_join(f->directory, name);
	return candidate_add(&f->list, path, "/dest", &c);
}

static struct candidate *add_file(struct fixture *f, const char *name, const void *bytes, size_t len)
{
	_cleanup_free_ char *path = path_join(f->directory, name);
	assert_int_equal(file_write_atomic(path, bytes, len, 0640, NULL), 0);
	return add(f, name, PATH_DIRECT);
}

static void a_small_file_is_held(void **state)
{
	static const char *const contents[] = {"what was saved", ""};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
		size_t len = strlen(contents[i]), room = 100;
		struct candidate *c = add_file(f, "file", contents[i], len);
		candidate_prepare(c, NULL, &room);
		assert_false(c->skip);
		assert_int_equal(c->host_mode, S_IFREG | 0640);
		assert_true(hash_equal(c->hash, hash_bytes(contents[i], len)));
		assert_non_null(c->held);
		assert_int_equal(c->held->size, len);
		assert_memory_equal(c->held->bytes, contents[i], len);
		assert_int_equal(c->held->mode, c->host_mode);
		assert_true(hash_equal(c->held->hash, c->hash));
		assert_int_equal(room, 100 - len);
	}
}

/* Such a file is hashed all the same. */
static void what_has_no_room_is_not_held(void **state)
{
	struct fixture *f = *state;
	size_t room = 4;
	struct candidate *c = add_file(f, "file", "hello", 5);
	candidate_prepare(c, NULL, &room);
	assert_null(c->held);
	assert_int_equal(room, 4);
	assert_true(hash_equal(c->hash, hash_bytes("hello", 5)));
	c = add_file(f, "file", "hell", 4);
	candidate_prepare(c, NULL, &room);
	assert_non_null(c->held);
	assert_int_equal(room, 0);
	c = add_file(f, "file", "hello", 5);
	candidate_prepare(c, NULL, NULL);
	assert_null(c->held);
	assert_true(hash_equal(c->hash, hash_bytes("hello", 5)));
	size_t len = SOURCE_SMALL_MAX + 1, plenty = 2 * len;
	_cleanup_free_ char *large = xcalloc(1, len);
	c = add_file(f, "large", large, len);
	candidate_prepare(c, NULL, &plenty);
	assert_false(c->skip);
	assert_null(c->held);
	assert_int_equal(plenty, 2 * len);
	assert_int_equal(c->host_mode, S_IFREG | 0640);
	assert_true(hash_equal(c->hash, hash_bytes(large, len)));
}

static void what_is_not_carried_is_not_held(void **state)
{
	struct fixture *f = *state;
	size_t room = 100;
	struct candidate *c = add_file(f, "file", "hello", 5);
	c->known = true;
	c->known_kind = CARRY_FILE;
	c->known_mode = S_IFREG | 0640;
	c->known_hash = hash_bytes("hello", 5);
	candidate_prepare(c, NULL, &room);
	assert_true(c->skip);
	assert_null(c->held);
	c = add(f, "gone", PATH_DIRECT);
	candidate_prepare(c, NULL, &room);
	assert_true(c->skip && c->gone);
	assert_null(c->held);
	assert_int_equal(room, 100);
}

static void only_direct_files_are_held(void **state)
{
	struct fixture *f = *state;
	size_t room = 100;
	_cleanup_free_ char *link = path_join(f->directory, "link");
	assert_int_equal(symlink("target", link), 0);
	struct candidate *c = add(f, "link", PATH_DIRECT);
	candidate_prepare(c, NULL, &room);
	assert_int_equal(c->item.kind, CARRY_SYMLINK);
	assert_true(hash_equal(c->hash, hash_bytes("target", 6)));
	assert_null(c->held);
	c = add(f, ".", PATH_DIRECT);
	candidate_prepare(c, NULL, &room);
	assert_int_equal(c->item.kind, CARRY_DIRECTORY);
	assert_null(c->held);
	add_file(f, "output", "hello", 5);
	c = add(f, "output", PATH_OUTPUT);
	candidate_prepare(c, NULL, &room);
	assert_true(hash_equal(c->hash, hash_bytes("hello", 5)));
	assert_null(c->held);
	assert_int_equal(room, 100);
}

static void a_carry_borrows_what_is_held(void **state)
{
	struct fixture *f = *state;
	size_t room = 100;
	struct candidate *c = add_file(f, "file", "hello", 5);
	candidate_prepare(c, NULL, &room);
	const struct owned owned = {.kind = CARRY_FILE, .src = c->item.src, .mode = MODE_HOST, .hash = c->hash};
	struct carry carry = {0};
	struct source source;
	carry_owned(&carry, c, &owned, false);
	assert_int_equal(unlink(c->item.src), 0);
	assert_int_equal(source_open(&carry.items[0], &source, NULL), 0);
	assert_ptr_equal(source.bytes, c->held->bytes);
	assert_true(hash_equal(source.hash, owned.hash));
	source_release(&source);
	carry_release(&carry);
	assert_memory_equal(c->held->bytes, "hello", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_small_file_is_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_has_no_room_is_not_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_carried_is_not_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_direct_files_are_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_carry_borrows_what_is_held, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("owned", tests, NULL, NULL);
}
