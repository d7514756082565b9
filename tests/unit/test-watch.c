#include "watch-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"

static void tells_a_save_at_once(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	put(&f, "a", "1");
	fixture_watch(&f, "");
	assert_int_equal(watch_file_count(f.watch), 1);
	fixture_expect_silence(&f, 20);
	put(&f, "a", "2");
	fixture_expect_at_once(&f, "~a");
	fixture_expect(&f, "|");
	put(&f, "b", "1");
	fixture_expect(&f, "+b |");
	sh(&f, "rm a; ln -s b link; ln b hard");
	fixture_expect(&f, "-a +hard +link |");
	assert_false(watch_pending(f.watch));
	assert_int_equal(watch_file_count(f.watch), 3);
	fixture_release(&f);
}

static void is_quiet_where_nothing_changed(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	sh(&f, "echo 1 >a; mkdir d; mkdir pruned");
	fixture_watch(&f, "");
	sh(&f, "cat a; ls -R; ln a pruned/link; : >>a; touch pruned/x; mkfifo pipe; rm pipe; mv a b; mv b a");
	fixture_expect_silence(&f, 150);
	sh(&f, "chmod 755 a; chmod 700 d");
	fixture_expect(&f, "~a ~d/ |");
	sh(&f, "touch -d 2001-01-01 a");
	fixture_expect(&f, "~a |");
	fixture_release(&f);
}

static void knows_editors(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	put(&f, "a", "1");
	fixture_watch(&f, "");
	sh(&f, "echo 2 >.a.tmp; mv .a.tmp a"); /* beside, then renamed */
	fixture_expect(&f, "~a |");
	sh(&f, "mv a a~; echo 3 >a; rm a~"); /* vim: backupcopy=no */
	fixture_expect(&f, "~a |");
	sh(&f, "cp a a~; echo 4 >a; rm a~"); /* vim: backupcopy=yes */
	fixture_expect(&f, "~a |");
	sh(&f, "rm a; echo 5 >a");
	fixture_expect(&f, "~a |");
	sh(&f, "echo 6 >a; echo 7 >a; : >a; echo 8 >>a");
	fixture_expect(&f, "~a |");
	sh(&f, "echo 9 >x; rm x"); /* nobody needs to hear of it */
	fixture_expect_silence(&f, 100);
	fixture_release(&f);
}

static void waits_for_an_open_file(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	fixture_watch(&f, "");
	_cleanup_free_ char *path = fixture_path(&f, "log");
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	uint64_t start = monotonic_ns();
	assert_int_equal(write_all(fd, "1", 1), 0);
	fixture_expect_silence(&f, 20);
	assert_true(watch_pending(f.watch));
	fixture_expect(&f, "+log |");
	assert_true(monotonic_ns() - start >= 240000000);
	assert_int_equal(write_all(fd, "2", 1), 0);
	fixture_expect_silence(&f, 20);
	close(fd);
	fd = -1;
	fixture_expect(&f, "~log |");
	fixture_release(&f);
}

struct storm {
	struct fixture *f;
	struct timer *timer;
	unsigned left;
};

static void write_more(void *data)
{
	struct storm *s = data;
	char text[16];
	snprintf(text, sizeof(text), "%u", s->left);
	put(s->f, "a", text);
	if (--s->left > 0)
		timer_start(s->timer, 20);
}

/* Saves that come before anything settles are told each, and settling is not put off for ever. */
static void is_not_starved_by_a_storm(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	put(&f, "a", "");
	put(&f, "b", "");
	fixture_watch(&f, "");
	struct storm s = {&f, NULL, 200};
	s.timer = timer_new(f.loop, write_more, &s);
	timer_start(s.timer, 1);
	sh(&f, "rm b");
	uint64_t start = monotonic_ns();
	fixture_run(&f);
	assert_in_range((monotonic_ns() - start) / 1000000, 100, 2500);
	assert_true(fixture_told(&f, "b"));
	assert_true(f.calls > 4);
	assert_true(s.left > 0);
	timer_free(s.timer);
	fixture_release(&f);
}

static void enters_new_directories(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	fixture_watch(&f, "");
	sh(&f, "mkdir -p a/b/c; echo 1 >a/b/c/x; echo 2 >a/y; mkdir -p pruned/z; echo 1 >pruned/z/x");
	fixture_expect(&f, "+a/ +a/b/ +a/b/c/ +a/b/c/x +a/y |");
	put(&f, "a/b/c/x", "3");
	fixture_expect(&f, "~a/b/c/x |");
	sh(&f, "mkdir d; for i in 1 2 3 4 5 6 7 8 9; do echo $i >d/$i; done; mv d e");
	fixture_expect(&f, "+e/ +e/1 +e/2 +e/3 +e/4 +e/5 +e/6 +e/7 +e/8 +e/9 |");
	assert_int_equal(watch_file_count(f.watch), 11);
	fixture_release(&f);
}

static void follows_moved_trees(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	sh(&f, "mkdir -p in/a/b out/n/o; echo 1 >in/a/b/x; echo 1 >out/n/o/y");
	fixture_watch(&f, "in");
	sh(&f, "mv in/a in/c");
	fixture_expect(&f, "-in/a/ -in/a/b/ -in/a/b/x +in/c/ +in/c/b/ +in/c/b/x |");
	put(&f, "in/c/b/x", "2");
	fixture_expect(&f, "~in/c/b/x |");
	sh(&f, "mv in/c out/c");
	fixture_expect(&f, "-in/c/ -in/c/b/ -in/c/b/x |");
	sh(&f, "echo 3 >out/c/b/x; mv out/n in/n");
	fixture_expect(&f, "+in/n/ +in/n/o/ +in/n/o/y |");
	put(&f, "in/n/o/y", "2");
	fixture_expect(&f, "~in/n/o/y |");
	sh(&f, "mkdir out/m; mv in/n out/n; mv out/n in/n; rm -r in/n; mv out/m in/n");
	fixture_expect(&f, "~in/n/ -in/n/o/ -in/n/o/y |");
	fixture_release(&f);
}

/* Who is told of a directory reads its permissions later than the watcher did, perhaps in between two changes that end where they began. */
static void tells_permissions_that_came_back(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	fixture_watch(&f, "");
	sh(&f, "mkdir d; chmod 755 d");
	fixture_expect(&f, "+d/ |");
	sh(&f, "chmod 700 d; chmod 755 d");
	fixture_expect(&f, "~d/ |");
	fixture_release(&f);
}

static void tells_a_changed_kind(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	sh(&f, "echo 1 >a; mkdir d; echo 1 >d/x; ln -s a l");
	fixture_watch(&f, "");
	sh(&f, "rm a; mkdir a; echo 1 >a/x; rm -r d; echo 1 >d; ln -sfn d l");
	fixture_expect(&f, "-a +a/ +a/x -d/ +d -d/x ~l |");
	sh(&f, "rm l; echo 1 >l; rm d; mkfifo d");
	fixture_expect(&f, "-d ~l |");
	fixture_release(&f);
}

static void takes_any_name(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	fixture_watch(&f, "");
	put(&f, "new\nline", "");
	put(&f, "\xff\xfe", "");
	put(&f, " a b ", "");
	fixture_expect(&f, "+ a b  +new\nline +\xff\xfe |");
	fixture_release(&f);
}

static void watches_a_single_file(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	put(&f, "other", "");
	fixture_watch(&f, "Dockerfile");
	put(&f, "Dockerfile", "1");
	put(&f, "other", "2");
	fixture_expect(&f, "+Dockerfile |");
	sh(&f, "echo 2 >tmp; mv tmp Dockerfile");
	fixture_expect(&f, "~Dockerfile |");
	sh(&f, "chmod 755 Dockerfile other");
	fixture_expect(&f, "~Dockerfile |");
	sh(&f, "rm Dockerfile");
	fixture_expect(&f, "-Dockerfile |");
	fixture_release(&f);
}

static void waits_for_a_lost_root(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	sh(&f, "mkdir -p up/root/d; echo 1 >up/root/d/x");
	fixture_watch(&f, "up/root");
	sh(&f, "rm -r up");
	fixture_expect(&f, "-up/root/ -up/root/d/ -up/root/d/x |");
	fixture_expect_notice(&f, "up/root is gone");
	sh(&f, "mkdir -p up/other up/root/d; echo 2 >up/root/d/x");
	fixture_expect(&f, "+up/root/ +up/root/d/ +up/root/d/x |");
	fixture_expect_notice(&f, "up/root is back");
	put(&f, "up/root/d/x", "3");
	fixture_expect(&f, "~up/root/d/x |");
	sh(&f, "mv up/root up/away; mkdir up/root; echo 1 >up/root/y");
	fixture_expect(&f, "-up/root/d/ -up/root/d/x +up/root/y |");
	fixture_release(&f);
}

static void follows_a_linked_root(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	sh(&f, "mkdir v1 v2; echo 1 >v1/a; echo 2 >v2/a; echo 2 >v2/b; ln -s v1 current");
	fixture_watch(&f, "current");
	put(&f, "v1/a", "11");
	fixture_expect(&f, "~current/a |");
	sh(&f, "ln -s v2 next; mv -T next current");
	fixture_expect(&f, "~current/a +current/b |");
	put(&f, "v1/a", "111");
	put(&f, "v2/b", "222");
	fixture_expect(&f, "~current/b |");
	fixture_release(&f);
}

static void tells_an_overlap_once(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	sh(&f, "mkdir -p a/b/c; echo 1 >a/b/c/x; echo 1 >a/y");
	fixture_watch(&f, "a/b");
	fixture_watch(&f, "a/b/c/x");
	fixture_watch(&f, "a");
	fixture_watch(&f, "a/b/c");
	fixture_watch(&f, "a");
	fixture_watch(&f, "a/b/none");
	assert_int_equal(watch_file_count(f.watch), 2);
	put(&f, "a/b/c/x", "2");
	fixture_expect(&f, "~a/b/c/x |");
	sh(&f, "echo 1 >a/b/none; rm a/y");
	fixture_expect(&f, "+a/b/none -a/y |");

	struct strv keep = {0};
	strv_push_owned(&keep, fixture_path(&f, "a/b/c"));
	strv_push_owned(&keep, fixture_path(&f, "a/b/none"));
	watch_keep(f.watch, &keep);
	strv_release(&keep);
	assert_int_equal(watch_file_count(f.watch), 2);
	sh(&f, "echo 3 >a/b/c/x; echo 3 >a/b/z; echo 3 >a/b/none; echo 1 >a/b/c/new");
	fixture_expect(&f, "+a/b/c/new ~a/b/c/x ~a/b/none |");
	fixture_release(&f);
}

static void sees_one_folder_by_two_ways(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	sh(&f, "mkdir real; echo 1 >real/a; ln -s real link");
	fixture_watch(&f, "real");
	fixture_watch(&f, "link");
	put(&f, "real/a", "2");
	fixture_expect(&f, "~link/a ~real/a |");
	struct strv keep = {0};
	strv_push_owned(&keep, fixture_path(&f, "link"));
	watch_keep(f.watch, &keep);
	strv_release(&keep);
	put(&f, "real/a", "3");
	fixture_expect(&f, "~link/a |");
	fixture_release(&f);
}

static void holds_while_git_works(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	sh(&f, "mkdir -p repo/.git/worktrees/w repo/sub tree; echo 1 >repo/sub/a; echo 1 >tree/a;"
	       "echo 'gitdir: ../repo/.git/worktrees/w' >tree/.git");
	fixture_watch(&f, "repo/sub");
	fixture_watch(&f, "tree/a");
	sh(&f, ": >repo/.git/index.lock; rm repo/sub/a; echo 2 >repo/sub/b");
	fixture_expect_silence(&f, 200);
	assert_true(watch_pending(f.watch));
	sh(&f, "echo 3 >repo/sub/a; rm repo/.git/index.lock");
	fixture_expect(&f, "~repo/sub/a +repo/sub/b |");
	sh(&f, ": >repo/.git/worktrees/w/HEAD.lock; echo 2 >tree/a");
	fixture_expect_silence(&f, 100);
	sh(&f, "rm repo/.git/worktrees/w/HEAD.lock");
	fixture_expect(&f, "~tree/a |");
	sh(&f, "touch -d '1 minute ago' repo/.git/index.lock; echo 4 >repo/sub/a"); /* left by a git that died */
	fixture_expect(&f, "~repo/sub/a |");
	fixture_release(&f);
}

static void polls(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, &(struct watch_options){WATCH_POLL, 20});
	sh(&f, "mkdir d l; echo 1 >d/x; ln -s l link");
	fixture_watch(&f, "d");
	fixture_watch(&f, "link");
	fixture_watch(&f, "file");
	sh(&f, "echo 2 >d/x; mkdir -p d/n/m; echo 1 >d/n/m/y; : >l/a; : >file");
	fixture_run(&f); /* a look may fall between two of these */
	while (!fixture_told(&f, "file"))
		fixture_run(&f);
	fixture_compare(&f, "+d/n/ +d/n/m/ +d/n/m/y ~d/x +file +link/a |");
	sh(&f, "mv d/n d/o");
	fixture_expect(&f, "-d/n/ -d/n/m/ -d/n/m/y +d/o/ +d/o/m/ +d/o/m/y |");
	fixture_expect_silence(&f, 100);
	fixture_release(&f);
}

static void looks_when_told_to(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, &(struct watch_options){WATCH_MANUAL, 0});
	put(&f, "a", "1");
	fixture_watch(&f, "");
	put(&f, "a", "22");
	put(&f, "b", "1");
	fixture_expect_silence(&f, 50);
	watch_look(f.watch);
	fixture_compare(&f, "~a +b |");
	watch_look(f.watch);
	fixture_compare(&f, "|");
	fixture_release(&f);
}

static void tells_what_it_holds_when_asked(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	sh(&f, "mkdir .git; echo 1 >a");
	fixture_watch(&f, "a");
	fixture_watch(&f, "b");
	_cleanup_free_ char *path = fixture_path(&f, "b");
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	sh(&f, ": >.git/index.lock; rm a");
	watch_look(f.watch);
	assert_false(watch_pending(f.watch));
	fixture_compare(&f, "-a +b |");
	fixture_release(&f);
}

static void refuses_what_can_not_be_watched(void **state)
{
	(void)state;
	struct fixture f;
	struct error err = {0};
	fixture_init(&f, NULL);
	sh(&f, "mkfifo pipe");
	_cleanup_free_ char *pipe = fixture_path(&f, "pipe"), *none = fixture_path(&f, "no/such");
	assert_int_equal(watch_add(f.watch, pipe, &err), -EINVAL);
	assert_int_equal(watch_add(f.watch, none, &err), -ENOENT);
	assert_non_null(strstr(err.message, "no/such"));
	error_clear(&err);
	fixture_release(&f);
}

/* Below the longest path that the kernel takes nothing is watched, and that is said. */
static void stops_at_the_longest_path(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, NULL);
	fixture_watch(&f, "");
	sh(&f, "n=$(printf %%0200d 0); for i in $(seq 30); do mkdir $n && cd $n || exit 0; done");
	fixture_expect_notice(&f, "paths of more than 4095 bytes");
	put(&f, "x", "");
	fixture_run(&f);
	assert_true(fixture_told(&f, "x"));
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_a_save_at_once),
		cmocka_unit_test(is_quiet_where_nothing_changed),
		cmocka_unit_test(knows_editors),
		cmocka_unit_test(waits_for_an_open_file),
		cmocka_unit_test(is_not_starved_by_a_storm),
		cmocka_unit_test(enters_new_directories),
		cmocka_unit_test(tells_permissions_that_came_back),
		cmocka_unit_test(follows_moved_trees),
		cmocka_unit_test(tells_a_changed_kind),
		cmocka_unit_test(takes_any_name),
		cmocka_unit_test(watches_a_single_file),
		cmocka_unit_test(waits_for_a_lost_root),
		cmocka_unit_test(follows_a_linked_root),
		cmocka_unit_test(tells_an_overlap_once),
		cmocka_unit_test(sees_one_folder_by_two_ways),
		cmocka_unit_test(holds_while_git_works),
		cmocka_unit_test(polls),
		cmocka_unit_test(looks_when_told_to),
		cmocka_unit_test(tells_what_it_holds_when_asked),
		cmocka_unit_test(refuses_what_can_not_be_watched),
		cmocka_unit_test(stops_at_the_longest_path),
	};
	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
