/* What changed on disk: the plain value that the watcher hands to the planner. */
#ifndef BASE_CHANGE_H
#define BASE_CHANGE_H

#include <stdbool.h>

#include "base/str.h"
#include "base/vec.h"

enum change_kind { CHANGE_ADDED, CHANGE_MODIFIED, CHANGE_DELETED };

struct change {
	enum change_kind kind;
	bool directory; /* the path is (was) a directory itself; its contents have changes of their own */
	char *path;	/* owned by the set; absolute, normalised, links not resolved; any bytes but NUL */
};

/* At most one change a path. Sorted by path (bytes) after change_set_sort. Zero-initialised is empty. */
struct change_set {
	struct change *items;
	size_t len;
	size_t cap;
};

/* Adds a change without merging; path is copied. */
void change_set_add(struct change_set *set, enum change_kind kind, bool directory, const char *path);

/* Sorts by path and merges what happened to one path in the order it was added: added+deleted = nothing (the entry goes),
 * added+modified = added, deleted+added = modified (deleted, then added where a file became a directory or the reverse:
 * both entries stay, the deleted one first), modified+deleted = deleted. */
void change_set_sort(struct change_set *set);

/* The same for one change more in a sorted set, which stays sorted: what a few changes cost does not depend on how many wait. */
void change_set_insert(struct change_set *set, enum change_kind kind, bool directory, const char *path);

/* Moves all of `from` behind `to`; from is left empty. Call change_set_sort after. */
void change_set_append(struct change_set *to, struct change_set *from);

void change_set_release(struct change_set *set);

const char *change_kind_name(enum change_kind kind); /* "added", "modified", "deleted" */

#endif
