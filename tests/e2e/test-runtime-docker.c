/* The docker runtime against a real engine: what is carried into containers of every kind, and what is said where that can't be. */
#include "runtime-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"

#define SCRATCH "skiff-test/sleeper:latest"

static void kinds_modes_and_links(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("cd src && echo hello >plain && echo x >tool && chmod 755 tool && ln -s plain rel && ln -s /etc/passwd "
		"abs && ln -s "
		"nowhere dangling && mkdir -m 750 empty && : >nothing && echo s >set && chmod 4711 set");
	add(f, CARRY_DIRECTORY, "empty", "/app/empty", MODE_HOST);
	add(f, CARRY_FILE, "plain", "/app/new/deep/plain", MODE_HOST);
	add(f, CARRY_FILE, "plain", "/app/forced", 0600);
	add(f, CARRY_FILE, "tool", "/app/tool", MODE_HOST);
	add(f, CARRY_SYMLINK, "rel", "/app/rel", MODE_HOST);
	add(f, CARRY_SYMLINK, "abs", "/app/abs", MODE_HOST);
	add(f, CARRY_SYMLINK, "dangling", "/app/dangling", MODE_HOST);
	add(f, CARRY_FILE, "nothing", "/app/nothing", MODE_HOST);
	add(f, CARRY_FILE, "set", "/app/set", MODE_HOST);
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

/* An image without any program but the one that sleeps. */
static void make_sleeper(void)
{
	host_do("docker image inspect " SCRATCH
		" >/dev/null 2>&1 || { mkdir -p scratch && cp \"$(command -v busybox)\" scratch/sleep && "
		"printf 'FROM scratch\\nCOPY sleep /sleep\\nCMD [\"/sleep\", \"1000\"]\\n' >scratch/Dockerfile && "
		"DOCKER_BUILDKIT=0 "
		"docker build -q -t " SCRATCH " scratch; }");
}

/* MODE_KEEP: what is replaced keeps its bits, but for those that would give new content a user's rights; else 0644, a directory 0755, whatever the
 * umask. */
static void kept_modes(void **state)
{
	struct fixture *f = *state;
	mode_t before = umask(0077);
	start(f, "--tmpfs /scratch" STAY);
	assert_inside(f, "",
		      "mkdir -m 2770 /app /app/shared && cd /app && touch script private set /scratch/tool && "
		      "chmod 755 script /scratch/tool && chmod 600 private && chmod 4755 set && ln -s script link && "
		      "mkdir -m 700 was");
	host_do("cd src && echo new >one && chmod 4777 one && mkdir -m 700 d");
	static const char *const dests[] = {"/app/script", "/app/private", "/app/set",	"/app/link",
					    "/app/was",	   "/app/new",	   "/deep/new", "/scratch/tool"};
	for (size_t i = 0; i < ARRAY_LEN(dests); i++)
		add(f, CARRY_FILE, "one", dests[i], MODE_KEEP);
	add(f, CARRY_DIRECTORY, "d", "/app/shared", MODE_KEEP);
	add(f, CARRY_DIRECTORY, "d", "/app/fresh", MODE_KEEP);
	assert_applied(f);
	umask(before);
	assert_inside(
		f,
		"755 /app/script\n600 /app/private\n755 /app/set\n644 /app/link\n644 /app/was\n644 /app/new\n"
		"644 /deep/new\n755 /scratch/tool\n2770 /app/shared\n755 /app/fresh\nnew\nnew",
		"cd /app; stat -c '%a %n' /app/script /app/private /app/set /app/link /app/was /app/new /deep/new "
		"/scratch/tool /app/shared /app/fresh; cat script new");

	/* A mode that was carried, or changed in the container, is what the next one keeps. */
	add(f, CARRY_FILE, "one", "/app/new", 0751);
	assert_applied(f);
	carry_text(f, "newer", "/app/private");
	f->carry.items[0].mode = MODE_KEEP;
	add(f, CARRY_FILE, "one", "/app/new", MODE_KEEP);
	assert_applied(f);
	assert_inside(f, "600\n751\nnewernewer", "cd /app; stat -c %a private new; cat private new");
}

static void kept_modes_without_programs(void **state)
{
	struct fixture *f = *state;
	make_sleeper();
	start(f, SCRATCH);
	host_do("echo new >src/one");
	add(f, CARRY_FILE, "one", "/app/tool", 0755);
	add(f, CARRY_FILE, "one", "/app/page", MODE_KEEP);
	assert_applied(f);
	add(f, CARRY_FILE, "one", "/app/tool", MODE_KEEP);
	add(f, CARRY_FILE, "one", "/sleep", MODE_KEEP);
	assert_applied(f);
	host_do("docker cp %s:/app out && docker cp %s:/sleep out/sleep", container(f), container(f));
	assert_host("755 tool\n644 page\n755 sleep", "cd out && stat -c '%a %n' tool page sleep; rm -r ../out");
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
		add(f, CARRY_FILE, "one", dest, MODE_HOST);
	}
	snprintf(deep, sizeof(deep), "/names/%s/%s/%s/%s/end", element, element, element, element);
	deep[8] = 'd';
	add(f, CARRY_FILE, "one", deep, MODE_HOST);
	assert_applied(f);
	assert_inside(f, "9", "find /names -type f -print0 | tr -dc '\\0' | wc -c");
	assert_inside(f, "name\nname\nname",
		      "cd /names; cat \"$(printf 'new\\nline')\" \"$(printf 'in\\377valid')\" ./-rf");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		_cleanup_free_ char *dest = path_join("/names", names[i]);
		add(f, CARRY_DELETE, NULL, dest, MODE_HOST);
	}
	add(f, CARRY_DELETE, NULL, deep, MODE_HOST);
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
	add(f, CARRY_FILE, "one", "/own/new", MODE_HOST);
	add(f, CARRY_FILE, "one", "/rooted", MODE_HOST);
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
	add(f, CARRY_DIRECTORY, "x", "/app/x", MODE_HOST);
	add(f, CARRY_FILE, "x/y", "/app/x/y", MODE_HOST);
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
	add(f, CARRY_FILE, "one", "/rel/app/g", MODE_HOST);
	add(f, CARRY_DIRECTORY, "d", "/app", MODE_HOST);
	assert_applied(f);
	assert_inside(f, "/srv/real\nthrough\nthrough", "readlink /app; cat /srv/real/f; echo; cat /srv/real/g");
	add(f, CARRY_DELETE, NULL, "/app/f", MODE_HOST);
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
	add(f, CARRY_FILE, "one", "/link/g", MODE_HOST);
	add(f, CARRY_FILE, "one", "/dev/shm/h", MODE_HOST);
	add(f, CARRY_FILE, "one", "/outside", MODE_HOST);
	add(f, CARRY_SYMLINK, "l", "/scratch/l", MODE_HOST);
	add(f, CARRY_DIRECTORY, "d", "/scratch/d", MODE_HOST);
	assert_applied(f);
	assert_inside(f, "keptkeptkeptkeptkept\none\n640",
		      "cat /scratch/deep/f /second/f /scratch/g /dev/shm/h /outside; echo; readlink "
		      "/scratch/l; stat -c %a /second/f; [ -d /scratch/d ]");
	add(f, CARRY_DELETE, NULL, "/scratch/g", MODE_HOST);
	assert_applied(f);
	assert_inside(f, "gone", "[ -e /scratch/g ] || echo gone");
}

static void read_only_root(void **state)
{
	struct fixture *f = *state;
	start(f, "--read-only -v /data -v %s/src:/fixed:ro" STAY, folder);
	carry_text(f, "kept", "/data/deep/f");
	add(f, CARRY_FILE, "one", "/app/f", MODE_HOST);
	add(f, CARRY_FILE, "one", "/fixed/f", MODE_HOST);
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
	add(f, CARRY_FILE, "one", "/etc/other", MODE_HOST);
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
	add(f, CARRY_DELETE, NULL, "/bin/vi", MODE_HOST);
	assert_int_equal(apply(f), -ENOTSUP);
	assert_int_equal(f->report.results[0].code, 0);
	assert_int_equal(f->report.results[1].code, ENOTSUP);
	assert_int_equal(runtime->ops->restart(f->session, 0, NULL, &f->err), 0);
	assert_inside(f, "while away", "cat /app/f");
	add(f, CARRY_DELETE, NULL, "/bin/vi", MODE_HOST);
	assert_applied(f);
}

static void a_paused_container(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("docker pause %s", container(f));
	carry_text(f, "paused", "/app/f");
	add(f, CARRY_DELETE, NULL, "/bin/vi", MODE_HOST);
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
		add(f, CARRY_FILE, "one", i == 13 ? "/bin/busybox/below" : dest, MODE_HOST);
	}
	add(f, CARRY_FILE, "no such", "/app/gone", MODE_HOST);
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
	make_sleeper();
	start(f, SCRATCH);
	carry_text(f, "x", "/app/f");
	assert_applied(f);
	add(f, CARRY_DELETE, NULL, "/app/f", MODE_HOST);
	assert_int_equal(apply(f), -ENOTSUP);
	assert_non_null(strstr(f->report.results[0].message, "no rm"));
}

static void large_files_and_many(void **state)
{
	struct fixture *f = *state;
	start(f, STAY);
	host_do("head -c 50000000 /dev/urandom >src/large && mkdir src/many && cd src/many && for i in $(seq 1000); do "
		"echo $i >$i; done");
	add(f, CARRY_FILE, "large", "/app/large", MODE_HOST);
	for (int i = 1; i <= 1000; i++) {
		_cleanup_free_ char *src = xasprintf("many/%d", i), *dest = xasprintf("/app/many/%d", i);
		add(f, CARRY_FILE, src, dest, MODE_HOST);
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
	add(f, CARRY_FILE, "one", "/app/f", MODE_HOST);
	int r = apply(f);
	atomic_store(&writer.stop, true);
	pthread_join(thread, NULL);
	free(writer.path);
	assert_int_equal(r, 0);
	add(f, CARRY_FILE, "one", "/app/f", MODE_HOST);
	assert_applied(f);
	_cleanup_free_ char *sum = host("sha256sum <src/one");
	assert_inside(f, sum, "sha256sum </app/f");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kinds_modes_and_links),
		TEST(kept_modes),
		TEST(kept_modes_without_programs),
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
		BLIND(kinds_modes_and_links),
		BLIND(kept_modes),
		BLIND(kept_modes_without_programs),
		BLIND(every_name),
		BLIND(owners_and_times),
		BLIND(a_file_becomes_a_directory_and_back),
		BLIND(directories_that_are_links),
		BLIND(temporary_file_systems),
		BLIND(nothing_to_delete_with),
	};
	return cmocka_run_group_tests(tests, open_engine, close_engine);
}
