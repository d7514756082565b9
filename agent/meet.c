#include "meet.h"

#include <sys/un.h>

enum {
	ASK_TRIES = 100,
	ASK_MS = 10,
	TRIES_ON_TERM = 50, /* of them before it is killed */
	TRIES_A_LOOK =
		10, /* for each look who it is: nobody takes the connections off a stopped one's queue, and a full one (8) would hold us, too */
};

static char *add_text(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
	return at;
}

static char *add_hex(char *at, uint64_t number)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		*at++ = "0123456789abcdef"[number >> shift & 15];
	return at;
}

/* Containers may share a network, where the names live: the root's device and inode tell them apart. */
static unsigned make_address(const char *what, struct sockaddr_un *address)
{
	struct statx st = {0};
	sys_stat(AT_FDCWD, "/", 0, &st);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	char *at = address->sun_path + 1;
	at = add_text(at, "skiff-");
	at = add_text(at, what);
	at = add_hex(at, (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor);
	at = add_hex(at, st.stx_ino);
	return (unsigned)(at - (char *)address);
}

int meet_listen(const char *what)
{
	struct sockaddr_un address;
	unsigned len = make_address(what, &address);
	int fd = sys_socket(SOCK_SEQPACKET);
	if (fd < 0)
		return fd;
	int r = sys_bind(fd, &address, len);
	if (r == 0)
		r = sys_listen(fd);
	if (r == 0)
		return fd;
	sys_close(fd);
	return r;
}

int meet_connect(const char *what, int *pid)
{
	struct sockaddr_un address;
	struct ucred peer = {0};
	unsigned len = make_address(what, &address);
	int fd = sys_socket(SOCK_SEQPACKET);
	if (fd < 0)
		return fd;
	int r = sys_connect(fd, &address, len);
	if (r == 0)
		r = sys_peer(fd, &peer);
	if (r == 0 && peer.uid != 0 && peer.uid != sys_uid())
		r = -EACCES;
	*pid = peer.pid;
	if (r == 0)
		return fd;
	sys_close(fd);
	return r;
}

int meet_alone(void)
{
	int fd = -EADDRINUSE, pid = 0;
	for (int i = 0; i < ASK_TRIES && (fd = meet_listen("agent")) == -EADDRINUSE; i++) {
		if (i % TRIES_A_LOOK == 0) {
			int other = meet_connect("agent", &pid);
			if (other == -EACCES)
				return -EACCES;
			if (other >= 0)
				sys_close(other);
			else
				pid = 0;
		}
		if (pid > 1 && pid != sys_pid())
			sys_kill(pid, i < TRIES_ON_TERM ? SIGTERM : SIGKILL);
		sys_poll(NULL, 0, ASK_MS);
	}
	return fd;
}
