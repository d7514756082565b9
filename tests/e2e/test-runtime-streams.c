/* The docker runtime against a real engine: programs, signals, restarts, and the streams that follow containers. */
#include "runtime-fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

static void programs_signals_restarts(void **state)
{
	struct fixture *f = *state;
	start(f, IMAGE " sh -c 'trap \"echo got >/signalled\" HUP; echo up; while :; do sleep 0.05; done'");
	struct str output = {0};
	assert_int_equal(runtime->ops->run(f->session,
					   (const char *[]){"sh", "-c", "echo out; echo err >&2; exit 7", NULL},
					   &output, NULL, &f->err),
			 7);
	assert_non_null(strstr(str_text(&output), "out\n"));
	assert_non_null(strstr(str_text(&output), "err\n"));
	str_release(&output);
	assert_int_equal(runtime->ops->run(f->session, (const char *[]){"no-such-program", NULL}, NULL, NULL, &f->err),
			 -ENOENT);
	assert_non_null(strstr(f->err.message, "no-such-program"));
	error_clear(&f->err);
	assert_int_equal(runtime->ops->restart(f->session, SIGHUP, NULL, &f->err), 0);
	assert_inside(f, "got", "until [ -s /signalled ]; do sleep 0.02; done; cat /signalled");
	carry_text(f, "stays", "/app/f");
	assert_applied(f);
	assert_int_equal(runtime->ops->restart(f->session, 0, NULL, &f->err), 0);
	assert_inside(f, "stays", "cat /app/f");
	carry_text(f, "again", "/app/f");
	assert_applied(f);
	assert_inside(f, "again", "cat /app/f");
}

static void a_container_that_is_gone(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("docker rm -f %s", container(f));
	carry_text(f, "x", "/app/f");
	assert_int_equal(apply(f), -ENOENT);
	assert_int_equal(f->report.len, 0);
}

struct stream {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	int changes;
	struct str lines;
	struct cancel *cancel;
	const struct instance *instance;
};

static void stream_changed(void *data)
{
	struct stream *s = data;
	pthread_mutex_lock(&s->lock);
	s->changes++;
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

static void stream_line(void *data, int number, const char *line, size_t len)
{
	struct stream *s = data;
	pthread_mutex_lock(&s->lock);
	str_addf(&s->lines, "%d:%.*s;", number, (int)len, line);
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

static void *follow_on(void *data)
{
	struct stream *s = data;
	runtime->ops->follow(runtime, run_id, stream_changed, s, s->cancel, NULL);
	return NULL;
}

static void *log_on(void *data)
{
	struct stream *s = data;
	runtime->ops->logs(runtime, s->instance, stream_line, s, s->cancel, NULL);
	return NULL;
}

static void wait_for_changes(struct stream *s, int count)
{
	pthread_mutex_lock(&s->lock);
	while (s->changes < count)
		pthread_cond_wait(&s->moved, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void following(void **state)
{
	struct fixture *f = *state;
	struct stream s = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, .cancel = cancel_new()};
	pthread_t thread;
	pthread_create(&thread, NULL, follow_on, &s);
	wait_for_changes(&s, 1); /* the stream stands */
	start(f, STAY);
	wait_for_changes(&s, 3); /* created, started */
	host_do("docker kill %s", container(f));
	wait_for_changes(&s, 4);
	instances_release(&f->instances);
	assert_int_equal(runtime->ops->list(runtime, run_id, &f->instances, NULL, &f->err), 0);
	assert_false(f->instances.items[0].running); /* from the moment that it is told */
	assert_int_equal(f->instances.items[0].exit_code, 137);
	cancel_request(s.cancel);
	pthread_join(thread, NULL);
	cancel_unref(s.cancel);
}

static void logs(void **state)
{
	struct fixture *f = *state;
	struct stream s = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, .cancel = cancel_new()};
	pthread_t thread;
	start(f, IMAGE
	      " sh -c 'echo one; printf \"two\\r\\n\"; until [ -e /go ]; do sleep 0.02; done; echo bad >&2; echo end'");
	s.instance = &f->instances.items[0];
	pthread_create(&thread, NULL, log_on, &s);
	pthread_mutex_lock(&s.lock);
	while (!strstr(str_text(&s.lines), "1:one;1:two;"))
		pthread_cond_wait(&s.moved, &s.lock);
	pthread_mutex_unlock(&s.lock);
	carry_text(f, "", "/go");
	assert_applied(f);
	pthread_join(thread, NULL); /* ends with the container */
	assert_non_null(strstr(str_text(&s.lines), "2:bad;"));
	assert_non_null(strstr(str_text(&s.lines), "1:end;"));
	str_release(&s.lines);
	cancel_unref(s.cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(programs_signals_restarts),
		TEST(a_container_that_is_gone),
		TEST(following),
		TEST(logs),
	};
	return cmocka_run_group_tests(tests, open_engine, close_engine);
}
