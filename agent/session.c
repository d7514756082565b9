#include "session.h"

#include "large.h"
#include "launch.h"
#include "look.h"
#include "many.h"
#include "meet.h"
#include "out.h"
#include "run.h"
#include "stage.h"

enum { PIPE_SIZE = 1 << 20, ANSWER_SIZE = 4 };

static unsigned char buffer[2 * WIRE_FRAME_MAX];
static struct wire_input input;
static int signals = -1;
static uint32_t idle_seconds;
static struct { /* a SUPERVISE under way */
	int fd;
	uint32_t id;
} asked = {.fd = -1};

static void answer(uint32_t id, int code)
{
	out_message(&(struct wire_message){
		.type = WIRE_RESULT, .id = id, .value = (uint32_t)-code, .reason = reason_of(code)});
}

static void greet(void)
{
	struct found found = {0};
#if defined(__x86_64__)
	uint32_t arch = WIRE_ARCH_X86_64;
#else
	uint32_t arch = WIRE_ARCH_AARCH64;
#endif
	struct wire_message m = {.type = WIRE_HELLO,
				 .version_min = WIRE_VERSION_MIN,
				 .version = WIRE_VERSION,
				 .value = arch,
				 .uid = agent_uid,
				 .gid = agent_gid,
				 .size = (uint64_t)sys_pid()};
	long n = 0;
	_cleanup_fd_ int self = sys_openat(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0);
	if (self >= 0 && (n = sys_read(self, scratch, sizeof(scratch))) > 0)
		m.hash = wire_hash_bytes(scratch, (size_t)n);
	if (place_look("/proc/self", false, &found) == 0 && found.kind != WIRE_ABSENT)
		m.flags |= WIRE_CAN_PROC;
	if (meet_alone() >= 0) /* held until the end */
		m.flags |= WIRE_CAN_LOCK;
	out_message(&m);
}

static void write_whole(const struct wire_message *m)
{
	struct op *op = batch_add(m);
	if (!op)
		return;
	op->size = m->data.len;
	if (!wire_hash_equal(wire_hash_bytes(m->data.data, m->data.len), m->hash)) {
		batch_fail(op, -EBADMSG, WIRE_REASON_DAMAGED);
		return;
	}
	if (batch_expected(op) && !many_wait(op, m->data.data, m->data.len))
		stage_file(op, m->data.data, m->data.len);
}

static void add_only(const struct wire_message *m)
{
	struct op *op = batch_add(m);
	if (op && (m->type == WIRE_SYMLINK || m->type == WIRE_DELETE))
		batch_expected(op);
}

static void drop(const struct wire_message *m)
{
	for (size_t i = batch_count(); i-- > 0;) {
		if (batch_op(i)->id == m->id && batch_op(i)->state != OP_ENDED) {
			batch_drop(batch_op(i));
			return;
		}
	}
}

static void supervise(const struct wire_message *m)
{
	int pid = 0;
	uint32_t signal = m->value;
	if (m->flags & WIRE_MAIN) {
		answer(m->id, signal ? sys_kill(1, (int)signal) : -EINVAL);
		return;
	}
	if (asked.fd >= 0) {
		answer(m->id, -EBUSY);
		return;
	}
	int fd = meet_connect("supervise", &pid);
	if (fd >= 0 && sys_write(fd, &signal, sizeof(signal)) != sizeof(signal)) {
		sys_close(fd);
		fd = -EPIPE;
	}
	if (fd < 0) {
		answer(m->id, fd);
		return;
	}
	asked.fd = fd;
	asked.id = m->id;
}

static void supervised(void)
{
	int32_t code = 0;
	if (asked.fd < 0)
		return;
	long n = sys_read(asked.fd, &code, ANSWER_SIZE);
	answer(asked.id, n == ANSWER_SIZE ? code : -EPIPE);
	sys_close(asked.fd);
	asked.fd = -1;
}

static void handle(const struct wire_message *m)
{
	if (m->type != WIRE_WRITE)
		many_stage();
	switch (m->type) {
	case WIRE_HELLO:
		idle_seconds = m->value;
		break;
	case WIRE_WRITE:
		write_whole(m);
		break;
	case WIRE_OPEN:
		large_open(m);
		break;
	case WIRE_DATA:
		large_data(m);
		break;
	case WIRE_CHUNKS:
		large_chunks(m);
		break;
	case WIRE_CLOSE:
		large_close(m);
		break;
	case WIRE_DROP:
		drop(m);
		break;
	case WIRE_COMMIT:
		batch_commit(m->id, m->flags & WIRE_STRICT);
		break;
	case WIRE_ABORT:
		batch_abort();
		break;
	case WIRE_STAT:
		look_stat(m);
		break;
	case WIRE_CHECK:
		look_check(m);
		break;
	case WIRE_READ:
		look_read(m);
		break;
	case WIRE_RUN:
		run_start(m);
		break;
	case WIRE_KILL:
		run_kill(m);
		break;
	case WIRE_SUPERVISE:
		supervise(m);
		break;
	case WIRE_PING:
		out_message(&(struct wire_message){.type = WIRE_PONG, .id = m->id});
		break;
	default:
		add_only(m);
		break;
	}
}

/* False: the session must end. */
static bool take_signals(void)
{
	struct signalfd_siginfo info;
	while (sys_read(signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			return false;
		run_reap();
	}
	return true;
}

/* Waits for what comes next, and reads of stdin. The bytes, 0 at the end. */
static long wait_for_input(void)
{
	struct pollfd fds[3 + RUN_POLL_MAX] = {{.fd = 0, .events = POLLIN},
					       {.fd = signals, .events = POLLIN},
					       {.fd = asked.fd, .events = POLLIN}};
	unsigned count = 3 + run_poll(fds + 3);
	place_forget();
	int ready = sys_poll(fds, count, idle_seconds ? (int)(idle_seconds * 1000) : -1);
	if (ready <= 0)
		return ready == 0 ? 0 : -EINTR;
	if (fds[1].revents && !take_signals())
		return 0;
	if (fds[2].revents)
		supervised();
	if (count > 3)
		run_ready();
	if (!fds[0].revents)
		return -EAGAIN;
	size_t room;
	void *space = wire_input_space(&input, &room);
	return sys_read(0, space, room);
}

static int take_messages(void)
{
	struct wire_message m;
	int r;
	while ((r = wire_input_next(&input, &m)) == 1 && !out_broken())
		handle(&m);
	return r;
}

static int goodbye(int code, const char *why)
{
	out_message(&(
		struct wire_message){.type = WIRE_BYE, .value = (uint32_t)-code, .text = {why, why ? strlen(why) : 0}});
	out_flush();
	return 1;
}

static int talk(void)
{
	for (;;) {
		int r = take_messages();
		many_stage();
		out_flush();
		if (out_broken())
			return 1;
		if (r < 0)
			return goodbye(r, r == -EPROTO ? "not a frame of this protocol" : "another version");
		long n = wait_for_input();
		if (n > 0)
			wire_input_filled(&input, (size_t)n);
		else if (n != -EAGAIN && n != -EINTR)
			return n == 0 ? 0 : 1;
	}
}

int session_run(void)
{
	uint64_t before;
	sys_signal_mask(~0ULL, &before); /* SIGPIPE too: who does not listen is seen when writing */
	launch_init(before);
	stage_init();
	signals = sys_signal_fd(signal_bit(SIGTERM) | signal_bit(SIGINT) | signal_bit(SIGHUP) | signal_bit(SIGCHLD));
	sys_fcntl(0, F_SETPIPE_SZ, PIPE_SIZE);
	sys_fcntl(1, F_SETPIPE_SZ, PIPE_SIZE);
	wire_input_init(&input, buffer, sizeof(buffer), WIRE_FROM_SKIFF);
	greet();
	int status = talk();
	batch_abort();
	run_end();
	return status;
}
