/* Running programs: one struct says all, one function runs it (git's run-command.h). Blocking: call it in a job. What runs when this process is killed is
 * ended soon after it (keeper.h). */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include "base/error.h"
#include "base/str.h"
#include "io/cancel.h"

struct process_spec {
	const char *const *argv; /* argv[0] is looked for in PATH (of env where that sets one); ends with NULL */
	const char *directory;	 /* working directory, NULL: this one's */
	const char *const *
		env; /* "NAME=value" laid over this process's environment, ends with NULL; NULL: as it is; "NAME" alone unsets */
	const void *input; /* stdin's bytes, NULL: /dev/null */
	size_t input_len;
	/* Called on the calling thread for each line of output, without its line end, NUL-terminated, long lines cut at
	 * PROCESS_LINE_MAX. stream: 1 stdout, 2 stderr. NULL: not wanted. */
	void (*line)(void *data, int stream, const char *line, size_t len);
	void *data;
	struct str *output; /* stdout goes here whole, too (bounded by its max); NULL: not wanted */
	/* Requested: the whole process group gets SIGTERM, then SIGKILL after PROCESS_GRACE_MS. */
	struct cancel *cancel;
	unsigned timeout_ms; /* 0: none; then as if cancelled, with -ETIMEDOUT */
};

enum { PROCESS_LINE_MAX = 64 << 10, PROCESS_GRACE_MS = 2000 };

/* Runs the program in a session of its own (its group can be signalled whole) and waits for its end. Returns the exit status (0 to 255; 128 + n for a
 * signal), or -ECANCELED, -ETIMEDOUT, or the negative errno of what kept it from starting (-ENOENT: no such program, said by name).
 * Output that grandchildren hold open after the program's end is waited for at most PROCESS_GRACE_MS. */
int process_run(const struct process_spec *spec, struct error *err);

/* Starts a program that goes on running, its stdin and stdout one socket: *fd (read and write, close-on-exec; the caller closes). stderr is
 * inherited where `quiet` is false, else dropped. Returns the pid, or a negative errno. End it with process_end. */
int process_connect(const char *const *argv, bool quiet, int *fd, struct error *err);

/* SIGTERM to the group, SIGKILL after PROCESS_GRACE_MS, reaps. pid <= 0: nothing. */
void process_end(int pid);

/* An absolute path of the program in PATH, or NULL. The caller frees. */
char *process_find(const char *name);

#endif
