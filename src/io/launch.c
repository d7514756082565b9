#include "io/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "base/str.h"
#include "io/process.h"

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* A program may be handed a parent that ignores SIGCHLD: then no exit status could be had. */
static void prepare_signals(void)
{
	struct sigaction old;
	signal(SIGPIPE, SIG_IGN);
	if (sigaction(SIGCHLD, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
		signal(SIGCHLD, SIG_DFL);
}

static int above_stdio(int fd)
{
	if (fd < 0 || fd > 2)
		return fd;
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	cleanup_close(&fd);
	return moved;
}

static int raise_ends(int ends[2])
{
	ends[0] = above_stdio(ends[0]);
	ends[1] = above_stdio(ends[1]);
	if (ends[0] >= 0 && ends[1] >= 0)
		return 0;
	int code = errno;
	cleanup_close(&ends[0]);
	cleanup_close(&ends[1]);
	return -code;
}

int launch_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC) < 0 ? -errno : raise_ends(ends);
}

int launch_socket(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : raise_ends(ends);
}

int launch_null(void)
{
	int fd = above_stdio(open("/dev/null", O_RDWR | O_CLOEXEC));
	return fd < 0 ? -errno : fd;
}

static size_t name_length(const char *assignment)
{
	return strcspn(assignment, "=");
}

/* The last entry of env for the name, or NULL. */
static const char *overlay_entry(const char *const *env, const char *name, size_t len)
{
	const char *found = NULL;
	for (; env && *env; env++)
		if (name_length(*env) == len && memcmp(*env, name, len) == 0)
			found = *env;
	return found;
}

/* Only the array is owned by the caller; the strings are those of environ and env. */
static char **make_environment(const char *const *env)
{
	size_t count = 0;
	for (char **e = environ; e && *e; e++)
		count++;
	for (const char *const *e = env; e && *e; e++)
		count++;
	char **out = xcalloc(count + 1, sizeof(*out));
	size_t n = 0;
	for (char **e = environ; e && *e; e++)
		if (!overlay_entry(env, *e, name_length(*e)))
			out[n++] = *e;
	for (const char *const *e = env; e && *e; e++)
		if (strchr(*e, '=') && overlay_entry(env, *e, name_length(*e)) == *e)
			out[n++] = (char *)*e;
	return out;
}

static const char *search_path(const char *const *env)
{
	const char *entry = overlay_entry(env, "PATH", 4);
	const char *path = entry ? strchr(entry, '=') : getenv("PATH");
	if (path && entry)
		path++;
	return path && *path ? path : default_path;
}

/* 0 for a program that this process may execute; relative to the directory. */
static int check_program(int directory, const char *path)
{
	struct stat st;
	if (fstatat(directory, path, &st, 0) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(directory, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* Looks for name along path into *found (owned by the caller). -ENOENT, or -EACCES where what was found may not be run. */
static int find_program(int directory, const char *name, const char *path, char **found)
{
	if (strchr(name, '/')) {
		int r = check_program(directory, name);
		if (r < 0)
			return r;
		*found = xstrdup(name);
		return 0;
	}
	if (!*name)
		return -ENOENT;
	int result = -ENOENT;
	for (const char *start = path;; start++) {
		size_t len = strcspn(start, ":");
		_cleanup_free_ char *folder = len ? xstrndup(start, len) : xstrdup(".");
		_cleanup_free_ char *candidate = path_join(folder, name);
		int r = check_program(directory, candidate);
		if (r == 0) {
			*found = steal(&candidate);
			return 0;
		}
		if (r == -EACCES)
			result = r;
		start += len;
		if (!*start)
			return result;
	}
}

char *process_find(const char *name)
{
	char *found = NULL;
	if (find_program(AT_FDCWD, name, search_path(NULL), &found) < 0)
		return NULL;
	char *absolute = path_absolute(found);
	free(found);
	return absolute;
}

static int start(const struct launch *s, int directory, const char *program, pid_t *pid)
{
	_cleanup_free_ char **environment = make_environment(s->env);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t set;
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attributes, &set);
	sigaddset(&set, SIGPIPE);
	posix_spawnattr_setsigdefault(&attributes, &set);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	int r = 0;
	for (int i = 0; i < 3 && r == 0; i++)
		if (s->stdio[i] >= 0)
			r = posix_spawn_file_actions_adddup2(&actions, s->stdio[i], i);
	if (r == 0 && directory != AT_FDCWD)
		r = posix_spawn_file_actions_addfchdir_np(&actions, directory);
	if (r == 0)
		r = posix_spawn(pid, program, &actions, &attributes, (char *const *)s->argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int start_error(struct error *err, int code, const char *name)
{
	_cleanup_free_ char *shown = str_printable(name);
	if (code == ENOENT)
		return error_set(err, code, "no such program: %s", shown);
	if (code == EACCES)
		return error_set(err, code, "can't run %s: not an executable file", shown);
	return error_errno(err, code, "can't run %s", shown);
}

pid_t launch_program(const struct launch *s, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, prepare_signals);
	if (!s->argv || !s->argv[0])
		return error_set(err, EINVAL, "no program to run");
	_cleanup_close_ int opened = -1;
	int directory = AT_FDCWD;
	if (s->directory) {
		opened = open(s->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (opened < 0) {
			int code = errno;
			_cleanup_free_ char *shown = str_printable(s->directory);
			return error_errno(err, code, "can't run %s in %s", s->argv[0], shown);
		}
		directory = opened;
	}
	_cleanup_free_ char *program = NULL;
	int r = find_program(directory, s->argv[0], search_path(s->env), &program);
	if (r < 0)
		return start_error(err, -r, s->argv[0]);
	pid_t pid = -1;
	r = start(s, directory, program, &pid);
	if (r == -ENOENT || r == -EACCES) /* the file itself is there */
		return error_errno(err, -r, "can't run %s: its interpreter", program);
	return r < 0 ? start_error(err, -r, program) : pid;
}
