/* The docker runtime against a real engine: what is carried into containers of every kind, and what is said where that can't be. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/vec.h"
#include "io/process.h"
#include "runtime/docker-session.h"
#include "runtime/docker.h"

#define IMAGE "skiff-test/busybox:latest"
#define SCRATCH "skiff-test/sleeper:latest"

static struct runtime *runtime;
static char *run_id;
static char *folder; /* sources are here */

struct fixture {
	struct instances instances;
	struct session *session;
	struct carry carry;
	struct carry_report report;
	struct error err;
	bool blind; /* as for a user who may not look into the container's root */
};

/* Runs a shell line on the host; its output without the last newline. The caller frees. */
static char *host(const char *fmt, ...) PRINTF_LIKE(1, 2);
static char *host(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *line = xvasprintf(fmt, ap);
	va_end(ap);
	struct str output = {0};
	struct error err = {0};
	struct process_spec spec = {.argv = (const char *[]){"sh", "-c", line, NULL},
				    .output = &output,
				    .directory = folder};
	int r = process_run(&spec, &err);
	if (r != 0)
		fail_msg("%s: %d %s", line, r, err.message ? err.message : "");
	while (output.len && output.data[output.len - 1] == '\n')
		output.data[--output.len] = 0;
	return str_steal(&output);
}

#define host_do(...) free(host(__VA_ARGS__))

static void assert_host(const char *expected, const char *line)
{
	_cleanup_free_ char *got = host("%s", line);
	assert_string_equal(got, expected);
}

/* Looks in the container with a shell. */
static void assert_inside(struct fixture *f, const char *expected, const char *line)
{
	struct str output = {0};
	struct error err = {0};
	int r = runtime->ops->run(f->session, (const char *[]){"sh", "-c", line, NULL}, &output, NULL, &err);
	if (r < 0)
		fail_msg("%s: %s", line, err.message);
	while (output.len && output.data[output.len - 1] == '\n')
		output.data[--output.len] = 0;
	assert_string_equal(str_text(&output), expected);
	str_release(&output);
}

/* Starts a container of the run (its options and command as `docker run` takes them) and opens a session. */
static void start(struct fixture *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void start(struct fixture *f, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *options = xvasprintf(fmt, ap);
	va_end(ap);
	host_do("docker run -d --label skiff.run=%s --label skiff.image=web %s", run_id, options);
	assert_int_equal(runtime->ops->list(runtime, run_id, &f->instances, NULL, &f->err), 0);
	assert_int_equal(f->instances.len, 1);
	assert_int_equal(runtime->ops->open(runtime, &f->instances.items[0], &f->session, NULL, &f->err), 0);
	if (f->blind)
		look_close(&f->session->look);
}

#define STAY " " IMAGE " sleep 1000"

static const char *container(const struct fixture *f)
{
	return f->instances.items[0].id;
}

static int set_up(void **state)
{
	*state = xcalloc(1, sizeof(struct fixture));
	host_do("rm -rf src && mkdir src");
	return 0;
}

static int set_up_blind(void **state)
{
	set_up(state);
	((struct fixture *)*state)->blind = true;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	if (f->session)
		runtime->ops->close(f->session);
	host_do("docker ps -aq --filter label=skiff.run=%s | xargs -r docker rm -fv >/dev/null", run_id);
	instances_release(&f->instances);
	carry_release(&f->carry);
	carry_report_release(&f->report);
	error_clear(&f->err);
	free(f);
	return 0;
}

static void add(struct fixture *f, enum carry_kind kind, const char *src, const char *dest, int mode)
{
	char *from = src ? xasprintf("%s/src/%s", folder, src) : NULL;
	vec_push(&f->carry, (struct carry_item){.kind = kind, .dest = xstrdup(dest), .src = from, .mode = mode});
}

static int apply(struct fixture *f)
{
	carry_report_release(&f->report);
	error_clear(&f->err);
	int r = runtime->ops->apply(f->session, &f->carry, &f->report, NULL, &f->err);
	carry_release(&f->carry);
	return r;
}

static void assert_applied(struct fixture *f)
{
	int r = apply(f);
	if (r < 0)
		fail_msg("apply: %d %s", r, f->err.message);
}

static void carry_text(struct fixture *f, const char *text, const char *dest)
{
	host_do("printf %%s '%s' > src/one", text);
	add(f, CARRY_FILE, "one", dest, -1);
}

static void kinds_modes_and_links(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("cd src && echo hello >plain && echo x >tool && chmod 755 tool && ln -s plain rel && ln -s /etc/passwd "
		"abs && ln -s "
		"nowhere dangling && mkdir -m 750 empty && : >nothing && echo s >set && chmod 4711 set");
	add(f, CARRY_DIRECTORY, "empty", "/app/empty", -1);
	add(f, CARRY_FILE, "plain", "/app/new/deep/plain", -1);
	add(f, CARRY_FILE, "plain", "/app/forced", 0600);
	add(f, CARRY_FILE, "tool", "/app/tool", -1);
	add(f, CARRY_SYMLINK, "rel", "/app/rel", -1);
	add(f, CARRY_SYMLINK, "abs", "/app/abs", -1);
	add(f, CARRY_SYMLINK, "dangling", "/app/dangling", -1);
	add(f, CARRY_FILE, "nothing", "/app/nothing", -1);
	add(f, CARRY_FILE, "set", "/app/set", -1);
	assert_applied(f);
	assert_int_equal(f->report.len, 9);
	assert_int_equal(f->report.bytes, 6 + 6 + 2 + 2);
	assert_false(f->report.atomic);
	assert_true(hash_equal(f->report.results[1].hash, hash_bytes("hello\n", 6)));
	assert_inside(f,
		      "750 directory\n644 regular file\n600 regular file\n755 regular file\n644 regular empty "
		      "file\n4711 regular file\n"
		      "plain\n/etc/passwd\nnowhere\nhello",
		      "cd /app; stat -c '%a %F' empty new/deep/plain forced tool nothing set; for l in rel abs "
		      "dangling; do readlink $l; done; "
		      "cat new/deep/plain");
}

static void every_name(void **state)
{
	struct fixture *f = *state;
	char element[256], deep[1200];
	memset(element, 'n', 255);
	element[255] = 0;
	const char *const names[] = {"new\nline",	  "in\xffvalid", "sp ace'\"$(x)`", "-rf",
				     "\xc3\xa9t\xc3\xa9", "back\\slash", element,	   "*"};
	start(f, STAY);
	host_do("echo name >src/one");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		_cleanup_free_ char *dest = path_join("/names", names[i]);
		add(f, CARRY_FILE, "one", dest, -1);
	}
	snprintf(deep, sizeof(deep), "/names/%s/%s/%s/%s/end", element, element, element, element);
	deep[8] = 'd';
	add(f, CARRY_FILE, "one", deep, -1);
	assert_applied(f);
	assert_inside(f, "9", "find /names -type f -print0 | tr -dc '\\0' | wc -c");
	assert_inside(f, "name\nname\nname",
		      "cd /names; cat \"$(printf 'new\\nline')\" \"$(printf 'in\\377valid')\" ./-rf");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		_cleanup_free_ char *dest = path_join("/names", names[i]);
		add(f, CARRY_DELETE, NULL, dest, -1);
	}
	add(f, CARRY_DELETE, NULL, deep, -1);
	assert_applied(f);
	assert_inside(f, "0", "find /names -type f -print0 | tr -dc '\\0' | wc -c");
}

static void owners_and_times(void **state)
{
	struct fixture *f = *state;
	start(f, "--user 1000:1000" STAY);
	host_do("docker exec -u 0 %s sh -c 'mkdir /own && echo a >/own/old && chown 5:6 /own/old && chown 7:8 /own && "
		"touch -d "
		"\"2037-01-01 00:00:00\" /own/old'",
		container(f));
	carry_text(f, "b", "/own/old");
	add(f, CARRY_FILE, "one", "/own/new", -1);
	add(f, CARRY_FILE, "one", "/rooted", -1);
	assert_applied(f);
	assert_inside(f, "5:6\n7:8\n0:0", "stat -c %u:%g /own/old /own/new /rooted");
	assert_inside(f, "later", "[ $(stat -c %Y /own/old) -ge 2114380800 ] && echo later");
}

static void a_file_becomes_a_directory_and_back(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	carry_text(f, "file", "/app/x");
	assert_applied(f);
	host_do("mkdir -p src/x && echo in >src/x/y");
	add(f, CARRY_DIRECTORY, "x", "/app/x", -1);
	add(f, CARRY_FILE, "x/y", "/app/x/y", -1);
	assert_applied(f);
	assert_inside(f, "in", "cat /app/x/y");
	carry_text(f, "file again", "/app/x");
	assert_applied(f);
	assert_inside(f, "file again", "cat /app/x");
}

static void directories_that_are_links(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	assert_inside(f, "", "mkdir -p /srv/real && ln -s /srv/real /app && mkdir /rel && ln -s ../srv/real /rel/app");
	host_do("mkdir src/d");
	carry_text(f, "through", "/app/f");
	add(f, CARRY_FILE, "one", "/rel/app/g", -1);
	add(f, CARRY_DIRECTORY, "d", "/app", -1);
	assert_applied(f);
	assert_inside(f, "/srv/real\nthrough\nthrough", "readlink /app; cat /srv/real/f; echo; cat /srv/real/g");
	add(f, CARRY_DELETE, NULL, "/app/f", -1);
	assert_applied(f);
	assert_inside(f, "g", "ls /srv/real");
}

static void temporary_file_systems(void **state)
{
	struct fixture *f = *state;
	start(f, "--tmpfs /scratch --mount type=tmpfs,destination=/second" STAY);
	assert_inside(f, "", "ln -s /scratch /link");
	host_do("mkdir src/d && ln -s one src/l");
	carry_text(f, "kept", "/scratch/deep/f");
	add(f, CARRY_FILE, "one", "/second/f", 0640);
	add(f, CARRY_FILE, "one", "/link/g", -1);
	add(f, CARRY_FILE, "one", "/dev/shm/h", -1);
	add(f, CARRY_FILE, "one", "/outside", -1);
	add(f, CARRY_SYMLINK, "l", "/scratch/l", -1);
	add(f, CARRY_DIRECTORY, "d", "/scratch/d", -1);
	assert_applied(f);
	assert_inside(f, "keptkeptkeptkeptkept\none\n640",
		      "cat /scratch/deep/f /second/f /scratch/g /dev/shm/h /outside; echo; readlink "
		      "/scratch/l; stat -c %a /second/f; [ -d /scratch/d ]");
	add(f, CARRY_DELETE, NULL, "/scratch/g", -1);
	assert_applied(f);
	assert_inside(f, "gone", "[ -e /scratch/g ] || echo gone");
}

static void read_only_root(void **state)
{
	struct fixture *f = *state;
	start(f, "--read-only -v /data -v %s/src:/fixed:ro" STAY, folder);
	carry_text(f, "kept", "/data/deep/f");
	add(f, CARRY_FILE, "one", "/app/f", -1);
	add(f, CARRY_FILE, "one", "/fixed/f", -1);
	assert_int_equal(apply(f), -EROFS);
	assert_int_equal(f->report.results[0].code, 0);
	assert_int_equal(f->report.results[1].code, EROFS);
	assert_int_equal(f->report.results[2].code, EROFS);
	assert_non_null(strstr(f->report.results[1].message, "/app/f"));
	assert_non_null(strstr(f->report.results[1].message, "--read-only"));
	assert_non_null(strstr(f->report.results[2].message, "where it is mounted from"));
	assert_inside(f, "kept", "cat /data/deep/f");
}

static void a_file_that_is_a_mount(void **state)
{
	struct fixture *f = *state;
	host_do("echo host >mounted && chmod 666 mounted");
	start(f, "-v %s/mounted:/etc/app.conf" STAY, folder);
	carry_text(f, "in place", "/etc/app.conf");
	add(f, CARRY_FILE, "one", "/etc/other", -1);
	assert_applied(f);
	assert_inside(f, "in placein place", "cat /etc/app.conf /etc/other");
	assert_host("in place", "cat mounted");
}

static void a_container_that_exited(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("docker stop -t 0 %s", container(f));
	runtime->ops->close(f->session);
	instances_release(&f->instances);
	assert_int_equal(runtime->ops->list(runtime, run_id, &f->instances, NULL, &f->err), 0);
	assert_false(f->instances.items[0].running);
	assert_int_equal(f->instances.items[0].exit_code, 137);
	assert_int_equal(runtime->ops->open(runtime, &f->instances.items[0], &f->session, NULL, &f->err), 0);
	carry_text(f, "while away", "/app/f");
	add(f, CARRY_DELETE, NULL, "/bin/vi", -1);
	assert_int_equal(apply(f), -ENOTSUP);
	assert_int_equal(f->report.results[0].code, 0);
	assert_int_equal(f->report.results[1].code, ENOTSUP);
	assert_int_equal(runtime->ops->restart(f->session, 0, NULL, &f->err), 0);
	assert_inside(f, "while away", "cat /app/f");
	add(f, CARRY_DELETE, NULL, "/bin/vi", -1);
	assert_applied(f);
}

static void a_paused_container(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("docker pause %s", container(f));
	carry_text(f, "paused", "/app/f");
	add(f, CARRY_DELETE, NULL, "/bin/vi", -1);
	int r = apply(f);
	host_do("docker unpause %s", container(f));
	assert_int_equal(r, -EBUSY);
	assert_non_null(strstr(f->report.results[1].message, "paused"));
	assert_inside(f, "paused", "cat /app/f");
}

static void one_bad_destination_among_good_ones(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("echo 1 >src/one");
	for (int i = 0; i < 20; i++) {
		_cleanup_free_ char *dest = xasprintf("/app/%d", i);
		add(f, CARRY_FILE, "one", i == 13 ? "/bin/busybox/below" : dest, -1);
	}
	add(f, CARRY_FILE, "no such", "/app/gone", -1);
	assert_int_equal(apply(f), -ENOTDIR);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(f->report.results[i].code, i == 13 ? ENOTDIR : 0);
	assert_non_null(strstr(f->report.results[13].message, "/bin/busybox/below"));
	assert_non_null(strstr(f->report.results[13].message, "root"));
	assert_true(f->report.results[20].skipped);
	assert_inside(f, "19", "ls /app | wc -l");
}

static void nothing_to_delete_with(void **state)
{
	struct fixture *f = *state;
	host_do("docker image inspect " SCRATCH
		" >/dev/null 2>&1 || { mkdir -p scratch && cp \"$(command -v busybox)\" scratch/sleep && "
		"printf 'FROM scratch\\nCOPY sleep /sleep\\nCMD [\"/sleep\", \"1000\"]\\n' >scratch/Dockerfile && "
		"DOCKER_BUILDKIT=0 "
		"docker build -q -t " SCRATCH " scratch; }");
	start(f, SCRATCH);
	carry_text(f, "x", "/app/f");
	assert_applied(f);
	add(f, CARRY_DELETE, NULL, "/app/f", -1);
	assert_int_equal(apply(f), -ENOTSUP);
	assert_non_null(strstr(f->report.results[0].message, "no rm"));
}

static void large_files_and_many(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("head -c 50000000 /dev/urandom >src/large && mkdir src/many && cd src/many && for i in $(seq 1000); do "
		"echo $i >$i; done");
	add(f, CARRY_FILE, "large", "/app/large", -1);
	for (int i = 1; i <= 1000; i++) {
		_cleanup_free_ char *src = xasprintf("many/%d", i), *dest = xasprintf("/app/many/%d", i);
		add(f, CARRY_FILE, src, dest, -1);
	}
	assert_applied(f);
	_cleanup_free_ char *sum = host("sha256sum <src/large");
	assert_inside(f, sum, "sha256sum </app/large");
	assert_inside(f, "1000 500500", "cat /app/many/* | awk '{s+=$1} END {print NR, s}'");
}

struct writer {
	char *path;
	atomic_bool stop;
};

static void *write_on(void *data)
{
	struct writer *writer = data;
	static char block[1 << 20];
	for (int round = 0; round < 6 && !atomic_load(&writer->stop); round++) {
		int fd = open(writer->path, O_WRONLY | O_CREAT | O_CLOEXEC | (round % 2 ? O_TRUNC : 0), 0644);
		memset(block, 'a' + round, sizeof(block));
		for (int i = 0; fd >= 0 && i < 4 + round; i++)
			assert_int_equal(write_all(fd, block, sizeof(block)), 0);
		close(fd);
	}
	return NULL;
}

/* Whatever is written meanwhile, the transfer ends well, and what is carried once the file is quiet is the file. */
static void a_file_that_changes_while_it_is_read(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	struct writer writer = {.path = path_join(folder, "src/one")};
	start(f, STAY);
	host_do("head -c 6000000 /dev/zero >src/one");
	pthread_create(&thread, NULL, write_on, &writer);
	add(f, CARRY_FILE, "one", "/app/f", -1);
	int r = apply(f);
	atomic_store(&writer.stop, true);
	pthread_join(thread, NULL);
	free(writer.path);
	assert_int_equal(r, 0);
	add(f, CARRY_FILE, "one", "/app/f", -1);
	assert_applied(f);
	_cleanup_free_ char *sum = host("sha256sum <src/one");
	assert_inside(f, sum, "sha256sum </app/f");
}

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

static int open_engine(void **state)
{
	(void)state;
	CLEANUP(error_clear) struct error err = {0};
	char template[] = "/tmp/skiff-runtime-XXXXXX";
	folder = xstrdup(mkdtemp(template));
	run_id = xasprintf("test-%d", (int)getpid());
	if (runtime_docker_open(&runtime, NULL, &err) < 0) {
		print_error("no engine (script/engine up): %s\n", err.message);
		return -1;
	}
	host_do("%s", getenv("SKIFF_BASE_IMAGE"));
	return 0;
}

static int close_engine(void **state)
{
	(void)state;
	if (runtime)
		runtime->ops->free(runtime);
	file_remove_tree(folder, NULL);
	free(folder);
	free(run_id);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define BLIND(name)                                                 \
	{                                                           \
		"blind_" #name, name, set_up_blind, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kinds_modes_and_links),
		TEST(every_name),
		TEST(owners_and_times),
		TEST(a_file_becomes_a_directory_and_back),
		TEST(directories_that_are_links),
		TEST(temporary_file_systems),
		TEST(read_only_root),
		TEST(a_file_that_is_a_mount),
		TEST(a_container_that_exited),
		TEST(a_paused_container),
		TEST(one_bad_destination_among_good_ones),
		TEST(nothing_to_delete_with),
		TEST(large_files_and_many),
		TEST(a_file_that_changes_while_it_is_read),
		TEST(programs_signals_restarts),
		TEST(a_container_that_is_gone),
		TEST(following),
		TEST(logs),
		BLIND(kinds_modes_and_links),
		BLIND(every_name),
		BLIND(owners_and_times),
		BLIND(a_file_becomes_a_directory_and_back),
		BLIND(directories_that_are_links),
		BLIND(temporary_file_systems),
		BLIND(nothing_to_delete_with),
	};
	return cmocka_run_group_tests(tests, open_engine, close_engine);
}
