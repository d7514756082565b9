/* The agent cut off, killed, stopped, fed nonsense: test-faults PROGRAM [ARGUMENT]… One batch with one of everything is recorded as bytes; before
 * and after it the folder is known. Whatever happens, each file is the old or the new one, and the same once more brings all about and leaves
 * nothing over. */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "driver.h"
#include "wire/chunk.h"

enum {
	JAR = 150 << 10, /* bytes: several chunks */
	FRONT = 100,	 /* of them new */
	SKIM = 997,	 /* inside content, a cut at each of so many bytes */
};

static struct {
	struct str bytes;
	unsigned char jar[JAR];
	struct {
		size_t from, to;
	} content[8]; /* where in the bytes there is content */
	size_t contents;
} talk;

static void say(struct wire_message m)
{
	size_t room = WIRE_FRAME_MAX - WIRE_DATA_MAX + m.data.len;
	int n = wire_encode(&m, str_reserve(&talk.bytes, room), room);
	assert_true(n > 0);
	talk.bytes.len += (size_t)n;
	if (m.data.len > SKIM) {
		talk.content[talk.contents].to = talk.bytes.len - 2;
		talk.content[talk.contents++].from = talk.bytes.len - m.data.len + 2;
	}
}

static struct wire_message with_id(struct wire_message m, uint32_t id)
{
	m.id = id;
	return m;
}

/* A large file by chunks, of which the agent has all but the first. */
static void say_jar(uint32_t id)
{
	unsigned char list[64 * WIRE_CHUNK_SIZE];
	size_t first = 0, count = 0;
	struct wire_message open = at(WIRE_OPEN, "jar");
	open.flags = WIRE_DELTA;
	open.size = JAR;
	say(with_id(open, id));
	for (size_t done = 0, len; done < JAR; done += len) {
		len = chunk_cut(talk.jar + done, JAR - done);
		first = done ? first : len;
		wire_chunk_put(list, count++, (struct wire_chunk){wire_hash64(talk.jar + done, len), (uint32_t)len});
	}
	say((struct wire_message){.type = WIRE_CHUNKS, .id = id, .data = {list, count * WIRE_CHUNK_SIZE}});
	say((struct wire_message){.type = WIRE_DATA, .id = id, .data = {talk.jar, first}});
	say((struct wire_message){.type = WIRE_CLOSE, .id = id, .size = JAR, .hash = wire_hash_bytes(talk.jar, JAR)});
}

/* All but the jar, which is the seventh. */
static struct wire_message request(uint32_t id)
{
	struct wire_message m;
	switch (id) {
	case 1:
		return file_at("replaced", "the new content");
	case 2:
		return file_at("deep/er/fresh", "fresh");
	case 3:
		return file_at("tree", "no tree any more");
	case 4:
		m = at(WIRE_SYMLINK, "link");
		m.text = (struct wire_bytes){"replaced", 8};
		m.mode = 0;
		return m;
	case 5:
		return at(WIRE_MKDIR, "made");
	default:
		return (struct wire_message){.type = WIRE_DELETE, .path = at(WIRE_DELETE, "deleted").path};
	}
}

static void say_all(bool backwards)
{
	str_clear(&talk.bytes);
	talk.contents = 0;
	say((struct wire_message){.type = WIRE_HELLO, .version_min = WIRE_VERSION_MIN, .version = WIRE_VERSION});
	for (uint32_t i = 0; i < 7; i++) {
		uint32_t id = backwards ? 7 - i : i + 1;
		if (id == 7)
			say_jar(id);
		else
			say(with_id(request(id), id));
	}
	say((struct wire_message){.type = WIRE_COMMIT, .id = 8});
}

/* Once more in the same session, by which the agent knows that the files are its own. */
static void say_again(void)
{
	for (uint32_t id = 1; id <= 3; id++)
		say(with_id(request(id), 8 + id));
	say((struct wire_message){.type = WIRE_COMMIT, .id = 12});
}

static int record(void **state)
{
	_cleanup_free_ unsigned char *bytes = random_bytes(JAR, 77);
	memcpy(talk.jar, bytes, JAR);
	int r = folder_setup(state);
	say_all(false);
	return r;
}

static void put_jar(void)
{
	assert_int_equal(file_write_atomic(path_of("jar"), (const char *)talk.jar + FRONT, JAR - FRONT, 0644, NULL), 0);
}

static void reset(void)
{
	assert_int_equal(file_remove_tree(folder, NULL), 0);
	assert_int_equal(mkdir(folder, 0755), 0);
	put("replaced", "old", 0644);
	put("deleted", "old", 0644);
	assert_int_equal(mkdir(path_of("tree"), 0755), 0);
	put("tree/leaf", "old", 0644);
	put_jar();
}

static bool holds(const char *name, const char *content)
{
	_cleanup_free_ char *is = get(name);
	return is && strcmp(is, content) == 0;
}

static bool jar_is(const unsigned char *bytes, size_t len)
{
	_cleanup_free_ char *is = NULL;
	size_t size = 0;
	return file_read(path_of("jar"), 1 << 20, &is, &size, NULL) == 0 && size == len && memcmp(is, bytes, len) == 0;
}

static bool is_absent(const char *name)
{
	return access(path_of(name), F_OK) < 0;
}

static bool link_is_there(void)
{
	char target[16] = {0};
	return readlink(path_of("link"), target, sizeof(target) - 1) == 8 && strcmp(target, "replaced") == 0;
}

static size_t count_entries(void)
{
	DIR *dir = opendir(folder);
	size_t count = 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static void expect_before(size_t cut)
{
	bool before = holds("replaced", "old") && holds("deleted", "old") && holds("tree/leaf", "old") &&
		      jar_is(talk.jar + FRONT, JAR - FRONT) && count_entries() == 4;
	if (!before)
		print_error("cut at %zu of %zu\n", cut, talk.bytes.len);
	assert_true(before);
}

static void expect_after(void)
{
	expect_content("replaced", "the new content");
	expect_content("deep/er/fresh", "fresh");
	expect_content("tree", "no tree any more");
	assert_true(link_is_there() && jar_is(talk.jar, JAR));
	assert_true(is_absent("deleted") && !is_absent("made"));
	assert_int_equal(count_hidden(), 0);
	assert_int_equal(count_entries(), 6);
}

/* Old or new, each of them; what the old kernel's switch from a tree to a file passes through is not a file. */
static void expect_whole(void)
{
	assert_true(holds("replaced", "old") || holds("replaced", "the new content"));
	assert_true(holds("deleted", "old") || is_absent("deleted"));
	assert_true(holds("tree", "no tree any more") || holds("tree/leaf", "old"));
	assert_true(is_absent("deep/er/fresh") || holds("deep/er/fresh", "fresh"));
	assert_true(jar_is(talk.jar, JAR) || jar_is(talk.jar + FRONT, JAR - FRONT));
}

static void close_both(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

/* The agent with the first bytes of the conversation in its input, and no more to come. */
static pid_t start_with(size_t len, bool traced)
{
	int input[2];
	int output = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_true(fcntl(input[1], F_SETPIPE_SZ, 1 << 20) > 0);
	assert_int_equal(write_all(input[1], talk.bytes.data, len), 0);
	pid_t pid = driver_spawn(input[0], output, NULL, traced);
	close_both(input);
	close(output);
	return pid;
}

static int status_of(pid_t pid)
{
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void do_all(void)
{
	assert_int_equal(status_of(start_with(talk.bytes.len, false)), 0);
	expect_after();
}

static bool in_content(size_t at)
{
	for (size_t i = 0; i < talk.contents; i++)
		if (at >= talk.content[i].from && at < talk.content[i].to)
			return true;
	return false;
}

static void cut_everywhere(size_t step)
{
	reset();
	for (size_t cut = 0; cut < talk.bytes.len; cut += step) {
		if (step == 1 && in_content(cut) && cut % SKIM)
			continue;
		assert_int_equal(status_of(start_with(cut, false)), 0);
		expect_before(cut);
	}
	do_all(); /* after all these */
	do_all(); /* and once more */
}

static void test_cut(void **state)
{
	(void)state;
	cut_everywhere(driver_is_slow() ? 1201 : 1);
}

static void test_cut_on_an_old_kernel(void **state)
{
	(void)state;
	if (agent_program[1])
		skip();
	driver_kernel = KERNEL_NO_TMPFILE;
	cut_everywhere(driver_is_slow() ? 1201 : 31);
	driver_kernel = KERNEL_WHOLE;
}

/* Runs it for so many steps, then kills it. Each way into the kernel is a step, and each way out of it. False: it had ended before. */
static bool kill_after(size_t steps)
{
	pid_t pid = start_with(talk.bytes.len, true);
	int status = status_of(pid);
	for (size_t i = 0; i < steps && WIFSTOPPED(status); i++) {
		int signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)signal), 0);
		status = status_of(pid);
	}
	if (!WIFSTOPPED(status))
		return false;
	kill(pid, SIGKILL);
	status_of(pid);
	return true;
}

static void kill_at_every_call(enum driver_kernel kernel, size_t calls)
{
	size_t steps = 1;
	if (driver_is_slow()) /* a tracer sees qemu's own steps, the sanitizers' */
		skip();
	driver_kernel = kernel;
	for (bool more = true; more; steps += 2 * calls) {
		reset();
		say_all(false);
		say_again();
		more = kill_after(steps);
		expect_whole();
		say_all(steps % 4 == 3); /* the next session need not say it in the same order */
		do_all();
	}
	driver_kernel = KERNEL_WHOLE;
	say_all(false);
	assert_true(steps > 100);
}

static void test_killed(void **state)
{
	(void)state;
	kill_at_every_call(KERNEL_WHOLE, 1);
}

static void test_killed_where_proc_names(void **state)
{
	(void)state;
	kill_at_every_call(KERNEL_NO_LINK, 7);
}

static void test_killed_on_an_old_kernel(void **state)
{
	(void)state;
	kill_at_every_call(KERNEL_NO_TMPFILE, 1);
}

static struct wire_message look(struct driver *d, const char *name)
{
	struct wire_message ask = at(WIRE_STAT, name);
	ask.mode = 0;
	driver_send(d, ask);
	return driver_take(d, WIRE_STATE);
}

/* What was on its way comes by another than the agent: then nobody sends it again, but it is looked at. */
static void look_after_every_call(enum driver_kernel kernel)
{
	static const char *const names[] = {"replaced", "deep/er/fresh", "tree", "link", "made", "deleted", "jar"};
	struct driver d;
	if (driver_is_slow())
		skip();
	driver_kernel = kernel;
	size_t left = 0;
	for (size_t steps = 1; reset(), kill_after(steps); steps += 2) {
		if (steps % 4 == 1 && is_absent("deep"))
			assert_int_equal(mkdir(path_of("deep"), 0755), 0);
		left += count_hidden() > 0;
		driver_start(&d);
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			look(&d, names[i]);
		assert_int_equal(count_hidden(), 0);
		driver_end(&d);
		expect_whole();
	}
	driver_kernel = KERNEL_WHOLE;
	assert_true(left > 0);
}

static void test_killed_and_looked_at(void **state)
{
	(void)state;
	look_after_every_call(KERNEL_WHOLE);
	look_after_every_call(KERNEL_NO_TMPFILE);
}

/* Killed when a tree and what comes in its place had changed places. */
static void test_left_trees_go_when_looked_at(void **state)
{
	struct driver d;
	(void)state;
	reset();
	for (int directory = 0; directory < 2; directory++) {
		const char *path = path_of("replaced");
		char left[64], below[80];
		snprintf(left, sizeof(left), ".skiff-new-%016llx%s",
			 (unsigned long long)wire_hash64(path, strlen(path)), directory ? "d" : "");
		snprintf(below, sizeof(below), "%s/below", left);
		assert_int_equal(mkdir(path_of(left), 0700), 0);
		put(below, "old", 0644);
	}
	assert_int_equal(count_hidden(), 2);
	driver_start(&d);
	look(&d, "replaced");
	assert_int_equal(count_hidden(), 0);
	driver_end(&d);
}

/* A look while a batch is on its way takes nothing of it. */
static void test_looked_at_while_staged(void **state)
{
	struct driver d;
	(void)state;
	for (driver_kernel = KERNEL_WHOLE; driver_kernel <= KERNEL_NO_TMPFILE; driver_kernel++) {
		if (agent_program[1] && driver_kernel != KERNEL_WHOLE)
			break;
		reset();
		driver_start(&d);
		driver_send(&d, file_at("replaced", "staged"));
		assert_int_equal(look(&d, "replaced").kind, WIRE_FILE);
		driver_send(&d, file_at("deep/er/fresh", "staged"));
		assert_int_equal(look(&d, "deep/er/fresh").kind, WIRE_ABSENT);
		driver_commit(&d, 2);
		expect_content("replaced", "staged");
		expect_content("deep/er/fresh", "staged");
		driver_end(&d);
	}
	driver_kernel = KERNEL_WHOLE;
}

/* Flipped bits, but not in paths: those would be other files of this machine. */
static void test_nonsense(void **state)
{
	(void)state;
	_cleanup_free_ unsigned char *chance = random_bytes(4096, 5);
	CLEANUP(str_release) struct str good = {0};
	str_add_bytes(&good, talk.bytes.data, talk.bytes.len);
	size_t end = talk.bytes.len, rounds = driver_is_slow() ? 40 : 200;
	for (size_t i = 0; i < rounds; i++) {
		const unsigned char *c = &chance[i * 8];
		size_t content = talk.content[c[0] % talk.contents].from;
		size_t places[] = {0,		4,	     9,	      13,      17,
				   45,		46,	     49,      53,      content + c[1],
				   content - 3, content - 9, end - 4, end - 9, end - 13,
				   end - 20};
		reset();
		for (int flips = 1 + c[2] % 3; flips > 0; flips--)
			talk.bytes.data[places[c[2 + flips] % 16]] ^= (char)(1 << c[6] % 8);
		int status = status_of(start_with(talk.bytes.len, false));
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
		expect_whole();
		memcpy(talk.bytes.data, good.data, good.len);
	}
	reset();
	do_all();
}

/* Where some of a batch can't be, the others are; each says why. */
static void test_others_go_on(void **state)
{
	struct driver d;
	struct wire_message m;
	(void)state;
	reset();
	driver_start(&d);
	struct wire_message wrong = file_at("other", "x"), unexpected = file_at("replaced", "unexpected");
	wrong.hash.low ^= 1;
	unexpected.flags = WIRE_EXPECT;
	uint32_t first = driver_send(&d, wrong); /* damaged */
	driver_send(&d, unexpected);
	driver_send(&d, file_at("deleted/below", "x")); /* a file is in the way */
	driver_send(&d, file_at("new", "new"));
	driver_send(&d, file_at("some/where/else", "new"));
	driver_send(&d, at(WIRE_OPEN, "never")); /* and never closed */
	driver_send(&d, file_at("jar", "no jar"));
	driver_send(&d, (struct wire_message){.type = WIRE_DELETE, .path = at(WIRE_DELETE, "tree").path});
	driver_send(&d, (struct wire_message){.type = WIRE_COMMIT});
	static const int codes[] = {EBADMSG, EEXIST, ENOTDIR, 0, 0, ECANCELED, 0, 0};
	for (int i = 0; i < 8; i++) {
		m = driver_take(&d, WIRE_RESULT);
		assert_in_range(m.id - first, 0, 7);
		assert_int_equal(m.value, codes[m.id - first]);
	}
	m = driver_take(&d, WIRE_COMMITTED);
	assert_int_equal(m.count, 4);
	expect_content("new", "new");
	expect_content("some/where/else", "new");
	expect_content("jar", "no jar");
	expect_content("replaced", "old");
	assert_true(is_absent("tree") && is_absent("other") && is_absent("never"));
	assert_int_equal(count_hidden(), 0);
	driver_end(&d);
}

/* The last of them stands. */
static void test_same_path_twice(void **state)
{
	struct driver d;
	(void)state;
	for (driver_kernel = KERNEL_WHOLE; driver_kernel <= KERNEL_NO_TMPFILE; driver_kernel++) {
		if (agent_program[1] && driver_kernel != KERNEL_WHOLE)
			break;
		reset();
		driver_start(&d);
		for (int i = 0; i < 3; i++) {
			driver_send(&d, file_at("replaced", i == 2 ? "third" : "earlier"));
			driver_send(&d, file_at("a/b/new", i == 2 ? "third" : "earlier"));
		}
		driver_send(&d, at(WIRE_MKDIR, "deleted"));
		driver_send(&d, file_at("deleted", "a file again"));
		assert_true(driver_commit(&d, 8).flags & WIRE_ATOMIC);
		expect_content("replaced", "third");
		expect_content("a/b/new", "third");
		expect_content("deleted", "a file again");
		assert_int_equal(count_hidden(), 0);
		driver_end(&d);
	}
	driver_kernel = KERNEL_WHOLE;
}

/* Each replacement is later than the one before, however fast they come. */
static void test_times_of_quick_changes(void **state)
{
	struct driver d;
	struct stat before, after;
	char content[16];
	(void)state;
	reset();
	driver_start(&d);
	assert_int_equal(stat(path_of("replaced"), &before), 0);
	for (int i = 0; i < 200; i++) {
		snprintf(content, sizeof(content), "%d", i);
		driver_send(&d, file_at("replaced", content));
		driver_commit(&d, 1);
		assert_int_equal(stat(path_of("replaced"), &after), 0);
		bool later = after.st_mtim.tv_sec > before.st_mtim.tv_sec ||
			     (after.st_mtim.tv_sec == before.st_mtim.tv_sec &&
			      after.st_mtim.tv_nsec > before.st_mtim.tv_nsec);
		assert_true(later);
		before = after;
	}
	assert_in_range(after.st_mtim.tv_sec, time(NULL) - 60, time(NULL) + 1);
	driver_end(&d);
}

static size_t memory_of(pid_t pid)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	size_t len, kb = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	assert_int_equal(file_read(path, 1 << 16, &text, &len, NULL), 0);
	assert_int_equal(sscanf(strstr(text, "VmHWM:"), "VmHWM: %zu", &kb), 1);
	return kb;
}

/* Writes until there is no more room. */
static size_t fill(struct driver *d, const char *bytes, size_t len, int wait_ms)
{
	size_t sent = 0;
	fcntl(d->in, F_SETFL, O_NONBLOCK);
	for (;;) {
		struct pollfd fd = {.fd = d->in, .events = POLLOUT};
		ssize_t n = write(d->in, bytes + sent, len - sent);
		if (n > 0)
			sent += (size_t)n;
		else if (sent == len || poll(&fd, 1, wait_ms) == 0)
			return sent;
	}
}

/* Stopped in the middle of a batch: the line is full, nothing is seen, and all is done when it goes on. */
static void test_stopped(void **state)
{
	enum { COUNT = 1500 };
	struct driver d;
	CLEANUP(str_release) struct str batch = {.max = 16 << 20};
	char name[16], content[1025];
	(void)state;
	memset(content, 'x', 1024);
	content[1024] = '\0';
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		struct wire_message m = with_id(file_at(name, content), (uint32_t)i + 1);
		int n = wire_encode(&m, str_reserve(&batch, 4096), 4096);
		batch.len += (size_t)n;
	}
	driver_start(&d);
	kill(d.pid, SIGSTOP);
	size_t sent = fill(&d, batch.data, batch.len, 50);
	assert_in_range(sent, 1, 2 << 20); /* what a pipe holds */
	assert_true(is_absent("f0"));
	kill(d.pid, SIGCONT);
	driver_send_bytes(&d, batch.data + sent, batch.len - sent);
	driver_commit(&d, COUNT);
	assert_int_equal(count_hidden(), 0);
	driver_end(&d);
}

/* Answers that nobody reads stop the agent, not its memory; read at last, all are there. */
static void test_slow_reader(void **state)
{
	enum { COUNT = 400000 };
	struct driver d;
	CLEANUP(str_release) struct str asked = {.max = 16 << 20};
	(void)state;
	for (uint32_t i = 1; i <= COUNT; i++) {
		int n = wire_encode(&(struct wire_message){.type = WIRE_PING, .id = i}, str_reserve(&asked, 64), 64);
		asked.len += (size_t)n;
	}
	driver_start(&d);
	size_t sent = fill(&d, asked.data, asked.len, 200);
	assert_true(sent < asked.len);
	if (!driver_is_slow())
		assert_in_range(memory_of(d.pid), 1, 4 << 10);
	for (uint32_t i = 1; i <= COUNT; i++) {
		assert_int_equal(driver_take(&d, WIRE_PONG).id, i);
		if (sent < asked.len && i % 1024 == 0)
			sent += fill(&d, asked.data + sent, asked.len - sent, 0);
	}
	driver_end(&d);
}

/* A file of 4 GB: of the one that is there, and the one that comes, little is held. */
static void test_four_gigabytes(void **state)
{
	struct driver d;
	(void)state;
	if (driver_is_slow())
		skip();
	put("huge", "", 0644);
	assert_int_equal(truncate(path_of("huge"), 4LL << 30), 0);
	driver_start(&d);
	struct wire_message open = at(WIRE_OPEN, "huge");
	open.flags = WIRE_DELTA;
	open.size = 4ULL << 30;
	uint32_t id = driver_send(&d, open);
	_cleanup_free_ unsigned char *piece = random_bytes(WIRE_DATA_MAX, 4);
	for (int i = 0; i < 256; i++)
		driver_send(&d, (struct wire_message){.type = WIRE_DATA, .id = id, .data = {piece, WIRE_DATA_MAX}});
	driver_send(&d, (struct wire_message){.type = WIRE_PING});
	driver_take(&d, WIRE_PONG);
	assert_in_range(memory_of(d.pid), 1, 24 << 10);
	driver_end(&d);
	assert_int_equal(count_hidden(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, record, folder_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cut),
		TEST(test_cut_on_an_old_kernel),
		TEST(test_killed),
		TEST(test_killed_where_proc_names),
		TEST(test_killed_on_an_old_kernel),
		TEST(test_killed_and_looked_at),
		TEST(test_left_trees_go_when_looked_at),
		TEST(test_looked_at_while_staged),
		TEST(test_nonsense),
		TEST(test_others_go_on),
		TEST(test_same_path_twice),
		TEST(test_times_of_quick_changes),
		TEST(test_stopped),
		TEST(test_slow_reader),
		TEST(test_four_gigabytes),
	};
	if (argc < 2)
		return 2;
	agent_program = argv + 1;
	signal(SIGPIPE, SIG_IGN);
	driver_apart();
	int r = cmocka_run_group_tests_name("faults", tests, NULL, NULL);
	str_release(&talk.bytes);
	return r;
}
