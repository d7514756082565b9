#include "watch/wdmap.h"

#include <stdint.h>

#include "base/alloc.h"

static size_t home(const struct wdmap *m, int wd)
{
	return (uint32_t)wd * 2654435761U & (m->slot_count - 1);
}

static void insert(struct wdmap *m, struct wd_owner owner)
{
	size_t i = home(m, owner.wd);
	while (m->slots[i].wd)
		i = (i + 1) & (m->slot_count - 1);
	m->slots[i] = owner;
}

void wdmap_add(struct wdmap *m, struct wd_owner owner)
{
	if ((m->len + 1) * 4 > m->slot_count * 3) {
		struct wdmap old = *m;
		m->slot_count = old.slot_count ? old.slot_count * 2 : 64;
		m->slots = xcalloc(m->slot_count, sizeof(*m->slots));
		for (size_t i = 0; i < old.slot_count; i++)
			if (old.slots[i].wd)
				insert(m, old.slots[i]);
		free(old.slots);
	}
	insert(m, owner);
	m->len++;
}

/* Moves later entries of the run into the hole, so that no search stops short. */
static void close_hole(struct wdmap *m, size_t hole)
{
	size_t mask = m->slot_count - 1;
	for (size_t i = (hole + 1) & mask; m->slots[i].wd; i = (i + 1) & mask) {
		size_t distance = (i - home(m, m->slots[i].wd)) & mask;
		if (distance < ((i - hole) & mask))
			continue;
		m->slots[hole] = m->slots[i];
		hole = i;
	}
	m->slots[hole] = (struct wd_owner){0};
}

bool wdmap_remove(struct wdmap *m, struct wd_owner owner)
{
	size_t others = 0, found = SIZE_MAX;
	if (m->slot_count == 0)
		return true;
	for (size_t i = home(m, owner.wd); m->slots[i].wd; i = (i + 1) & (m->slot_count - 1)) {
		const struct wd_owner *o = &m->slots[i];
		if (o->wd != owner.wd)
			continue;
		if (found == SIZE_MAX && o->node == owner.node && o->anchored == owner.anchored)
			found = i;
		else
			others++;
	}
	if (found != SIZE_MAX) {
		close_hole(m, found);
		m->len--;
	}
	return others == 0;
}

const struct wd_owner *wdmap_next(const struct wdmap *m, int wd, size_t *cursor)
{
	if (m->slot_count == 0)
		return NULL;
	size_t mask = m->slot_count - 1, start = home(m, wd);
	for (; *cursor <= mask; ++*cursor) {
		const struct wd_owner *o = &m->slots[(start + *cursor) & mask];
		if (o->wd == 0)
			return NULL;
		if (o->wd == wd) {
			++*cursor;
			return o;
		}
	}
	return NULL;
}

void wdmap_release(struct wdmap *m)
{
	free(m->slots);
	*m = (struct wdmap){0};
}
