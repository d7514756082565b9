#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "watch/internal.h"

enum { ANCHOR_TRIES = 8 }; /* directories that come up while the anchor is set */

struct root *root_new(struct watch *w, const char *path)
{
	struct root *root = xcalloc(1, sizeof(*root));
	root->watch = w;
	root->path = xstrdup(path);
	root->anchor_wd = -1;
	root->polled = w->fd < 0;
	return root;
}

void root_free(struct root *root)
{
	if (!root)
		return;
	if (root->node)
		scan_drop(root->watch, root->node, true);
	notify_unanchor(root);
	free(root->anchor_name);
	free(root->path);
	free(root);
}

struct root *root_covering(struct watch *w, const struct root *except, const char *path, struct node **node)
{
	for vec_each (r, &w->roots) {
		struct root *root = *r;
		const char *below = root == except || !root->node ? NULL : path_below(path, root->path);
		if (!below)
			continue;
		_cleanup_free_ char *parent = path_dir(path);
		const char *parent_below = *below ? path_below(parent, root->path) : NULL;
		struct node *dir = parent_below ? tree_walk(&w->tree, root->node, parent_below) : NULL;
		struct node *found = *below ? (dir ? tree_find(&w->tree, dir, path_base(path)) : NULL) : root->node;
		if (!found && (!dir || !node_is_directory(dir)))
			continue;
		*node = found;
		return root;
	}
	return NULL;
}

void root_poll(struct root *root)
{
	_cleanup_free_ char *shown = str_printable(root->path);
	watch_notice(root->watch, "looking at %s regularly: its file system has no events", shown);
	root->polled = true;
	watch_start_polling(root->watch);
}

/* Watches the nearest directory above that exists, for the next name on the way down. True once nothing more is to be done: what
 * appears from now on is an event. */
static bool try_anchor(struct root *root, bool for_file)
{
	_cleanup_free_ char *below = xstrdup(root->path);
	for (;;) {
		_cleanup_free_ char *directory = path_dir(below);
		if (notify_anchor(root, directory, for_file) == 0) {
			replace_string(&root->anchor_name, path_base(below));
			return strcmp(below, root->path) == 0 || !file_exists(below);
		}
		if (strcmp(directory, "/") == 0)
			return true;
		free(below);
		below = steal(&directory);
	}
}

static void set_anchor(struct root *root, bool for_file)
{
	if (root->polled || root->watch->fd < 0)
		return;
	_cleanup_free_ char *parent = path_dir(root->path);
	if (scan_has_no_events(parent)) {
		root_poll(root);
		return;
	}
	for (int i = 0; i < ANCHOR_TRIES && !try_anchor(root, for_file); i++)
		;
}

/* What is there: a directory, also behind a link, or a file. */
static bool look_up(struct root *root, struct stat *st)
{
	root->is_link = false;
	if (lstat(root->path, st) < 0)
		return false;
	struct stat target;
	if (S_ISLNK(st->st_mode) && stat(root->path, &target) < 0)
		return false; /* its target may come */
	if (S_ISLNK(st->st_mode) && S_ISDIR(target.st_mode)) {
		root->is_link = true;
		*st = target;
	}
	return scan_is_tracked(st->st_mode);
}

static void tell(struct root *root, const char *what)
{
	_cleanup_free_ char *shown = str_printable(root->path);
	watch_notice(root->watch, "%s %s", shown, what);
}

static void root_gone(struct root *root)
{
	if (!root->node)
		return;
	if (node_is_directory(root->node)) {
		root->lost = true;
		tell(root, "is gone: waiting for it to come back");
	}
	scan_drop(root->watch, root->node, false);
}

static void look_at_top(struct root *root, const struct stat *st, unsigned flags, bool quiet)
{
	struct watch *w = root->watch;
	struct entry e = {root, NULL, root->path, root->path, root->node};
	if (root->lost)
		tell(root, "is back");
	root->lost = false;
	if (root->node && !node_is_directory(root->node))
		scan_drop(w, root->node, quiet);
	struct node *n = root->node;
	if (!n) {
		if (!quiet)
			report_appeared(w, root->path, true, 0);
		scan_tree(root, entry_add(w, &e, st), quiet ? SCAN_QUIET : SCAN_NEW);
		return;
	}
	bool all = flags & (TOUCH_ALL_BELOW | TOUCH_CREATED | TOUCH_MOVED_HERE) || n->inode != st->st_ino ||
		   (n->wd < 0 && !root->polled);
	if (n->mode != st->st_mode)
		report_change(w, CHANGE_MODIFIED, true, root->path);
	node_update(&w->tree, n, st);
	if (all)
		scan_tree(root, n, SCAN_ALL);
}

bool root_is_covered(struct root *root)
{
	struct node *node = NULL;
	if (!root->covered && !root->node && root_covering(root->watch, root, root->path, &node) &&
	    (!node || !S_ISLNK(node->mode)) &&
	    !scan_is_pruned(root->watch, root->path, node && node_is_directory(node))) {
		notify_unanchor(root);
		root->covered = true;
	}
	return root->covered;
}

void root_look(struct root *root, unsigned flags, bool quiet)
{
	struct watch *w = root->watch;
	struct stat st;
	if (root_is_covered(root))
		return;
	bool there = look_up(root, &st);
	if (there && S_ISDIR(st.st_mode) && !root->is_link) {
		notify_unanchor(root);
	} else {
		set_anchor(root, !there || !S_ISDIR(st.st_mode));
		there = look_up(root, &st); /* again, now that nothing can be missed */
	}
	if (!there) {
		root_gone(root);
	} else if (S_ISDIR(st.st_mode)) {
		look_at_top(root, &st, flags, quiet);
	} else {
		struct entry e = {root, NULL, root->path, root->path, root->node};
		if (!quiet)
			entry_file(w, &e, &st, root->polled ? flags | TOUCH_MOVED_HERE : flags);
		else if (!root->node)
			entry_add(w, &e, &st);
	}
}

void root_uncover(struct root *root)
{
	struct watch *w = root->watch;
	struct node *node = NULL;
	struct root *cover = root_covering(w, root, root->path, &node);
	root->covered = false;
	if (!cover || !node || S_ISLNK(node->mode)) {
		root_look(root, 0, true);
		return;
	}
	root->polled = cover->polled;
	root->device = cover->device;
	struct wd_owner owner = {.wd = node->wd, .node = node};
	bool watched = node->wd > 0;
	if (watched)
		wdmap_remove(&w->wds, owner);
	root->node = owner.node = tree_move(&w->tree, node, NULL, root, root->path);
	if (watched)
		wdmap_add(&w->wds, owner);
	if (!node_is_directory(root->node))
		set_anchor(root, true);
}
