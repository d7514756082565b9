/* Walking a tree, once: entries in no order, links not followed, what vanishes meanwhile left out. */
#ifndef SYNC_WALK_H
#define SYNC_WALK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct walk_entry {
	const char *path; /* absolute; valid during the call */
	int directory;	  /* descriptor of the directory it is in, for fstatat and openat with `name` */
	const char *name;
	mode_t type; /* S_IFREG, S_IFLNK, S_IFDIR (only empty directories that were entered), or another */
};

struct walk {
	bool (*enter)(void *data, const char *path); /* absolute: is the directory to be entered? */
	int (*visit)(void *data, const struct walk_entry *entry,
		     struct error *err); /* negative: the walk ends with it */
	void *data;
};

enum { WALK_LEVELS_MAX = 200 };

/* root: absolute; followed if it is a link. -ELOOP below WALK_LEVELS_MAX levels. */
int walk_tree(const char *root, const struct walk *walk, struct error *err);

#endif
