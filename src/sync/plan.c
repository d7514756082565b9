#include "sync/plan.h"

#include <string.h>

#include "base/path.h"

static void copy_release(struct copy *copy)
{
	free(copy->src);
	free(copy->rel);
	free(copy->owner);
	strv_release(&copy->dests);
}

void decision_release(struct decision *d)
{
	free(d->reason);
	free(d->deciding_path);
	free(d->deciding_where);
	for vec_each (copy, &d->copies)
		copy_release(copy);
	vec_release(&d->copies);
	strv_release(&d->deletes);
	vec_release(&d->generators);
	*d = (struct decision){0};
}

const char *decision_kind_name(enum decision_kind kind)
{
	static const char *const names[] = {"none", "copy", "generate", "rebuild"};
	return names[kind];
}

/* What a class costs. An output's deletion never decides: its source's next answer does. */
static enum decision_kind price(const struct classification *c, const struct change *change)
{
	bool runs = c->generator && !c->generator->watch;
	switch (c->class_) {
	case PATH_IGNORED:
	case PATH_NO_INPUT:
		return DECISION_NONE;
	case PATH_OUTPUT:
		return change->kind == CHANGE_DELETED ? DECISION_NONE : runs ? DECISION_GENERATE : DECISION_COPY;
	case PATH_DIRECT:
		return runs ? DECISION_GENERATE : DECISION_COPY;
	case PATH_GENERATOR_INPUT:
		return runs ? DECISION_GENERATE : DECISION_NONE;
	case PATH_BUILD_DEFINITION:
	case PATH_UNKNOWN:
		break;
	}
	return DECISION_REBUILD;
}

static void add_copy(const struct sync_source *source, const char *path, bool directory, struct classification *c,
		     struct decision *d)
{
	vec_push(&d->copies, (struct copy){.src = xstrdup(path),
					   .rel = xstrdup(sync_source_shown(source, path)),
					   .dests = c->dests,
					   .directory = directory,
					   .mode = c->mode,
					   .owner = steal(&c->owner),
					   .owner_if_new = c->owner_if_new});
	c->dests = (struct strv){0};
}

/* The batch's last word on a path; NULL: it says nothing. */
static const struct change *change_of(const struct change_set *changes, const char *path)
{
	size_t low = 0, high = changes->len;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (strcmp(changes->items[middle].path, path) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && str_equal(changes->items[low - 1].path, path) ? &changes->items[low - 1] : NULL;
}

/* True if another file is to be at the destination, or in it: then it is not deleted. The file is copied, if it has no change of its own. */
static bool provided_otherwise(const struct sync_source *source, const struct change_set *changes,
			       const struct change *change, const char *dest, struct decision *d)
{
	CLEANUP(provider_list_release) struct provider_list providers = {0};
	sync_source_providers(source, dest, change->directory, &providers);
	for vec_each (provider, &providers) {
		CLEANUP(classification_release) struct classification c = {.mode = -1};
		const struct change *own = change_of(changes, provider->path);
		if ((own && own->kind == CHANGE_DELETED) || path_below(provider->path, change->path))
			continue;
		sync_source_classify(source, provider->path, CHANGE_MODIFIED, provider->directory, &c);
		bool lands = c.class_ == PATH_DIRECT && strv_contains(&c.dests, dest);
		if (!lands && !provider->directory)
			continue;
		if (lands && !own) {
			strv_clear(&c.dests);
			strv_push(&c.dests, dest);
			add_copy(source, provider->path, provider->directory, &c, d);
		}
		return true;
	}
	return false;
}

static void add_generator(struct decision *d, const struct sync_generator *generator)
{
	for vec_each (g, &d->generators)
		if (*g == generator)
			return;
	vec_push(&d->generators, generator);
}

static void add_readers(const struct sync_source *source, const char *path, const struct classification *c,
			struct decision *d)
{
	const struct sync_generator *const *all;
	size_t count = sync_source_generators(source, &all);
	add_generator(d, c->generator);
	for (size_t i = 0; c->class_ != PATH_OUTPUT && i < count; i++)
		if (!all[i]->watch && sync_source_reads(source, all[i], path))
			add_generator(d, all[i]);
}

/* In running order, with those that read what one of them makes. */
static void settle_generators(const struct sync_source *source, struct decision *d)
{
	const struct sync_generator *const *all;
	size_t count = sync_source_generators(source, &all), asked = d->generators.len;
	for (size_t i = 0; i < count && d->generators.len > 0; i++) {
		bool runs = false;
		for (size_t k = 0; k < d->generators.len; k++)
			runs = runs || d->generators.items[k] == all[i] ||
			       (!all[i]->watch && sync_source_feeds(source, d->generators.items[k], all[i]));
		if (runs)
			vec_push(&d->generators, all[i]);
	}
	d->generators.len -= asked;
	if (asked)
		memmove(d->generators.items, d->generators.items + asked,
			d->generators.len * sizeof(*d->generators.items));
}

static void carry_out(const struct sync_source *source, const struct change_set *changes, const struct change *change,
		      struct classification *c, struct decision *d)
{
	if (c->generator && !c->generator->watch && price(c, change) == DECISION_GENERATE)
		add_readers(source, change->path, c, d);
	if (c->class_ != PATH_DIRECT && c->class_ != PATH_OUTPUT)
		return;
	if (change->kind != CHANGE_DELETED) {
		add_copy(source, change->path, change->directory, c, d);
		return;
	}
	for (size_t i = 0; c->class_ == PATH_DIRECT && i < c->dests.len; i++)
		if (!provided_otherwise(source, changes, change, c->dests.items[i], d))
			strv_push(&d->deletes, c->dests.items[i]);
}

/* True if something of the sorted list is the path, or below it. */
static bool any_at_or_below(const struct strv *sorted, const char *path)
{
	for (int slash = 0; slash < 2; slash++) {
		_cleanup_free_ char *key = xasprintf("%s%s", path, slash ? "/" : "");
		size_t low = 0, high = sorted->len;
		while (low < high) {
			size_t middle = (low + high) / 2;
			if (strcmp(sorted->items[middle], key) < 0)
				low = middle + 1;
			else
				high = middle;
		}
		if (low < sorted->len && path_below(sorted->items[low], path))
			return true;
	}
	return false;
}

/* Deletes come last: one that would take back what a copy of the same batch brings (a renamed source, a file that became a folder) goes. */
static void settle_deletes(struct decision *d)
{
	CLEANUP(strv_release) struct strv brought = {0};
	for vec_each (copy, &d->copies)
		strv_extend(&brought, &copy->dests);
	strv_sort(&brought);
	strv_sort_unique(&d->deletes);
	size_t kept = 0;
	for (size_t i = 0; i < d->deletes.len; i++) {
		if (any_at_or_below(&brought, d->deletes.items[i]))
			free(d->deletes.items[i]);
		else
			d->deletes.items[kept++] = d->deletes.items[i];
	}
	d->deletes.len = kept;
	if (d->deletes.items)
		d->deletes.items[kept] = NULL;
}

static int compare_copies(const void *a, const void *b)
{
	const struct copy *x = a, *y = b;
	return strcmp(x->rel, y->rel);
}

/* True if the path is anywhere that the artifact looks at: else it says nothing of it. */
static bool concerns(const struct sync_source *source, const struct strv *roots, const struct change *change)
{
	for (size_t i = 0; i < roots->len; i++)
		if (path_below(change->path, roots->items[i]))
			return true;
	return sync_source_is_input(source, change->path);
}

/* A Dockerfile with a COPY whose source is gone does not build: copying on would hide it. */
static void check_sources(const struct sync_source *source, struct decision *d)
{
	CLEANUP(error_clear) struct error err = {0};
	if (d->kind != DECISION_COPY || sync_source_artifact(source)->sync.mode == SYNC_MANUAL ||
	    sync_source_check(source, &err) == 0)
		return;
	d->kind = DECISION_REBUILD;
	replace_string(&d->reason, err.message);
	replace_string(&d->deciding_where, err.where);
}

void plan_artifact(const struct sync_source *source, const struct change_set *changes, struct decision *d)
{
	*d = (struct decision){0};
	CLEANUP(strv_release) struct strv roots = {0};
	sync_source_roots(source, &roots);
	for vec_each (change, changes) {
		CLEANUP(classification_release) struct classification c = {.mode = -1};
		if (!concerns(source, &roots, change))
			continue;
		sync_source_classify(source, change->path, change->kind, change->directory, &c);
		enum decision_kind kind = price(&c, change);
		if (!d->deciding_path || kind > d->kind) {
			d->kind = kind;
			replace_string(&d->deciding_path, sync_source_shown(source, change->path));
			replace_string(&d->deciding_where, c.where);
			replace_string(&d->reason, c.reason);
		}
		carry_out(source, changes, change, &c, d);
	}
	check_sources(source, d);
	settle_deletes(d);
	if (d->copies.len > 1)
		qsort(d->copies.items, d->copies.len, sizeof(*d->copies.items), compare_copies);
	settle_generators(source, d);
	if (!d->reason)
		d->reason = xasprintf("nothing of %s changed", sync_source_artifact(source)->image.value);
}

/* Rebuilds what requires a rebuilt artifact; true if that changed a decision. */
static bool spread(const struct config *config, struct sync_source *const *sources, struct decision *decisions)
{
	bool changed = false;
	for (size_t i = 0; i < config->artifacts.len; i++) {
		const struct artifact *a = config->artifacts.items[i];
		for vec_each (required, &a->requires_) {
			const struct decision *base = &decisions[required->artifact];
			if (decisions[i].kind == DECISION_REBUILD || base->kind != DECISION_REBUILD)
				continue;
			_cleanup_free_ char *path =
				base->deciding_path
					? path_join(sync_source_artifact(sources[required->artifact])->context,
						    base->deciding_path)
					: NULL;
			decisions[i].kind = DECISION_REBUILD;
			replace_string(&decisions[i].deciding_path, path ? sync_source_shown(sources[i], path) : NULL);
			free(decisions[i].deciding_where);
			decisions[i].deciding_where = place_format(required->place);
			free(decisions[i].reason);
			decisions[i].reason =
				xasprintf("%s requires %s, which is rebuilt", a->image.value, required->image);
			changed = true;
		}
	}
	return changed;
}

void plan_all(const struct config *config, struct sync_source *const *sources, const struct change_set *changes,
	      struct decision *decisions)
{
	for (size_t i = 0; i < config->artifacts.len; i++)
		plan_artifact(sources[i], changes, &decisions[i]);
	while (spread(config, sources, decisions))
		;
}
