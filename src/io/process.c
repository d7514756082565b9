#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "io/keeper.h"
#include "io/launch.h"

enum {
	READ_SIZE = 64 << 10,
	TICK_MS = 10, /* between two looks where the kernel has nothing to poll: no pidfd, no eventfd */
};

static const uint64_t NEVER = UINT64_MAX;

/* One of the child's two outputs, as lines and, for the first, whole. */
struct output {
	int fd; /* -1: closed, or not wanted */
	int number;
	bool whole;
	struct str line;
	bool cut; /* the rest of an overlong line is being skipped */
};

struct run {
	const struct process_spec *spec;
	pid_t pid;
	int pidfd; /* -1 where the kernel has none */
	int input;
	size_t written;
	struct output outputs[2];
	char *buffer;
	bool ended;   /* the program itself; not reaped yet, so that its number stays its group's */
	int stopping; /* ECANCELED or ETIMEDOUT once it was told to end */
	bool killed;
	uint64_t timeout; /* these three in nanoseconds of monotonic_ns, or NEVER */
	uint64_t kill_at;
	uint64_t leave_at; /* what grandchildren hold open is not waited for any longer */
};

static uint64_t after_ms(unsigned ms)
{
	return monotonic_ns() + (uint64_t)ms * 1000000;
}

static void close_fd(int *fd)
{
	cleanup_close(fd);
	*fd = -1;
}

static void emit_line(struct run *r, struct output *o)
{
	const char *text = str_text(&o->line);
	size_t len = o->line.len;
	if (!o->cut && len > 0 && text[len - 1] == '\r')
		o->line.data[--len] = '\0';
	r->spec->line(r->spec->data, o->number, text, len);
	str_clear(&o->line);
	o->cut = false;
}

static void take_lines(struct run *r, struct output *o, const char *bytes, size_t len)
{
	while (len > 0) {
		const char *end = memchr(bytes, '\n', len);
		size_t piece = end ? (size_t)(end - bytes) : len;
		size_t room = PROCESS_LINE_MAX - o->line.len;
		str_add_bytes(&o->line, bytes, piece < room ? piece : room);
		o->cut = o->cut || piece > room;
		if (!end)
			return;
		emit_line(r, o);
		bytes += piece + 1;
		len -= piece + 1;
	}
}

static void finish_output(struct run *r, struct output *o)
{
	if (o->fd < 0)
		return;
	close_fd(&o->fd);
	if (o->line.len > 0)
		emit_line(r, o);
}

static void read_output(struct run *r, struct output *o)
{
	ssize_t n = read(o->fd, r->buffer, READ_SIZE);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		finish_output(r, o);
	if (n > 0 && o->whole)
		str_add_bytes(r->spec->output, r->buffer, (size_t)n);
	if (n > 0 && r->spec->line)
		take_lines(r, o, r->buffer, (size_t)n);
}

static void write_input(struct run *r)
{
	const char *bytes = r->spec->input;
	ssize_t n = write(r->input, bytes + r->written, r->spec->input_len - r->written);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		r->written += (size_t)n;
	if (n < 0 || r->written == r->spec->input_len) /* a program need not read all: EPIPE is no error */
		close_fd(&r->input);
}

/* True once the child has ended; it stays a zombie. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = {0};
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return errno == ECHILD;
	return info.si_pid == pid;
}

static int reap(pid_t pid)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 255;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void stop_group(struct run *r, int why)
{
	if (r->stopping)
		return;
	r->stopping = why;
	r->kill_at = after_ms(PROCESS_GRACE_MS);
	kill(-r->pid, SIGTERM);
}

static void check_clock(struct run *r)
{
	uint64_t now = monotonic_ns();
	if (cancel_requested(r->spec->cancel))
		stop_group(r, ECANCELED);
	else if (now >= r->timeout && !r->ended)
		stop_group(r, ETIMEDOUT);
	if (now >= r->kill_at && !r->killed) {
		kill(-r->pid, SIGKILL);
		r->killed = true;
		r->kill_at = NEVER;
	}
	if (!r->ended && has_ended(r->pid)) {
		r->ended = true;
		r->leave_at = after_ms(PROCESS_GRACE_MS);
		close_fd(&r->input);
	}
}

static int poll_timeout(const struct run *r)
{
	uint64_t until = r->leave_at;
	if (!r->ended && !r->stopping && r->timeout < until)
		until = r->timeout;
	if (r->kill_at < until)
		until = r->kill_at;
	bool blind = (!r->ended && r->pidfd < 0) || (!r->stopping && r->spec->cancel && cancel_fd(r->spec->cancel) < 0);
	uint64_t now = monotonic_ns();
	uint64_t ms = until == NEVER ? NEVER : until <= now ? 0 : (until - now + 999999) / 1000000;
	if (blind && ms > TICK_MS)
		ms = TICK_MS;
	return ms > INT32_MAX ? -1 : (int)ms;
}

static bool finished(const struct run *r)
{
	if (!r->ended)
		return false;
	bool quiet = r->outputs[0].fd < 0 && r->outputs[1].fd < 0;
	return quiet || monotonic_ns() >= r->leave_at;
}

static void converse(struct run *r)
{
	check_clock(r);
	while (!finished(r)) {
		enum { OUT, ERR, INPUT, CHILD, CANCEL, COUNT };
		struct pollfd fds[COUNT] = {
			[OUT] = {r->outputs[0].fd, POLLIN, 0},
			[ERR] = {r->outputs[1].fd, POLLIN, 0},
			[INPUT] = {r->input, POLLOUT, 0},
			[CHILD] = {r->ended ? -1 : r->pidfd, POLLIN, 0},
			[CANCEL] = {r->stopping ? -1 : cancel_fd(r->spec->cancel), POLLIN, 0},
		};
		if (poll(fds, COUNT, poll_timeout(r)) < 0 && errno != EINTR)
			break;
		for (int i = OUT; i <= ERR; i++)
			if (fds[i].revents)
				read_output(r, &r->outputs[i]);
		if (fds[INPUT].revents)
			write_input(r);
		check_clock(r);
	}
	finish_output(r, &r->outputs[0]);
	finish_output(r, &r->outputs[1]);
}

/* After the group's first process was reaped: waits for the others until kill_at, then kills them. The number can't be taken by another
 * group while one of them lives. */
static void end_group(pid_t group, uint64_t kill_at)
{
	while (kill(-group, 0) == 0) {
		if (monotonic_ns() >= kill_at) {
			kill(-group, SIGKILL);
			return;
		}
		poll(NULL, 0, TICK_MS);
	}
}

static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Makes the pipe for one stream: the child's end into *theirs, this process's (not blocking) into *ours. */
static int make_stream(bool wanted, bool to_child, int *theirs, int *ours)
{
	int ends[2];
	if (!wanted) {
		*theirs = launch_null();
		return *theirs < 0 ? *theirs : 0;
	}
	int r = launch_pipe(ends);
	if (r < 0)
		return r;
	*theirs = ends[to_child ? 0 : 1];
	*ours = ends[to_child ? 1 : 0];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int start_run(struct run *r, struct error *err)
{
	const struct process_spec *spec = r->spec;
	struct launch s = {.argv = spec->argv, .directory = spec->directory, .env = spec->env, .stdio = {-1, -1, -1}};
	int code = make_stream(spec->input != NULL, true, &s.stdio[0], &r->input);
	if (code == 0)
		code = make_stream(spec->output || spec->line, false, &s.stdio[1], &r->outputs[0].fd);
	if (code == 0)
		code = make_stream(spec->line != NULL, false, &s.stdio[2], &r->outputs[1].fd);
	if (code < 0)
		error_errno(err, -code, "can't make a pipe");
	else
		code = r->pid = launch_program(&s, err);
	for (int i = 0; i < 3; i++)
		close_fd(&s.stdio[i]);
	return code < 0 ? code : 0;
}

static void release_run(struct run *r)
{
	close_fd(&r->input);
	close_fd(&r->pidfd);
	for (int i = 0; i < 2; i++) {
		close_fd(&r->outputs[i].fd);
		str_release(&r->outputs[i].line);
	}
	free(r->buffer);
}

int process_run(const struct process_spec *spec, struct error *err)
{
	CLEANUP(release_run)
	struct run r = {
		.spec = spec,
		.pidfd = -1,
		.input = -1,
		.outputs = {{.fd = -1, .number = 1, .whole = spec->output != NULL}, {.fd = -1, .number = 2}},
		.timeout = spec->timeout_ms ? after_ms(spec->timeout_ms) : NEVER,
		.kill_at = NEVER,
		.leave_at = NEVER,
	};
	if (cancel_requested(spec->cancel))
		return error_set(err, ECANCELED, "cancelled");
	keeper_ready();
	int code = start_run(&r, err);
	if (code < 0)
		return code;
	r.buffer = xmalloc(READ_SIZE);
	r.pidfd = open_pidfd(r.pid);
	if (spec->input && spec->input_len == 0)
		close_fd(&r.input);
	keeper_add(r.pid);
	converse(&r);
	if (!r.stopping)
		keeper_drop(r.pid);
	int status = reap(r.pid);
	if (!r.stopping)
		return status;
	end_group(r.pid, r.killed ? 0 : r.kill_at);
	keeper_drop(r.pid);
	if (r.stopping == ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "%s did not end within %u ms", spec->argv[0], spec->timeout_ms);
	return error_set(err, ECANCELED, "cancelled");
}

int process_connect(const char *const *argv, bool quiet, int *fd, struct error *err)
{
	int ends[2];
	int r = launch_socket(ends);
	if (r < 0)
		return error_errno(err, -r, "can't make a socket");
	_cleanup_close_ int ours = ends[0];
	_cleanup_close_ int theirs = ends[1];
	_cleanup_close_ int null = quiet ? launch_null() : -1;
	if (quiet && null < 0)
		return error_errno(err, -null, "can't open /dev/null");
	struct launch s = {.argv = argv, .stdio = {theirs, theirs, null}};
	keeper_ready();
	pid_t pid = launch_program(&s, err);
	if (pid > 0) {
		keeper_add(pid);
		*fd = ours;
		ours = -1;
	}
	return pid;
}

void process_end(int pid)
{
	if (pid <= 0)
		return;
	uint64_t kill_at = after_ms(PROCESS_GRACE_MS);
	_cleanup_close_ int pidfd = open_pidfd(pid);
	kill(-pid, SIGTERM);
	bool killed = false;
	while (!has_ended(pid)) {
		uint64_t now = monotonic_ns();
		if (now >= kill_at && !killed) {
			kill(-pid, SIGKILL);
			killed = true;
		}
		int ms = killed ? -1 : (int)((kill_at - now) / 1000000 + 1);
		struct pollfd p = {pidfd, POLLIN, 0};
		poll(&p, 1, pidfd < 0 && (ms < 0 || ms > TICK_MS) ? TICK_MS : ms);
	}
	reap(pid);
	end_group(pid, killed ? 0 : kill_at);
	keeper_drop(pid);
}
