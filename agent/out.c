#include "out.h"

#include "sys.h"

enum { OUT_SIZE = 64 << 10, OUT_DIRECT = 8 << 10 /* longer data are not copied */ };
enum { ALIVE_S = 1 };

static unsigned char gathered[OUT_SIZE];
static size_t held;
static bool broken;
static int64_t said; /* when something was sent last, in seconds */

static int64_t now(void)
{
	struct timespec time;
	sys_now(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

static void write_out(const unsigned char *bytes, size_t len)
{
	while (len && !broken) {
		long n = sys_write(1, bytes, len);
		if (n == -EAGAIN) {
			struct pollfd fd = {.fd = 1, .events = POLLOUT};
			sys_poll(&fd, 1, -1);
		} else if (n < 0 && n != -EINTR) {
			broken = true;
		} else if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
}

void out_flush(void)
{
	if (held)
		said = now();
	write_out(gathered, held);
	held = 0;
}

bool out_broken(void)
{
	return broken;
}

void out_message(const struct wire_message *message)
{
	bool direct = message->data.len > OUT_DIRECT;
	if (OUT_SIZE - held < WIRE_FRAME_MAX - WIRE_DATA_MAX + OUT_DIRECT)
		out_flush();
	int n = direct ? wire_encode_head(message, gathered + held, OUT_SIZE - held)
		       : wire_encode(message, gathered + held, OUT_SIZE - held);
	if (n < 0) {
		broken = true; /* ours: it can't be said */
		return;
	}
	held += (size_t)n;
	if (direct) {
		out_flush();
		write_out(message->data.data, message->data.len);
	}
}

void out_alive(void)
{
	if (now() - said <= ALIVE_S)
		return;
	out_message(&(struct wire_message){.type = WIRE_PONG});
	out_flush();
}
