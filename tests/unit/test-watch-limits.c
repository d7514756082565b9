/* What the machine may refuse: watches, event queues, directories. In a user namespace of its own where kernel limits are lowered. */
#include "watch-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"

static bool put_number(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write_all(fd, text, strlen(text)) == 0;
}

static void looks_regularly_without_queue(void **state)
{
	(void)state;
	struct fixture f;
	struct rlimit before, now;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	struct loop *probe = loop_new(); /* as many descriptors as the fixture's loop will have, and none for a queue */
	int next = open("/", O_PATH | O_CLOEXEC);
	close(next);
	loop_free(probe);
	now = (struct rlimit){(rlim_t)next, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	fixture_init(&f, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fixture_expect_notice(&f, "the kernel gives no more event queues");
	fixture_watch(&f, "");
	put(&f, "a", "");
	fixture_expect(&f, "+a |");
	fixture_release(&f);
}

static void goes_on_beside_what_it_may_not_read(void **state)
{
	(void)state;
	uid_t before = getuid();
	if (before == 0 && setresuid(65534, 65534, 0) < 0)
		skip();
	struct fixture f;
	fixture_init(&f, NULL);
	sh(&f, "mkdir open closed; echo 1 >closed/x; chmod 0 closed");
	fixture_watch(&f, "");
	fixture_expect_notice(&f, "closed (Permission denied)");
	put(&f, "open/a", "1");
	fixture_expect(&f, "+open/a |");
	assert_int_equal(f.notices.len, 0);
	sh(&f, "chmod 700 closed");
	fixture_expect(&f, "~closed/ +closed/x |");
	fixture_release(&f);
	if (getuid() != before)
		assert_int_equal(setresuid(0, 0, 0), 0);
}

/* The limit of watches belongs to the user namespace, so this needs one. */
static void polls_where_there_are_no_watches_left(void **state)
{
	(void)state;
	char map[64];
	snprintf(map, sizeof(map), "0 %u 1", (unsigned)geteuid());
	if (unshare(CLONE_NEWUSER) < 0 || !put_number("/proc/self/uid_map", map) ||
	    !put_number("/proc/sys/user/max_inotify_watches", "5"))
		skip();
	struct fixture f;
	fixture_init(&f, &(struct watch_options){WATCH_NOTIFY, 20});
	sh(&f, "mkdir a b c d e f; echo 1 >f/x");
	fixture_watch(&f, "a");
	fixture_watch(&f, "later");
	fixture_watch(&f, "");
	fixture_expect_notice(&f, "limit of watched directories");
	put(&f, "f/x", "22");
	fixture_expect(&f, "~f/x |");
	put(&f, "a/y", "1");
	fixture_expect(&f, "+a/y |");
	put(&f, "later", "1");
	fixture_expect(&f, "+later |");
	fixture_release(&f);

	fixture_init(&f, &(struct watch_options){WATCH_NOTIFY, 20});
	fixture_watch(&f, "");
	sh(&f, "mkdir a b c d e f; echo 1 >f/x"); /* reached while something happens */
	fixture_expect_notice(&f, "sysctl fs.inotify.max_user_watches=524288");
	while (!fixture_told(&f, "f/x"))
		fixture_run(&f);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks_regularly_without_queue),
		cmocka_unit_test(goes_on_beside_what_it_may_not_read),
		cmocka_unit_test(polls_where_there_are_no_watches_left),
	};
	return cmocka_run_group_tests_name("watch-limits", tests, NULL, NULL);
}
