/* Bytes that are kept until the next image. */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/path.h"
#include "sync/journal.h"
#include "sync/kept.h"

struct fixture {
	char *directory;
	struct kept *kept;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->directory = xstrdup("/tmp/skiff-kept-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	setenv("XDG_STATE_HOME", f->directory, 1);
	assert_int_equal(chdir(f->directory), 0);
	assert_int_equal(kept_open(NULL, &f->kept, NULL), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	kept_close(f->kept);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(file_remove_tree(f->directory, NULL), 0);
	free(f->directory);
	free(f);
	return 0;
}

static void write_bytes(const char *path, const void *bytes, size_t len, mode_t mode)
{
	assert_int_equal(file_write_atomic(path, bytes, len, mode, NULL), 0);
}

static void assert_content(const char *path, const void *bytes, size_t len)
{
	_cleanup_free_ char *data = NULL;
	size_t got = 0;
	assert_int_equal(file_read(path, (size_t)64 << 20, &data, &got, NULL), 0);
	assert_int_equal(got, len);
	assert_memory_equal(data, bytes, len);
}

/* The number of files beside the lock. */
static size_t copies(const char *copy)
{
	_cleanup_free_ char *folder = path_dir(copy);
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	size_t count = 0;
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.' && strcmp(entry->d_name, "lock") != 0;
	closedir(dir);
	return count;
}

static void files(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = {0, 1, (size_t)1 << 20, ((size_t)1 << 20) + 1, (size_t)5 << 20};
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		_cleanup_free_ char *bytes = xmalloc(sizes[i] + 1), *copy = NULL, *again = NULL;
		struct hash hash, hash_again;
		struct stat st, st_again;
		unsigned mode = 0;
		memset(bytes, 'a' + (int)i, sizes[i]);
		write_bytes("f", bytes, sizes[i], 0751);
		assert_int_equal(kept_file(f->kept, "f", &copy, &hash, &mode, NULL), 0);
		assert_int_equal(mode, S_IFREG | 0751);
		assert_true(hash_equal(hash, hash_bytes(bytes, sizes[i])));
		assert_true(path_is_absolute(copy));
		assert_int_equal(stat(copy, &st), 0);
		assert_int_equal(st.st_mode, S_IFREG | 0400);
		write_bytes("f", bytes, sizes[i], 0644);
		assert_int_equal(kept_file(f->kept, "f", &again, &hash_again, &mode, NULL), 0);
		assert_int_equal(mode, S_IFREG | 0644);
		assert_string_equal(copy, again);
		assert_int_equal(stat(again, &st_again), 0);
		assert_int_equal(st.st_ino, st_again.st_ino); /* not written again */
		assert_int_equal(unlink("f"), 0);
		assert_content(copy, bytes, sizes[i]);
		assert_int_equal(copies(copy), i + 1);
	}
}

static void links(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *file = NULL, *link = NULL, *again = NULL;
	struct hash file_hash, hash, hash_again;
	unsigned mode = 0;
	char target[16] = {0};
	write_bytes("f", "nowhere", 7, 0644);
	assert_int_equal(symlink("nowhere", "l"), 0);
	assert_int_equal(kept_file(f->kept, "f", &file, &file_hash, &mode, NULL), 0);
	assert_int_equal(kept_file(f->kept, "l", &link, &hash, &mode, NULL), 0);
	assert_true(S_ISLNK(mode));
	assert_true(hash_equal(hash, file_hash));
	assert_string_not_equal(file, link);
	assert_int_equal(readlink(link, target, sizeof(target)), 7);
	assert_string_equal(target, "nowhere");
	assert_int_equal(kept_link(f->kept, "nowhere", &again, &hash_again, NULL), 0);
	assert_string_equal(link, again);
}

static void what_is_no_file(void **state)
{
	struct fixture *f = *state;
	char *copy = NULL;
	struct hash hash;
	unsigned mode;
	assert_int_equal(mkfifo("fifo", 0644), 0);
	assert_int_equal(mkdir("dir", 0755), 0);
	write_bytes("f", "", 0, 0644);
	static const char *const names[] = {"missing", "fifo", "dir", "f/below"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(kept_file(f->kept, names[i], &copy, &hash, &mode, NULL), -ENOENT);
	assert_null(copy);
}

struct source {
	const char *text;
	int fail;
};

static ssize_t produce(void *data, void *buffer, size_t cap, struct error *err)
{
	struct source *source = data;
	size_t len = strlen(source->text) < cap ? strlen(source->text) : cap;
	if (!len && source->fail)
		return error_set(err, source->fail, "the source broke");
	len = len > 2 ? 2 : len;
	memcpy(buffer, source->text, len);
	source->text += len;
	return (ssize_t)len;
}

static void streams(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *copy = NULL, *again = NULL, *broken = NULL;
	struct hash hash;
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(kept_stream(f->kept, produce, &(struct source){.text = "hello"}, &copy, &hash, NULL), 0);
	assert_true(hash_equal(hash, hash_bytes("hello", 5)));
	assert_content(copy, "hello", 5);
	assert_int_equal(kept_stream(f->kept, produce, &(struct source){.text = "hello"}, &again, &hash, NULL), 0);
	assert_string_equal(copy, again);
	assert_int_equal(kept_stream(f->kept, produce, &(struct source){.text = "half", .fail = EPROTO}, &broken, &hash,
				     &err),
			 -EPROTO);
	assert_string_equal(err.message, "the source broke");
	assert_null(broken);
	assert_int_equal(copies(copy), 1);
}

static void disk_full(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *small = NULL, *copy = NULL, *bytes = xcalloc(1, (size_t)4 << 20);
	struct hash hash;
	struct rlimit old, tight;
	unsigned mode;
	write_bytes("small", "x", 1, 0644);
	write_bytes("large", bytes, (size_t)4 << 20, 0644);
	write_bytes("middle", bytes, (size_t)1 << 20, 0644);
	assert_int_equal(kept_file(f->kept, "small", &small, &hash, &mode, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = (struct rlimit){.rlim_cur = 64 << 10, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	int large = kept_file(f->kept, "large", &copy, &hash, &mode, NULL);
	int middle = kept_file(f->kept, "middle", &copy, &hash, &mode, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_true(large == 0 || large == -EFBIG); /* where blocks are shared nothing is written */
	assert_int_equal(middle, -EFBIG);
	if (large < 0)
		assert_null(copy);
	assert_int_equal(copies(small), large == 0 ? 2 : 1);
}

static void prunes(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *a = NULL, *b = NULL, *link = NULL;
	struct hash hash;
	unsigned mode;
	struct map keep = {0};
	write_bytes("a", "a", 1, 0644);
	write_bytes("b", "b", 1, 0644);
	assert_int_equal(kept_file(f->kept, "a", &a, &hash, &mode, NULL), 0);
	assert_int_equal(kept_file(f->kept, "b", &b, &hash, &mode, NULL), 0);
	assert_int_equal(kept_link(f->kept, "target", &link, &hash, NULL), 0);
	map_set(&keep, b, NULL);
	kept_prune(f->kept, &keep);
	map_release(&keep, NULL);
	assert_false(file_exists(a));
	assert_true(file_exists(b));
	assert_false(file_exists(link));
	free(steal(&a));
	assert_int_equal(kept_file(f->kept, "a", &a, &hash, &mode, NULL), 0);
	assert_content(a, "a", 1);
}

static size_t folders(const struct fixture *f)
{
	_cleanup_free_ char *all = path_join(f->directory, "skiff/kept/lock");
	return copies(all);
}

static void folders_of_the_dead(void **state)
{
	struct fixture *f = *state;
	struct kept *second = NULL, *third = NULL;
	assert_int_equal(kept_open(NULL, &second, NULL), 0);
	assert_int_equal(folders(f), 2); /* the living keep theirs */
	assert_int_equal(mkdir("skiff/kept/dead", 0700), 0);
	assert_int_equal(mkdir("skiff/kept/killed", 0700), 0);
	write_bytes("skiff/kept/killed/lock", "", 0, 0600);
	write_bytes("skiff/kept/killed/0123", "bytes", 5, 0400);
	assert_int_equal(kept_open(NULL, &third, NULL), 0);
	assert_int_equal(folders(f), 3);
	assert_false(file_exists("skiff/kept/dead"));
	assert_false(file_exists("skiff/kept/killed"));
	kept_close(second);
	kept_close(third);
	kept_close(NULL);
	assert_int_equal(folders(f), 1);
}

static void a_journals_folder_stays(void **state)
{
	struct fixture *f = *state;
	CLEANUP(error_clear) struct error err = {0};
	struct kept *first = NULL, *second = NULL;
	_cleanup_free_ char *copy = NULL, *again = NULL;
	struct hash hash;
	unsigned mode;
	write_bytes("src", "bytes", 5, 0600);
	assert_int_equal(mkdir("skiff/journal", 0700), 0);
	write_bytes("skiff/journal/j", "", 0, 0600);
	assert_int_equal(kept_open("j", &first, NULL), 0);
	assert_int_equal(kept_file(first, "src", &copy, &hash, &mode, NULL), 0);
	assert_int_equal(kept_open("j", &second, &err), -EWOULDBLOCK);
	kept_remove("j"); /* somebody has it */
	assert_content(copy, "bytes", 5);
	kept_close(first);
	assert_int_equal(kept_open(NULL, &second, NULL), 0); /* clears away what nobody needs */
	kept_close(second);
	assert_content(copy, "bytes", 5);
	assert_int_equal(kept_open("j", &first, NULL), 0);
	assert_int_equal(kept_file(first, "src", &again, &hash, &mode, NULL), 0);
	assert_string_equal(again, copy);
	kept_close(first);
	kept_remove("j");
	assert_int_equal(folders(f), 1);
	assert_int_equal(kept_open("j", &first, NULL), 0);
	kept_close(first);
	journal_remove("j");
	assert_int_equal(kept_open(NULL, &second, NULL), 0);
	kept_close(second);
	assert_int_equal(folders(f), 1); /* it went with its journal */
}

/* A file that somebody writes all the time: a copy is what was there at one moment, or the file is said to keep changing. */
struct writer {
	atomic_bool stop;
	char *bytes;
	size_t len;
};

static void *write_on(void *data)
{
	struct writer *w = data;
	for (char c = 'a'; !atomic_load(&w->stop); c = c == 'z' ? 'a' : (char)(c + 1)) {
		memset(w->bytes, c, w->len);
		write_bytes("f", w->bytes, w->len, 0644);
	}
	return NULL;
}

static void while_it_is_replaced(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	struct writer w = {.bytes = xcalloc(1, 100000), .len = 100000};
	write_bytes("f", w.bytes, w.len, 0644);
	assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
	for (int i = 0; i < 50; i++) {
		_cleanup_free_ char *copy = NULL, *data = NULL;
		struct hash hash;
		size_t len = 0;
		unsigned mode;
		if (kept_file(f->kept, "f", &copy, &hash, &mode, NULL) < 0)
			continue;
		assert_int_equal(file_read(copy, w.len, &data, &len, NULL), 0);
		assert_int_equal(len, w.len);
		assert_true(hash_equal(hash, hash_bytes(data, len)));
		assert_memory_equal(data, data + 1, len - 1); /* one letter */
	}
	atomic_store(&w.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	free(w.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(streams, set_up, tear_down),
		cmocka_unit_test_setup_teardown(disk_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(prunes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(folders_of_the_dead, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_journals_folder_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(while_it_is_replaced, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
