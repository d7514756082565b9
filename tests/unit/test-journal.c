/* The journal: what is written is read, whatever end it was cut off at; what was damaged is refused. */
#include "test.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/journal.h"

struct fixture {
	char *directory;
	struct journal *journal;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->directory = xstrdup("/tmp/skiff-journal-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	setenv("XDG_STATE_HOME", f->directory, 1);
	f->journal = journal_new("j");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	journal_close(f->journal);
	assert_int_equal(file_remove_tree(f->directory, NULL), 0);
	free(f->directory);
	free(f);
	return 0;
}

static const struct journal_owned page = {.kind = 0,
					  .src = (char *)(uintptr_t) "/p/a\n\xff",
					  .mode = MODE_HOST,
					  .host_mode = S_IFREG | 0644,
					  .hash = {1, 2},
					  .number = 7,
					  .replaced = 3};
static const struct journal_owned class_ = {.kind = 1,
					    .src = (char *)(uintptr_t) "/kept/0123",
					    .origin = (char *)(uintptr_t) "/p/target/A.class",
					    .owner = (char *)(uintptr_t) "app:app",
					    .generated = true,
					    .owner_if_new = true,
					    .mode = 0755,
					    .hash = {UINT64_MAX, 5},
					    .number = UINT64_MAX};
static const struct journal_owned gone = {.kind = 3};
static const struct journal_seen seen = {.mode = S_IFREG | 0600, .hash = {8, 9}}, removed = {0};

static void put_some(struct journal *journal)
{
	journal_put_image(journal, "sha256:1");
	journal_put_owned(journal, "/srv/a", &page);
	journal_put_owned(journal, "/app/A.class", &class_);
	journal_put_owned(journal, "/srv/b", &page);
	journal_put_owned(journal, "/srv/b", &gone); /* the later counts */
	journal_put_seen(journal, "/p/a\n\xff", &seen);
	journal_put_seen(journal, "/p/b", &removed);
	journal_put_next(journal, "sha256:2");
}

static void assert_owned(const struct journal_state *read, const char *dest, const struct journal_owned *wanted)
{
	const struct journal_owned *got = map_get(&read->owned, dest);
	assert_non_null(got);
	assert_int_equal(got->kind, wanted->kind);
	assert_true(str_equal(got->src, wanted->src));
	assert_true(str_equal(got->origin, wanted->origin));
	assert_true(str_equal(got->owner, wanted->owner));
	assert_int_equal(got->generated, wanted->generated);
	assert_int_equal(got->owner_if_new, wanted->owner_if_new);
	assert_int_equal(got->mode, wanted->mode);
	assert_int_equal(got->host_mode, wanted->host_mode);
	assert_true(hash_equal(got->hash, wanted->hash));
	assert_true(got->number == wanted->number && got->replaced == wanted->replaced);
}

static void assert_some(const struct journal_state *read)
{
	assert_string_equal(read->base_id, "sha256:1");
	assert_string_equal(read->next_id, "sha256:2");
	assert_int_equal(read->owned.len, 3);
	assert_owned(read, "/srv/a", &page);
	assert_owned(read, "/app/A.class", &class_);
	assert_owned(read, "/srv/b", &gone);
	assert_int_equal(read->seen.len, 2);
	const struct journal_seen *got = map_get(&read->seen, page.src);
	assert_true(got && got->mode == seen.mode && hash_equal(got->hash, seen.hash));
	got = map_get(&read->seen, "/p/b");
	assert_true(got && got->mode == 0);
}

static void what_is_written_is_read(void **state)
{
	struct fixture *f = *state;
	CLEANUP(journal_state_release) struct journal_state read = {0};
	assert_int_equal(journal_load("j", &read, NULL), -ENOENT);
	journal_put_owned(f->journal, "/srv/c", &page); /* nothing is about any image yet */
	assert_int_equal(journal_append(f->journal, NULL), 0);
	assert_false(journal_exists("j"));
	put_some(f->journal);
	assert_int_equal(journal_replace(f->journal, NULL), 0);
	assert_int_equal(journal_load("j", &read, NULL), 0);
	assert_some(&read);
	journal_state_release(&read);
	journal_put_owned(f->journal, "/srv/c", &page);
	assert_int_equal(journal_append(f->journal, NULL), 0);
	assert_int_equal(journal_load("j", &read, NULL), 0);
	assert_int_equal(read.owned.len, 4);
	journal_remove("j");
	assert_false(journal_exists("j"));
}

static void a_torn_end_is_left_out(void **state)
{
	struct fixture *f = *state;
	put_some(f->journal);
	const struct str *all = journal_waiting(f->journal);
	size_t readable = 0, last = 0;
	for (size_t len = 0; len <= all->len; len++) {
		CLEANUP(journal_state_release) struct journal_state read = {0};
		_cleanup_free_ char *bytes = xmemdup(all->data, len + 1); /* so that a byte too far is seen */
		int r = journal_decode(bytes, len, &read, NULL);
		size_t count = read.owned.len + read.seen.len + (read.next_id != NULL);
		assert_true(r == 0 ||
			    (r == -EBADMSG && readable == 0)); /* before the image is named there is no journal */
		assert_true(count >= last);
		readable += r == 0;
		last = count;
	}
	assert_int_equal(last, 6);
}

static void damage_is_refused(void **state)
{
	struct fixture *f = *state;
	put_some(f->journal);
	const struct str *all = journal_waiting(f->journal);
	for (size_t at = 0; at < all->len; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			CLEANUP(journal_state_release) struct journal_state read = {0};
			_cleanup_free_ char *bytes = xmemdup(all->data, all->len);
			bytes[at] = (char)(bytes[at] ^ (1 << bit));
			assert_int_equal(journal_decode(bytes, all->len, &read, NULL), -EBADMSG);
			assert_null(read.base_id);
		}
	}
}

static void what_grows_is_written_anew(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	_cleanup_free_ char *path = path_join(f->directory, "skiff/journal/j");
	put_some(f->journal);
	assert_int_equal(journal_replace(f->journal, NULL), 0);
	assert_false(journal_is_long(f->journal));
	for (int i = 0; !journal_is_long(f->journal); i++) {
		assert_true(i < 100000);
		journal_put_owned(f->journal, "/srv/a", &page);
		assert_int_equal(journal_append(f->journal, NULL), 0);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 1 << 20);
	put_some(f->journal);
	assert_int_equal(journal_replace(f->journal, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 2000);
	assert_false(journal_is_long(f->journal));
}

static void none_is_better_than_half(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *dir = path_join(f->directory, "skiff/journal"), *path = path_join(dir, "j.new");
	CLEANUP(error_clear) struct error err = {0};
	put_some(f->journal);
	assert_int_equal(journal_replace(f->journal, NULL), 0);
	assert_int_equal(mkdir(path, 0700), 0); /* so that it can't be written beside */
	put_some(f->journal);
	assert_true(journal_replace(f->journal, &err) < 0);
	assert_false(journal_exists("j"));
	journal_put_owned(f->journal, "/srv/a", &page);
	assert_int_equal(journal_append(f->journal, NULL), 0); /* it was told once */
	assert_false(journal_exists("j"));
}

static void names(void **state)
{
	(void)state;
	_cleanup_free_ char *a = journal_name("run", "docker", "web"), *b = journal_name("run", "docker", "web"),
			    *c = journal_name("run", "docker", "db"), *d = journal_name("run", "embedded", "web");
	assert_string_equal(a, b);
	assert_string_not_equal(a, c);
	assert_string_not_equal(a, d);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_read),	  TEST(a_torn_end_is_left_out),	  TEST(damage_is_refused),
		TEST(what_grows_is_written_anew), TEST(none_is_better_than_half), TEST(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
