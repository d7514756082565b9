#include "base/change.h"

#include <string.h>

void change_set_add(struct change_set *set, enum change_kind kind, bool directory, const char *path)
{
	vec_push(set, (struct change){.kind = kind, .directory = directory, .path = xstrdup(path)});
}

/* qsort is not stable and needs no extra memory of ours: the index breaks ties, so that the order of adding is kept. */
struct indexed {
	struct change change;
	size_t index;
};

static int compare(const void *a, const void *b)
{
	const struct indexed *x = a, *y = b;
	int order = strcmp(x->change.path, y->change.path);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* What remains of two things that happened to one path, the second into *first. False: nothing remains. */
static bool merge(struct change *first, const struct change *second)
{
	if (first->kind == CHANGE_ADDED && second->kind == CHANGE_DELETED)
		return false;
	if (first->kind == CHANGE_ADDED)
		first->directory = second->directory;
	else if (first->kind == CHANGE_DELETED && second->kind != CHANGE_DELETED)
		*first = (struct change){CHANGE_MODIFIED, second->directory, first->path};
	else
		*first = (struct change){second->kind, second->directory, first->path};
	return true;
}

void change_set_sort(struct change_set *set)
{
	if (set->len < 2)
		return;
	struct indexed *sorted = xcalloc(set->len, sizeof(*sorted));
	for (size_t i = 0; i < set->len; i++)
		sorted[i] = (struct indexed){set->items[i], i};
	qsort(sorted, set->len, sizeof(*sorted), compare);

	size_t kept = 0;
	for (size_t i = 0; i < set->len; i++) {
		struct change *next = &sorted[i].change;
		struct change *last = kept > 0 ? &set->items[kept - 1] : NULL;
		bool same = last && strcmp(last->path, next->path) == 0;
		bool type_changed = same && last->kind == CHANGE_DELETED && last->directory != next->directory;
		if (!same || type_changed) {
			set->items[kept++] = *next;
			continue;
		}
		if (!merge(last, next)) {
			free(last->path);
			kept--;
		}
		free(next->path);
	}
	set->len = kept;
	free(sorted);
}

/* The place behind the last entry of that path, or where it would be. */
static size_t place_after(const struct change_set *set, const char *path)
{
	size_t low = 0, high = set->len;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(set->items[middle].path, path) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void change_set_insert(struct change_set *set, enum change_kind kind, bool directory, const char *path)
{
	size_t at = place_after(set, path);
	struct change nothing = {0}, *last = at > 0 ? &set->items[at - 1] : &nothing;
	bool same = at > 0 && strcmp(last->path, path) == 0;
	bool type_changed = same && last->kind == CHANGE_DELETED && last->directory != directory;
	if (!same || type_changed) {
		change_set_add(set, kind, directory, path);
		struct change added = set->items[set->len - 1];
		memmove(&set->items[at + 1], &set->items[at], (set->len - 1 - at) * sizeof(added));
		set->items[at] = added;
	} else if (!merge(last, &(struct change){kind, directory, NULL})) {
		free(last->path);
		memmove(last, last + 1, (set->len - at) * sizeof(*last));
		set->len--;
	}
}

void change_set_append(struct change_set *to, struct change_set *from)
{
	for (size_t i = 0; i < from->len; i++)
		vec_push(to, from->items[i]);
	vec_release(from);
}

void change_set_release(struct change_set *set)
{
	for (size_t i = 0; i < set->len; i++)
		free(set->items[i].path);
	vec_release(set);
}

const char *change_kind_name(enum change_kind kind)
{
	static const char *const names[] = {"added", "modified", "deleted"};
	return names[kind];
}
