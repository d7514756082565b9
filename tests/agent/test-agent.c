/* The agent (agent/), driven over its pipes: test-agent PROGRAM [ARGUMENT]… */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "driver.h"

static struct stat stat_of(const char *name)
{
	struct stat st = {0};
	assert_int_equal(lstat(path_of(name), &st), 0);
	return st;
}

static bool is_there(const char *name)
{
	return file_exists(path_of(name));
}

static void test_hello(void **state)
{
	struct driver d;
	(void)state;
	driver_start(&d);
	assert_int_equal(d.hello.version, WIRE_VERSION);
	assert_true(d.hello.value == WIRE_ARCH_X86_64 || d.hello.value == WIRE_ARCH_AARCH64);
	assert_int_equal(d.hello.uid, geteuid());
	assert_true(d.hello.flags & WIRE_CAN_PROC);
	assert_true(d.hello.hash.high && d.hello.hash.low);
	uint32_t id = driver_send(&d, (struct wire_message){.type = WIRE_PING});
	assert_int_equal(driver_take(&d, WIRE_PONG).id, id);
	assert_int_equal(driver_end(&d), 0);
}

static void test_batch(void **state)
{
	struct driver d;
	(void)state;
	put("old", "old", 0640);
	put("gone", "x", 0600);
	driver_start(&d);
	struct wire_message keep = file_at("old", "new");
	keep.mode = WIRE_MODE_KEEP;
	driver_send(&d, keep);
	driver_send(&d, file_at("sub/deep/er", "made"));
	struct wire_message link = at(WIRE_SYMLINK, "link");
	link.mode = 0;
	link.text = (struct wire_bytes){"../x y", 6};
	driver_send(&d, link);
	struct wire_message directory = at(WIRE_MKDIR, "directory");
	directory.mode = 0710;
	driver_send(&d, directory);
	driver_send(&d, (struct wire_message){.type = WIRE_DELETE, .path = at(WIRE_DELETE, "gone").path});
	driver_send(&d, (struct wire_message){.type = WIRE_PING});
	driver_take(&d, WIRE_PONG);
	expect_content("old", "old"); /* nothing is seen before the COMMIT */
	assert_true(is_there("gone") && !is_there("sub") && !is_there("link") && !is_there("directory"));
	assert_int_equal(count_hidden(), 0);
	struct wire_message committed = driver_commit(&d, 5);
	assert_true(committed.flags & WIRE_ATOMIC);
	expect_content("old", "new");
	expect_content("sub/deep/er", "made");
	assert_int_equal(stat_of("old").st_mode, S_IFREG | 0640);
	assert_int_equal(stat_of("sub/deep/er").st_mode, S_IFREG | 0644);
	assert_int_equal(stat_of("sub/deep").st_mode, S_IFDIR | 0755);
	assert_int_equal(stat_of("directory").st_mode, S_IFDIR | 0710);
	char target[16] = {0};
	assert_int_equal(readlink(path_of("link"), target, sizeof(target)), 6);
	assert_string_equal(target, "../x y");
	assert_false(is_there("gone"));
	assert_int_equal(count_hidden(), 0);
	assert_int_equal(driver_end(&d), 0);
}

static void test_abort_and_end(void **state)
{
	struct driver d;
	(void)state;
	put("a", "old", 0644);
	driver_start(&d);
	driver_send(&d, file_at("a", "new"));
	driver_send(&d, (struct wire_message){.type = WIRE_ABORT});
	assert_true(driver_commit(&d, 0).flags & WIRE_ATOMIC);
	expect_content("a", "old");
	uint32_t id = driver_send(&d, file_at("a", "new"));
	driver_send(&d, file_at("b", "other"));
	driver_send(&d, (struct wire_message){.type = WIRE_DROP, .id = id});
	driver_commit(&d, 1);
	expect_content("a", "old");
	expect_content("b", "other");
	driver_send(&d, file_at("a", "new"));
	driver_end(&d);
	expect_content("a", "old");
	assert_int_equal(count_hidden(), 0);
}

static void test_kinds_replace_each_other(void **state)
{
	struct driver d;
	(void)state;
	put("file", "f", 0644);
	assert_int_equal(mkdir(path_of("dir"), 0755), 0);
	assert_int_equal(mkdir(path_of("dir/below"), 0755), 0);
	put("dir/below/x", "x", 0644);
	assert_int_equal(symlink("nowhere", path_of("dangling")), 0);
	assert_int_equal(mkdir(path_of("real"), 0755), 0);
	assert_int_equal(symlink("real", path_of("through")), 0);
	driver_start(&d);
	driver_send(&d, at(WIRE_MKDIR, "file"));
	driver_send(&d, file_at("file/inside", "inside"));
	driver_send(&d, file_at("dir", "now a file"));
	driver_send(&d, file_at("dangling", "now a file too"));
	driver_send(&d, at(WIRE_MKDIR, "through")); /* a link to a directory stays */
	driver_send(&d, file_at("through/y", "followed"));
	driver_send(&d, (struct wire_message){.type = WIRE_DELETE, .path = at(WIRE_DELETE, "dir/below/x").path});
	driver_commit(&d, 7);
	expect_content("file/inside", "inside");
	expect_content("dir", "now a file");
	expect_content("dangling", "now a file too");
	expect_content("real/y", "followed");
	assert_true(S_ISLNK(stat_of("through").st_mode));
	/* A file in the way of a directory that only its files name: the batch's own deletion makes room. */
	struct wire_message r = driver_result(&d, file_at("dir/z", "z"));
	assert_int_equal(r.value, ENOTDIR);
	driver_send(&d, file_at("dir/z", "z"));
	driver_send(&d, (struct wire_message){.type = WIRE_DELETE, .path = at(WIRE_DELETE, "dir").path});
	driver_commit(&d, 2);
	expect_content("dir/z", "z");
	assert_int_equal(count_hidden(), 0);
	driver_end(&d);
}

static void test_owners(void **state)
{
	struct driver d;
	(void)state;
	if (geteuid() != 0)
		skip();
	put("kept", "x", 04755);
	assert_int_equal(chown(path_of("kept"), 33, 34), 0);
	assert_int_equal(chmod(path_of("kept"), 04755), 0);
	assert_int_equal(mkdir(path_of("theirs"), 0755), 0);
	assert_int_equal(chown(path_of("theirs"), 100, 101), 0);
	driver_start(&d);
	struct wire_message keep = file_at("kept", "y"), given = file_at("given", "g"), if_new = file_at("kept", "z"),
			    fresh = file_at("fresh", "n");
	keep.mode = WIRE_MODE_KEEP;
	driver_send(&d, keep);
	driver_send(&d, file_at("theirs/new/file", "n"));
	given.flags = fresh.flags = WIRE_OWNER;
	fresh.flags |= WIRE_OWNER_IF_NEW;
	given.uid = fresh.uid = 7;
	given.gid = fresh.gid = 8;
	given.mode = 06711;
	driver_send(&d, given);
	driver_send(&d, fresh);
	driver_commit(&d, 4);
	struct stat st = stat_of("kept");
	assert_true(st.st_uid == 33 && st.st_gid == 34 && (st.st_mode & 07777) == 0755);
	st = stat_of("theirs/new");
	assert_true(st.st_uid == 100 && st.st_gid == 101);
	st = stat_of("theirs/new/file");
	assert_true(st.st_uid == 100 && st.st_gid == 101);
	st = stat_of("given");
	assert_true(st.st_uid == 7 && st.st_gid == 8 && (st.st_mode & 07777) == 06711);
	assert_int_equal(stat_of("fresh").st_uid, 7);
	if_new.flags = WIRE_OWNER | WIRE_OWNER_IF_NEW;
	driver_send(&d, if_new);
	driver_commit(&d, 1);
	assert_int_equal(stat_of("kept").st_uid, 33);
	driver_end(&d);
}

static void test_times_go_forward(void **state)
{
	struct driver d;
	(void)state;
	put("a", "1", 0644);
	struct timespec future[2] = {{4000000000, 999999999}, {4000000000, 999999999}};
	assert_int_equal(utimensat(AT_FDCWD, path_of("a"), future, 0), 0);
	driver_start(&d);
	driver_send(&d, file_at("a", "2"));
	driver_commit(&d, 1);
	struct stat st = stat_of("a");
	assert_true(st.st_mtim.tv_sec > 4000000000);
	driver_end(&d);
}

static void test_expectations(void **state)
{
	struct driver d;
	(void)state;
	put("a", "was", 0644);
	driver_start(&d);
	struct wire_message m = file_at("a", "new");
	m.flags = WIRE_EXPECT;
	m.expected = wire_hash_bytes("other", 5);
	struct wire_message r = driver_result(&d, m);
	assert_int_equal(r.value, EEXIST);
	assert_int_equal(r.reason, WIRE_REASON_EXPECTED);
	assert_int_equal(r.kind, WIRE_FILE);
	assert_true(wire_hash_equal(r.hash, wire_hash_bytes("was", 3)));
	expect_content("a", "was");
	m = file_at("a", "new");
	m.flags = WIRE_EXPECT;
	m.expected = wire_hash_bytes("was", 3);
	assert_int_equal(driver_result(&d, m).value, 0);
	m = file_at("a", "new"); /* once more, after a broken line: it is there already */
	m.flags = WIRE_EXPECT;
	m.expected = wire_hash_bytes("was", 3);
	assert_int_equal(driver_result(&d, m).value, 0);
	m = file_at("a", "newer");
	m.flags = WIRE_EXPECT_NONE;
	assert_int_equal(driver_result(&d, m).value, EEXIST);
	m = file_at("none", "new");
	m.flags = WIRE_EXPECT;
	assert_int_equal(driver_result(&d, m).value, ENOENT);
	m.type = WIRE_DELETE;
	m.data = (struct wire_bytes){0};
	m.path = at(WIRE_DELETE, "a").path;
	assert_int_equal(driver_result(&d,
				       (struct wire_message){.type = WIRE_DELETE, .path = m.path, .flags = WIRE_EXPECT})
				 .value,
			 EEXIST);
	expect_content("a", "new");
	driver_end(&d);
}

static void test_strict(void **state)
{
	struct driver d;
	(void)state;
	put("a", "old", 0644);
	driver_start(&d);
	struct wire_message bad = file_at("b", "b");
	bad.flags = WIRE_EXPECT;
	driver_send(&d, file_at("a", "new"));
	driver_send(&d, bad);
	driver_send(&d, (struct wire_message){.type = WIRE_COMMIT, .flags = WIRE_STRICT});
	assert_int_equal(driver_take(&d, WIRE_RESULT).value, ENOENT);
	assert_int_equal(driver_take(&d, WIRE_RESULT).value, ECANCELED);
	assert_int_equal(driver_take(&d, WIRE_COMMITTED).count, 2);
	expect_content("a", "old");
	driver_send(&d, file_at("a", "new"));
	driver_send(&d, bad);
	driver_send(&d, (struct wire_message){.type = WIRE_COMMIT});
	assert_int_equal(driver_take(&d, WIRE_RESULT).value, ENOENT);
	assert_int_equal(driver_take(&d, WIRE_RESULT).value, 0);
	assert_int_equal(driver_take(&d, WIRE_COMMITTED).count, 1);
	expect_content("a", "new");
	driver_end(&d);
}

static void test_damaged(void **state)
{
	struct driver d;
	(void)state;
	put("a", "old", 0644);
	driver_start(&d);
	struct wire_message m = file_at("a", "new");
	m.hash.low ^= 1;
	struct wire_message r = driver_result(&d, m);
	assert_int_equal(r.value, EBADMSG);
	assert_int_equal(r.reason, WIRE_REASON_DAMAGED);
	uint32_t id = driver_send(&d, at(WIRE_OPEN, "a"));
	driver_send(&d, (struct wire_message){.type = WIRE_DATA, .id = id, .data = {"12", 2}});
	driver_send(&d, (struct wire_message){.type = WIRE_CLOSE, .id = id, .size = 3});
	assert_int_equal(driver_take(&d, WIRE_RESULT).value, EBADMSG);
	driver_send(&d, at(WIRE_OPEN, "a")); /* and never closed */
	driver_send(&d, (struct wire_message){.type = WIRE_COMMIT});
	assert_int_equal(driver_take(&d, WIRE_RESULT).value, ECANCELED);
	assert_int_equal(driver_take(&d, WIRE_COMMITTED).count, 2);
	expect_content("a", "old");
	assert_int_equal(count_hidden(), 0);
	driver_end(&d);
}

static void expect_hash(const char *name, const unsigned char *bytes, size_t len)
{
	_cleanup_close_ int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
	struct hash is, should = hash_bytes(bytes, len);
	assert_int_equal(hash_fd(fd, &is, NULL), 0);
	assert_true(hash_equal(is, should));
}

static void test_chunks(void **state)
{
	enum { BIG = 50 << 20, LITTLE = 1 << 10 };
	struct driver d;
	(void)state;
	_cleanup_free_ unsigned char *bytes = random_bytes(BIG + LITTLE, 3);
	driver_start(&d);
	assert_true(driver_large(&d, "jar", bytes + LITTLE, BIG, false) > BIG);
	driver_commit(&d, 1);
	expect_hash("jar", bytes + LITTLE, BIG);
	for (size_t i = 0; i < LITTLE; i++)
		bytes[LITTLE + BIG / 2 + i] ^= 1;
	assert_in_range(driver_large(&d, "jar", bytes + LITTLE, BIG, true), LITTLE, 200 << 10);
	driver_commit(&d, 1);
	expect_hash("jar", bytes + LITTLE, BIG);
	assert_in_range(driver_large(&d, "jar", bytes, BIG + LITTLE, true), LITTLE, 200 << 10); /* more at the front */
	driver_commit(&d, 1);
	expect_hash("jar", bytes, BIG + LITTLE);
	assert_in_range(driver_large(&d, "none", bytes, 1 << 20, true), 1 << 20, 2 << 20); /* nothing to compare with */
	driver_large(&d, "jar", bytes, 0, true);
	driver_commit(&d, 2);
	assert_int_equal(stat_of("jar").st_size, 0);
	expect_hash("none", bytes, 1 << 20);
	driver_end(&d);
}

static void test_questions(void **state)
{
	struct driver d;
	(void)state;
	put("a", "content", 0604);
	assert_int_equal(symlink("a", path_of("l")), 0);
	driver_start(&d);
	struct wire_message ask = at(WIRE_STAT, "a");
	ask.mode = 0;
	driver_send(&d, ask);
	struct wire_message r = driver_take(&d, WIRE_STATE);
	assert_true(r.kind == WIRE_FILE && r.mode == 0604 && r.size == 7 && r.mtime > 0);
	assert_true(wire_hash_equal(r.hash, wire_hash_bytes("content", 7)));
	ask.path = at(WIRE_STAT, "l").path;
	driver_send(&d, ask);
	r = driver_take(&d, WIRE_STATE);
	assert_true(r.kind == WIRE_LINK && wire_hash_equal(r.hash, wire_hash_bytes("a", 1)));
	ask.path = at(WIRE_STAT, "a/b").path;
	driver_send(&d, ask);
	assert_int_equal(driver_take(&d, WIRE_STATE).kind, WIRE_ABSENT);
	driver_send(&d, (struct wire_message){.type = WIRE_READ, .path = at(WIRE_READ, "a").path, .value = 7});
	r = driver_take(&d, WIRE_CONTENT);
	assert_int_equal(r.data.len, 7);
	assert_memory_equal(r.data.data, "content", 7);
	driver_send(&d, (struct wire_message){.type = WIRE_READ, .path = at(WIRE_READ, "a").path, .value = 6});
	assert_int_equal(driver_take(&d, WIRE_RESULT).value, EFBIG);
	driver_send(&d, (struct wire_message){.type = WIRE_CHECK, .path = at(WIRE_CHECK, "new/file").path});
	r = driver_take(&d, WIRE_RESULT);
	assert_true(r.value == 0 && (r.flags & WIRE_ATOMIC));
	struct wire_message chmod = at(WIRE_CHMOD, "a");
	chmod.mode = 0711;
	assert_int_equal(driver_result(&d, chmod).value, 0);
	assert_int_equal(stat_of("a").st_mode & 07777, 0711);
	driver_end(&d);
}

#define STRINGS(literal) .data = {literal, sizeof(literal) - 1}

static void test_run(void **state)
{
	struct driver d;
	struct wire_message m;
	(void)state;
	CLEANUP(str_release) struct str out = {0}, errors = {0};
	driver_start(&d);
	driver_send(&d, (struct wire_message){.type = WIRE_RUN,
					      .value = 3,
					      .count = 2,
					      .text = {folder, strlen(folder)},
					      STRINGS("sh\0-c\0pwd; echo $A$HOME >&2; exit 7\0A=b\0HOME\0")});
	do {
		assert_true(driver_take_any(&d, &m));
		if (m.type == WIRE_OUTPUT)
			str_add_bytes(m.value == 1 ? &out : &errors, m.data.data, m.data.len);
	} while (m.type == WIRE_OUTPUT);
	assert_int_equal(m.type, WIRE_EXIT);
	assert_int_equal(m.value, 7);
	assert_memory_equal(str_text(&out), folder, strlen(folder));
	assert_string_equal(str_text(&errors), "b\n");
	driver_send(&d, (struct wire_message){.type = WIRE_RUN, .value = 1, STRINGS("no-such-program\0")});
	m = driver_take(&d, WIRE_EXIT);
	assert_true(m.value == 127 && m.count == ENOENT);
	uint32_t id = driver_send(&d, (struct wire_message){.type = WIRE_RUN,
							    .value = 2,
							    STRINGS("sleep\0"
								    "1000\0")});
	driver_send(&d, (struct wire_message){.type = WIRE_KILL, .id = id, .value = SIGKILL});
	assert_int_equal(driver_take(&d, WIRE_EXIT).value, 128 + SIGKILL);
	if (geteuid() == 0) {
		driver_send(&d, (struct wire_message){.type = WIRE_RUN,
						      .flags = WIRE_AS_USER,
						      .uid = 12,
						      .gid = 13,
						      .value = 3,
						      STRINGS("sh\0-c\0id -u; id -G\0")});
		str_clear(&out);
		while (driver_take_any(&d, &m) && m.type == WIRE_OUTPUT)
			str_add_bytes(&out, m.data.data, m.data.len);
		assert_string_equal(str_text(&out), "12\n13\n");
	}
	driver_end(&d);
}

static void test_second_ends_the_first(void **state)
{
	struct driver first, second;
	struct wire_message m;
	(void)state;
	driver_start(&first);
	if (!(first.hello.flags & WIRE_CAN_LOCK)) {
		driver_end(&first);
		skip();
	}
	driver_send(&first, file_at("a", "never"));
	driver_start(&second);
	assert_true(second.hello.flags & WIRE_CAN_LOCK);
	assert_false(driver_take_any(&first, &m));
	driver_end(&first);
	assert_false(is_there("a"));
	driver_end(&second);
}

static void test_hostile(void **state)
{
	struct driver d;
	struct wire_message m;
	(void)state;
	static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	driver_start_with(&d, NULL, false);
	driver_send_bytes(&d, http, sizeof(http) - 1);
	driver_take(&d, WIRE_HELLO);
	assert_int_equal(driver_take(&d, WIRE_BYE).value, EPROTO);
	assert_false(driver_take_any(&d, &m));
	assert_int_equal(driver_end(&d), 1);
	driver_start(&d);
	driver_send_bytes(&d, "\xff\xff\xff\xff", 4);
	assert_int_equal(driver_take(&d, WIRE_BYE).value, EPROTO);
	assert_int_equal(driver_end(&d), 1);
	driver_start(&d); /* chunks that were not asked for, data of nothing */
	driver_send(&d, (struct wire_message){.type = WIRE_DATA, .id = 5, .data = {"x", 1}});
	driver_send(&d, (struct wire_message){.type = WIRE_CLOSE, .id = 6});
	uint32_t id = driver_send(&d, at(WIRE_OPEN, "a"));
	driver_send(&d, (struct wire_message){.type = WIRE_CHUNKS, .id = id, .data = {"12345678\1\0\0\0", 12}});
	assert_int_equal(driver_take(&d, WIRE_RESULT).value, EPROTO);
	for (int i = 0; i <= WIRE_OPEN_MAX; i++)
		driver_send(&d, at(WIRE_OPEN, "a"));
	assert_int_equal(driver_take(&d, WIRE_RESULT).reason, WIRE_REASON_LIMIT);
	assert_int_equal(driver_end(&d), 0);
	assert_false(is_there("a"));
}

static void test_unlinks_itself(void **state)
{
	struct driver d;
	(void)state;
	if (agent_program[1]) /* under qemu the program is not what is run */
		skip();
	char *data = NULL;
	size_t len;
	assert_int_equal(file_read(agent_program[0], 64 << 20, &data, &len, NULL), 0);
	assert_int_equal(mkdir(path_of(".skiff"), 0755), 0);
	assert_int_equal(file_write_atomic(path_of(".skiff/agent"), data, len, 0755, NULL), 0);
	free(data);
	char *mine[] = {path_of(".skiff/agent"), NULL}, **before = agent_program;
	agent_program = mine;
	driver_start_with(&d, "--unlink", true);
	agent_program = before;
	driver_send(&d, (struct wire_message){.type = WIRE_HELLO,
					      .version_min = WIRE_VERSION_MIN,
					      .version = WIRE_VERSION});
	assert_false(is_there(".skiff"));
	driver_end(&d);
}

/* A reader that opens the file in a loop. */
struct reading {
	char path[128];
	atomic_bool stop;
	uint64_t reads, missing, mixed;
};

static void *read_in_a_loop(void *data)
{
	struct reading *r = data;
	char text[4096];
	while (!r->stop) {
		int fd = open(r->path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
		r->reads++;
		r->missing += fd < 0;
		for (ssize_t i = 1; i < n; i++)
			r->mixed += text[i] != text[0];
		r->mixed += fd >= 0 && n != 1000 + text[0];
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void test_reader_sees_whole_files(void **state)
{
	struct driver d;
	char content[2048];
	pthread_t thread;
	(void)state;
	struct reading reading = {0};
	int rounds = driver_is_slow() ? 500 : 10000;
	snprintf(reading.path, sizeof(reading.path), "%s", path_of("a"));
	driver_start(&d);
	for (int i = 0; i < rounds; i++) {
		char letter = (char)('a' + i % 26);
		memset(content, letter, sizeof(content));
		content[1000 + letter] = '\0';
		driver_send(&d, file_at("a", content));
		driver_commit(&d, 1);
		if (i == 0)
			assert_int_equal(pthread_create(&thread, NULL, read_in_a_loop, &reading), 0);
	}
	reading.stop = true;
	pthread_join(thread, NULL);
	assert_true(reading.reads > 100);
	assert_int_equal(reading.missing, 0);
	assert_int_equal(reading.mixed, 0);
	driver_end(&d);
}

static void test_stopped(void **state)
{
	struct driver d;
	(void)state;
	driver_start(&d);
	kill(d.pid, SIGSTOP);
	uint32_t id = driver_send(&d, file_at("a", "x"));
	driver_send(&d, (struct wire_message){.type = WIRE_COMMIT});
	assert_false(is_there("a"));
	kill(d.pid, SIGCONT);
	assert_int_equal(driver_take(&d, WIRE_RESULT).id, id);
	driver_take(&d, WIRE_COMMITTED);
	expect_content("a", "x");
	driver_end(&d);
}

/* Whatever runs in a mount namespace of its own; the tests on mounts fork. */
static void in_own_mounts(void (*body)(void))
{
	if (geteuid() != 0)
		skip();
	pid_t pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			_exit(77);
		body();
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

#define EXPECT(condition)                                                           \
	do {                                                                        \
		if (!(condition)) {                                                 \
			print_error("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                   \
		}                                                                   \
	} while (0)

static bool content_is(const char *name, const char *content)
{
	_cleanup_free_ char *is = get(name);
	return is && strcmp(is, content) == 0;
}

static void mounted_file(void)
{
	struct driver d;
	put("source", "old", 0644);
	put("target", "", 0644);
	EXPECT(mount(path_of("source"), path_of("target"), NULL, MS_BIND, NULL) == 0);
	driver_start(&d);
	driver_send(&d, (struct wire_message){.type = WIRE_CHECK, .path = at(WIRE_CHECK, "target").path});
	struct wire_message r = driver_take(&d, WIRE_RESULT);
	EXPECT(r.value == 0 && !(r.flags & WIRE_ATOMIC) && r.reason == WIRE_REASON_MOUNT);
	driver_send(&d, file_at("target", "longer than before"));
	driver_send(&d, file_at("beside", "x"));
	driver_send(&d, (struct wire_message){.type = WIRE_COMMIT});
	r = driver_take(&d, WIRE_RESULT);
	EXPECT(r.value == 0 && !(r.flags & WIRE_ATOMIC));
	r = driver_take(&d, WIRE_RESULT);
	EXPECT(r.value == 0 && (r.flags & WIRE_ATOMIC));
	EXPECT(!(driver_take(&d, WIRE_COMMITTED).flags & WIRE_ATOMIC));
	EXPECT(content_is("source", "longer than before"));
	r = driver_result(&d, file_at("target", "short"));
	EXPECT(r.value == 0 && content_is("source", "short"));
	r = driver_result(&d, (struct wire_message){.type = WIRE_DELETE, .path = at(WIRE_DELETE, "target").path});
	EXPECT(r.value == EBUSY && r.reason == WIRE_REASON_MOUNT);
	EXPECT(count_hidden() == 0);
	EXPECT(driver_end(&d) == 0);
}

static void read_only_root(void)
{
	struct driver d;
	unsigned char bytes[3000];
	EXPECT(mkdir(path_of("root"), 0755) == 0 && mkdir(path_of("volume"), 0755) == 0);
	put("root/a", "old", 0644);
	put("root/file", "old", 0644);
	put("outside", "old", 0644);
	EXPECT(mkdir(path_of("root/data"), 0755) == 0);
	EXPECT(mount(path_of("root"), path_of("root"), NULL, MS_BIND, NULL) == 0);
	EXPECT(mount(path_of("volume"), path_of("root/data"), NULL, MS_BIND, NULL) == 0);
	EXPECT(mount(path_of("outside"), path_of("root/file"), NULL, MS_BIND, NULL) == 0);
	EXPECT(mount(NULL, path_of("root"), NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
	driver_start(&d);
	struct wire_message r = driver_result(&d, file_at("root/a", "new"));
	EXPECT(r.value == EROFS && r.reason == WIRE_REASON_READ_ONLY && r.mode == 0755);
	r = driver_result(&d, file_at("root/none/b", "new"));
	EXPECT(r.value == EROFS && r.reason == WIRE_REASON_READ_ONLY);
	r = driver_result(&d, file_at("root/data/c", "new"));
	EXPECT(r.value == 0 && (r.flags & WIRE_ATOMIC));
	r = driver_result(&d, file_at("root/file", "through"));
	EXPECT(r.value == 0 && !(r.flags & WIRE_ATOMIC) && content_is("outside", "through"));
	memset(bytes, 'x', sizeof(bytes));
	driver_large(&d, "root/file", bytes, sizeof(bytes), true);
	driver_commit(&d, 1);
	struct stat st = stat_of("outside");
	EXPECT(st.st_size == sizeof(bytes));
	r = driver_result(&d, (struct wire_message){.type = WIRE_DELETE, .path = at(WIRE_DELETE, "root/a").path});
	EXPECT(r.value == EROFS);
	EXPECT(driver_end(&d) == 0);
}

static void full_disk(void)
{
	struct driver d;
	_cleanup_free_ unsigned char *bytes = random_bytes(2 << 20, 9);
	EXPECT(mkdir(path_of("small"), 0755) == 0);
	EXPECT(mount("none", path_of("small"), "tmpfs", 0, "size=1m,nr_inodes=12") == 0);
	put("small/a", "old", 0644);
	driver_start(&d);
	driver_large(&d, "small/a", bytes, 2 << 20, false);
	struct wire_message r = driver_take(&d, WIRE_RESULT);
	EXPECT(r.value == ENOSPC && r.reason == WIRE_REASON_SPACE);
	driver_send(&d, file_at("small/b", "b"));
	driver_send(&d, (struct wire_message){.type = WIRE_COMMIT, .flags = WIRE_STRICT});
	EXPECT(driver_take(&d, WIRE_RESULT).value == ECANCELED);
	driver_take(&d, WIRE_COMMITTED);
	EXPECT(content_is("small/a", "old") && !is_there("small/b"));
	char name[32];
	for (int i = 0; i < 20; i++) { /* no inodes */
		snprintf(name, sizeof(name), "small/f%d", i);
		driver_send(&d, file_at(name, "x"));
	}
	driver_send(&d, (struct wire_message){.type = WIRE_COMMIT, .flags = WIRE_STRICT});
	for (int i = 0; i < 20; i++)
		EXPECT(driver_take(&d, WIRE_RESULT).value != 0);
	driver_take(&d, WIRE_COMMITTED);
	EXPECT(!is_there("small/f0") && count_hidden() == 0);
	r = driver_result(&d, file_at("small/a", "new"));
	EXPECT(r.value == 0 && content_is("small/a", "new"));
	EXPECT(mkdir(path_of("large"), 0755) == 0);
	for (int i = 0; i < 200; i++) { /* so many that several threads stage them */
		snprintf(name, sizeof(name), "%s/f%d", i % 2 ? "small" : "large", i);
		driver_send(&d, file_at(name, "x"));
	}
	EXPECT(driver_take(&d, WIRE_RESULT).value == ENOSPC); /* told before anybody asks */
	driver_send(&d, (struct wire_message){.type = WIRE_COMMIT});
	while (driver_take_any(&d, &r) && r.type != WIRE_COMMITTED)
		EXPECT(r.value == 0 || r.value == ENOSPC);
	EXPECT(r.count >= 88 && r.count < 100 && count_hidden() == 0);
	EXPECT(content_is("large/f0", "x") && content_is("large/f198", "x"));
	EXPECT(driver_end(&d) == 0);
}

static void mount_in_a_tree(void)
{
	struct driver d;
	EXPECT(mkdir(path_of("tree"), 0755) == 0 && mkdir(path_of("tree/volume"), 0755) == 0);
	EXPECT(mount("none", path_of("tree/volume"), "tmpfs", 0, "size=1m") == 0);
	put("tree/volume/precious", "x", 0644);
	put("tree/plain", "x", 0644);
	driver_start(&d);
	struct wire_message r =
		driver_result(&d, (struct wire_message){.type = WIRE_DELETE, .path = at(WIRE_DELETE, "tree").path});
	EXPECT(r.value == EBUSY && is_there("tree/volume/precious") && !is_there("tree/plain"));
	r = driver_result(&d, file_at("tree", "a file in its place"));
	EXPECT(r.value == EBUSY && r.reason == WIRE_REASON_MOUNT && is_there("tree/volume/precious"));
	EXPECT(count_hidden() == 0);
	EXPECT(driver_end(&d) == 0);
}

static void no_proc(void)
{
	struct driver d;
	EXPECT(mount("none", "/proc", "tmpfs", 0, "size=1m") == 0);
	put("a", "old", 0644);
	driver_start(&d);
	EXPECT(!(d.hello.flags & WIRE_CAN_PROC));
	driver_send(&d, file_at("a", "new"));
	driver_send(&d, file_at("x/y/z", "deep"));
	driver_send(&d, file_at("never", "x"));
	driver_send(&d, (struct wire_message){.type = WIRE_ABORT});
	driver_send(&d, (struct wire_message){.type = WIRE_PING});
	driver_take(&d, WIRE_PONG);
	EXPECT(count_hidden() == 0);
	driver_send(&d, file_at("a", "new"));
	driver_send(&d, file_at("x/y/z", "deep"));
	EXPECT(driver_commit(&d, 2).flags & WIRE_ATOMIC);
	EXPECT(content_is("a", "new") && content_is("x/y/z", "deep") && count_hidden() == 0);
	EXPECT(driver_end(&d) == 0);
}

static void other_user(void)
{
	struct driver d;
	EXPECT(mkdir(path_of("closed"), 0755) == 0 && mkdir(path_of("open"), 0777) == 0);
	EXPECT(chmod(path_of("open"), 0777) == 0);
	put("closed/theirs", "old", 0666);
	put("closed/shut", "old", 0644);
	EXPECT(setgid(4242) == 0 && setuid(4242) == 0);
	driver_start(&d);
	EXPECT(d.hello.uid == 4242);
	struct wire_message r = driver_result(&d, file_at("closed/shut", "new"));
	EXPECT(r.value == EACCES && r.reason == WIRE_REASON_DIRECTORY && r.uid == 0 && r.mode == 0755);
	r = driver_result(&d, file_at("closed/new", "new"));
	EXPECT(r.value == EACCES && r.reason == WIRE_REASON_DIRECTORY);
	r = driver_result(&d, file_at("closed/theirs", "new"));
	EXPECT(r.value == 0 && !(r.flags & WIRE_ATOMIC) && content_is("closed/theirs", "new"));
	struct wire_message given = file_at("open/mine", "new");
	given.flags = WIRE_OWNER;
	r = driver_result(&d, given);
	EXPECT(r.value == 0 && (r.flags & WIRE_OWNER_REFUSED) && stat_of("open/mine").st_uid == 4242);
	struct wire_message directory = at(WIRE_MKDIR, "open/bare");
	directory.mode = 0555;
	driver_send(&d, directory);
	driver_send(&d, file_at("open/bare/inside", "x"));
	driver_commit(&d, 2);
	EXPECT((stat_of("open/bare").st_mode & 07777) == 0555 && content_is("open/bare/inside", "x"));
	EXPECT(chmod(path_of("open/bare"), 0755) == 0);
	driver_send(&d, (struct wire_message){.type = WIRE_CHECK, .path = at(WIRE_CHECK, "closed/new").path});
	r = driver_take(&d, WIRE_RESULT);
	EXPECT(r.value == EACCES && r.reason == WIRE_REASON_DIRECTORY);
	EXPECT(driver_end(&d) == 0);
}

#define IN_OWN_MOUNTS(body)                   \
	static void test_##body(void **state) \
	{                                     \
		(void)state;                  \
		in_own_mounts(body);          \
	}
IN_OWN_MOUNTS(mounted_file)
IN_OWN_MOUNTS(read_only_root)
IN_OWN_MOUNTS(full_disk)
IN_OWN_MOUNTS(mount_in_a_tree)
IN_OWN_MOUNTS(no_proc)
IN_OWN_MOUNTS(other_user)

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hello),
		TEST(test_batch),
		TEST(test_abort_and_end),
		TEST(test_kinds_replace_each_other),
		TEST(test_owners),
		TEST(test_times_go_forward),
		TEST(test_expectations),
		TEST(test_strict),
		TEST(test_damaged),
		TEST(test_chunks),
		TEST(test_questions),
		TEST(test_run),
		TEST(test_second_ends_the_first),
		TEST(test_hostile),
		TEST(test_unlinks_itself),
		TEST(test_stopped),
		TEST(test_mounted_file),
		TEST(test_read_only_root),
		TEST(test_full_disk),
		TEST(test_mount_in_a_tree),
		TEST(test_no_proc),
		TEST(test_other_user),
		TEST(test_reader_sees_whole_files),
	};
	if (argc < 2)
		return 2;
	agent_program = argv + 1;
	signal(SIGPIPE, SIG_IGN);
	driver_apart();
	return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
