#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "client/embedded-state.h"

enum { RESTART_WAIT_MS = 10000 };

static int not_alive(const struct embedded_instance *in, struct error *err)
{
	return error_set(err, ESRCH, "%s does not run any more", in->image);
}

/* The instance as it is now. */
static int reload(const struct embedded_instance *in, struct embedded_instance *now, struct error *err)
{
	return embedded_instance_read(in->folder, in->id, now, err);
}

enum awaited { STARTED_AGAIN, ENDED };

/* Waits for a state of the program; *now is the instance then, to be released. -ETIMEDOUT after `ms`. */
static int await_program(const struct embedded_instance *in, enum awaited what, unsigned starts, unsigned ms,
			 struct embedded_instance *now, struct cancel *cancel, struct error *err)
{
	_cleanup_close_ int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	_cleanup_free_ char *status = path_join(in->folder, "status");
	if (inotify < 0 || inotify_add_watch(inotify, status, IN_MODIFY) < 0)
		return error_errno(err, errno, "can't watch %s", in->image);
	uint64_t deadline = monotonic_ns() + ms * 1000000ULL;
	for (;;) {
		int r = reload(in, now, err);
		if (r < 0)
			return r;
		if (what == STARTED_AGAIN ? now->starts != starts : !now->running)
			return 0;
		bool alive = now->alive;
		embedded_instance_release(now);
		if (!alive)
			return not_alive(in, err);
		if (cancel_requested(cancel))
			return error_set(err, ECANCELED, "cancelled");
		uint64_t time = monotonic_ns();
		if (time >= deadline)
			return error_set(err, ETIMEDOUT, "%s does not end", in->image);
		struct pollfd fds[] = {{.fd = inotify, .events = POLLIN}, {.fd = cancel_fd(cancel), .events = POLLIN}};
		uint64_t left = (deadline - time) / 1000000 + 1;
		poll(fds, ARRAY_LEN(fds), left < 1000 ? (int)left : 1000); /* a killed supervisor writes no status */
		char buffer[4096] __attribute__((aligned(8)));
		(void)!read(inotify, buffer, sizeof(buffer));
	}
}

static int restart(const struct embedded_instance *in, struct cancel *cancel, struct error *err)
{
	struct embedded_instance now;
	int r = reload(in, &now, err);
	if (r < 0)
		return r;
	unsigned starts = now.starts;
	bool alive = now.alive;
	embedded_instance_release(&now);
	if (!alive || kill(in->pid, SUPERVISOR_RESTART) < 0)
		return not_alive(in, err);
	r = await_program(in, STARTED_AGAIN, starts, RESTART_WAIT_MS, &now, cancel, err);
	if (r < 0)
		return r;
	bool failed = !now.running && now.exit_code == 127;
	embedded_instance_release(&now);
	return failed ? error_set(err, EIO, "%s did not start again: see its log", in->image) : 0;
}

int embedded_pause(const struct embedded_instance *in, struct cancel *cancel, struct error *err)
{
	struct embedded_instance now;
	if (embedded_process_started(in->pid) != in->started || kill(in->pid, SUPERVISOR_PAUSE) < 0)
		return not_alive(in, err);
	int r = await_program(in, ENDED, 0, RESTART_WAIT_MS, &now, cancel, err);
	if (r == 0)
		embedded_instance_release(&now);
	return r;
}

int embedded_settle(const struct embedded_instance *in, unsigned ms, int *exit_code, struct cancel *cancel,
		    struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	struct embedded_instance now;
	int r = await_program(in, ENDED, 0, ms, &now, cancel, &why);
	if (r == -ETIMEDOUT)
		return 0;
	if (r < 0)
		return error_move(err, &why);
	*exit_code = now.exit_code;
	embedded_instance_release(&now);
	return 1;
}

int embedded_signal(const struct embedded_instance *in, int signal, struct cancel *cancel, struct error *err)
{
	if (signal == 0)
		return restart(in, cancel, err);
	if (embedded_process_started(in->pid) != in->started || kill(in->pid, signal) < 0)
		return not_alive(in, err);
	return 0;
}

struct entry {		   /* what the child needs to get inside, opened before the fork */
	int namespaces[3]; /* user, mnt, pid; -1: shared with us */
	int root;
	enum embedded_mode mode;
};

static int open_namespace(pid_t pid, const char *name)
{
	char path[48];
	struct stat theirs, ours;
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	if (fd < 0 || fstat(fd, &theirs) < 0 || stat(path, &ours) < 0 || theirs.st_ino != ours.st_ino)
		return fd;
	close(fd);
	return -1;
}

static void close_entry(struct entry *e)
{
	for (size_t i = 0; i < ARRAY_LEN(e->namespaces); i++)
		cleanup_close(&e->namespaces[i]);
	cleanup_close(&e->root);
}

static _Noreturn void become_hook(const struct entry *e, const struct init_program *program, int output)
{
	setsid();
	for (size_t i = 0; i < ARRAY_LEN(e->namespaces); i++)
		if (e->namespaces[i] >= 0 && setns(e->namespaces[i], 0) < 0)
			_exit(126);
	if (e->mode == EMBEDDED_CHROOT && (fchdir(e->root) < 0 || chroot(".") < 0))
		_exit(126);
	/* A pid namespace counts from the next child on. */
	pid_t pid = _Fork();
	if (pid > 0) {
		int status;
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (pid < 0 || (null >= 0 ? dup2(null, 0) : close(0)) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(126);
	init_close_from(3);
	const char *step = init_exec(program, e->mode);
	int code = errno;
	dprintf(2, "skiff: can't run %s (%s): %s\n", program->argv[0], step, strerrordesc_np(code));
	_exit(code == ENOENT ? 127 : 126);
}

static void read_output(int fd, pid_t child, struct str *output, struct cancel *cancel)
{
	char buffer[8192];
	bool killed = false;
	for (;;) {
		struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
				       {.fd = killed ? -1 : cancel_fd(cancel), .events = POLLIN}};
		poll(fds, ARRAY_LEN(fds), -1);
		if (fds[1].revents) {
			kill(-child, SIGKILL);
			killed = true;
		}
		if (!fds[0].revents)
			continue;
		ssize_t n = read(fd, buffer, sizeof(buffer));
		if (n <= 0)
			return;
		if (output)
			str_add_bytes(output, buffer, (size_t)n);
	}
}

static enum embedded_mode mode_of(const struct embedded_instance *in)
{
	for (int m = 0; m < EMBEDDED_MODES; m++)
		if (str_equal(in->mode, embedded_mode_names[m]))
			return (enum embedded_mode)m;
	return EMBEDDED_CHROOT;
}

static pid_t start_inside(const struct embedded_instance *in, const struct init_program *program, int *output,
			  struct error *err)
{
	struct entry entry = {.mode = mode_of(in),
			      .namespaces = {-1, -1, -1},
			      .root = embedded_open_root(in, false, err)};
	if (entry.root < 0)
		return entry.root;
	static const char *const names[] = {"user", "mnt", "pid"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		entry.namespaces[i] = entry.mode == EMBEDDED_CHROOT ? -1 : open_namespace(in->pid, names[i]);
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		int code = errno;
		close_entry(&entry);
		return error_errno(err, code, "can't run %s", program->argv[0]);
	}
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t child = _Fork();
	if (child == 0)
		become_hook(&entry, program, ends[1]);
	int code = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(ends[1]);
	close_entry(&entry);
	if (child < 0) {
		close(ends[0]);
		return error_errno(err, code, "can't run %s", program->argv[0]);
	}
	*output = ends[0];
	return child;
}

int embedded_exec(const struct embedded_instance *in, const char *const *argv, struct str *output,
		  struct cancel *cancel, struct error *err)
{
	if (embedded_process_started(in->pid) != in->started)
		return not_alive(in, err);
	static const char *const no_env[] = {NULL};
	struct init_program program = {
		.argv = argv,
		.env = in->env.items ? (const char *const *)in->env.items : no_env,
		.directory = in->workdir ? in->workdir : "/",
		.uid = in->uid,
		.gid = in->gid,
	};
	_cleanup_close_ int fd = -1;
	pid_t child = start_inside(in, &program, &fd, err);
	if (child < 0)
		return child;
	read_output(fd, child, output, cancel);
	int status;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (cancel_requested(cancel))
		return error_set(err, ECANCELED, "cancelled");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
