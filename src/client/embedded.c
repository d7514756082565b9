#include "client/embedded.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "client/embedded-state.h"

static int compare_instances(const void *a, const void *b)
{
	return strcmp(((const struct embedded_instance *)a)->id, ((const struct embedded_instance *)b)->id);
}

int embedded_list(const char *run_id, struct embedded_instances *instances, struct error *err)
{
	_cleanup_free_ char *folder = NULL;
	int r = embedded_run_folder(run_id, &folder, err);
	if (r < 0)
		return r;
	DIR *dir = opendir(folder);
	if (!dir)
		return error_errno(err, errno, "can't read %s", folder);
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		_cleanup_free_ char *path = path_join(folder, entry->d_name);
		_cleanup_free_ char *id = xasprintf("%s/%s", path_base(folder), entry->d_name);
		struct embedded_instance in;
		if (embedded_instance_read(path, id, &in, NULL) == 0)
			vec_push(instances, in);
	}
	closedir(dir);
	if (instances->len)
		qsort(instances->items, instances->len, sizeof(*instances->items), compare_instances);
	return 0;
}

int embedded_load(const char *id, struct embedded_instance *instance, struct error *err)
{
	const char *slash = strchr(id, '/');
	if (!slash || slash[1] == '.' || strchr(slash + 1, '/'))
		return error_set(err, ENOENT, "there is no instance %s", id);
	_cleanup_free_ char *run = xstrndup(id, (size_t)(slash - id));
	_cleanup_free_ char *folder = NULL;
	int r = embedded_run_folder(run, &folder, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *path = path_join(folder, slash + 1);
	return embedded_instance_read(path, id, instance, err);
}

bool embedded_owner_alive(const struct embedded_instance *in)
{
	return in->owner > 0 && in->owner_started && embedded_process_started(in->owner) == in->owner_started;
}

/* A descriptor that becomes readable when the process ends; -1 where it has, or where the kernel has none (before 5.3). */
static int process_descriptor(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* True once the supervisor is gone. A poll of 20 ms stands in for a kernel without pidfd. */
static bool wait_for_end(const struct embedded_instance *in, unsigned ms)
{
	_cleanup_close_ int fd = process_descriptor(in->pid);
	uint64_t deadline = monotonic_ns() + ms * 1000000ULL;
	while (embedded_process_started(in->pid) == in->started) {
		uint64_t now = monotonic_ns();
		if (now >= deadline)
			return false;
		int left = (int)((deadline - now) / 1000000 + 1);
		struct pollfd p = {.fd = fd, .events = POLLIN};
		poll(&p, fd >= 0, fd >= 0 ? left : 20);
	}
	return true;
}

void embedded_stop(const struct embedded_instance *in)
{
	if (in->started && embedded_process_started(in->pid) == in->started)
		kill(in->pid, SUPERVISOR_STOP);
}

int embedded_remove(const struct embedded_instance *in, unsigned ms, struct error *err)
{
	embedded_stop(in);
	if (in->alive && !wait_for_end(in, ms)) {
		kill(in->pid, SIGKILL);
		if (!wait_for_end(in, 5000))
			return error_set(err, EBUSY, "%s does not end (process %d)", in->image, (int)in->pid);
	}
	/* Out of sight first: an instance that is half removed is none. */
	_cleanup_free_ char *parent = path_dir(in->folder);
	_cleanup_free_ char *hidden = xasprintf("%s/.gone-%s", parent, path_base(in->folder));
	if (rename(in->folder, hidden) < 0 && errno != ENOENT)
		return error_errno(err, errno, "can't remove %s", in->folder);
	return file_remove_tree(hidden, err);
}

void embedded_sweep_folder(const char *run_id)
{
	_cleanup_free_ char *folder = NULL;
	if (embedded_run_folder(run_id, &folder, NULL) < 0)
		return;
	DIR *dir = opendir(folder);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		if (!str_starts_with(entry->d_name, ".new-") && !str_starts_with(entry->d_name, ".gone-"))
			continue;
		_cleanup_free_ char *path = path_join(folder, entry->d_name);
		file_remove_tree(path, NULL);
	}
	if (dir)
		closedir(dir);
	rmdir(folder);
}

int embedded_open_root(const struct embedded_instance *in, bool on_disk, struct error *err)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/%d/root", (int)in->pid);
	int fd = in->alive && !on_disk ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0)
		return fd;
	_cleanup_free_ char *root = path_join(in->folder, "root");
	fd = open(root, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, errno, "the root of %s is gone", in->image) : fd;
}

/* Reads away what inotify has. */
static void drain(int fd)
{
	char buffer[8192] __attribute__((aligned(8)));
	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
}

/* Watches each instance's status file, and each supervisor's end. */
static void watch_instances(const char *run_id, int inotify, struct pollfd *ends, size_t cap, size_t *count)
{
	struct embedded_instances all = {0};
	*count = 0;
	embedded_list(run_id, &all, NULL);
	for vec_each (in, &all) {
		_cleanup_free_ char *status = path_join(in->folder, "status");
		inotify_add_watch(inotify, status, IN_MODIFY);
		int fd = in->alive && *count < cap ? process_descriptor(in->pid) : -1;
		if (fd >= 0)
			ends[(*count)++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	embedded_instances_release(&all);
}

int embedded_follow(const char *run_id, void (*changed)(void *data), void *data, struct cancel *cancel,
		    struct error *err)
{
	enum { MAX_INSTANCES = 64 };
	_cleanup_close_ int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (inotify < 0)
		return error_errno(err, errno, "can't watch the instances");
	while (!cancel_requested(cancel)) {
		/* Watched before looked at, and told after: nothing falls between. The folder itself goes with the last instance. */
		_cleanup_free_ char *folder = NULL;
		int r = embedded_run_folder(run_id, &folder, err);
		if (r < 0)
			return r;
		inotify_add_watch(inotify, folder, IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR);
		struct pollfd fds[2 + MAX_INSTANCES] = {{.fd = inotify, .events = POLLIN},
							{.fd = cancel_fd(cancel), .events = POLLIN}};
		size_t ends;
		watch_instances(run_id, inotify, fds + 2, MAX_INSTANCES, &ends);
		changed(data);
		poll(fds, 2 + ends, -1);
		drain(inotify);
		for (size_t i = 0; i < ends; i++)
			close(fds[2 + i].fd);
	}
	return -ECANCELED;
}

struct log_reader {
	void (*line)(void *data, int stream, const char *line, size_t len);
	void *data;
	struct str pending;
};

static void read_log(struct log_reader *reader, int fd)
{
	for (;;) {
		char *to = str_reserve(&reader->pending, 16 << 10);
		ssize_t n = to ? read(fd, to, 16 << 10) : -1;
		if (n <= 0)
			return;
		reader->pending.len += (size_t)n;
		reader->pending.data[reader->pending.len] = '\0';
		size_t start = 0;
		for (;;) {
			char *from = reader->pending.data + start;
			char *end = memchr(from, '\n', reader->pending.len - start);
			if (!end)
				break;
			*end = '\0';
			if (end - from >= 2)
				reader->line(reader->data, from[0] == '2' ? 2 : 1, from + 2, (size_t)(end - from) - 2);
			start = (size_t)(end - reader->pending.data) + 1;
		}
		str_consume(&reader->pending, start);
		if (reader->pending.len > 2 * LOG_LINE_MAX) /* no log of ours */
			str_clear(&reader->pending);
	}
}

static int open_log(const struct embedded_instance *in, const char *name)
{
	_cleanup_free_ char *path = path_join(in->folder, name);
	return open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

/* True if `log` now names another file than the one that is open. */
static bool log_was_rotated(const struct embedded_instance *in, int fd)
{
	struct stat open_one, named;
	_cleanup_free_ char *path = path_join(in->folder, "log");
	return fstat(fd, &open_one) == 0 && lstat(path, &named) == 0 && open_one.st_ino != named.st_ino;
}

int embedded_logs(const struct embedded_instance *in,
		  void (*line)(void *data, int stream, const char *line, size_t len), void *data, struct cancel *cancel,
		  struct error *err)
{
	struct log_reader reader = {.line = line, .data = data, .pending.max = 64 << 10};
	_cleanup_close_ int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (inotify < 0 || inotify_add_watch(inotify, in->folder,
					     IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF) < 0)
		return error_errno(err, errno, "can't follow the log of %s", in->image);
	_cleanup_close_ int old = open_log(in, "log.1");
	if (old >= 0)
		read_log(&reader, old);
	int fd = open_log(in, "log");
	_cleanup_close_ int end = in->alive ? process_descriptor(in->pid) : -1;
	for (bool last = false;;) {
		if (fd >= 0)
			read_log(&reader, fd);
		if (fd >= 0 && log_was_rotated(in, fd)) {
			read_log(&reader, fd); /* what came before the rename */
			close(fd);
			fd = open_log(in, "log");
			continue;
		}
		if (last || cancel_requested(cancel))
			break;
		struct pollfd fds[] = {{.fd = inotify, .events = POLLIN},
				       {.fd = cancel_fd(cancel), .events = POLLIN},
				       {.fd = end, .events = POLLIN}};
		poll(fds, ARRAY_LEN(fds), -1);
		drain(inotify);
		last = fds[2].revents || embedded_process_started(in->pid) != in->started;
	}
	cleanup_close(&fd);
	str_release(&reader.pending);
	return cancel_requested(cancel) ? -ECANCELED : 0;
}
