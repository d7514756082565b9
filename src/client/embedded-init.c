#include "client/embedded-init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/alloc.h"

/* What a container of an engine has of root's rights (moby, oci/caps/defaults.go). */
static const int kept_capabilities[] = {
	CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FSETID,  CAP_FOWNER,		 CAP_MKNOD,	 CAP_NET_RAW, CAP_SETGID,
	CAP_SETUID, CAP_SETFCAP,      CAP_SETPCAP, CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT, CAP_KILL,    CAP_AUDIT_WRITE,
};

static const struct {
	const char *name;
	unsigned major, minor;
} devices[] = {
	{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
	{"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

static const char *const device_links[][2] = {
	{"/proc/self/fd", "/dev/fd"},
	{"/proc/self/fd/0", "/dev/stdin"},
	{"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"},
};

void init_close_from(int first)
{
	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return;
	long most = sysconf(_SC_OPEN_MAX);
	for (int fd = first; fd < (most > 0 && most < 1 << 20 ? most : 1 << 20); fd++)
		close(fd);
}

/* mkdir -p of an absolute path; `path` is left as it was. */
static int make_directories(const char *path, bool last_is_file)
{
	char copy[4096];
	size_t len = strlen(path);
	if (len >= sizeof(copy))
		return -1;
	memcpy(copy, path, len + 1);
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	if (!last_is_file)
		return mkdir(copy, 0755) < 0 && errno != EEXIST ? -1 : 0;
	int fd = open(copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	cleanup_close(&fd);
	return fd < 0 ? -1 : 0;
}

/* Remounts with more flags; those that are locked in a user namespace must be named again. */
static int remount(const char *path, unsigned long flags)
{
	struct statvfs fs;
	if (statvfs(path, &fs) < 0)
		return -1;
	static const struct {
		unsigned long has, flag;
	} kept[] = {
		{ST_NOSUID, MS_NOSUID},	  {ST_NODEV, MS_NODEV},		  {ST_NOEXEC, MS_NOEXEC},
		{ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME}, {ST_RELATIME, MS_RELATIME},
	};
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (fs.f_flag & kept[i].has)
			flags |= kept[i].flag;
	return mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | flags, NULL);
}

/* A minimal /dev; best effort, since a program may well do without. The old root is the working directory. */
static void bind_devices(void)
{
	if (mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(devices); i++)
		if (make_directories(devices[i].name, true) == 0)
			mount(devices[i].name + 1, devices[i].name, NULL, MS_BIND, NULL);
	for (size_t i = 0; i < ARRAY_LEN(device_links); i++)
		(void)!symlink(device_links[i][0], device_links[i][1]);
	if (mkdir("/dev/shm", 01777) == 0)
		mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777");
}

static const char *bind_volumes(const struct init_plan *plan)
{
	for (size_t i = 0; i < plan->mount_count; i++) {
		const struct init_mount *m = &plan->mounts[i];
		if (make_directories(m->dest, m->file) < 0)
			return "mount point of a volume";
		int r = m->source ? mount(*m->source ? m->source : ".", m->dest, NULL, MS_BIND | MS_REC, NULL)
				  : mount("tmpfs", m->dest, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
		if (r < 0 || (m->read_only && remount(m->dest, MS_RDONLY) < 0))
			return "mounting a volume";
	}
	return NULL;
}

/* runc's way: the old root stays reachable as the working directory until everything is mounted, then goes. */
static const char *setup_mounts(const struct init_plan *plan)
{
	int old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (old_root < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return "making mounts private";
	if (mount(plan->root, plan->root, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(plan->root) < 0)
		return "mounting the root";
	if (syscall(SYS_pivot_root, ".", ".") < 0 && /* EINVAL: the host itself runs on an initramfs */
	    (errno != EINVAL || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0))
		return "pivot_root";
	if (fchdir(old_root) < 0)
		return "pivot_root";
	/* Refused inside most unprivileged containers, where /proc is masked. */
	mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	bind_devices();
	const char *failed = bind_volumes(plan);
	if (failed)
		return failed;
	if (plan->read_only && remount("/", MS_RDONLY) < 0)
		return "making the root read-only";
	if (fchdir(old_root) < 0 || (umount2(".", MNT_DETACH) < 0 && errno != EINVAL))
		return "leaving the old root";
	close(old_root);
	return chdir("/") < 0 ? "leaving the old root" : NULL;
}

static const char *setup_chroot(const struct init_plan *plan)
{
	if (chroot(plan->root) < 0 || chdir("/") < 0)
		return "chroot";
	for (size_t i = 0; i < ARRAY_LEN(devices); i++)
		if (mknod(devices[i].name, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) == 0)
			(void)!chmod(devices[i].name, 0666);
	return NULL;
}

const char *init_setup(const struct init_plan *plan)
{
	return plan->mode == EMBEDDED_CHROOT ? setup_chroot(plan) : setup_mounts(plan);
}

static const char *enter_namespaces(const struct init_plan *plan)
{
	if (plan->mode == EMBEDDED_CHROOT)
		return NULL;
	if (plan->mode == EMBEDDED_NAMESPACES)
		return unshare(CLONE_NEWNS | CLONE_NEWPID) < 0 ? "unshare" : NULL;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) < 0)
		return "unshare";
	static const char *const files[] = {"/proc/self/setgroups", "/proc/self/uid_map", "/proc/self/gid_map"};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		int fd = open(files[i], O_WRONLY | O_CLOEXEC);
		size_t len = strlen(plan->id_map[i]);
		bool written = fd >= 0 && write(fd, plan->id_map[i], len) == (ssize_t)len;
		cleanup_close(&fd);
		if (!written)
			return "mapping the user";
	}
	return NULL;
}

static void report(int fd, enum init_report_kind kind, int value, const char *step)
{
	struct init_report r = {.kind = kind, .value = value};
	for (size_t i = 0; step && step[i] && i < sizeof(r.step) - 1; i++)
		r.step[i] = step[i];
	(void)!write(fd, &r, sizeof(r));
}

/* Moves the three descriptors to 3, 4 and 5, standard input and output to /dev/null, and closes the rest. */
static void keep_descriptors(struct init_plan *plan)
{
	if (plan->detached) /* never readable, never at its end */
		plan->control = eventfd(0, EFD_CLOEXEC);
	int *fds[] = {&plan->control, &plan->report, &plan->folder};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, 16);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		*fds[i] = dup3(*fds[i], 3 + (int)i, O_CLOEXEC);
	init_close_from(6);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	close(null);
}

void init_main(const struct init_plan *given)
{
	struct init_plan plan = *given;
	setsid();
	keep_descriptors(&plan);
	const char *failed = enter_namespaces(&plan);
	pid_t supervisor = failed ? -1 : _Fork();
	if (!failed && supervisor < 0)
		failed = "fork";
	if (failed)
		report(plan.report, REPORT_FAILED, errno, failed);
	else if (supervisor > 0)
		report(plan.report, REPORT_SUPERVISOR, supervisor, NULL);
	if (supervisor != 0)
		_exit(0);
	prctl(PR_SET_NAME, "skiff-init");
	failed = init_setup(&plan);
	if (failed) {
		report(plan.report, REPORT_FAILED, errno, failed);
		_exit(1);
	}
	init_supervise(&plan);
}

static bool capability_kept(int capability)
{
	for (size_t i = 0; i < ARRAY_LEN(kept_capabilities); i++)
		if (kept_capabilities[i] == capability)
			return true;
	return false;
}

static void search_and_exec(const struct init_program *p)
{
	const char *name = p->argv[0], *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	if (strchr(name, '/')) {
		execve(name, (char *const *)p->argv, (char *const *)p->env);
		return;
	}
	for (const char *const *e = p->env; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			path = *e + 5;
	int code = ENOENT;
	for (const char *start = path; *start;) {
		char file[4096];
		size_t len = strcspn(start, ":"), name_len = strlen(name);
		if (len + name_len + 2 <= sizeof(file)) {
			memcpy(file, start, len);
			file[len] = '/';
			memcpy(file + len + 1, name, name_len + 1);
			execve(file, (char *const *)p->argv, (char *const *)p->env);
			if (errno != ENOENT && errno != ENOTDIR)
				code = errno;
		}
		start += len;
		start += *start == ':';
	}
	errno = code;
}

const char *init_exec(const struct init_program *program, enum embedded_mode mode)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};
	for (int s = 1; s < NSIG; s++)
		sigaction(s, &standard, NULL);
	if (mode != EMBEDDED_USER_NAMESPACES) {
		for (int c = 0; c <= CAP_LAST_CAP; c++)
			if (!capability_kept(c))
				prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
		if (setgroups(0, NULL) < 0 || setgid(program->gid) < 0 || setuid(program->uid) < 0)
			return "changing the user";
	}
	/* After setuid, which clears it: the program must not outlive its supervisor. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir(program->directory) < 0)
		return "working directory";
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	search_and_exec(program);
	return "exec";
}
