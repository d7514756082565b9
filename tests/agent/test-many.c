/* Batches of so many files that the agent does them by several threads: test-many PROGRAM [ARGUMENT]… */
#include "test.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "driver.h"

enum { DIRECTORIES = 7, COUNT = 301 };

static const char *name_of(int number)
{
	static char name[32];
	snprintf(name, sizeof(name), "d%d/f%d", number % DIRECTORIES, number);
	return name;
}

static const char *content_of(int round, int number)
{
	static char content[32];
	snprintf(content, sizeof(content), "%d.%d", round, number);
	return content;
}

static void send_files(struct driver *d, int round, int count)
{
	for (int i = 0; i < count; i++)
		driver_send(d, file_at(name_of(i), content_of(round, i)));
}

static void expect_files(int round, int count)
{
	for (int i = 0; i < count; i++)
		expect_content(name_of(i), content_of(round, i));
}

/* Made, replaced, replaced again. */
static void carry_rounds(int count)
{
	struct driver d;
	driver_start(&d);
	for (int round = 0; round < 3; round++) {
		send_files(&d, round, count);
		assert_true(driver_commit(&d, (size_t)count).flags & WIRE_ATOMIC);
		expect_files(round, count);
		assert_int_equal(count_hidden(), 0);
	}
	driver_end(&d);
}

static void test_old_kernels(void **state)
{
	(void)state;
	for (driver_kernel = KERNEL_WHOLE; driver_kernel <= KERNEL_NO_THREADS; driver_kernel++) {
		if (agent_program[1] && driver_kernel != KERNEL_WHOLE)
			break;
		carry_rounds(COUNT);
	}
	driver_kernel = KERNEL_WHOLE;
}

static void test_fewer_descriptors_than_files(void **state)
{
	struct rlimit limit = {512, 512}, before;
	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	setrlimit(RLIMIT_NOFILE, &limit);
	carry_rounds(1200);
	setrlimit(RLIMIT_NOFILE, &before);
}

static void test_one_processor(void **state)
{
	cpu_set_t before, one;
	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &before))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	carry_rounds(COUNT);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

/* The last request for a path stands, also where something is in the way of an earlier one. */
static void test_same_path(void **state)
{
	struct driver d;
	(void)state;
	for (driver_kernel = KERNEL_WHOLE; driver_kernel <= KERNEL_NO_TMPFILE; driver_kernel++) {
		if (agent_program[1] && driver_kernel != KERNEL_WHOLE)
			break;
		assert_int_equal(file_remove_tree(folder, NULL), 0);
		assert_int_equal(mkdir(folder, 0755), 0);
		for (int i = 0; i < DIRECTORIES; i++) {
			char name[8];
			snprintf(name, sizeof(name), "d%d", i);
			assert_int_equal(mkdir(path_of(name), 0755), 0);
		}
		for (int i = 0; i < COUNT; i += 3) /* the others are new */
			put(name_of(i), "old", 0644);
		assert_int_equal(mkdir(path_of("d3/f10"), 0755), 0);
		put("d3/f10/below", "x", 0644);
		driver_start(&d);
		for (int round = 0; round < 3; round++)
			send_files(&d, round, COUNT);
		driver_commit(&d, (size_t)3 * COUNT);
		expect_files(2, COUNT);
		assert_int_equal(count_hidden(), 0);
		driver_end(&d);
	}
	driver_kernel = KERNEL_WHOLE;
}

/* Deletes, links and directories among them. */
static void test_mixture(void **state)
{
	struct driver d;
	(void)state;
	carry_rounds(COUNT);
	driver_start(&d);
	put("old", "x", 0644);
	send_files(&d, 3, COUNT);
	driver_send(&d, at(WIRE_DELETE, "old"));
	assert_true(driver_commit(&d, COUNT + 1).flags & WIRE_ATOMIC);
	expect_files(3, COUNT);
	assert_false(file_exists(path_of("old")));
	struct wire_message link = at(WIRE_SYMLINK, "current");
	link.mode = 0;
	link.text = (struct wire_bytes){"d1", 2};
	driver_send(&d, link);
	driver_send(&d, at(WIRE_MKDIR, "made"));
	driver_send(&d, file_at("current/through", "the link"));
	driver_send(&d, file_at("made/new", "new"));
	send_files(&d, 4, COUNT);
	driver_commit(&d, COUNT + 4);
	expect_files(4, COUNT);
	expect_content("d1/through", "the link");
	expect_content("made/new", "new");
	assert_int_equal(count_hidden(), 0);
	driver_end(&d);
}

/* One that can't be: nothing of it is seen. */
static void test_strict(void **state)
{
	struct driver d;
	(void)state;
	carry_rounds(COUNT);
	driver_start(&d);
	send_files(&d, 5, COUNT);
	driver_send(&d, file_at("new/one", "new"));
	struct wire_message other = file_at("d0/f0", "other");
	other.flags = WIRE_EXPECT;
	other.expected = wire_hash_bytes("never was", 9);
	driver_send(&d, other);
	driver_send(&d, (struct wire_message){.type = WIRE_COMMIT, .flags = WIRE_STRICT});
	for (int i = 0; i < COUNT + 2; i++)
		assert_int_not_equal(driver_take(&d, WIRE_RESULT).value, 0);
	driver_take(&d, WIRE_COMMITTED);
	expect_files(2, COUNT);
	assert_false(file_exists(path_of("new/one")));
	assert_int_equal(count_hidden(), 0);
	driver_end(&d);
}

/* Killed somewhere in the switch: each file is the old or the new one, and what was left under hidden names goes with the next batch. */
static void test_killed(void **state)
{
	enum { STEP_NS = 400000 };
	int rounds = driver_is_slow() ? 6 : 20;
	struct driver d;
	(void)state;
	carry_rounds(COUNT);
	for (int round = 3; round < 3 + rounds; round++) {
		driver_start(&d);
		send_files(&d, round, COUNT);
		driver_send(&d, (struct wire_message){.type = WIRE_PING});
		driver_take(&d, WIRE_PONG);
		driver_send(&d, (struct wire_message){.type = WIRE_COMMIT});
		nanosleep(&(struct timespec){0, (round - 3) * STEP_NS}, NULL);
		driver_kill(&d);
		for (int i = 0; i < COUNT; i++) {
			_cleanup_free_ char *is = get(name_of(i));
			assert_non_null(is);
			assert_true(strcmp(is, content_of(round - 1, i)) == 0 || strcmp(is, content_of(round, i)) == 0);
		}
		driver_start(&d);
		send_files(&d, round, COUNT);
		driver_commit(&d, COUNT);
		expect_files(round, COUNT);
		assert_int_equal(count_hidden(), 0);
		driver_end(&d);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_old_kernels),	  TEST(test_fewer_descriptors_than_files),
		TEST(test_one_processor), TEST(test_same_path),
		TEST(test_mixture),	  TEST(test_strict),
		TEST(test_killed),
	};
	if (argc < 2)
		return 2;
	agent_program = argv + 1;
	signal(SIGPIPE, SIG_IGN);
	driver_apart();
	return cmocka_run_group_tests_name("many", tests, NULL, NULL);
}
