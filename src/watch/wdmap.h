/* inotify's watch numbers to what they stand for. One number may stand for several (a directory that is reached by two
 * roots through a link, or whose node moved). Internal to src/watch. */
#ifndef WATCH_WDMAP_H
#define WATCH_WDMAP_H

#include <stdbool.h>
#include <stddef.h>

struct node;
struct root;

/* Exactly one is set: a watched directory, or the root that waits for a name to appear in it (its anchor). */
struct wd_owner {
	int wd; /* 0 = free: inotify counts from 1 */
	struct node *node;
	struct root *anchored;
};

/* Zero-initialised is empty. */
struct wdmap {
	struct wd_owner *slots;
	size_t slot_count;
	size_t len;
};

void wdmap_add(struct wdmap *m, struct wd_owner owner);
/* True if no owner of that number is left. Nothing there is no error. */
bool wdmap_remove(struct wdmap *m, struct wd_owner owner);
/* The owners one after the other: start with *cursor 0; NULL at the end. Not while the map changes. */
const struct wd_owner *wdmap_next(const struct wdmap *m, int wd, size_t *cursor);
void wdmap_release(struct wdmap *m);

#endif
