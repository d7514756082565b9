#include "base/file.h"
#include "base/path.h"
#include "watch/internal.h"

enum { DELETED_FILE = 1, DELETED_DIRECTORY = 2 };

static void mark_event(struct watch *w, uint64_t when)
{
	if (!w->unsettled)
		w->first_event = when;
	w->unsettled = true;
	w->last_event = when > w->last_event ? when : w->last_event;
}

static void emit(struct watch *w, enum change_kind kind, bool directory, const char *path, uint64_t first)
{
	if (w->out.len == 0 || first < w->out_first)
		w->out_first = first;
	change_set_add(&w->out, kind, directory, path);
}

void report_change(struct watch *w, enum change_kind kind, bool directory, const char *path)
{
	mark_event(w, w->now);
	emit(w, kind, directory, path, w->now);
}

static void hold_open(struct watch *w, const char *path, enum change_kind kind, unsigned hold_ms)
{
	struct open_file *o = map_get(&w->opens, path);
	if (!o) {
		o = xcalloc(1, sizeof(*o));
		*o = (struct open_file){.kind = kind, .first = w->now};
		map_set(&w->opens, path, o);
		mark_event(w, w->now);
	}
	o->due = w->now + hold_ms * MS;
}

void report_appeared(struct watch *w, const char *path, bool directory, unsigned hold_ms)
{
	intptr_t was = (intptr_t)map_remove(&w->deleted, path);
	enum change_kind kind = CHANGE_ADDED;
	if (was == (directory ? DELETED_DIRECTORY : DELETED_FILE))
		kind = CHANGE_MODIFIED;
	else if (was)
		report_change(w, CHANGE_DELETED, was == DELETED_DIRECTORY, path);
	bool known_name = kind == CHANGE_MODIFIED && hold_ms == NEW_MS;
	if (hold_ms && !known_name)
		hold_open(w, path, kind, hold_ms);
	else
		report_change(w, kind, directory, path);
}

void report_written(struct watch *w, const char *path, unsigned hold_ms)
{
	hold_open(w, path, CHANGE_MODIFIED, hold_ms);
}

bool report_closed(struct watch *w, const char *path)
{
	struct open_file *o = map_get(&w->opens, path);
	if (!o)
		return false;
	mark_event(w, w->now);
	if (o->kind == CHANGE_ADDED) {
		o->due = w->now + NEW_MS * MS;
		return true;
	}
	emit(w, o->kind, false, path, o->first);
	free(map_remove(&w->opens, path));
	return true;
}

bool report_is_open(const struct watch *w, const char *path)
{
	return map_has(&w->opens, path);
}

void report_gone(struct watch *w, const char *path, bool directory)
{
	_cleanup_free_ struct open_file *o = map_remove(&w->opens, path);
	mark_event(w, w->now);
	if (o && o->kind == CHANGE_ADDED)
		return; /* nobody heard of it */
	if (w->deleted.len == 0)
		w->deleted_first = w->now;
	map_set(&w->deleted, path, (void *)(intptr_t)(directory ? DELETED_DIRECTORY : DELETED_FILE));
}

static bool is_watched(const struct watch *w, const char *path)
{
	for vec_each (r, &w->roots)
		if (path_below(path, (*r)->path))
			return true;
	return false;
}

void report_forget(struct watch *w)
{
	for map_each (o, &w->opens)
		if (!is_watched(w, o->key))
			free(map_remove(&w->opens, o->key));
	for map_each (d, &w->deleted)
		if (!is_watched(w, d->key))
			map_remove(&w->deleted, d->key);
}

/* The snapshot learns what is there now, so that a close that comes later adds nothing if nothing was written since. */
static void refresh_node(struct watch *w, const char *path)
{
	struct node *n = NULL;
	struct stat st;
	if (root_covering(w, NULL, path, &n) && n && !node_is_directory(n) && lstat(path, &st) == 0 &&
	    !S_ISDIR(st.st_mode))
		node_update(&w->tree, n, &st);
}

static void expire_opens(struct watch *w, uint64_t now)
{
	for map_each (e, &w->opens) {
		struct open_file *o = e->value;
		if (o->due > now)
			continue;
		_cleanup_free_ char *path = xstrdup(e->key);
		mark_event(w, o->due - OPEN_MS * MS);
		emit(w, o->kind, false, path, o->first);
		refresh_node(w, path);
		free(map_remove(&w->opens, path));
	}
}

static void emit_deleted(struct watch *w)
{
	for map_each (e, &w->deleted)
		emit(w, CHANGE_DELETED, (intptr_t)e->value == DELETED_DIRECTORY, e->key, w->deleted_first);
	map_release(&w->deleted, NULL);
}

static uint64_t next_deadline(const struct watch *w, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	for map_each (e, &w->opens) {
		const struct open_file *o = e->value;
		next = o->due < next ? o->due : next;
	}
	if (!w->unsettled)
		return next;
	uint64_t quiet = w->last_event + SETTLE_MS * MS, most = w->first_event + SETTLE_MAX_MS * MS;
	uint64_t settle = quiet < most && quiet > now ? quiet : most;
	return settle < next ? settle : next;
}

static void set_clock(struct watch *w, uint64_t now)
{
	uint64_t next = w->locked ? now + GIT_LOCK_LOOK_MS * MS : next_deadline(w, now);
	if (next == UINT64_MAX)
		timer_stop(w->clock);
	else
		timer_start(w->clock, next > now ? (next - now + MS - 1) / MS : 0);
}

void report_flush(struct watch *w, bool at_once)
{
	uint64_t now = monotonic_ns();
	tree_bury(&w->tree);
	expire_opens(w, at_once ? UINT64_MAX : now);
	w->locked = !at_once && (w->out.len > 0 || w->unsettled) && git_locked(w);
	if (w->locked) {
		set_clock(w, now);
		return;
	}
	bool capped = w->unsettled && now >= w->first_event + SETTLE_MAX_MS * MS;
	bool quiet = at_once || capped || (w->unsettled && now >= w->last_event + SETTLE_MS * MS);
	if (quiet)
		emit_deleted(w);
	bool settled = at_once || capped || (quiet && w->opens.len == 0);
	if (settled)
		w->unsettled = false;
	set_clock(w, now);
	if (w->out.len == 0 && !settled)
		return;
	struct change_set changes = w->out;
	uint64_t first = changes.len > 0 ? w->out_first : w->first_event;
	w->out = (struct change_set){0};
	change_set_sort(&changes);
	w->callbacks.changed(w->callbacks.data, &changes, settled, first);
	change_set_release(&changes);
}

bool report_holds(const struct watch *w)
{
	return w->opens.len > 0 || w->deleted.len > 0 || w->out.len > 0 || w->locked;
}

void report_release(struct watch *w)
{
	change_set_release(&w->out);
	map_release(&w->opens, free);
	map_release(&w->deleted, NULL);
}
