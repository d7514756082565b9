#include "deploy/owner.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"

enum { PROC_FILE_MAX = 8192 };

/* Field 22 of /proc/PID/stat, or 0. The program's name before it may hold anything. */
static unsigned long long start_ticks(int pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/stat", pid), *text = NULL;
	size_t len;
	if (file_read(path, PROC_FILE_MAX, &text, &len, NULL) < 0)
		return 0;
	const char *p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

static char *boot_id(void)
{
	char *text = NULL;
	size_t len;
	if (file_read("/proc/sys/kernel/random/boot_id", PROC_FILE_MAX, &text, &len, NULL) < 0)
		return xstrdup("unknown");
	text[strcspn(text, "\n ")] = '\0';
	return text;
}

char *owner_self(void)
{
	_cleanup_free_ char *boot = boot_id();
	return xasprintf("%d %llu %s", (int)getpid(), start_ticks((int)getpid()), boot);
}

char *owner_host(void)
{
	char name[256] = "";
	if (gethostname(name, sizeof(name) - 1) < 0)
		return xstrdup("unknown");
	return xstrdup(name);
}

enum owner_state owner_state(const char *pid_label, const char *host_label, int *pid)
{
	int process = 0;
	unsigned long long start = 0;
	char boot[64] = "";
	if (pid)
		*pid = 0;
	if (!pid_label || sscanf(pid_label, "%d %llu %63s", &process, &start, boot) != 3 || process <= 0)
		return OWNER_DEAD;
	if (pid)
		*pid = process;
	_cleanup_free_ char *here = owner_host(), *now = boot_id();
	if (host_label && !str_equal(host_label, here))
		return OWNER_ELSEWHERE;
	if (!str_equal(boot, now) || start_ticks(process) != start)
		return OWNER_DEAD;
	return process == getpid() ? OWNER_SELF : OWNER_ALIVE;
}

static int holder_of(const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	uint64_t pid;
	if (file_read(path, PROC_FILE_MAX, &text, &len, NULL) < 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return parse_uint(text, INT32_MAX, &pid) < 0 ? 0 : (int)pid;
}

int owner_lock(const char *run_id, struct error *err)
{
	_cleanup_free_ char *directory = NULL, *path = NULL;
	int r = file_state_folder("runs", &directory, err);
	if (r < 0)
		return r;
	path = xasprintf("%s/%s.lock", directory, run_id);
	CLEANUP(error_clear) struct error inner = {0};
	_cleanup_close_ int fd = file_lock(path, false, &inner);
	if (fd == -EWOULDBLOCK) {
		int pid = holder_of(path);
		if (pid == getpid())
			return error_set(err, ENOTUNIQ, "this process runs the project already");
		return error_set(err, EBUSY, "this project is run by another skiff (pid %d): end that one first", pid);
	}
	if (fd < 0)
		return error_move(err, &inner);
	char line[32];
	int len = snprintf(line, sizeof(line), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || write_all(fd, line, (size_t)len) < 0)
		return error_errno(err, errno, "can't write %s", path);
	int held = fd;
	fd = -1;
	return held;
}
