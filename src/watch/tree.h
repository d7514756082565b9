/* What the watcher knows of the trees: one node an entry, about 110 bytes with its name. Internal to src/watch.
 *
 * Nodes are found by (directory, name) in one hash table. A removed node stays allocated, marked dead, until tree_bury, so that what
 * still points to it within one round of work can tell. */
#ifndef WATCH_TREE_H
#define WATCH_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/str.h"

struct root;

enum node_flag {
	NODE_TOP = 1,  /* a root's own node: its name is the whole path */
	NODE_DEAD = 2, /* removed, waiting for tree_bury */
	NODE_SEEN = 4, /* met in the scan that is going on */
	NODE_RACY = 8, /* changed so shortly before it was looked at that another write may show the same times */
	NODE_UNREADABLE = 16, /* said so already */
	NODE_TOLD =
		32 /* a directory that was told of when it was last looked at: what was read then may be another state */
};

struct node {
	union {
		struct node *parent;
		struct root *root; /* of a NODE_TOP */
	} up;
	struct node *chain;	      /* in the bucket, or among the dead */
	struct node *previous, *next; /* in the directory */
	struct node *first;	      /* a directory's entries */
	int64_t mtime, ctime;	      /* ns since 1970 */
	uint64_t inode, size;
	uint32_t mode;
	int wd; /* inotify's number; -1 = not watched */
	uint8_t flags;
	char name[];
};

/* Zero-initialised is empty. */
struct tree {
	struct node **buckets;
	size_t bucket_count;
	size_t nodes;
	size_t files; /* nodes that are no directories */
	struct node *dead;
};

static inline bool node_is_directory(const struct node *n)
{
	return S_ISDIR(n->mode);
}

static inline struct node *node_parent(const struct node *n)
{
	return n->flags & NODE_TOP ? NULL : n->up.parent;
}

/* dir NULL: the top node of root, name is its path. The node's values are still zero, wd is -1; node_update comes next. */
struct node *tree_add(struct tree *t, struct node *dir, struct root *root, const char *name, mode_t mode);
struct node *tree_find(const struct tree *t, const struct node *dir, const char *name);
/* The node of a path below top ("a/b"; "" = top), or NULL. */
struct node *tree_walk(const struct tree *t, struct node *top, const char *below);
/* The node must have no entries left. */
void tree_remove(struct tree *t, struct node *n);
/* Puts n with all below it elsewhere (dir NULL: as the top of root). Returns the new node; the old pointer is gone. */
struct node *tree_move(struct tree *t, struct node *n, struct node *dir, struct root *root, const char *name);
void tree_bury(struct tree *t);
void tree_release(struct tree *t);

/* Every node of the tree, in no order. */
void tree_each(const struct tree *t, void (*each)(void *data, struct node *n), void *data);

struct root *node_root(const struct node *n);
/* The absolute path into out (cleared first). */
void node_path(const struct node *n, struct str *out);

/* Takes over times, size, inode and mode. */
void node_update(struct tree *t, struct node *n, const struct stat *st);
/* Content, permissions or kind differ; with change_time also what only ctime tells. Of directories the permissions matter, and which one it is; their
 * ctime, which each entry that comes or goes changes, only where NODE_TOLD is set. */
bool node_differs(const struct node *n, const struct stat *st, bool change_time);
/* Whether it was told of just now; of a file it makes no difference. */
void node_set_told(struct node *n, bool told);
/* Changed within the last moments (NODE_RACY's). */
bool stat_is_fresh(const struct stat *st);

#endif
