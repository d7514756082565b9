/* The docker runtime with the agent, against a real engine: injected, started, and what is carried by it. */
#include "runtime-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define SCRATCH "skiff-test/sleeper:latest" /* no program but the one that sleeps; test-runtime-docker makes it too */

static void make_sleeper(void)
{
	host_do("docker image inspect " SCRATCH
		" >/dev/null 2>&1 || { mkdir -p scratch && cp \"$(command -v busybox)\" scratch/sleep && "
		"printf 'FROM scratch\\nCOPY sleep /sleep\\nCMD [\"/sleep\", \"1000\"]\\n' >scratch/Dockerfile && "
		"DOCKER_BUILDKIT=0 docker build -q -t " SCRATCH " scratch; }");
}

static void all_kinds(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	assert_non_null(f->session->keeper.agent);
	assert_inside(f, "",
		      "mkdir -p /app /gone/below && echo old >/app/old && chmod 600 /app/old && chown 33:34 /app/old "
		      "&& touch /gone/below/x");
	host_do("cd src && echo hello >plain && ln -s plain rel && mkdir -m 750 empty && echo s >set && chmod 4711 "
		"set");
	add(f, CARRY_DIRECTORY, "empty", "/app/empty", MODE_HOST);
	add(f, CARRY_FILE, "plain", "/app/new/deep/plain", MODE_HOST);
	add(f, CARRY_FILE, "plain", "/app/old", MODE_KEEP);
	add(f, CARRY_SYMLINK, "rel", "/app/rel", MODE_HOST);
	add(f, CARRY_FILE, "set", "/app/set", MODE_HOST);
	add(f, CARRY_FILE, "never", "/app/never", MODE_HOST);
	add(f, CARRY_DELETE, NULL, "/gone", 0);
	assert_applied(f);
	assert_true(f->report.atomic);
	assert_true(f->report.results[5].skipped);
	assert_int_equal(f->report.bytes, 6 + 6 + 2);
	assert_true(hash_equal(f->report.results[1].hash, hash_bytes("hello\n", 6)));
	assert_inside(f, "750 0\n644 0\n600 33\n4711 0\nplain\nno /gone, no /.skiff",
		      "cd /app; stat -c '%a %u' empty new/deep/plain old set; readlink rel; "
		      "[ -e /gone ] || echo -n 'no /gone, '; [ -e /.skiff ] || echo 'no /.skiff'");
}

static void owners_by_name(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	assert_inside(f, "", "echo 'me:x:1234:1235::/:/bin/sh' >>/etc/passwd");
	carry_text(f, "x", "/app/mine");
	f->carry.items[0].owner = xstrdup("me");
	carry_text(f, "x", "/app/nobodys");
	f->carry.items[1].owner = xstrdup("who-is-that");
	assert_int_equal(apply(f), -EINVAL);
	assert_int_equal(f->report.results[0].code, 0);
	assert_int_equal(f->report.results[1].code, EINVAL);
	assert_non_null(strstr(f->report.results[1].message, "who-is-that"));
	assert_inside(f, "1234:1235", "stat -c %u:%g /app/mine; ls /app | grep nobody");
}

static void nothing_but_a_program(void **state)
{
	struct fixture *f = *state;
	make_sleeper();
	start(f, "--user 65532 " SCRATCH);
	assert_non_null(f->session->keeper.agent);
	carry_text(f, "into the void", "/deep/er/file");
	assert_applied(f);
	assert_true(f->report.atomic);
	add(f, CARRY_DELETE, NULL, "/deep", 0);
	assert_applied(f); /* without rm */
}

static void read_only_root(void **state)
{
	struct fixture *f = *state;
	start(f, "--read-only -v /data" STAY);
	assert_null(f->session->keeper.agent);
	carry_text(f, "x", "/data/x");
	assert_applied(f);
	assert_non_null(f->report.note);
	assert_inside(f, "x", "cat /data/x");
	carry_text(f, "y", "/data/x");
	assert_applied(f);
	assert_null(f->report.note); /* said once */
}

#define SIGNAL_AGENTS(signal)                                                                             \
	"for p in /proc/[0-9]*; do case $(tr '\\0' ' ' <$p/cmdline) in /.skiff/agent*) kill -" signal " " \
	"${p#/proc/};; esac; done"

/* Whatever ends it, the next files are carried by a new one. */
static void lost_and_found(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	struct agent *first = f->session->keeper.agent;
	assert_non_null(first);
	assert_inside(f, "", SIGNAL_AGENTS("9"));
	carry_text(f, "again", "/a");
	assert_applied(f);
	assert_true(f->report.atomic);
	assert_inside(f, "again", "cat /a");
	assert_int_equal(f->session ? runtime->ops->restart(f->session, 0, NULL, NULL) : -1, 0);
	carry_text(f, "after", "/b");
	assert_applied(f);
	assert_true(f->report.atomic);
	assert_inside(f, "after", "cat /b");
}

static void look_for(struct fixture *f, const struct strv *dests, const struct instance_file *before,
		     struct instance_file *found)
{
	int r = runtime->ops->look(f->session, dests, before, found, NULL, &f->err);
	if (r < 0)
		fail_msg("look: %d %s", r, f->err.message);
}

static void what_is_there(void **state)
{
	enum { COUNT = 7 };
	struct fixture *f = *state;
	CLEANUP(strv_release) struct strv dests = {0};
	struct instance_file found[COUNT], again[COUNT];
	static const char *const paths[] = {"/a/file", "/a/link", "/a/dir", "/a/none", "/a/file/below", "/dev/null"};
	char too_long[400] = "/";
	start(f, STAY);
	assert_inside(f, "",
		      "mkdir -p /a/dir && echo hi >/a/file && chmod 640 /a/file && ln -s there /a/link && touch -d "
		      "@1500000000 /a/file");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		strv_push(&dests, paths[i]);
	memset(too_long + 1, 'x', sizeof(too_long) - 2);
	too_long[sizeof(too_long) - 1] = '\0';
	strv_push(&dests, too_long);
	look_for(f, &dests, NULL, found);
	assert_int_equal(found[0].code, 0);
	assert_int_equal(found[0].kind, CARRY_FILE);
	assert_int_equal(found[0].mode, 0640);
	assert_int_equal(found[0].size, 3);
	assert_int_equal(found[0].mtime_ns, 1500000000000000000);
	assert_true(hash_equal(found[0].hash, hash_bytes("hi\n", 3)));
	assert_int_equal(found[1].kind, CARRY_SYMLINK);
	assert_true(hash_equal(found[1].hash, hash_bytes("there", 5)));
	assert_int_equal(found[1].mtime_ns, 0); /* just made */
	assert_int_equal(found[2].kind, CARRY_DIRECTORY);
	assert_int_equal(found[3].code, ENOENT);
	assert_int_equal(found[4].code, ENOENT);
	assert_true(found[5].special);
	assert_int_equal(found[6].code, ENAMETOOLONG);

	found[0].hash.low++; /* believed: it looks as it did */
	look_for(f, &dests, found, again);
	assert_true(hash_equal(again[0].hash, found[0].hash));
	assert_true(hash_equal(again[1].hash, found[1].hash));
	assert_inside(f, "", "echo ho >/a/file; ln -sf where /a/link; echo >/a/none");
	look_for(f, &dests, found, again);
	assert_true(hash_equal(again[0].hash, hash_bytes("ho\n", 3)));
	assert_true(hash_equal(again[1].hash, hash_bytes("where", 5)));
	assert_int_equal(again[3].code, 0);
}

static void many_looks(void **state)
{
	enum { COUNT = 5000 };
	struct fixture *f = *state;
	CLEANUP(strv_release) struct strv dests = {0};
	struct instance_file *found = xcalloc(COUNT, sizeof(*found)), *again = xcalloc(COUNT, sizeof(*again));
	start(f, STAY);
	assert_inside(f, "",
		      "mkdir /a; i=0; while [ $i -lt 5000 ]; do echo $i >/a/$i; i=$((i + 1)); done; touch -d "
		      "@1500000000 /a/*");
	for (int i = 0; i < COUNT; i++)
		strv_pushf(&dests, "/a/%d", i);
	for (int round = 0; round < 2; round++) {
		uint64_t begin = monotonic_ns();
		look_for(f, &dests, round ? found : NULL, round ? again : found);
		print_message("a look at 5,000 files of %s: %u us\n", round ? "the same time" : "unknown content",
			      (unsigned)((monotonic_ns() - begin) / 1000));
	}
	assert_true(hash_equal(again[4999].hash, hash_bytes("4999\n", 5)));
	free(found);
	free(again);
}

static int check(struct fixture *f, const char *dest)
{
	CLEANUP(strv_release) struct strv dests = {0};
	carry_report_release(&f->report);
	error_clear(&f->err);
	strv_push(&dests, dest);
	return runtime->ops->check(f->session, &dests, &f->report, NULL, &f->err);
}

static void could_be_written(void **state)
{
	struct fixture *f = *state;
	host_do("mkdir -p ro && echo x >mounted");
	start(f, "--cap-drop ALL --cap-add CHOWN -v %s/ro:/ro:ro -v %s/mounted:/mounted" STAY, folder, folder);
	assert_inside(f, "", "mkdir /mine /theirs && chmod 700 /theirs && chown 33 /theirs");
	assert_int_equal(check(f, "/mine/new/deep/file"), 0);
	assert_true(f->report.atomic);
	assert_int_equal(check(f, "/mounted"), 0);
	assert_false(f->report.atomic);
	assert_int_equal(check(f, "/ro/file"), -EROFS);
	assert_true(f->report.results[0].outside);
	assert_int_equal(check(f, "/theirs/file"), -EACCES);
	assert_non_null(strstr(f->report.results[0].message, "`RUN chown root /theirs`"));
	assert_non_null(strstr(f->report.results[0].message, "owned by 33:"));
}

static void carry_expecting(struct fixture *f, const char *text, const char *dest, const char *expected)
{
	carry_text(f, text, dest);
	struct carry_item *item = &f->carry.items[f->carry.len - 1];
	item->expects = true;
	item->expected = expected ? hash_bytes(expected, strlen(expected)) : (struct hash){0};
}

static void what_is_expected(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	assert_inside(f, "", "printf built >/x; ln -s to /l");
	carry_expecting(f, "new", "/x", "sources");
	assert_int_equal(apply(f), -EEXIST);
	assert_int_equal(f->report.results[0].code, EEXIST);
	assert_true(f->report.results[0].unexpected);
	assert_true(hash_equal(f->report.results[0].hash, hash_bytes("built", 5)));
	carry_expecting(f, "new", "/x", NULL);
	assert_int_equal(apply(f), -EEXIST);
	carry_expecting(f, "new", "/none", "something");
	assert_int_equal(apply(f), -EEXIST);
	assert_true(f->report.results[0].unexpected);
	assert_true(hash_equal(f->report.results[0].hash, (struct hash){0}));
	assert_inside(f, "built no", "cat /x; [ -e /none ] || echo ' no'");
	carry_expecting(f, "new", "/x", "built");
	assert_applied(f);
	assert_false(f->report.results[0].unexpected);
	carry_expecting(f, "new", "/x", "built"); /* it is there already */
	assert_applied(f);
	carry_expecting(f, "new", "/none", NULL);
	assert_applied(f);
	host_do("ln -s elsewhere src/sym");
	add(f, CARRY_SYMLINK, "sym", "/l", MODE_HOST);
	f->carry.items[0].expects = true;
	f->carry.items[0].expected = hash_bytes("to", 2);
	assert_applied(f);
	assert_inside(f, "newnewelsewhere", "cat /x /none; readlink /l");
}

#define WITH_AGENT "skiff-test/with-agent:latest"

static void make_image_with_agent(void)
{
	const struct agent_program *program = agent_program_for("amd64");
	_cleanup_free_ char *path = xasprintf("%s/agent", folder), *id = agent_programs_id();
	assert_int_equal(file_write_atomic(path, program->bytes, program->len, 0755, NULL), 0);
	host_do("rm -rf with && mkdir with && cp agent with/ && printf 'FROM " IMAGE
		"\\nCOPY agent /.skiff/agent\\nLABEL skiff.agent=%s\\n' >with/Dockerfile && "
		"DOCKER_BUILDKIT=0 docker build -q -t " WITH_AGENT " with",
		id);
}

/* Also where nothing can be put. */
static void agent_of_the_image(void **state)
{
	struct fixture *f = *state;
	make_image_with_agent();
	start(f, "--read-only --user 65532 -v /data " WITH_AGENT " sleep 1000");
	assert_non_null(f->session->keeper.agent);
	carry_text(f, "x", "/data/x");
	assert_applied(f);
	assert_true(f->report.atomic);
	assert_null(f->report.note);
	carry_text(f, "x", "/etc/x");
	assert_int_equal(apply(f), -EROFS);
	assert_inside(f, "x/.skiff/agent", "cat /data/x; ls /.skiff/agent");
}

static void another_agent_in_the_image(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *id = agent_programs_id();
	make_image_with_agent();
	start(f,
	      "--label skiff.agent=%s --entrypoint sh " IMAGE
	      " -c 'mkdir /.skiff && cp /bin/busybox /.skiff/agent && sleep 1000'",
	      id);
	assert_non_null(f->session->keeper.agent);
	carry_text(f, "x", "/x");
	assert_applied(f);
	assert_true(f->report.atomic);
	assert_inside(f, "agent", "ls /.skiff");
}

/* Why it is no agent is said, where nothing can be put in its place. */
static void no_agent_at_all(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *id = agent_programs_id();
	host_do("printf '#!/bin/sh\\necho nonsense; sleep 1000\\n' >bad && chmod 755 bad");
	start(f, "--read-only --label skiff.agent=%s -v %s/bad:/.skiff/agent" STAY, id, folder);
	assert_null(f->session->keeper.agent);
	carry_text(f, "x", "/x");
	assert_int_equal(apply(f), -EROFS);
	assert_non_null(strstr(f->report.note, "what answers is no agent"));
}

/* What the image says of its architecture decides which program is put there. */
static void another_architecture(void **state)
{
	struct fixture *f = *state;
	host_do("rm -rf arm && mkdir arm && cd arm && docker save " IMAGE " | tar x && sed -i "
		"'s/\"architecture\":\"amd64\"/\"architecture\":\"arm64\"/;s|" IMAGE
		"|skiff-test/arm64:latest|' *.json && tar c . | "
		"docker load");
	start(f, "skiff-test/arm64:latest sleep 1000");
	carry_text(f, "x", "/x");
	assert_applied(f);
	assert_inside(f, "x", "cat /x"); /* by an agent where arm64 programs run, else by the archive API */
	assert_true(f->session->keeper.agent || strstr(f->report.note, "exec format error"));
}

/* Waits until a shell's condition holds in the container. */
static void wait_inside(struct fixture *f, const char *condition)
{
	_cleanup_free_ char *line =
		xasprintf("for i in $(seq 500); do %s && exit; usleep 20000; done; echo late", condition);
	assert_inside(f, "", line);
}

static void restarts_the_program(void **state)
{
	struct fixture *f = *state;
	make_image_with_agent();
	start(f,
	      "--entrypoint /.skiff/agent " WITH_AGENT " supervise -- sh -c 'trap \"echo hup >>/runs\" HUP; echo run "
	      ">>/runs; while :; do sleep 1000 & wait; done'");
	const struct agent *agent = f->session->keeper.agent;
	assert_true(f->session->supervised);
	wait_inside(f, "grep -q run /runs");
	assert_int_equal(runtime->ops->restart(f->session, 0, NULL, &f->err), 0);
	wait_inside(f, "[ $(grep -c run /runs) = 2 ]");
	assert_int_equal(runtime->ops->restart(f->session, 1, NULL, &f->err), 0);
	wait_inside(f, "grep -q hup /runs");
	assert_ptr_equal(f->session->keeper.agent, agent);
	_cleanup_free_ char *now = host("docker inspect -f '{{.State.Running}} {{.RestartCount}}' %s", container(f));
	assert_string_equal(now, "true 0");
}

static void paused(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("docker pause %s", container(f));
	uint64_t begin = monotonic_ns();
	carry_text(f, "one", "/x");
	assert_int_equal(apply(f), -EBUSY);
	assert_non_null(strstr(f->err.message, "is paused"));
	assert_int_equal(f->report.len, 0);
	carry_text(f, "two", "/x");
	assert_int_equal(apply(f), -EBUSY);
	assert_int_equal(runtime->ops->ping(f->session, NULL, NULL), -EBUSY);
	assert_true(monotonic_ns() - begin < 4000000000);
	runtime->ops->close(steal(&f->session));
	assert_int_equal(runtime->ops->open(runtime, &f->instances.items[0], &f->session, NULL, &f->err), 0);
	host_do("docker unpause %s", container(f));
	carry_text(f, "three", "/x");
	assert_applied(f);
	assert_true(f->report.atomic);
	assert_inside(f, "three", "cat /x");
}

/* Nobody knows whether it goes on: another one takes its place, and nothing of the first is done later. */
static void stopped_agent(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	assert_inside(f, "", SIGNAL_AGENTS("STOP"));
	carry_text(f, "after", "/x");
	assert_applied(f);
	assert_true(f->report.atomic);
	assert_int_equal(runtime->ops->ping(f->session, NULL, &f->err), 0);
	assert_inside(f, "", SIGNAL_AGENTS("CONT"));
	assert_inside(f, "after", "cat /x");
}

static void restarted_by_others(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("docker restart -t 0 %s", container(f));
	carry_text(f, "a", "/x");
	assert_applied(f);
	assert_true(f->report.atomic);
	host_do("docker stop -t 0 %s", container(f));
	carry_text(f, "b", "/x");
	assert_applied(f);
	host_do("docker start %s", container(f));
	assert_inside(f, "b", "cat /x");
	carry_text(f, "c", "/x");
	assert_applied(f);
	assert_true(f->report.atomic);
}

static void large_files(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("head -c 50000000 /dev/urandom >src/jar");
	for (int round = 0; round < 3; round++) {
		add(f, CARRY_FILE, "jar", "/app/jar", MODE_HOST);
		assert_applied(f);
		assert_true(f->report.atomic);
		print_message("50 MB, %s: %u us\n",
			      round == 0   ? "new"
			      : round == 1 ? "the same"
					   : "1 KB changed",
			      f->report.transfer_us);
		_cleanup_free_ char *sum = host("md5sum <src/jar | cut -c1-32");
		assert_inside(f, sum, "md5sum </app/jar | cut -c1-32");
		if (round == 1)
			host_do("head -c 1000 /dev/urandom | dd of=src/jar bs=1000 seek=20000 conv=notrunc "
				"2>/dev/null");
	}
}

/* The most memory that this process ever had, in KB. */
static unsigned memory_peak(void)
{
	_cleanup_free_ char *text = host("grep VmHWM /proc/%d/status | tr -dc 0-9", (int)getpid());
	return (unsigned)strtoul(text, NULL, 10);
}

/* Neither a large file nor many small ones are ever held as a whole: what is not yet there waits on disk. */
static void little_memory(void **state)
{
	enum { LARGE_MB = 200, MANY = 10000, SMALL_KB = 8 };
	struct fixture *f = *state;
	start(f, STAY);
	host_do("truncate -s %dM src/large && mkdir src/d && head -c %d /dev/zero | split -a 3 -b %dk - src/d/",
		LARGE_MB, MANY * SMALL_KB << 10, SMALL_KB);
	carry_text(f, "x", "/x");
	assert_applied(f);
	unsigned before = memory_peak();
	add(f, CARRY_FILE, "large", "/app/large", MODE_HOST);
	for (int i = 0; i < MANY; i++) {
		char name[16], dest[32];
		snprintf(name, sizeof(name), "d/%c%c%c", 'a' + i / 676, 'a' + i / 26 % 26, 'a' + i % 26);
		snprintf(dest, sizeof(dest), "/app/%d", i);
		add(f, CARRY_FILE, name, dest, MODE_HOST);
	}
	assert_applied(f);
	assert_int_equal(f->report.bytes, ((uint64_t)LARGE_MB << 20) + (uint64_t)MANY * SMALL_KB * 1024);
	unsigned more = memory_peak() - before;
	print_message("%d MB in a file and %d MB in %d files: %u KB more\n", LARGE_MB, MANY * SMALL_KB / 1024, MANY,
		      more);
	assert_true(more < LARGE_MB / 4 * 3
				   << 10); /* a few MB; the address sanitizer keeps what was freed for a while */
}

static int by_number(const void *a, const void *b)
{
	return (int)(*(const unsigned *)a > *(const unsigned *)b) - (int)(*(const unsigned *)a < *(const unsigned *)b);
}

static void how_long(void **state)
{
	enum { ROUNDS = 200 };
	struct fixture *f = *state;
	unsigned us[ROUNDS];
	start(f, STAY);
	for (int i = 0; i < ROUNDS; i++) {
		host_do(":"); /* a little time between */
		char text[1025];
		memset(text, 'a' + i % 26, 1024);
		text[1024] = '\0';
		_cleanup_free_ char *path = xasprintf("%s/src/one", folder);
		assert_int_equal(file_write_atomic(path, text, 1024, 0644, NULL), 0);
		add(f, CARRY_FILE, "one", "/app/one", MODE_HOST);
		assert_applied(f);
		us[i] = f->report.transfer_us;
	}
	qsort(us, ROUNDS, sizeof(us[0]), by_number);
	print_message("1 KB over an open session: median %u us, 95th percentile %u us\n", us[ROUNDS / 2],
		      us[ROUNDS * 95 / 100]);
	host_do("cd src && i=0; while [ $i -lt 1000 ]; do head -c 1024 /dev/urandom >many$i; i=$((i + 1)); done");
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 1000; i++) {
			char name[32], dest[32];
			snprintf(name, sizeof(name), "many%d", i);
			snprintf(dest, sizeof(dest), "/app/many/%d", i);
			add(f, CARRY_FILE, name, dest, MODE_HOST);
		}
		assert_applied(f);
		print_message("1,000 files of 1 KB: %u us\n", f->report.transfer_us);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_kinds),
		TEST(owners_by_name),
		TEST(nothing_but_a_program),
		TEST(read_only_root),
		TEST(lost_and_found),
		TEST(what_is_there),
		TEST(many_looks),
		TEST(could_be_written),
		TEST(what_is_expected),
		TEST(agent_of_the_image),
		TEST(another_agent_in_the_image),
		TEST(no_agent_at_all),
		TEST(another_architecture),
		TEST(restarts_the_program),
		TEST(paused),
		TEST(stopped_agent),
		TEST(restarted_by_others),
		TEST(large_files),
		TEST(little_memory),
		TEST(how_long),
	};
	cmocka_set_test_filter(getenv("SKIFF_TEST")); /* one alone, by hand */
	with_agent = true;
	return cmocka_run_group_tests_name("runtime-agent", tests, open_engine, close_engine);
}
