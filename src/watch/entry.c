#include <errno.h>
#include <sys/stat.h>

#include "watch/internal.h"

struct node *entry_add(struct watch *w, const struct entry *e, const struct stat *st)
{
	struct node *n = tree_add(&w->tree, e->dir, e->root, e->name, st->st_mode);
	node_update(&w->tree, n, st);
	if (!e->dir)
		e->root->node = n;
	return n;
}

/* How long a file with a new name waits. A link, also a hard one, is complete at once; so is what was renamed into place. */
static unsigned hold_for(const struct stat *st, unsigned flags)
{
	if (S_ISLNK(st->st_mode) || st->st_nlink > 1 || flags & TOUCH_MOVED_HERE)
		return 0;
	if (flags & TOUCH_CLOSED)
		return NEW_MS;
	if (flags & (TOUCH_CREATED | TOUCH_WRITTEN))
		return OPEN_MS;
	return stat_is_fresh(st) ? FRESH_MS : 0;
}

/* The same file as before, perhaps with something else in it. */
static void look_at_same(struct watch *w, const struct entry *e, const struct stat *st, unsigned flags)
{
	bool differs = node_differs(e->node, st, false);
	if (flags & TOUCH_CLOSED) {
		bool written = flags & TOUCH_WRITTEN && (e->node->flags & NODE_RACY || node_differs(e->node, st, true));
		if (!report_closed(w, e->path) && (differs || written))
			report_change(w, CHANGE_MODIFIED, false, e->path);
	} else if (flags & TOUCH_WRITTEN) {
		if (differs || e->node->flags & NODE_RACY || node_differs(e->node, st, true))
			report_written(w, e->path, OPEN_MS);
	} else if (differs && !report_is_open(w, e->path)) {
		report_change(w, CHANGE_MODIFIED, false, e->path);
	}
}

static void look_at_replaced(struct watch *w, const struct entry *e, const struct stat *st, unsigned flags)
{
	unsigned hold = flags & TOUCH_CLOSED ? 0 : hold_for(st, flags);
	if (hold)
		report_written(w, e->path, hold);
	else if (!report_closed(w, e->path))
		report_change(w, CHANGE_MODIFIED, false, e->path);
}

struct node *entry_file(struct watch *w, struct entry *e, const struct stat *st, unsigned flags)
{
	if (e->node && node_is_directory(e->node)) {
		scan_drop(w, e->node, false);
		e->node = NULL;
	}
	if (!e->node) {
		report_appeared(w, e->path, false, hold_for(st, flags));
		e->node = entry_add(w, e, st);
	} else if (e->node->inode != st->st_ino || (e->node->mode & S_IFMT) != (st->st_mode & S_IFMT)) {
		look_at_replaced(w, e, st, flags);
	} else {
		look_at_same(w, e, st, flags);
	}
	if (flags & TOUCH_WRITTEN_AFTER && S_ISREG(st->st_mode))
		report_written(w, e->path, OPEN_MS);
	node_update(&w->tree, e->node, st);
	return e->node;
}

static void look_at_directory(struct watch *w, struct entry *e, const struct stat *st)
{
	if (e->node && !node_is_directory(e->node)) {
		scan_drop(w, e->node, false);
		e->node = NULL;
	}
	bool known = e->node != NULL, replaced = known && e->node->inode != st->st_ino;
	bool differs = known && node_differs(e->node, st, true);
	if (!known) {
		report_appeared(w, e->path, true, 0);
		e->node = entry_add(w, e, st);
	} else if (differs) {
		report_change(w, CHANGE_MODIFIED, true, e->path);
	}
	node_set_told(e->node, !known || differs);
	node_update(&w->tree, e->node, st);
	if (replaced || e->node->wd < 0)
		scan_tree(e->root, e->node, known ? SCAN_ALL : SCAN_NEW);
}

void entry_look(struct watch *w, const struct touched *t, const char *path)
{
	if (t->dir->flags & NODE_DEAD)
		return;
	struct entry e = {node_root(t->dir), t->dir, t->name, path, tree_find(&w->tree, t->dir, t->name)};
	struct stat st;
	bool there = lstat(path, &st) == 0 && scan_is_tracked(st.st_mode);
	if (there && scan_is_pruned(w, path, S_ISDIR(st.st_mode)))
		there = false;
	if (!there) {
		if (e.node)
			scan_drop(w, e.node, false);
	} else if (S_ISDIR(st.st_mode)) {
		look_at_directory(w, &e, &st);
	} else {
		entry_file(w, &e, &st, t->flags);
	}
}
