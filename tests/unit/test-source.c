/* Sources as a session reads them: from the host, or from what is held. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/source.h"

static int set_up(void **state)
{
	char *directory = xstrdup("/tmp/skiff-source-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	*state = directory;
	return 0;
}

static int tear_down(void **state)
{
	char *directory = *state;
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(file_remove_tree(directory, NULL), 0);
	free(directory);
	return 0;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
	assert_int_equal(file_write_atomic(path, bytes, len, 0640, NULL), 0);
}

static void what_is_held_needs_no_file(void **state)
{
	static const char *const contents[] = {"what was looked at", ""};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
		char *bytes = xstrdup(contents[i]); /* of its own size: a free too many, or a read too far, is seen */
		size_t len = strlen(bytes);
		char src[] = "gone", dest[] = "/dest";
		const struct held_file held = {.bytes = bytes,
					       .size = len,
					       .mode = S_IFREG | 0750,
					       .hash = hash_bytes(bytes, len)};
		const struct carry_item item = {
			.kind = CARRY_FILE, .src = src, .dest = dest, .mode = MODE_HOST, .held = &held};
		for (int instance = 0; instance < 2; instance++) {
			struct source source;
			assert_int_equal(source_open(&item, &source, NULL), 0);
			assert_int_equal(source.kind, CARRY_FILE);
			assert_int_equal(source.fd, -1);
			assert_int_equal(source.size, len);
			assert_ptr_equal(source.bytes, bytes);
			assert_int_equal(source_mode(&item, &source, 0), 0750);
			assert_true(source_settled(&source));
			assert_true(hash_equal(source.hash, held.hash));
			source_release(&source);
			assert_null(source.bytes);
			assert_false(source.borrowed);
			assert_string_equal(bytes, contents[i]);
		}
		free(bytes);
	}
}

static void what_is_not_held_is_read(void **state)
{
	char src[] = "file", gone[] = "gone", dest[] = "/dest";
	struct source source;
	(void)state;
	write_file(src, "", 0);
	struct carry_item item = {.kind = CARRY_FILE, .src = src, .dest = dest};
	assert_int_equal(source_open(&item, &source, NULL), 0);
	assert_int_equal(source.size, 0);
	assert_non_null(source.bytes); /* of an empty file, too */
	assert_false(source.borrowed);
	source_release(&source);
	item.src = gone;
	assert_int_equal(source_open(&item, &source, NULL), -ENOENT);
}

static void what_was_a_file(void **state)
{
	struct source source;
	(void)state;
	write_file("file", "hello", 5);
	assert_int_equal(symlink("file", "link"), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(source_open_file("file", &source, NULL), 0);
	assert_int_equal(source.mode, S_IFREG | 0640);
	assert_memory_equal(source.bytes, "hello", 5);
	source_release(&source);
	assert_int_equal(source_open_file("link", &source, NULL), -ELOOP);
	assert_int_equal(source_open_file("fifo", &source, NULL), -ENOENT);
	assert_int_equal(source_open_file(".", &source, NULL), -ENOENT);
	assert_int_equal(source_open_file("gone", &source, NULL), -ENOENT);
	assert_int_equal(source.fd, -1);
}

static void reading_leaves_the_access_time(void **state)
{
	/* Older than the modification: even a `relatime` mount would set it. */
	const struct timespec times[] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	char src[] = "file", dest[] = "/dest";
	const struct carry_item item = {.kind = CARRY_FILE, .src = src, .dest = dest};
	struct source source;
	struct stat st;
	(void)state;
	write_file(src, "hello", 5);
	assert_int_equal(utimensat(AT_FDCWD, src, times, 0), 0);
	assert_int_equal(source_open(&item, &source, NULL), 0);
	source_release(&source);
	assert_int_equal(stat(src, &st), 0);
	assert_int_equal(st.st_atim.tv_sec, 1000);
}

/* Who may not ask for that reads all the same. */
static void another_ones_file_is_read(void **state)
{
	(void)state;
	write_file("file", "hello", 5);
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod("file", 0644), 0);
	assert_int_equal(chmod(".", 0755), 0);
	assert_int_equal(seteuid(65534), 0);
	int refused = open("file", O_RDONLY | O_NOATIME) < 0 ? errno : 0;
	int fd = source_open_descriptor("file");
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(refused, EPERM);
	assert_true(fd >= 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_held_needs_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_held_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reading_leaves_the_access_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_ones_file_is_read, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
