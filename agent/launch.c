#include "launch.h"

#include "wire/wire.h"

enum { UMASK_OURS = 0 };

char **agent_environment;
static struct rlimit limit;
static uint64_t original_mask;
static unsigned original_umask;

void launch_init(uint64_t mask)
{
	original_mask = mask;
	SYS(prlimit64, 0, RLIMIT_NOFILE, 0, &limit, 0, 0);
	struct rlimit raised = {limit.rlim_max, limit.rlim_max};
	SYS(prlimit64, 0, RLIMIT_NOFILE, &raised, 0, 0, 0);
	original_umask = (unsigned)SYS(umask, UMASK_OURS, 0, 0, 0, 0, 0);
}

uint64_t launch_mask(void)
{
	return original_mask;
}

static const char *search_path(char *const *envp)
{
	for (; *envp; envp++)
		if (memcmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* As execvpe(3), without running what is no program as a script. */
static int execute(char *const *argv, char *const *envp)
{
	char path[WIRE_PATH_MAX + WIRE_NAME_MAX + 2];
	size_t len = strlen(argv[0]);
	int failed = -ENOENT;
	if (strchr(argv[0], '/'))
		return sys_exec(argv[0], argv, envp);
	if (len == 0 || len > WIRE_NAME_MAX)
		return -ENOENT;
	for (const char *at = search_path(envp);; at++) {
		const char *colon = strchr(at, ':');
		size_t size = colon ? (size_t)(colon - at) : strlen(at);
		if (size <= WIRE_PATH_MAX) {
			memcpy(path, size ? at : ".", size ? size : 1);
			size_t end = size ? size : 1;
			path[end] = '/';
			memcpy(path + end + 1, argv[0], len + 1);
			int r = sys_exec(path, argv, envp);
			if (r != -ENOENT && r != -ENOTDIR)
				failed = r;
			if (r != -ENOENT && r != -ENOTDIR && r != -EACCES)
				return r;
		}
		if (!colon)
			return failed;
		at = colon;
	}
}

static int become(const struct launch *l)
{
	if (!l->as_user)
		return 0;
	int r = (int)SYS(setgroups, 1, &l->gid, 0, 0, 0, 0);
	if (r == 0)
		r = (int)SYS(setresgid, l->gid, l->gid, l->gid, 0, 0, 0);
	if (r == 0)
		r = (int)SYS(setresuid, l->uid, l->uid, l->uid, 0, 0, 0);
	bool already = sys_uid() == l->uid && sys_gid() == l->gid;
	return already ? 0 : r;
}

/* In the child: the negative errno of what failed. */
static int run_child(const struct launch *l)
{
	int r = 0;
	SYS(setpgid, 0, 0, 0, 0, 0, 0);
	if (l->foreground) {
		int group = sys_pid();
		sys_ioctl(0, 0x5410 /* TIOCSPGRP */, &group); /* all signals are blocked, SIGTTOU too */
	}
	for (int i = 0; r >= 0 && i < 3; i++)
		if (l->stdio[i] >= 0)
			r = sys_dup(l->stdio[i], i);
	if (r >= 0 && l->directory)
		r = (int)SYS(chdir, l->directory, 0, 0, 0, 0, 0);
	if (r >= 0)
		r = become(l);
	if (r < 0)
		return r;
	SYS(umask, original_umask, 0, 0, 0, 0, 0);
	SYS(prlimit64, 0, RLIMIT_NOFILE, &limit, 0, 0, 0);
	sys_signal_mask(l->mask, NULL);
	return execute(l->argv, l->envp);
}

int launch(const struct launch *l)
{
	int told[2], failed = 0;
	int r = sys_pipe(told); /* closed by exec, else the errno comes through it */
	if (r < 0)
		return r;
	int pid = sys_fork();
	if (pid == 0) {
		failed = run_child(l);
		sys_write(told[1], &failed, sizeof(failed));
		sys_exit(127);
	}
	sys_close(told[1]);
	if (pid > 0 && sys_read(told[0], &failed, sizeof(failed)) == sizeof(failed)) {
		SYS(wait4, pid, 0, 0, 0, 0, 0);
		pid = failed;
	}
	sys_close(told[0]);
	return pid;
}

int launch_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
