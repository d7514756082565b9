/* The child's side of the embedded runtime: what runs between fork and exec, and the supervisor that stays. Internal to src/client.
 *
 * It is a forked copy of a process with threads, so it allocates nothing and uses only system calls; all it needs was prepared by the
 * parent; and it forks by _Fork, since libraries' fork handlers (libuv's) close descriptors by number. It keeps three descriptors of its parent's and closes all others:
 *
 *     control   reading end of a pipe whose other end only skiff holds: its end is skiff's end, and stops everything
 *     report    struct init_report records, until the program runs or something failed
 *     folder    the instance's folder: its files `status` and `log` are written here */
#ifndef CLIENT_EMBEDDED_INIT_H
#define CLIENT_EMBEDDED_INIT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum embedded_mode {			       /* in the order in which they are tried */
		     EMBEDDED_NAMESPACES,      /* root: mount and pid namespaces */
		     EMBEDDED_USER_NAMESPACES, /* anybody: user, mount and pid namespaces, the one user being 0 inside */
		     EMBEDDED_CHROOT, /* root without the right to make namespaces: no mounts, no pid namespace */
		     EMBEDDED_MODES
};

struct init_program {
	const char *const *argv;
	const char *const *env; /* whole; PATH of it finds argv[0] */
	const char *directory;	/* inside; made by the parent */
	uid_t uid;
	gid_t gid;
};

struct init_mount {
	const char *source; /* on the host, links resolved, without the leading slash; NULL: a tmpfs */
	const char *dest;   /* inside, absolute */
	bool file;	    /* the source is no directory */
	bool read_only;
};

struct init_plan {
	enum embedded_mode mode;
	const char *root; /* absolute host path, a directory */
	struct init_program program;
	const struct init_mount *mounts;
	size_t mount_count;
	bool read_only;
	int stop_signal;
	unsigned grace_ms;     /* from the stop signal to SIGKILL */
	const char *id_map[3]; /* for EMBEDDED_USER_NAMESPACES: what goes to setgroups, uid_map, gid_map */
	bool detached;	       /* no control: it lives until it is told to stop */
	int control, report, folder;
};

enum init_report_kind { REPORT_SUPERVISOR, REPORT_RUNNING, REPORT_FAILED };

struct init_report {
	enum init_report_kind kind;
	int value;     /* the supervisor's pid; the errno */
	char step[32]; /* what failed */
};

/* The status file: this line, padded with spaces to STATUS_SIZE bytes and always written whole: how often the program was started, and
 * its exit status (128 + n for a signal) where it is not running. */
#define STATUS_RUNNING "running"
#define STATUS_EXITED "exited"
enum { STATUS_SIZE = 32 };

/* Signals that the supervisor takes for itself; all others go to the program. */
#define SUPERVISOR_RESTART SIGRTMIN	/* end the program and start it again; start it where it has ended */
#define SUPERVISOR_PAUSE (SIGRTMIN + 1) /* end the program, and stay */
#define SUPERVISOR_STOP (SIGRTMIN + 2)	/* end the program, and go; as the end of control */

enum { LOG_LINE_MAX = 8 << 10, LOG_FILE_MAX = 4 << 20 };

/* In the forked child, all signals blocked; never returns. The child ends at once, the supervisor stays. */
_Noreturn void init_main(const struct init_plan *plan);

/* Sets up the root that init_main's supervisor works in: NULL, or the step that failed, with errno. */
const char *init_setup(const struct init_plan *plan);

/* Supervises until control ends. In embedded-supervise.c. */
_Noreturn void init_supervise(const struct init_plan *plan);

/* Becomes the program: capabilities, user, directory, signals, exec. Returns (with errno) only where that fails: the step. */
const char *init_exec(const struct init_program *program, enum embedded_mode mode);

/* Closes every descriptor from `first` on. */
void init_close_from(int first);

#endif
