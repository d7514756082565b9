/* Starting a program, the part that process_run and process_connect share. Internal to src/io. */
#ifndef IO_LAUNCH_H
#define IO_LAUNCH_H

#include <sys/types.h>

#include "base/error.h"

struct launch {
	const char *const *argv;
	const char *directory;	/* NULL: this one's */
	const char *const *env; /* as in struct process_spec */
	int stdio[3];		/* the child's 0, 1, 2; -1: as this process has it. All above 2. */
};

/* In a session of its own, with no signal blocked and SIGPIPE as at birth. Returns once the program is running: the pid, or a
 * negative errno with words that name the program or the directory. */
pid_t launch_program(const struct launch *s, struct error *err);

/* A pipe, close-on-exec, both ends above 2. 0 or a negative errno. */
int launch_pipe(int ends[2]);

/* The same for a pair of stream sockets. */
int launch_socket(int ends[2]);

/* /dev/null for reading and writing, close-on-exec, above 2. The descriptor or a negative errno. */
int launch_null(void);

#endif
