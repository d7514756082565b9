#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "client/embedded-state.h"
#include "client/rootfs.h"

enum { GRACE_MS = 3000 };

struct embedded_layout {
	char *folder; /* ".new-…", until the program runs */
	char *name;   /* its name then */
	uid_t uid;
	gid_t gid;
	bool started;
};

void embedded_start_release(struct embedded_start *start)
{
	strv_release(&start->argv);
	strv_release(&start->env);
	strv_release(&start->hosts);
	strv_release(&start->notes);
	for vec_each (v, &start->volumes) {
		free(v->source);
		free(v->dest);
	}
	vec_release(&start->volumes);
}

void embedded_layout_free(struct embedded_layout *layout)
{
	if (!layout)
		return;
	if (!layout->started)
		file_remove_tree(layout->folder, NULL);
	free(layout->folder);
	free(layout->name);
	free(layout);
}

static int find_user(int root, const char *user, struct embedded_layout *layout, struct error *err)
{
	if (!user || !*user)
		return 0;
	CLEANUP(accounts_release) struct accounts accounts = {0};
	rootfs_accounts(root, &accounts);
	/* Without a group: that of passwd, else root's; --chown has another rule. */
	const char *colon = strchr(user, ':');
	_cleanup_free_ char *name = colon ? xstrndup(user, (size_t)(colon - user)) : xstrdup(user);
	_cleanup_free_ char *both = colon ? xstrdup(user) : xasprintf("%s:0", user);
	uint32_t uid = 0, gid = 0;
	int r = owner_resolve(both, &accounts, &uid, &gid, err);
	if (r < 0)
		return error_wrap(err, "the image's USER");
	if (owner_is_named(name) && !colon)
		accounts_number(accounts.passwd, name, 3, &gid);
	layout->uid = uid;
	layout->gid = gid;
	return 0;
}

/* A file that engines provide too, where the image has none. */
static void provide_file(int root, const char *path, const char *text)
{
	_cleanup_close_ int fd = rootfs_open(root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
	if (fd >= 0)
		write_all(fd, text, strlen(text));
}

static int furnish_root(int root, const struct embedded_start *start, struct error *err)
{
	const char *const folders[] = {"proc", "dev", "etc", start->workdir ? start->workdir : "/"};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		int fd = rootfs_make_directory(root, folders[i]);
		if (fd < 0)
			return error_errno(err, -fd, "can't make %s in the root of %s", folders[i], start->image);
		close(fd);
	}
	struct str hosts = {0};
	str_add(&hosts, "127.0.0.1 localhost");
	for (size_t i = 0; i < start->hosts.len; i++)
		str_addf(&hosts, " %s", start->hosts.items[i]);
	str_add(&hosts, "\n::1 localhost\n");
	provide_file(root, "etc/hosts", str_text(&hosts));
	str_release(&hosts);
	_cleanup_free_ char *resolver = NULL;
	size_t len;
	if (file_read("/etc/resolv.conf", 64 << 10, &resolver, &len, NULL) == 0)
		provide_file(root, "etc/resolv.conf", resolver);
	return 0;
}

static int write_notes(const char *folder, const struct strv *notes, struct error *err)
{
	struct str text = {0};
	for (size_t i = 0; i < notes->len; i++)
		str_addf(&text, "2 skiff: %s\n", notes->items[i]);
	_cleanup_free_ char *path = path_join(folder, "log");
	int r = file_write_atomic(path, str_text(&text), text.len, 0600, err);
	str_release(&text);
	return r;
}

static int fill_layout(const struct embedded_start *start, struct embedded_layout *layout, struct cancel *cancel,
		       struct error *err)
{
	_cleanup_free_ char *from_path = path_join(start->image_folder, "root");
	_cleanup_free_ char *to_path = path_join(layout->folder, "root");
	if (mkdir(layout->folder, 0700) < 0 || mkdir(to_path, 0755) < 0)
		return error_errno(err, errno, "can't make %s", to_path);
	_cleanup_close_ int from = open(from_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int to = open(to_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || to < 0)
		return error_errno(err, errno, "can't lay out %s from %s", start->image, from_path);
	int r = rootfs_copy_tree(from, to, cancel);
	if (r < 0)
		return error_errno(err, -r, "can't lay out %s in %s", start->image, to_path);
	r = furnish_root(to, start, err);
	if (r == 0)
		r = find_user(to, start->user, layout, err);
	return r < 0 ? r : write_notes(layout->folder, &start->notes, err);
}

int embedded_lay_out(const struct embedded_start *start, struct embedded_layout **layout, struct cancel *cancel,
		     struct error *err)
{
	_cleanup_free_ char *run = NULL;
	int r = embedded_run_folder(start->run_id, &run, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *slug = embedded_slug(start->image);
	struct embedded_layout *new = xcalloc(1, sizeof(*new));
	new->name = xasprintf("%s-%llx", slug, (unsigned long long)realtime_ns());
	new->folder = xasprintf("%s/.new-%s", run, new->name);
	r = fill_layout(start, new, cancel, err);
	if (r < 0) {
		embedded_layout_free(new);
		return r;
	}
	*layout = new;
	return 0;
}

static bool sysctl_is(const char *path, char value)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	return file_read(path, 64, &text, &len, NULL) == 0 && len >= 1 && text[0] == value &&
	       (len == 1 || text[1] == '\n');
}

/* What keeps an ordinary user from the namespaces, as far as the kernel tells. */
static const char *missing_for_namespaces(void)
{
	static const struct {
		const char *path;
		char value;
		const char *words;
	} switches[] = {
		{"/proc/sys/kernel/unprivileged_userns_clone", '0',
		 "sysctl kernel.unprivileged_userns_clone=1 (as root) would allow them"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1',
		 "sysctl kernel.apparmor_restrict_unprivileged_userns=0 (as root) would allow them"},
		{"/proc/sys/user/max_user_namespaces", '0',
		 "sysctl user.max_user_namespaces=10000 (as root) would allow them"},
	};
	for (size_t i = 0; i < ARRAY_LEN(switches); i++)
		if (sysctl_is(switches[i].path, switches[i].value))
			return switches[i].words;
	return "a sandbox or container around skiff (its seccomp filter) or the kernel forbids them; run skiff outside "
	       "of it, or as root";
}

struct answer { /* what the child reported */
	pid_t supervisor;
	bool running;
	int code;
	char step[32];
};

static void read_answer(int fd, struct answer *answer)
{
	struct init_report r;
	*answer = (struct answer){.code = EIO, .step = "supervisor died"};
	while (read(fd, &r, sizeof(r)) == sizeof(r)) {
		if (r.kind == REPORT_SUPERVISOR)
			answer->supervisor = r.value;
		answer->running |= r.kind == REPORT_RUNNING;
		if (r.kind != REPORT_FAILED)
			continue;
		answer->code = r.value;
		memcpy(answer->step, r.step, sizeof(answer->step) - 1);
	}
}

/* Forks with every signal blocked, so that no handler of ours runs in the child. */
static pid_t fork_quietly(sigset_t *before)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
	pid_t pid = _Fork();
	if (pid != 0)
		pthread_sigmask(SIG_SETMASK, before, NULL);
	return pid;
}

/* One attempt in one mode. *control is the writing end then. */
static int try_mode(struct init_plan *plan, struct answer *answer, int *control, struct error *err)
{
	int life[2], report[2];
	if (pipe2(life, O_CLOEXEC) < 0)
		return error_errno(err, errno, "can't start a supervisor");
	if (pipe2(report, O_CLOEXEC) < 0) {
		int code = errno;
		close(life[0]);
		close(life[1]);
		return error_errno(err, code, "can't start a supervisor");
	}
	plan->control = plan->detached ? -1 : life[0];
	plan->report = report[1];
	sigset_t before;
	pid_t child = fork_quietly(&before);
	if (child == 0)
		init_main(plan);
	int code = child < 0 ? errno : 0;
	close(life[0]);
	close(report[1]);
	if (child > 0) {
		read_answer(report[0], answer);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(report[0]);
	bool started = child > 0 && answer->running && answer->supervisor > 0;
	if (started && !plan->detached) {
		*control = life[1];
		return 0;
	}
	close(life[1]);
	return child < 0 ? error_errno(err, code, "can't start a supervisor") : 0;
}

/* Whether another mode may do better: it could not be set up, for want of rights. What the image lacks, it lacks in all. */
static bool is_refusal(const struct answer *answer)
{
	static const char *const of_the_program[] = {"exec", "working directory", "mounting a volume",
						     "mount point of a volume"};
	for (size_t i = 0; i < ARRAY_LEN(of_the_program); i++)
		if (str_equal(answer->step, of_the_program[i]))
			return false;
	return true;
}

static int explain(const struct embedded_start *start, const struct answer *answer, struct error *err)
{
	if (str_equal(answer->step, "exec") && answer->code == ENOENT)
		return error_set(err, ENOENT,
				 "%s: there is no program %s in the image (or its interpreter is missing: FROM scratch "
				 "has no C library, "
				 "and no sh for shell forms)",
				 start->image, start->argv.items[0]);
	if (!is_refusal(answer))
		return error_errno(err, answer->code, "can't start %s in %s (%s)", start->argv.items[0], start->image,
				   answer->step);
	return error_set(err, answer->code, "can't start %s without an engine: %s: %s; user namespaces: %s",
			 start->image, answer->step, strerror(answer->code), missing_for_namespaces());
}

static int start_in_some_mode(const struct embedded_start *start, struct init_plan *plan, pid_t *supervisor,
			      int *control, struct error *err)
{
	bool root = geteuid() == 0;
	struct answer answer = {0};
	for (int mode = root ? EMBEDDED_NAMESPACES : EMBEDDED_USER_NAMESPACES;
	     mode < (root ? EMBEDDED_MODES : EMBEDDED_CHROOT); mode++) {
		if (mode == EMBEDDED_CHROOT && (start->volumes.len || start->read_only))
			break; /* a chroot has no mounts: not what was asked for */
		plan->mode = (enum embedded_mode)mode;
		int r = try_mode(plan, &answer, control, err);
		if (r < 0)
			return r;
		if (answer.running) {
			*supervisor = answer.supervisor;
			return 0;
		}
		if (!is_refusal(&answer))
			break;
	}
	return explain(start, &answer, err);
}

/* Sources resolved on the host: inside, their links would lead elsewhere. Paths are kept in *owned. */
static int prepare_mounts(const struct embedded_start *start, struct init_mount *mounts, struct strv *owned,
			  struct error *err)
{
	for (size_t i = 0; i < start->volumes.len; i++) {
		const struct embedded_volume *v = &start->volumes.items[i];
		mounts[i] = (struct init_mount){.dest = v->dest, .read_only = v->read_only};
		if (!v->source)
			continue;
		if (!file_exists(v->source) && file_make_directories(v->source, 0755, err) < 0)
			return error_wrap(err, "the volume at %s", v->dest);
		char *real = realpath(v->source, NULL);
		if (!real)
			return error_errno(err, errno, "the volume %s at %s", v->source, v->dest);
		mounts[i].file = !file_is_directory(real);
		mounts[i].source = real + 1;
		strv_push_owned(owned, real);
	}
	return 0;
}

static int start_layout(const struct embedded_start *start, struct embedded_layout *layout, struct init_plan *plan,
			pid_t *pid, int *control, struct error *err)
{
	_cleanup_free_ struct init_mount *mounts = xcalloc(start->volumes.len + 1, sizeof(*mounts));
	_cleanup_free_ char *root = path_join(layout->folder, "root");
	_cleanup_close_ int folder = open(layout->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return error_errno(err, errno, "can't open %s", layout->folder);
	char uid_map[32], gid_map[32];
	snprintf(uid_map, sizeof(uid_map), "0 %u 1", geteuid());
	snprintf(gid_map, sizeof(gid_map), "0 %u 1", getegid());
	struct strv owned = {0};
	int r = prepare_mounts(start, mounts, &owned, err);
	*plan = (struct init_plan){
		.root = root,
		.program = {.argv = (const char *const *)start->argv.items,
			    .env = (const char *const *)start->env.items,
			    .directory = start->workdir ? start->workdir : "/",
			    .uid = layout->uid,
			    .gid = layout->gid},
		.mounts = mounts,
		.mount_count = start->volumes.len,
		.read_only = start->read_only,
		.stop_signal = start->stop_signal ? start->stop_signal : SIGTERM,
		.grace_ms = GRACE_MS,
		.detached = start->detached,
		.id_map = {"deny", uid_map, gid_map},
		.folder = folder,
	};
	if (r == 0)
		r = start_in_some_mode(start, plan, pid, control, err);
	strv_release(&owned);
	return r;
}

int embedded_run(const struct embedded_start *start, struct embedded_layout *layout, struct embedded_instance *instance,
		 int *control, struct error *err)
{
	static const char *const no_env[] = {NULL};
	struct embedded_start whole = *start;
	if (!whole.env.items)
		whole.env.items = (char **)no_env;
	struct init_plan plan = {0};
	pid_t pid = 0;
	*control = -1;
	int r = start_layout(&whole, layout, &plan, &pid, control, err);
	if (r < 0)
		return r;
	struct embedded_instance saved = {
		.image = (char *)start->image,
		.mode = (char *)embedded_mode_names[plan.mode],
		.pid = pid,
		.started = embedded_process_started(pid),
		.owner = getpid(),
		.owner_started = embedded_process_started(getpid()),
		.env = start->env,
		.workdir = (char *)plan.program.directory,
		.uid = layout->uid,
		.gid = layout->gid,
		.read_only = start->read_only,
		.detached = start->detached,
	};
	_cleanup_free_ char *parent = path_dir(layout->folder);
	_cleanup_free_ char *folder = path_join(parent, layout->name);
	_cleanup_free_ char *id = xasprintf("%s/%s", path_base(parent), layout->name);
	r = embedded_instance_save(&saved, layout->folder, err);
	if (r == 0 && rename(layout->folder, folder) < 0)
		r = error_errno(err, errno, "can't keep %s", folder);
	if (r == 0)
		r = embedded_instance_read((layout->started = true, folder), id, instance, err);
	if (r < 0) {
		cleanup_close(control);
		kill(pid, SIGKILL);
	}
	return r;
}
