#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/vec.h"
#include "io/loop.h"
#include "io/process.h"

struct seen {
	struct str out, err;
	size_t longest;
	unsigned lines;
};

static void collect(void *data, int stream, const char *line, size_t len)
{
	struct seen *seen = data;
	assert_int_equal(line[len], '\0');
	struct str *s = stream == 1 ? &seen->out : &seen->err;
	str_add_bytes(s, line, len);
	str_add_char(s, '|');
	seen->lines++;
	if (len > seen->longest)
		seen->longest = len;
}

static void release_seen(struct seen *seen)
{
	str_release(&seen->out);
	str_release(&seen->err);
}

static int shell(const char *script, struct seen *seen, struct error *err)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	struct process_spec spec = {.argv = argv, .line = seen ? collect : NULL, .data = seen};
	return process_run(&spec, err);
}

/* Said while it is kept: a program's line comes to this process only then. */
static void say_it_runs(void *data, int stream, const char *line, size_t len)
{
	(void)stream;
	write_all(*(int *)data, line, len);
}

/* The first of all: the child starts a keeper of its own, which this process holds no end of. */
static void leaves_nothing_running_when_killed(void **state)
{
	(void)state;
	char directory[] = "/tmp/skiff-io-XXXXXX";
	assert_non_null(mkdtemp(directory));
	_cleanup_free_ char *fifo = path_join(directory, "fifo");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	pid_t child = fork();
	if (child == 0) {
		_cleanup_free_ char *script =
			xasprintf("exec 3>%s; trap '' TERM; (trap - TERM; sleep 1000) & echo here; sleep 1000", fifo);
		const char *const argv[] = {"sh", "-c", script, NULL};
		int to_parent = open(fifo, O_WRONLY | O_CLOEXEC);
		struct process_spec spec = {.argv = argv, .line = say_it_runs, .data = &to_parent};
		process_run(&spec, NULL);
		_exit(1);
	}
	int fd = open(fifo, O_RDONLY);
	char text[8];
	assert_int_equal(read(fd, text, sizeof(text)), 4);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(read(fd, text, sizeof(text)), 0); /* nobody has the other end any more */
	close(fd);
	unlink(fifo);
	rmdir(directory);
}

static void reports_lines_and_status(void **state)
{
	(void)state;
	CLEANUP(release_seen) struct seen seen = {0};
	assert_int_equal(shell("echo a; echo b >&2; printf 'c\\r\\n\\nlast'; exit 7", &seen, NULL), 7);
	assert_string_equal(str_text(&seen.out), "a|c||last|");
	assert_string_equal(str_text(&seen.err), "b|");
	assert_int_equal(shell("kill -KILL $$", NULL, NULL), 128 + SIGKILL);
}

static void takes_much_on_both_streams(void **state)
{
	(void)state;
	CLEANUP(release_seen) struct seen seen = {0};
	assert_int_equal(shell("(seq 1 200000 >&2) & seq 1 200000; wait", &seen, NULL), 0);
	assert_int_equal(seen.lines, 400000);
	assert_int_equal(seen.out.len, seen.err.len);
}

static void cuts_long_lines(void **state)
{
	(void)state;
	CLEANUP(release_seen) struct seen seen = {0};
	assert_int_equal(shell("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo short", &seen, NULL), 0);
	assert_int_equal(seen.lines, 2);
	assert_int_equal(seen.longest, PROCESS_LINE_MAX);
	assert_true(str_ends_with(str_text(&seen.out), "x|short|"));
}

static void gives_bytes_through(void **state)
{
	(void)state;
	size_t len = 3 << 20;
	_cleanup_free_ unsigned char *bytes = xmalloc(len);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (unsigned char)(i * 2654435761U >> 13);
	struct str out = {0};
	const char *const argv[] = {"cat", NULL};
	struct process_spec spec = {.argv = argv, .input = bytes, .input_len = len, .output = &out};
	assert_int_equal(process_run(&spec, NULL), 0);
	assert_int_equal(out.len, len);
	assert_memory_equal(out.data, bytes, len);
	str_release(&out);

	struct str small = {.max = 100};
	spec.output = &small;
	assert_int_equal(process_run(&spec, NULL), 0);
	assert_true(small.overflow);
	str_release(&small);
}

static void survives_a_program_that_does_not_read(void **state)
{
	(void)state;
	_cleanup_free_ char *bytes = xcalloc(1, 1 << 20);
	const char *const argv[] = {"true", NULL};
	struct process_spec spec = {.argv = argv, .input = bytes, .input_len = 1 << 20};
	assert_int_equal(process_run(&spec, NULL), 0);
	struct str out = {0};
	const char *const empty[] = {"cat", NULL};
	spec = (struct process_spec){.argv = empty, .input = "", .output = &out};
	assert_int_equal(process_run(&spec, NULL), 0);
	assert_int_equal(out.len, 0);
	str_release(&out);
}

static void says_what_kept_it_from_starting(void **state)
{
	(void)state;
	struct error err = {0};
	char folder[] = "/tmp/skiff-io-XXXXXX";
	assert_non_null(mkdtemp(folder));
	_cleanup_free_ char *file = path_join(folder, "plain");
	assert_int_equal(file_write_atomic(file, "x", 1, 0644, NULL), 0);
	_cleanup_free_ char *script = path_join(folder, "script");
	assert_int_equal(file_write_atomic(script, "#!/no/such\n", 11, 0755, NULL), 0);

	const char *argv[] = {"no-such-program-here", NULL};
	struct process_spec spec = {.argv = argv};
	assert_int_equal(process_run(&spec, &err), -ENOENT);
	assert_string_equal(err.message, "no such program: no-such-program-here");
	argv[0] = file;
	assert_int_equal(process_run(&spec, &err), -EACCES);
	assert_non_null(strstr(err.message, "not an executable file"));
	argv[0] = folder;
	assert_int_equal(process_run(&spec, &err), -EACCES);
	argv[0] = script;
	assert_int_equal(process_run(&spec, &err), -ENOENT);
	assert_non_null(strstr(err.message, "interpreter"));
	argv[0] = "true";
	spec.directory = "/no/such/directory";
	assert_int_equal(process_run(&spec, &err), -ENOENT);
	assert_non_null(strstr(err.message, "/no/such/directory"));
	error_clear(&err);
	assert_int_equal(file_remove_tree(folder, NULL), 0);
	assert_null(process_find("no-such-program-here"));
	_cleanup_free_ char *sh = process_find("sh");
	assert_true(path_is_absolute(sh));
}

static void lays_environment_over(void **state)
{
	(void)state;
	setenv("SKIFF_TEST_A", "one", 1);
	setenv("SKIFF_TEST_B", "two", 1);
	CLEANUP(release_seen) struct seen seen = {0};
	const char *const argv[] = {"sh", "-c", "echo ${SKIFF_TEST_A-unset} ${SKIFF_TEST_B-unset} $SKIFF_TEST_C; pwd",
				    NULL};
	const char *const env[] = {"SKIFF_TEST_A=1", "SKIFF_TEST_A=3", "SKIFF_TEST_B", "SKIFF_TEST_C=c=c", NULL};
	struct process_spec spec = {.argv = argv, .env = env, .directory = "/", .line = collect, .data = &seen};
	assert_int_equal(process_run(&spec, NULL), 0);
	assert_string_equal(str_text(&seen.out), "3 unset c=c|/|");
	const char *const nowhere[] = {"PATH=/no/such", NULL};
	spec.env = nowhere;
	assert_int_equal(process_run(&spec, NULL), -ENOENT);
}

static void leaves_the_child_its_signals(void **state)
{
	(void)state;
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	CLEANUP(release_seen) struct seen seen = {0};
	int status = shell("grep -E 'Sig(Blk|Ign)' /proc/self/status", &seen, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(status, 0);
	unsigned long long blocked = 1, ignored = 0;
	assert_int_equal(sscanf(str_text(&seen.out), "SigBlk: %llx|SigIgn: %llx|", &blocked, &ignored), 2);
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored >> (SIGPIPE - 1) & 1, 0);
}

static void leaks_no_descriptor_to_the_child(void **state)
{
	(void)state;
	CLEANUP(release_seen) struct seen seen = {0};
	assert_int_equal(shell("ls /proc/self/fd", &seen, NULL), 0);
	assert_string_equal(str_text(&seen.out), "0|1|2|3|"); /* 3: ls reading that directory */
}

static uint64_t elapsed_ms(uint64_t since)
{
	return (monotonic_ns() - since) / 1000000;
}

static void waits_only_so_long_for_grandchildren(void **state)
{
	(void)state;
	CLEANUP(release_seen) struct seen seen = {0};
	uint64_t start = monotonic_ns();
	assert_int_equal(shell("sleep 20 & echo $!; exit 3", &seen, NULL), 3);
	assert_in_range(elapsed_ms(start), PROCESS_GRACE_MS - 100, PROCESS_GRACE_MS + 5000);
	seen.out.data[seen.out.len - 1] = '\0';
	uint64_t pid = 0;
	assert_int_equal(parse_uint(seen.out.data, INT32_MAX, &pid), 0);
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0); /* it was left alone */
}

struct stubborn {
	struct cancel *cancel;
	unsigned ready;
	struct strv pids;
};

static void cancel_when_ready(void *data, int stream, const char *line, size_t len)
{
	(void)stream;
	(void)len;
	struct stubborn *s = data;
	strv_push(&s->pids, line);
	if (s->pids.len == s->ready)
		cancel_request(s->cancel);
}

static bool is_alive(const char *pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%s/stat", pid);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	if (file_read(path, 4096, &text, &len, NULL) < 0)
		return false;
	const char *end = strrchr(text, ')');
	return end && end[2] != 'Z';
}

static void kills_what_ignores_sigterm(void **state)
{
	(void)state;
	struct stubborn s = {.cancel = cancel_new(), .ready = 3};
	const char *const argv[] = {"sh", "-c",
				    "trap '' TERM; (exec >/dev/null 2>&1; sleep 30) & echo $!; sleep 30 & echo $!; "
				    "echo $$; while :; do sleep 1; done",
				    NULL};
	struct process_spec spec = {.argv = argv, .line = cancel_when_ready, .data = &s, .cancel = s.cancel};
	uint64_t start = monotonic_ns();
	assert_int_equal(process_run(&spec, NULL), -ECANCELED);
	assert_in_range(elapsed_ms(start), PROCESS_GRACE_MS - 100, PROCESS_GRACE_MS + 5000);
	for (size_t i = 0; i < s.pids.len; i++)
		for (int tries = 0; is_alive(s.pids.items[i]); tries++) {
			assert_true(tries < 5000);
			usleep(1000);
		}
	strv_release(&s.pids);
	assert_int_equal(process_run(&spec, NULL), -ECANCELED); /* requested before: not even started */
	assert_int_equal(s.pids.len, 0);
	cancel_unref(s.cancel);
}

static void times_out(void **state)
{
	(void)state;
	struct error err = {0};
	const char *const argv[] = {"sleep", "30", NULL};
	struct process_spec spec = {.argv = argv, .timeout_ms = 50};
	uint64_t start = monotonic_ns();
	assert_int_equal(process_run(&spec, &err), -ETIMEDOUT);
	assert_true(elapsed_ms(start) < 10000);
	assert_non_null(strstr(err.message, "sleep did not end within 50 ms"));
	error_clear(&err);
}

static void talks_to_a_connected_program(void **state)
{
	(void)state;
	const char *const argv[] = {"cat", NULL};
	int fd = -1;
	int pid = process_connect(argv, true, &fd, NULL);
	assert_true(pid > 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write_all(fd, "ping", 4), 0);
	char answer[4];
	assert_int_equal(recv(fd, answer, 4, MSG_WAITALL), 4);
	assert_memory_equal(answer, "ping", 4);
	process_end(pid);
	assert_int_equal(read(fd, answer, 1), 0);
	close(fd);
	const char *const none[] = {"no-such-program-here", NULL};
	assert_int_equal(process_connect(none, true, &fd, NULL), -ENOENT);
	process_end(0);
}

/* Loop */

struct counter {
	struct loop *loop;
	struct timer *timer;
	unsigned done, stop_at;
	int bad;
};

struct one_job {
	struct counter *counter;
	unsigned number;
	int status;
	char text[16];
};

static void run_echo(void *data)
{
	struct one_job *job = data;
	char script[64];
	snprintf(script, sizeof(script), "echo %u; exit %u", job->number, job->number);
	const char *const argv[] = {"sh", "-c", script, NULL};
	struct str out = {0};
	struct process_spec spec = {.argv = argv, .output = &out};
	job->status = process_run(&spec, NULL);
	snprintf(job->text, sizeof(job->text), "%s", str_text(&out));
	str_release(&out);
}

static void count_echo(void *data)
{
	struct one_job *job = data;
	char expected[16];
	snprintf(expected, sizeof(expected), "%u\n", job->number);
	if (job->status != (int)job->number || strcmp(expected, job->text) != 0)
		job->counter->bad++;
	job->counter->done++;
}

static void runs_fifty_at_once(void **state)
{
	(void)state;
	struct loop *loop = loop_new();
	struct counter counter = {.loop = loop};
	struct one_job jobs[50];
	for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
		jobs[i] = (struct one_job){.counter = &counter, .number = i};
		loop_job(loop, run_echo, count_echo, &jobs[i]);
	}
	loop_run(loop);
	assert_int_equal(counter.done, ARRAY_LEN(jobs));
	assert_int_equal(counter.bad, 0);
	assert_null(getenv("UV_THREADPOOL_SIZE"));
	loop_free(loop);
}

struct waiter {
	int *pipe; /* all of them read from it: none ends before each has begun */
	unsigned *done;
	struct loop *loop;
};

static void wait_for_a_byte(void *data)
{
	char byte;
	const struct waiter *waiter = data;
	assert_int_equal(read(waiter->pipe[0], &byte, 1), 1);
}

static void let_all_go(void *data)
{
	char bytes[2 * LOOP_WORKERS] = {0};
	const struct waiter *waiter = data;
	assert_int_equal(write(waiter->pipe[1], bytes, sizeof(bytes)), sizeof(bytes));
}

static void count_waiter(void *data)
{
	const struct waiter *waiter = data;
	if (++*waiter->done == 2 * LOOP_WORKERS)
		loop_stop(waiter->loop);
}

static void nothing(void *data)
{
	(void)data;
}

/* More of them than there are workers wait, and a job is done all the same. */
static void threads_take_no_worker(void **state)
{
	(void)state;
	int pipe_[2];
	unsigned done = 0;
	struct loop *loop = loop_new();
	struct waiter waiter = {pipe_, &done, loop};
	assert_int_equal(pipe(pipe_), 0);
	for (int i = 0; i < 2 * LOOP_WORKERS; i++)
		loop_thread(loop, wait_for_a_byte, count_waiter, &waiter);
	loop_job(loop, nothing, let_all_go, &waiter);
	struct timer *keep = timer_new(loop, nothing, NULL); /* posts alone hold no loop */
	timer_start(keep, 60000);
	loop_run(loop);
	assert_int_equal(done, 2 * LOOP_WORKERS);
	timer_free(keep);
	loop_free(loop);
	close(pipe_[0]);
	close(pipe_[1]);
}

static void free_own_timer(void *data)
{
	struct counter *c = data;
	timer_free(c->timer);
	c->timer = NULL;
	c->done++;
}

static void ends_when_nothing_is_left(void **state)
{
	(void)state;
	struct loop *loop = loop_new();
	struct counter c = {.loop = loop};
	loop_run(loop);
	c.timer = timer_new(loop, free_own_timer, &c);
	assert_false(timer_running(c.timer));
	timer_start(c.timer, 1000000);
	timer_start(c.timer, 1);
	assert_true(timer_running(c.timer));
	loop_run(loop);
	assert_int_equal(c.done, 1);
	assert_null(c.timer);
	struct timer *left = timer_new(loop, free_own_timer, &c);
	timer_start(left, 1000000);
	loop_stop(loop);
	loop_free(loop); /* frees what is left, whether it runs or not */
	timer_free(NULL);
}

struct posted {
	struct counter *counter;
	unsigned number;
};

static void take_post(void *data)
{
	struct posted *p = data;
	struct counter *c = p->counter;
	if (p->number != c->done)
		c->bad++;
	if (++c->done == c->stop_at)
		loop_stop(c->loop);
	free(p);
}

static void *post_many(void *data)
{
	struct counter *c = data;
	for (unsigned i = 0; i < 1000; i++) {
		struct posted *p = xmalloc(sizeof(*p));
		*p = (struct posted){.counter = c, .number = i};
		loop_post(c->loop, take_post, free, p);
	}
	return NULL;
}

static void posts_arrive_in_order(void **state)
{
	(void)state;
	struct loop *loop = loop_new();
	struct counter c = {.loop = loop, .stop_at = 600};
	struct timer *keep = timer_new(loop, free_own_timer, &c);
	timer_start(keep, 1000000);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, post_many, &c), 0);
	loop_run(loop);
	pthread_join(thread, NULL);
	assert_int_equal(c.done, 600);
	assert_int_equal(c.bad, 0);
	loop_free(loop); /* drops the other 400 */

	struct counter own = {.loop = loop_new()};
	post_many(&own); /* nothing else to wait for: still run */
	loop_run(own.loop);
	assert_int_equal(own.done, 1000);
	loop_free(own.loop);
}

struct reader {
	struct loop *loop;
	int fd;
	struct fd_watch *watch;
	struct str text;
};

static void read_some(void *data)
{
	struct reader *r = data;
	char byte;
	ssize_t n = read(r->fd, &byte, 1);
	if (n > 0) {
		str_add_char(&r->text, byte);
		return;
	}
	fd_watch_free(r->watch);
	r->watch = NULL;
}

static void watches_descriptors(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	struct reader r = {.loop = loop_new(), .fd = ends[0]};
	r.watch = fd_watch_new(r.loop, r.fd, read_some, &r);
	assert_int_equal(write_all(ends[1], "hello", 5), 0);
	close(ends[1]);
	loop_run(r.loop); /* until its end was seen */
	assert_string_equal(str_text(&r.text), "hello");
	_cleanup_close_ int plain = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_null(fd_watch_new(r.loop, plain, read_some, &r));
	loop_free(r.loop);
	str_release(&r.text);
	close(ends[0]);
}

static void stop_on_signal(void *data, int signal)
{
	struct counter *c = data;
	c->done = (unsigned)signal;
	loop_stop(c->loop);
}

static void catches_signals(void **state)
{
	(void)state;
	struct counter c = {.loop = loop_new()};
	struct signal_watch *w = signal_watch_new(c.loop, SIGUSR1, stop_on_signal, &c);
	kill(getpid(), SIGUSR1);
	loop_run(c.loop);
	assert_int_equal(c.done, SIGUSR1);
	signal_watch_free(w);
	loop_free(c.loop);
}

static void cancels_once(void **state)
{
	(void)state;
	struct cancel *c = cancel_new();
	assert_ptr_equal(cancel_ref(c), c);
	assert_false(cancel_requested(c));
	cancel_request(c);
	cancel_request(c);
	cancel_unref(c);
	assert_true(cancel_requested(c));
	cancel_unref(c);
	assert_false(cancel_requested(NULL));
	assert_int_equal(cancel_fd(NULL), -1);
	assert_null(cancel_ref(NULL));
	cancel_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_nothing_running_when_killed),
		cmocka_unit_test(reports_lines_and_status),
		cmocka_unit_test(takes_much_on_both_streams),
		cmocka_unit_test(cuts_long_lines),
		cmocka_unit_test(gives_bytes_through),
		cmocka_unit_test(survives_a_program_that_does_not_read),
		cmocka_unit_test(says_what_kept_it_from_starting),
		cmocka_unit_test(lays_environment_over),
		cmocka_unit_test(leaves_the_child_its_signals),
		cmocka_unit_test(leaks_no_descriptor_to_the_child),
		cmocka_unit_test(waits_only_so_long_for_grandchildren),
		cmocka_unit_test(kills_what_ignores_sigterm),
		cmocka_unit_test(times_out),
		cmocka_unit_test(talks_to_a_connected_program),
		cmocka_unit_test(runs_fifty_at_once),
		cmocka_unit_test(threads_take_no_worker),
		cmocka_unit_test(ends_when_nothing_is_left),
		cmocka_unit_test(posts_arrive_in_order),
		cmocka_unit_test(watches_descriptors),
		cmocka_unit_test(catches_signals),
		cmocka_unit_test(cancels_once),
	};
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* what the starter of the tests left open */
	return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
