#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "watch/internal.h"

struct scan {
	struct watch *w;
	struct root *root;
	enum scan_how how;
	struct str path; /* of the directory, then of the entry */
	VEC(struct node *) waiting;
};

bool scan_is_tracked(mode_t mode)
{
	return S_ISREG(mode) || S_ISLNK(mode) || S_ISDIR(mode);
}

bool scan_is_pruned(const struct watch *w, const char *path, bool directory)
{
	return w->callbacks.prune && w->callbacks.prune(w->callbacks.data, path, directory);
}

static void drop(struct watch *w, struct node *n, struct str *path, bool quiet)
{
	size_t len = path->len;
	while (n->first) {
		str_add(path, len > 1 ? "/" : "");
		str_add(path, n->first->name);
		drop(w, n->first, path, quiet);
		path->len = len;
		path->data[len] = '\0';
	}
	notify_remove(w, n);
	if (!quiet)
		report_gone(w, path->data, node_is_directory(n));
	if (n->flags & NODE_TOP)
		n->up.root->node = NULL;
	tree_remove(&w->tree, n);
}

void scan_drop(struct watch *w, struct node *n, bool quiet)
{
	CLEANUP(str_release) struct str path = {0};
	node_path(n, &path);
	drop(w, n, &path, quiet);
}

/* File systems whose changes are made elsewhere, so that the kernel has no events for them: magic numbers of statfs(2). */
bool scan_has_no_events(const char *directory)
{
	static const unsigned magics[] = {
		0x6969,	    /* NFS */
		0xff534d42, /* CIFS */
		0xfe534d42, /* SMB2 */
		0x517b,	    /* SMB */
		0x01021997, /* 9p */
		0x65735546, /* FUSE: sshfs, virtiofs, shared folders of virtual machines */
		0x00c36400, /* Ceph */
		0x5346414f, /* AFS */
		0x6b414653, /* kAFS */
		0x73757245, /* Coda */
		0x786f4256, /* VirtualBox */
		0xbacbacbc, /* VMware */
	};
	struct statfs fs;
	if (statfs(directory, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(magics); i++)
		if ((unsigned)fs.f_type == magics[i])
			return true;
	return false;
}

static void check_device(struct scan *s, const struct stat *st, bool top)
{
	struct root *root = s->root;
	if (root->polled || (!top && st->st_dev == root->device))
		return;
	if (scan_has_no_events(s->path.data))
		root_poll(root);
	if (top)
		root->device = st->st_dev;
}

static void tell_unreadable(struct scan *s, struct node *dir, int code)
{
	if (dir->flags & NODE_UNREADABLE)
		return;
	dir->flags |= NODE_UNREADABLE;
	_cleanup_free_ char *shown = str_printable(s->path.data);
	watch_notice(s->w, "can't look into %s (%s): changes in it are not seen", shown, strerror(code));
}

/* Another root was there before and now turns out to lie in this tree: its nodes are taken over, with their watches. */
static struct node *take_over(struct scan *s, struct node *dir, const char *name, bool directory)
{
	for vec_each (other, &s->w->roots) {
		struct root *r = *other;
		if (r == s->root || !r->node || r->is_link || r->polled != s->root->polled ||
		    node_is_directory(r->node) != directory || strcmp(r->path, s->path.data) != 0)
			continue;
		notify_unanchor(r);
		struct node *old = r->node;
		struct wd_owner owner = {.wd = old->wd, .node = old};
		bool watched = old->wd > 0;
		if (watched)
			wdmap_remove(&s->w->wds, owner);
		struct node *n = tree_move(&s->w->tree, old, dir, NULL, name);
		owner.node = n;
		if (watched)
			wdmap_add(&s->w->wds, owner);
		r->node = NULL;
		r->covered = true;
		return n;
	}
	return NULL;
}

static void found_new(struct scan *s, struct node *dir, const char *name, const struct stat *st)
{
	bool directory = S_ISDIR(st->st_mode);
	struct node *n = s->how == SCAN_QUIET ? take_over(s, dir, name, directory) : NULL;
	if (n) {
		n->flags |= NODE_SEEN;
		return;
	}
	n = tree_add(&s->w->tree, dir, NULL, name, st->st_mode);
	node_update(&s->w->tree, n, st);
	n->flags |= NODE_SEEN;
	bool complete = !S_ISREG(st->st_mode) || s->root->polled || !stat_is_fresh(st);
	if (s->how != SCAN_QUIET)
		report_appeared(s->w, s->path.data, directory, complete ? 0 : FRESH_MS);
	node_set_told(n, s->how != SCAN_QUIET);
	if (directory)
		vec_push(&s->waiting, n);
}

static void found_known(struct scan *s, struct node *n, const struct stat *st)
{
	struct watch *w = s->w;
	bool directory = S_ISDIR(st->st_mode), replaced = n->inode != st->st_ino;
	n->flags |= NODE_SEEN;
	bool tell = node_differs(n, st, true) && s->how != SCAN_QUIET && !report_is_open(w, s->path.data);
	node_set_told(n, tell);
	if (tell) {
		bool complete = !S_ISREG(st->st_mode) || s->root->polled || !stat_is_fresh(st);
		if (complete)
			report_change(w, CHANGE_MODIFIED, directory, s->path.data);
		else
			report_written(w, s->path.data, FRESH_MS);
	}
	node_update(&w->tree, n, st);
	if (directory && (s->how == SCAN_ALL || replaced || (n->wd < 0 && !s->root->polled)))
		vec_push(&s->waiting, n);
}

static void tell_path_limit(struct scan *s)
{
	if (s->w->path_limit_told)
		return;
	s->w->path_limit_told = true;
	_cleanup_free_ char *shown = str_printable(s->root->path);
	watch_notice(s->w, "paths of more than %d bytes below %s are not watched", PATH_MAX - 1, shown);
}

static void scan_entry(struct scan *s, struct node *dir, int fd, const char *name)
{
	struct stat st;
	if (s->path.len >= PATH_MAX) {
		tell_path_limit(s);
		return;
	}
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !scan_is_tracked(st.st_mode))
		return;
	bool directory = S_ISDIR(st.st_mode);
	if (scan_is_pruned(s->w, s->path.data, directory))
		return;
	struct node *n = tree_find(&s->w->tree, dir, name);
	if (n && node_is_directory(n) != directory) {
		scan_drop(s->w, n, s->how == SCAN_QUIET);
		n = NULL;
	}
	if (n)
		found_known(s, n, &st);
	else
		found_new(s, dir, name, &st);
}

static void drop_unseen(struct scan *s, struct node *dir)
{
	for (struct node *n = dir->first, *next; n; n = next) {
		next = n->next;
		if (!(n->flags & NODE_SEEN))
			scan_drop(s->w, n, s->how == SCAN_QUIET);
	}
}

static void read_entries(struct scan *s, struct node *dir, int fd)
{
	DIR *stream = fdopendir(fd);
	if (!stream) {
		close(fd);
		return;
	}
	for (struct node *n = dir->first; n; n = n->next)
		n->flags &= (uint8_t)~NODE_SEEN;
	size_t len = s->path.len;
	errno = 0;
	for (struct dirent *e; (e = readdir(stream)); errno = 0) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		str_add(&s->path, len > 1 ? "/" : "");
		str_add(&s->path, e->d_name);
		scan_entry(s, dir, fd, e->d_name);
		s->path.len = len;
		s->path.data[len] = '\0';
	}
	bool whole = errno == 0;
	closedir(stream);
	if (whole)
		drop_unseen(s, dir);
}

/* The watch comes first, then the entries: what is made in between is met twice, never missed. */
static void scan_directory(struct scan *s, struct node *dir)
{
	bool top = dir->flags & NODE_TOP;
	node_path(dir, &s->path);
	int fd = open(s->path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | (top ? 0 : O_NOFOLLOW));
	if (fd < 0) {
		if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
			tell_unreadable(s, dir, errno);
		else if (!top)
			scan_drop(s->w, dir, s->how == SCAN_QUIET);
		return;
	}
	struct stat st;
	if (fstat(fd, &st) == 0) {
		dir->inode = st.st_ino;
		check_device(s, &st, top);
	}
	dir->flags &= (uint8_t)~NODE_UNREADABLE;
	notify_add(s->root, dir, fd);
	read_entries(s, dir, fd);
}

void scan_tree(struct root *root, struct node *top, enum scan_how how)
{
	struct scan s = {.w = root->watch, .root = root, .how = how};
	vec_push(&s.waiting, top);
	while (s.waiting.len > 0) {
		struct node *dir = s.waiting.items[--s.waiting.len];
		if (!(dir->flags & NODE_DEAD))
			scan_directory(&s, dir);
	}
	vec_release(&s.waiting);
	str_release(&s.path);
}
