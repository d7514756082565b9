#include "run.h"

#include "launch.h"
#include "out.h"

enum { OUTPUT_PIECE = 16 << 10, VARIABLES_MAX = 8192 };

static struct run {
	int pid; /* 0: free */
	uint32_t id;
	int output[2]; /* stdout, stderr; -1: closed */
} runs[WIRE_RUN_MAX];

static void tell_exit(uint32_t id, int status, int code)
{
	out_message(&(
		struct wire_message){.type = WIRE_EXIT, .id = id, .value = (uint32_t)status, .count = (uint32_t)code});
}

/* Laid over this process's environment; a name without "=" is not set then. */
static bool lay_over(char **envp, char *variable, size_t *count)
{
	const char *end = strchr(variable, '=');
	size_t len = end ? (size_t)(end - variable) : strlen(variable), kept = 0;
	for (size_t i = 0; i < *count; i++) {
		const char *other = envp[i];
		bool same = strlen(other) > len && memcmp(other, variable, len) == 0 && other[len] == '=';
		if (!same)
			envp[kept++] = envp[i];
	}
	if (end && kept < VARIABLES_MAX)
		envp[kept++] = variable;
	*count = kept;
	envp[kept] = NULL;
	return !end || kept <= VARIABLES_MAX;
}

static void split(const struct wire_message *m, char **argv, char **envp)
{
	char *at = (char *)m->data.data; /* the frame's buffer is ours */
	size_t variables = 0;
	for (char **own = agent_environment; *own && variables < VARIABLES_MAX; own++)
		envp[variables++] = *own;
	envp[variables] = NULL;
	for (uint32_t i = 0; i < m->value + m->count; i++) {
		if (i < m->value)
			argv[i] = at;
		else
			lay_over(envp, at, &variables);
		at += strlen(at) + 1;
	}
	argv[m->value] = NULL;
}

static int start(struct run *run, const struct wire_message *m)
{
	static char *argv[WIRE_STRINGS_MAX + 1], *envp[VARIABLES_MAX + 1];
	char directory[WIRE_PATH_MAX + 1];
	int out[2], errors[2];
	split(m, argv, envp);
	memcpy(directory, m->text.data, m->text.len);
	directory[m->text.len] = '\0';
	int r = sys_pipe(out);
	if (r < 0)
		return r;
	r = sys_pipe(errors);
	if (r < 0) {
		sys_close(out[0]);
		sys_close(out[1]);
		return r;
	}
	_cleanup_fd_ int none = sys_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);
	struct launch l = {.argv = argv,
			   .envp = envp,
			   .directory = m->text.len ? directory : NULL,
			   .mask = launch_mask(),
			   .stdio = {none, out[1], errors[1]},
			   .as_user = m->flags & WIRE_AS_USER,
			   .uid = m->uid,
			   .gid = m->gid};
	r = launch(&l);
	sys_close(out[1]);
	sys_close(errors[1]);
	if (r < 0) {
		sys_close(out[0]);
		sys_close(errors[0]);
		return r;
	}
	*run = (struct run){.pid = r, .id = m->id, .output = {out[0], errors[0]}};
	for (int i = 0; i < 2; i++)
		sys_fcntl(run->output[i], F_SETFL, O_NONBLOCK);
	return 0;
}

void run_start(const struct wire_message *m)
{
	struct run *run = NULL;
	for (size_t i = 0; i < WIRE_RUN_MAX; i++)
		if (!runs[i].pid)
			run = &runs[i];
	int r = run ? start(run, m) : -EAGAIN;
	if (r < 0)
		tell_exit(m->id, r == -ENOENT ? 127 : 126, -r);
}

void run_kill(const struct wire_message *m)
{
	for (size_t i = 0; i < WIRE_RUN_MAX; i++)
		if (runs[i].pid && runs[i].id == m->id)
			sys_kill(-runs[i].pid, (int)m->value);
}

unsigned run_poll(struct pollfd *fds)
{
	unsigned count = 0;
	for (size_t i = 0; i < RUN_POLL_MAX; i++)
		if (runs[i / 2].pid && runs[i / 2].output[i % 2] >= 0)
			fds[count++] = (struct pollfd){.fd = runs[i / 2].output[i % 2], .events = POLLIN};
	return count;
}

/* One piece of output. False: there is none now. */
static bool read_output(struct run *run, int which)
{
	static char piece[OUTPUT_PIECE];
	if (run->output[which] < 0)
		return false;
	long n = sys_read(run->output[which], piece, sizeof(piece));
	if (n > 0) {
		out_message(&(struct wire_message){
			.type = WIRE_OUTPUT, .id = run->id, .value = (uint32_t)which + 1, .data = {piece, (size_t)n}});
		return true;
	}
	if (n != -EAGAIN && n != -EINTR) {
		sys_close(run->output[which]);
		run->output[which] = -1;
	}
	return false;
}

void run_ready(void)
{
	for (size_t i = 0; i < RUN_POLL_MAX; i++)
		if (runs[i / 2].pid)
			read_output(&runs[i / 2], i % 2);
}

void run_reap(void)
{
	int status, pid;
	while ((pid = sys_reap(&status)) > 0) {
		for (size_t i = 0; i < WIRE_RUN_MAX; i++) {
			struct run *run = &runs[i];
			if (run->pid != pid)
				continue;
			for (int which = 0; which < 2; which++) {
				while (read_output(run, which))
					;
				if (run->output[which] >= 0) /* held open by what it started */
					sys_close(run->output[which]);
			}
			tell_exit(run->id, launch_status(status), 0);
			run->pid = 0;
		}
	}
}

void run_end(void)
{
	for (size_t i = 0; i < WIRE_RUN_MAX; i++)
		if (runs[i].pid)
			sys_kill(-runs[i].pid, SIGTERM);
}
