#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "watch/internal.h"

enum {
	BUFFER_SIZE = 64 << 10,
	READS_A_ROUND = 64, /* so that a storm of events can't keep a round from ending */
	WATCHES_WANTED = 524288,
	INSTANCES_WANTED = 1024,
};

static const uint32_t names_mask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_MASK_ADD;
static const uint32_t content_mask = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_EXCL_UNLINK;
static const uint32_t self_mask = IN_DELETE_SELF | IN_MOVE_SELF;

/* Read in one piece: the kernel gives a number's digits only once. */
static uint64_t kernel_limit(const char *name)
{
	_cleanup_free_ char *path = path_join("/proc/sys/fs/inotify", name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32];
	uint64_t value = 0;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return parse_uint(text, UINT32_MAX, &value) < 0 ? 0 : value;
}

static uint64_t raised(uint64_t now, uint64_t wanted)
{
	return now * 2 > wanted ? now * 2 : wanted;
}

static void tell_watch_limit(struct watch *w)
{
	uint64_t now = kernel_limit("max_user_watches");
	watch_notice(w,
		     "the kernel's limit of watched directories (%llu) is reached: looking at all files regularly "
		     "instead, which is "
		     "slower. To raise it: sysctl fs.inotify.max_user_watches=%llu",
		     (unsigned long long)now, (unsigned long long)raised(now, WATCHES_WANTED));
}

static void on_readable(void *data)
{
	struct watch *w = data;
	notify_drain(w);
	report_flush(w, false);
}

void notify_start(struct watch *w)
{
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd >= 0) {
		w->readable = fd_watch_new(w->loop, w->fd, on_readable, w);
		w->buffer = xmalloc(BUFFER_SIZE);
		return;
	}
	uint64_t now = kernel_limit("max_user_instances");
	if (errno == EMFILE)
		watch_notice(w,
			     "the kernel gives no more event queues (limit %llu a user): looking at all files "
			     "regularly instead, "
			     "which is slower. To raise it: sysctl fs.inotify.max_user_instances=%llu",
			     (unsigned long long)now, (unsigned long long)raised(now, INSTANCES_WANTED));
	else
		watch_notice(w, "the kernel gives no events (%s): looking at all files regularly instead",
			     strerror(errno));
	watch_start_polling(w);
}

static void forget_number(void *data, struct node *n)
{
	(void)data;
	n->wd = -1;
}

static void close_queue(struct watch *w)
{
	fd_watch_free(w->readable);
	w->readable = NULL;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	wdmap_release(&w->wds);
	free(w->buffer);
	w->buffer = NULL;
}

void notify_stop(struct watch *w)
{
	close_queue(w);
	tree_each(&w->tree, forget_number, NULL);
	for vec_each (r, &w->roots) {
		(*r)->polled = true;
		(*r)->anchor_wd = -1;
	}
}

static void fall_back(struct watch *w)
{
	notify_stop(w);
	watch_start_polling(w);
}

static int add_watch(struct watch *w, int fd, const char *path, uint32_t mask)
{
	char link[32];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	int wd = fd < 0 ? -1 : inotify_add_watch(w->fd, link, mask);
	if (wd < 0 && (fd < 0 || errno == ENOENT || errno == ENOTDIR)) /* no /proc */
		wd = inotify_add_watch(w->fd, path, mask);
	return wd < 0 ? -errno : wd;
}

bool notify_add(struct root *root, struct node *dir, int fd)
{
	struct watch *w = root->watch;
	if (root->polled || w->fd < 0)
		return false;
	CLEANUP(str_release) struct str path = {0};
	node_path(dir, &path);
	int wd = add_watch(w, fd, path.data, names_mask | content_mask | (dir->flags & NODE_TOP ? self_mask : 0));
	if (wd == dir->wd)
		return true;
	if (wd == -ENOSPC || wd == -ENOMEM) {
		tell_watch_limit(w);
		fall_back(w);
		return false;
	}
	notify_remove(w, dir);
	if (wd < 0)
		return false;
	dir->wd = wd;
	wdmap_add(&w->wds, (struct wd_owner){.wd = wd, .node = dir});
	return true;
}

void notify_remove(struct watch *w, struct node *dir)
{
	if (dir->wd > 0 && wdmap_remove(&w->wds, (struct wd_owner){.wd = dir->wd, .node = dir}))
		inotify_rm_watch(w->fd, dir->wd);
	dir->wd = -1;
}

int notify_anchor(struct root *root, const char *directory, bool for_file)
{
	struct watch *w = root->watch;
	int wd = add_watch(w, -1, directory, names_mask | self_mask | (for_file ? content_mask : 0));
	if (wd < 0)
		return wd;
	if (wd != root->anchor_wd) {
		notify_unanchor(root);
		root->anchor_wd = wd;
		wdmap_add(&w->wds, (struct wd_owner){.wd = wd, .anchored = root});
	}
	return 0;
}

void notify_unanchor(struct root *root)
{
	struct watch *w = root->watch;
	if (root->anchor_wd > 0 && wdmap_remove(&w->wds, (struct wd_owner){.wd = root->anchor_wd, .anchored = root}))
		inotify_rm_watch(w->fd, root->anchor_wd);
	root->anchor_wd = -1;
}

static void add_flags(unsigned *flags, uint32_t mask)
{
	if (mask & IN_CREATE)
		*flags |= TOUCH_CREATED;
	if (mask & IN_MOVED_TO)
		*flags |= TOUCH_MOVED_HERE;
	if (mask & IN_MODIFY)
		*flags |= TOUCH_WRITTEN | (*flags & TOUCH_CLOSED ? TOUCH_WRITTEN_AFTER : 0);
	if (mask & IN_CLOSE_WRITE)
		*flags = (*flags | TOUCH_CLOSED) & ~(unsigned)TOUCH_WRITTEN_AFTER;
}

static void touch_root(struct root *root, uint32_t mask)
{
	root->touched = true;
	add_flags(&root->flags, mask);
}

static void touch_entry(struct watch *w, struct node *dir, const char *name, uint32_t mask)
{
	CLEANUP(str_release) struct str path = {0};
	node_path(dir, &path);
	str_add(&path, path.len > 1 ? "/" : "");
	str_add(&path, name);
	if (path.overflow || path.len >= PATH_MAX || scan_is_pruned(w, path.data, mask & IN_ISDIR))
		return;
	struct touched *t = map_get(&w->touches, path.data);
	if (!t) {
		t = xcalloc(1, sizeof(*t));
		t->dir = dir;
		t->name = xstrdup(name);
		map_set(&w->touches, path.data, t);
	}
	add_flags(&t->flags, mask);
}

/* The kernel has dropped the watch: the directory is gone, or its file system was unmounted. */
static void lose_watch(struct watch *w, struct node *dir)
{
	wdmap_remove(&w->wds, (struct wd_owner){.wd = dir->wd, .node = dir});
	dir->wd = -1;
	if (dir->flags & NODE_TOP)
		touch_root(dir->up.root, 0);
	else
		touch_entry(w, dir->up.parent, dir->name, IN_ISDIR);
}

static void take_for_anchor(struct watch *w, struct root *root, const struct inotify_event *e, const char *name)
{
	if (e->mask & IN_IGNORED) {
		wdmap_remove(&w->wds, (struct wd_owner){.wd = root->anchor_wd, .anchored = root});
		root->anchor_wd = -1;
		touch_root(root, 0);
	} else if (e->mask & self_mask || (*name && str_equal(name, root->anchor_name))) {
		touch_root(root, e->mask);
	}
}

static void take_event(struct watch *w, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW) {
		w->overflowed = true;
		return;
	}
	const char *name = e->len ? e->name : "";
	/* The map may change while an event is taken (IN_IGNORED): first all owners, then the work. */
	VEC(struct wd_owner) owners = {0};
	size_t cursor = 0;
	for (const struct wd_owner *o; (o = wdmap_next(&w->wds, e->wd, &cursor));)
		vec_push(&owners, *o);
	for vec_each (o, &owners) {
		if (o->anchored)
			take_for_anchor(w, o->anchored, e, name);
		else if (e->mask & IN_IGNORED)
			lose_watch(w, o->node);
		else if (*name)
			touch_entry(w, o->node, name, e->mask);
		else if (o->node->flags & NODE_TOP)
			touch_root(o->node->up.root, 0);
	}
	vec_release(&owners);
}

static bool read_events(struct watch *w)
{
	ssize_t n = read(w->fd, w->buffer, BUFFER_SIZE);
	if (n <= 0)
		return n < 0 && errno == EINTR;
	for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
		const struct inotify_event *e = (const struct inotify_event *)(const void *)(w->buffer + at);
		take_event(w, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	return true;
}

static void free_touched(void *data)
{
	struct touched *t = data;
	free(t->name);
	free(t);
}

static void look_at_touched(struct watch *w)
{
	struct map touches = w->touches;
	w->touches = (struct map){0};
	if (!w->overflowed)
		for map_each (e, &touches)
			entry_look(w, e->value, e->key);
	map_release(&touches, free_touched);
	for vec_each (r, &w->roots) {
		struct root *root = *r;
		if (!root->touched && !w->overflowed)
			continue;
		unsigned flags = root->flags | (w->overflowed ? TOUCH_ALL_BELOW : 0);
		root->touched = false;
		root->flags = 0;
		root_look(root, flags, false);
	}
}

void notify_drain(struct watch *w)
{
	if (w->fd < 0)
		return;
	w->now = monotonic_ns();
	for (int i = 0; i < READS_A_ROUND && read_events(w); i++)
		;
	if (w->overflowed)
		watch_notice(w, "more changes at once than the kernel can report: comparing all files");
	look_at_touched(w);
	w->overflowed = false;
}
