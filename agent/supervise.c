#include "supervise.h"

#include <sys/prctl.h>

#include "launch.h"
#include "meet.h"

enum { GRACE_MS = 2000 /* for the program to end on SIGTERM before it is killed */, SIGNALS = 64 };

static struct {
	char **argv;
	int child;    /* 0: none runs: it could not be started again */
	int door;     /* where requests come; -1: none can */
	int guest;    /* who waits for a restart; -1: nobody */
	bool ending;  /* the child was told to end */
	uint64_t end; /* when it is killed, ms */
} self = {.door = -1, .guest = -1};

static uint64_t now_ms(void)
{
	struct timespec now;
	sys_now(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int start(void)
{
	struct launch l = {.argv = self.argv,
			   .envp = agent_environment,
			   .mask = launch_mask(),
			   .stdio = {-1, -1, -1},
			   .foreground = true};
	int r = launch(&l);
	self.child = r > 0 ? r : 0;
	return r;
}

static void say(const char *text)
{
	sys_write(2, text, strlen(text));
}

/* The guest learns how it went: 0 or a negative errno. */
static void tell_guest(int32_t code)
{
	if (self.guest < 0)
		return;
	sys_write(self.guest, &code, sizeof(code));
	sys_close(self.guest);
	self.guest = -1;
}

static void start_again(void)
{
	self.ending = false;
	int r = start();
	if (r < 0)
		say("skiff: the program can't be started again; waiting for the next change\n");
	tell_guest(r < 0 ? r : 0);
}

static void restart(int guest)
{
	tell_guest(-ECANCELED); /* an earlier one, still waiting */
	self.guest = guest;
	if (!self.child) {
		start_again();
	} else if (!self.ending) {
		self.ending = true;
		self.end = now_ms() + GRACE_MS;
		sys_kill(-self.child, SIGTERM);
		sys_kill(-self.child, SIGCONT);
	}
}

static void welcome(void)
{
	struct ucred peer = {0};
	uint32_t signal = 0;
	int guest = sys_accept(self.door);
	if (guest < 0)
		return;
	struct pollfd fd = {.fd = guest, .events = POLLIN};
	bool may = sys_peer(guest, &peer) == 0 && (peer.uid == 0 || peer.uid == sys_uid());
	bool asks = may && sys_poll(&fd, 1, 1000) > 0 && sys_read(guest, &signal, sizeof(signal)) == sizeof(signal);
	if (asks && signal == 0) {
		restart(guest);
		return;
	}
	int32_t code = asks && signal < SIGNALS && self.child ? sys_kill(self.child, (int)signal) : -EINVAL;
	sys_write(guest, &code, sizeof(code));
	sys_close(guest);
}

/* Every child that ended, also those that were left to us. True: CMD ended by itself, with *status. */
static bool reap(int *status)
{
	int pid, how;
	while ((pid = sys_reap(&how)) > 0) {
		if (pid != self.child)
			continue;
		self.child = 0;
		if (!self.ending) {
			*status = launch_status(how);
			return true;
		}
		sys_kill(-pid, SIGKILL); /* what it started must not hold its ports */
		start_again();
	}
	return false;
}

/* True: CMD ended by itself. */
static bool take_signals(int fd, int *status)
{
	struct signalfd_siginfo info;
	while (sys_read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			if (reap(status))
				return true;
		} else if (self.child) {
			sys_kill(self.child, (int)info.ssi_signo);
		} else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
			*status = 128 + (int)info.ssi_signo;
			return true;
		}
	}
	return false;
}

static int patience(void)
{
	uint64_t now = now_ms();
	if (!self.ending || !self.child)
		return -1;
	return self.end > now ? (int)(self.end - now) : 0;
}

int supervise_run(char **argv)
{
	uint64_t before;
	int status = 0;
	self.argv = argv;
	sys_signal_mask(~0ULL, &before);
	launch_init(before);
	if (sys_pid() != 1)
		SYS(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, 0);
	int signals = sys_signal_fd(~0ULL);
	self.door = meet_listen("supervise");
	int r = start();
	if (r < 0) {
		say("skiff: the program can't be started: ");
		say(argv[0]);
		say(r == -ENOENT ? ": not found\n" : r == -EACCES ? ": permission denied\n" : "\n");
		return r == -ENOENT ? 127 : 126;
	}
	for (;;) {
		struct pollfd fds[2] = {{.fd = signals, .events = POLLIN}, {.fd = self.door, .events = POLLIN}};
		int ready = sys_poll(fds, 2, patience());
		if (ready == 0 && self.child && self.ending) {
			sys_kill(-self.child, SIGKILL);
			self.end = now_ms() + GRACE_MS;
		}
		if (ready > 0 && fds[0].revents && take_signals(signals, &status))
			return status;
		if (ready > 0 && fds[1].revents)
			welcome();
	}
}
