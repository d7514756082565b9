#include "client/embedded-init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

struct stream { /* the program's standard output or error */
	int read_end, write_end;
	char number; /* '1' or '2', in front of each line of the log */
	char line[LOG_LINE_MAX];
	size_t len;
};

struct supervisor {
	const struct init_plan *plan;
	struct stream streams[2];
	int log, status, signals;
	off_t log_size;
	pid_t program; /* 0: not running */
	unsigned starts;
	bool stopping;	     /* end once the program has */
	bool restarting;     /* start it again once it has ended */
	uint64_t kill_at_ns; /* 0: no deadline */
};

static void open_log(struct supervisor *s)
{
	s->log = openat(s->plan->folder, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	s->log_size = s->log < 0 ? 0 : lseek(s->log, 0, SEEK_END);
}

static void log_line(struct supervisor *s, struct stream *from)
{
	char prefix[2] = {from->number, ' '};
	if (s->log_size > LOG_FILE_MAX) {
		cleanup_close(&s->log);
		renameat(s->plan->folder, "log", s->plan->folder, "log.1");
		open_log(s);
	}
	from->line[from->len] = '\n';
	/* One write a line, so that the parent's notes never fall into one. */
	char whole[sizeof(prefix) + sizeof(from->line)];
	memcpy(whole, prefix, sizeof(prefix));
	memcpy(whole + sizeof(prefix), from->line, from->len + 1);
	if (s->log >= 0 && write_all(s->log, whole, sizeof(prefix) + from->len + 1) == 0)
		s->log_size += (off_t)(sizeof(prefix) + from->len + 1);
	from->len = 0;
}

static void read_stream(struct supervisor *s, struct stream *from)
{
	char buffer[16 << 10];
	/* More than a pipe holds, but not for ever: a flood must not keep the supervisor from its other work. */
	for (int round = 0; round < 8; round++) {
		ssize_t n = read(from->read_end, buffer, sizeof(buffer));
		if (n <= 0)
			return;
		for (ssize_t i = 0; i < n; i++) {
			if (buffer[i] == '\n') {
				log_line(s, from);
				continue;
			}
			from->line[from->len++] = buffer[i];
			if (from->len == sizeof(from->line) - 1)
				log_line(s, from);
		}
	}
}

static void log_text(struct supervisor *s, const char *text)
{
	struct stream *errors = &s->streams[1];
	if (errors->len)
		log_line(s, errors);
	errors->len = strnlen(text, sizeof(errors->line) - 1);
	memcpy(errors->line, text, errors->len);
	log_line(s, errors);
}

static void write_status(struct supervisor *s, const char *state, int code)
{
	char text[STATUS_SIZE + 1];
	int n = snprintf(text, sizeof(text), "%s %u %d", state, s->starts, code);
	memset(text + n, ' ', sizeof(text) - (size_t)n);
	text[STATUS_SIZE - 1] = '\n';
	(void)!pwrite(s->status, text, STATUS_SIZE, 0);
}

static _Noreturn void become_program(struct supervisor *s, int failure)
{
	setsid();
	dup2(s->streams[0].write_end, 1);
	dup2(s->streams[1].write_end, 2);
	const char *step = init_exec(&s->plan->program, s->plan->mode);
	struct init_report r = {.kind = REPORT_FAILED, .value = errno};
	memcpy(r.step, step, strlen(step) < sizeof(r.step) ? strlen(step) : sizeof(r.step) - 1);
	(void)!write(failure, &r, sizeof(r));
	_exit(127);
}

/* Starts the program and waits until it was executed. False, with *failed filled, where it could not be. */
static bool start_program(struct supervisor *s, struct init_report *failed)
{
	int ends[2];
	*failed = (struct init_report){.kind = REPORT_FAILED, .step = "fork"};
	if (pipe2(ends, O_CLOEXEC) < 0) {
		failed->value = errno;
		return false;
	}
	s->starts++;
	s->restarting = false;
	s->kill_at_ns = 0;
	pid_t pid = _Fork();
	if (pid == 0)
		become_program(s, ends[1]);
	failed->value = errno;
	close(ends[1]);
	ssize_t n = pid < 0 ? 1 : read(ends[0], failed, sizeof(*failed));
	close(ends[0]);
	if (n == 0) {
		s->program = pid;
		write_status(s, STATUS_RUNNING, 0);
		return true;
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	write_status(s, STATUS_EXITED, 127);
	return false;
}

/* All that the program left behind. */
static void kill_rest(pid_t program)
{
	if (getpid() == 1)
		kill(-1, SIGKILL);
	else if (program > 0)
		kill(-program, SIGKILL);
}

static void start_again(struct supervisor *s)
{
	struct init_report failed;
	if (start_program(s, &failed))
		return;
	char text[256];
	snprintf(text, sizeof(text), "skiff: can't start the program again (%s): error %d", failed.step, failed.value);
	log_text(s, text);
}

static void program_ended(struct supervisor *s, int status)
{
	kill_rest(s->program);
	s->program = 0;
	s->kill_at_ns = 0;
	for (size_t i = 0; i < ARRAY_LEN(s->streams); i++) {
		read_stream(s, &s->streams[i]);
		if (s->streams[i].len)
			log_line(s, &s->streams[i]);
	}
	if (s->stopping || !s->restarting)
		write_status(s, STATUS_EXITED, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	if (s->stopping)
		_exit(0);
	if (s->restarting)
		start_again(s);
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == s->program)
			program_ended(s, status);
}

static void end_program(struct supervisor *s)
{
	if (s->kill_at_ns)
		return;
	kill(s->program, s->plan->stop_signal);
	s->kill_at_ns = monotonic_ns() + s->plan->grace_ms * 1000000ULL;
}

static void take_stop(struct supervisor *s)
{
	s->stopping = true;
	if (!s->program) {
		kill_rest(0);
		_exit(0);
	}
	end_program(s);
}

static void take_restart(struct supervisor *s)
{
	s->restarting = true;
	if (s->program)
		end_program(s);
	else
		start_again(s);
}

static void take_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;
	if (read(s->signals, &info, sizeof(info)) != sizeof(info))
		return;
	int number = (int)info.ssi_signo;
	if (number == SIGCHLD)
		reap(s);
	else if (number == SUPERVISOR_STOP)
		take_stop(s);
	else if (number == SUPERVISOR_RESTART)
		take_restart(s);
	else if (number == SUPERVISOR_PAUSE)
		s->restarting = false;
	if (number == SUPERVISOR_PAUSE && s->program)
		end_program(s);
	else if (number < SIGRTMIN && number != SIGCHLD && s->program)
		kill(s->program, number);
}

/* Milliseconds until the program's time to end by itself is over, -1 where it has no such limit; kills it once it is. */
static int enforce_deadline(struct supervisor *s)
{
	if (!s->kill_at_ns || !s->program)
		return -1;
	uint64_t now = monotonic_ns();
	if (now >= s->kill_at_ns) {
		kill(s->program, SIGKILL);
		s->kill_at_ns = now + 1000000000ULL;
	}
	return (int)((s->kill_at_ns - now) / 1000000 + 1);
}

static void watch_program(struct supervisor *s)
{
	struct pollfd fds[] = {
		{.fd = s->plan->control, .events = POLLIN},
		{.fd = s->signals, .events = POLLIN},
		{.fd = s->streams[0].read_end, .events = POLLIN},
		{.fd = s->streams[1].read_end, .events = POLLIN},
	};
	for (;;) {
		fds[0].fd = s->stopping ? -1 : s->plan->control;
		int n = poll(fds, ARRAY_LEN(fds), enforce_deadline(s));
		if (n < 0 && errno != EINTR)
			_exit(1);
		for (size_t i = 0; n > 0 && i < 2; i++)
			if (fds[2 + i].revents)
				read_stream(s, &s->streams[i]);
		if (n > 0 && fds[0].revents)
			take_stop(s);
		if (n > 0 && fds[1].revents)
			take_signal(s);
	}
}

void init_supervise(const struct init_plan *plan)
{
	static struct supervisor s; /* too large for a forked stack */
	s.plan = plan;
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	struct init_report answer = {.kind = REPORT_FAILED, .step = "setting up the supervisor"};
	s.signals = signalfd(-1, &all, SFD_CLOEXEC);
	s.status = openat(plan->folder, "status", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	open_log(&s);
	bool ready = s.signals >= 0 && s.status >= 0 && s.log >= 0;
	for (size_t i = 0; i < ARRAY_LEN(s.streams) && ready; i++) {
		int ends[2];
		ready = pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
		s.streams[i].read_end = ends[0];
		s.streams[i].write_end = ends[1];
		s.streams[i].number = (char)('1' + (int)i);
	}
	if (!ready)
		answer.value = errno;
	else if (start_program(&s, &answer))
		answer.kind = REPORT_RUNNING;
	(void)!write(plan->report, &answer, sizeof(answer));
	close(plan->report);
	if (answer.kind == REPORT_FAILED)
		_exit(1);
	watch_program(&s);
	_exit(0);
}
