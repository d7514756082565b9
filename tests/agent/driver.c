#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"
#include "wire/chunk.h"

enum { PATIENCE_MS = 60000, PIECE = 64 << 10 };

char **agent_program;
enum driver_kernel driver_kernel;
char folder[64];

bool driver_is_slow(void)
{
	const char *slash = strrchr(agent_program[0], '/');
	return agent_program[1] || strstr(slash ? slash : agent_program[0], "hosted");
}

void driver_apart(void)
{
	if (geteuid() == 0 && unshare(CLONE_NEWNET) < 0)
		perror("a network of its own");
}

void driver_start(struct driver *d)
{
	driver_start_with(d, NULL, true);
}

static void lack(enum driver_kernel what)
{
	static const struct {
		uint32_t call, flag, refused;
		size_t argument;
	} calls[] = {
		[KERNEL_NO_LINK] = {__NR_linkat, AT_EMPTY_PATH, ENOENT, 4},
		[KERNEL_NO_TMPFILE] = {__NR_openat, O_TMPFILE & ~O_DIRECTORY, EOPNOTSUPP, 2},
		[KERNEL_NO_THREADS] = {__NR_clone, CLONE_THREAD, EAGAIN, 0},
	};
	uint32_t call = calls[what].call, flag = calls[what].flag, refused = calls[what].refused;
	size_t argument = offsetof(struct seccomp_data, args) + calls[what].argument * sizeof(uint64_t);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)argument),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flag, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | refused),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
	if (what != KERNEL_WHOLE &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0))
		_exit(98);
}

pid_t driver_spawn(int input, int output, const char *argument, bool traced)
{
	char *argv[8] = {0};
	size_t count = 0;
	for (; agent_program[count]; count++)
		argv[count] = agent_program[count];
	argv[count] = (char *)argument;
	pid_t pid = fork();
	if (pid)
		return pid;
	dup2(input, 0);
	dup2(output, 1);
	lack(driver_kernel);
	if (traced)
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	execvp(argv[0], argv);
	_exit(99);
}

void driver_start_with(struct driver *d, const char *argument, bool greet)
{
	int to[2], from[2];
	*d = (struct driver){.next_id = 1, .buffer = xmalloc(2 * WIRE_FRAME_MAX)};
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	d->pid = driver_spawn(to[0], from[1], argument, false);
	close(to[0]);
	close(from[1]);
	d->in = to[1];
	d->out = from[0];
	wire_input_init(&d->input, d->buffer, 2 * WIRE_FRAME_MAX, WIRE_FROM_AGENT);
	if (!greet)
		return;
	driver_send(d, (struct wire_message){.type = WIRE_HELLO,
					     .version_min = WIRE_VERSION_MIN,
					     .version = WIRE_VERSION});
	d->hello = driver_take(d, WIRE_HELLO);
}

static int finish(struct driver *d)
{
	int status = 0;
	if (d->in >= 0)
		close(d->in);
	waitpid(d->pid, &status, 0);
	close(d->out);
	free(d->buffer);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int driver_end(struct driver *d)
{
	return finish(d);
}

void driver_kill(struct driver *d)
{
	kill(d->pid, SIGKILL);
	finish(d);
}

/* Reads what is there. False at the end. */
static bool read_more(struct driver *d)
{
	size_t room;
	void *space = wire_input_space(&d->input, &room);
	ssize_t n = read(d->out, space, room < PIECE ? room : PIECE);
	if (n > 0)
		wire_input_filled(&d->input, (size_t)n);
	return n > 0;
}

void driver_send_bytes(struct driver *d, const void *bytes, size_t len)
{
	const char *from = bytes;
	fcntl(d->in, F_SETFL, O_NONBLOCK);
	while (len) {
		ssize_t n = write(d->in, from, len);
		if (n > 0) {
			from += n;
			len -= (size_t)n;
			d->sent += (size_t)n;
			continue;
		}
		if (n < 0 && errno == EPIPE)
			return;
		struct pollfd fds = {.fd = d->in, .events = POLLOUT};
		assert_true(poll(&fds, 1, PATIENCE_MS) > 0);
	}
}

uint32_t driver_send(struct driver *d, struct wire_message m)
{
	unsigned char head[WIRE_FRAME_MAX - WIRE_DATA_MAX];
	if (!m.id && m.type != WIRE_HELLO)
		m.id = d->next_id++;
	int n = wire_encode_head(&m, head, sizeof(head));
	assert_true(n > 0);
	driver_send_bytes(d, head, (size_t)n);
	driver_send_bytes(d, m.data.data, m.data.len);
	return m.id;
}

bool driver_take_any(struct driver *d, struct wire_message *m)
{
	int r;
	while ((r = wire_input_next(&d->input, m)) == 0) {
		struct pollfd fd = {.fd = d->out, .events = POLLIN};
		assert_true(poll(&fd, 1, PATIENCE_MS) > 0);
		if (!read_more(d))
			return false;
	}
	assert_int_equal(r, 1);
	return m->type == WIRE_PONG && m->id == 0 ? driver_take_any(d, m) : true;
}

struct wire_message driver_take(struct driver *d, enum wire_type type)
{
	struct wire_message m = {0};
	assert_true(driver_take_any(d, &m));
	if (m.type != type)
		print_error("type %u, value %u (%s), reason %u\n", m.type, m.value, strerror((int)m.value), m.reason);
	assert_int_equal(m.type, type);
	return m;
}

struct wire_message at(enum wire_type type, const char *path)
{
	const char *whole = path[0] == '/' ? path : path_of(path);
	return (struct wire_message){.type = type, .path = {whole, strlen(whole)}, .mode = 0644};
}

struct wire_message file_at(const char *path, const char *content)
{
	struct wire_message m = at(WIRE_WRITE, path);
	m.data = (struct wire_bytes){content, strlen(content)};
	m.hash = wire_hash_bytes(content, strlen(content));
	return m;
}

struct wire_message driver_commit(struct driver *d, size_t results)
{
	uint32_t id = driver_send(d, (struct wire_message){.type = WIRE_COMMIT});
	for (size_t i = 0; i < results; i++)
		assert_int_equal(driver_take(d, WIRE_RESULT).value, 0);
	struct wire_message m = driver_take(d, WIRE_COMMITTED);
	assert_int_equal(m.id, id);
	assert_int_equal(m.value, 0);
	return m;
}

struct wire_message driver_result(struct driver *d, struct wire_message request)
{
	request.id = d->next_id++;
	driver_send(d, request);
	driver_send(d, (struct wire_message){.type = WIRE_COMMIT});
	struct wire_message m = driver_take(d, WIRE_RESULT);
	assert_int_equal(m.id, request.id);
	driver_take(d, WIRE_COMMITTED);
	return m;
}

/* Chunks [first, first + count) of those whose ends are given. */
static void send_window(struct driver *d, uint32_t id, const unsigned char *bytes, const size_t *ends, size_t count,
			size_t begin)
{
	_cleanup_free_ unsigned char *list = xmalloc(count * WIRE_CHUNK_SIZE);
	for (size_t i = 0, from = begin; i < count; from = ends[i++]) {
		size_t len = ends[i] - from;
		wire_chunk_put(list, i, (struct wire_chunk){wire_hash64(bytes + from, len), (uint32_t)len});
	}
	driver_send(d, (struct wire_message){.type = WIRE_CHUNKS, .id = id, .data = {list, count * WIRE_CHUNK_SIZE}});
	struct wire_message have = driver_take(d, WIRE_HAVE);
	assert_int_equal(have.data.len, (count + 7) / 8);
	_cleanup_free_ unsigned char *bits = xmemdup(have.data.data, have.data.len);
	for (size_t i = 0, from = begin; i < count; from = ends[i++])
		if (!wire_bit(bits, i))
			driver_send(d, (struct wire_message){.type = WIRE_DATA,
							     .id = id,
							     .data = {bytes + from, ends[i] - from}});
}

uint64_t driver_large(struct driver *d, const char *path, const unsigned char *bytes, size_t len, bool delta)
{
	uint64_t before = d->sent;
	struct wire_message open = at(WIRE_OPEN, path);
	size_t ends[WIRE_CHUNKS_MAX];
	open.size = len;
	open.flags = delta ? WIRE_DELTA : 0;
	uint32_t id = driver_send(d, open);
	for (size_t done = 0; done < len;) {
		size_t begin = done, count = 0;
		while (delta && done < len && count < WIRE_CHUNKS_MAX) {
			done += chunk_cut(bytes + done, len - done);
			ends[count++] = done;
		}
		if (delta) {
			send_window(d, id, bytes, ends, count, begin);
			continue;
		}
		size_t piece = len - done < PIECE ? len - done : PIECE;
		driver_send(d, (struct wire_message){.type = WIRE_DATA, .id = id, .data = {bytes + done, piece}});
		done += piece;
	}
	driver_send(d, (struct wire_message){
			       .type = WIRE_CLOSE, .id = id, .size = len, .hash = wire_hash_bytes(bytes, len)});
	return d->sent - before;
}

int folder_setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "%s/agent-test-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	umask(022);
	return mkdtemp(folder) ? chmod(folder, 0755) : -1;
}

int folder_teardown(void **state)
{
	(void)state;
	return file_remove_tree(folder, NULL);
}

char *path_of(const char *name)
{
	static char paths[8][WIRE_PATH_MAX + 1];
	static unsigned turn;
	char *path = paths[turn++ % 8];
	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

void put(const char *name, const char *content, mode_t mode)
{
	char *path = path_of(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, content, strlen(content)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

char *get(const char *name)
{
	char *data = NULL;
	size_t len;
	return file_read(path_of(name), 1 << 20, &data, &len, NULL) == 0 ? data : NULL;
}

void expect_content(const char *name, const char *content)
{
	_cleanup_free_ char *is = get(name);
	assert_non_null(is);
	assert_string_equal(is, content);
}

static size_t hidden;

static int look_at(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	hidden += strncmp(path + ftw->base, ".skiff-new-", 11) == 0;
	return 0;
}

size_t count_hidden(void)
{
	hidden = 0;
	nftw(folder, look_at, 16, FTW_PHYS);
	return hidden;
}

unsigned char *random_bytes(size_t len, uint64_t seed)
{
	uint64_t *words = xmalloc(len + 8);
	for (size_t i = 0; i <= len / 8; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		words[i] = seed;
	}
	return (unsigned char *)words;
}
