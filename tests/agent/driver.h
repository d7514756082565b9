/* An agent under test, driven over its pipes as skiff drives it, and helpers on the folder that the tests write to. */
#ifndef TESTS_AGENT_DRIVER_H
#define TESTS_AGENT_DRIVER_H

#include <sys/types.h>

#include "base/str.h"
#include "wire/wire.h"

/* The program that is tested, with what runs it (qemu): from the command line. */
extern char **agent_program;

/* Under qemu, and with sanitizers: fewer rounds will do there. */
bool driver_is_slow(void);

struct driver {
	pid_t pid;
	int in, out;
	struct wire_input input;
	unsigned char *buffer;
	struct wire_message hello;
	uint32_t next_id;
	uint64_t sent; /* bytes */
};

/* Agents meet by abstract sockets, which belong to the network: this process and its children get one of their own, so that a test that runs at the
 * same time does not end theirs. Once, at the start; as root only. */
void driver_apart(void);

/* What the kernel under the agents that are started next lacks, as older ones do. Not under qemu. */
enum driver_kernel {
	KERNEL_WHOLE,
	KERNEL_NO_LINK,	   /* before 6.10: what is unseen is named by /proc only */
	KERNEL_NO_TMPFILE, /* overlayfs before 6.1: nothing is unseen */
	KERNEL_NO_THREADS, /* a container's limit of processes is reached */
};
extern enum driver_kernel driver_kernel;

/* Starts the agent with these. The child stops before its first instruction where `traced` (ptrace). The pid. */
pid_t driver_spawn(int input, int output, const char *argument, bool traced);

void driver_start(struct driver *driver); /* and takes the HELLOs */
void driver_start_with(struct driver *driver, const char *argument, bool greet);
int driver_end(struct driver *driver); /* closes stdin; the exit status */
void driver_kill(struct driver *driver);

/* Sends it, with an id of its own where it has none; the id. */
uint32_t driver_send(struct driver *driver, struct wire_message message);
void driver_send_bytes(struct driver *driver, const void *bytes, size_t len);

/* The next message, which must be of that type; valid until the next call. a minute at most. */
struct wire_message driver_take(struct driver *driver, enum wire_type type); /* signs of life are passed over */
bool driver_take_any(struct driver *driver, struct wire_message *message);   /* false: the agent ended */

/* Requests by path: below the test's folder where it does not begin with "/". */
struct wire_message at(enum wire_type type, const char *path);
struct wire_message file_at(const char *path, const char *content);

/* COMMIT, and all RESULTs must be good. The COMMITTED. */
struct wire_message driver_commit(struct driver *driver, size_t results);
/* One request and a COMMIT: its RESULT. */
struct wire_message driver_result(struct driver *driver, struct wire_message message);

/* A large file by DATA, or by chunks. The bytes that travelled. */
uint64_t driver_large(struct driver *driver, const char *path, const unsigned char *bytes, size_t len, bool delta);

extern char folder[64]; /* empty, for each test */
int folder_setup(void **state);
int folder_teardown(void **state);
char *path_of(const char *name); /* in the folder; static, eight at a time */
void put(const char *name, const char *content, mode_t mode);
char *get(const char *name); /* the content, NULL where nothing is; the caller frees */
void expect_content(const char *name, const char *content);
size_t count_hidden(void); /* hidden names anywhere in the folder */
unsigned char *random_bytes(size_t len, uint64_t seed);

#endif
