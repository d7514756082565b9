/* The job of a round: generators one after the other, then what is to be carried. The lane's own values stay as they are meanwhile. */
#include "dev/generation.h"
#include "dev/preflight.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "build/base-image.h"
#include "build/generate.h"

enum { MODE_NEW_FOLDER = 0755 };

struct stale {
	struct strv changed, deleted;
	bool ran;
};

static void stale_free(void *data)
{
	struct stale *stale = data;
	strv_release(&stale->changed);
	strv_release(&stale->deleted);
	free(stale);
}

struct generation *generation_new(struct lane *lane, const char *reason)
{
	struct generation *g = xcalloc(1, sizeof(*g));
	g->lane = lane;
	g->cancel = cancel_new();
	g->reason = xstrdup_or_null(reason);
	g->story.decided_ns = monotonic_ns();
	return g;
}

void generation_free(struct generation *g)
{
	cancel_unref(g->cancel);
	change_set_release(&g->changes);
	map_release(&g->stale, stale_free);
	vec_release(&g->generators);
	sync_source_free(g->source);
	inputs_release(&g->outputs.scan);
	inputs_release(&g->outputs.image);
	candidates_release(&g->candidates);
	strv_release(&g->command);
	strv_release(&g->preflight);
	map_release(&g->seen, free);
	free(g->reason);
	free(g->name);
	free(g->path);
	free(g->rebuild);
	error_clear(&g->err);
	free(g);
}

/* What a generator is called by, in this source and in one that was taught meanwhile. */
static char *generator_key(const struct sync_generator *generator)
{
	_cleanup_free_ char *words = strv_join(&generator->command, "\n");
	return xasprintf("%d\n%s", (int)generator->kind, words);
}

static struct stale *stale_of(const struct generation *g, const struct sync_generator *generator)
{
	_cleanup_free_ char *key = generator_key(generator);
	return map_get(&g->stale, key);
}

void generation_mark(struct generation *g, const struct sync_generator *generator, const char *path,
		     enum change_kind kind)
{
	if (generator->watch)
		return;
	struct stale *stale = stale_of(g, generator);
	if (!stale) {
		_cleanup_free_ char *key = generator_key(generator);
		stale = xcalloc(1, sizeof(*stale));
		map_set(&g->stale, key, stale);
	}
	if (path && !stale->ran)
		strv_push(kind == CHANGE_DELETED ? &stale->deleted : &stale->changed, path);
}

static const struct sync_source *source_of(const struct generation *g)
{
	return g->source ? g->source : g->lane->source;
}

static void mark_reader(struct generation *g, const char *path, enum change_kind kind, bool directory)
{
	const struct sync_generator *const *all = NULL;
	size_t count = directory ? 0 : sync_source_generators(source_of(g), &all);
	for (size_t i = 0; i < count; i++)
		if (sync_source_reads(source_of(g), all[i], path))
			generation_mark(g, all[i], path, kind);
}

/* The first in order that is stale and did not run yet. */
static const struct sync_generator *next_stale(const struct generation *g)
{
	const struct sync_generator *const *all = NULL;
	size_t count = sync_source_generators(source_of(g), &all);
	for (size_t i = 0; i < count; i++) {
		const struct stale *stale = stale_of(g, all[i]);
		if (stale && !stale->ran)
			return all[i];
	}
	return NULL;
}

static void put_line(void *data, int stream, const char *line, size_t len)
{
	const struct generation *g = data;
	line_pipe_put(g->lane->dev->lines, EVENT_PROGRESS, g->lane->artifact->image.value, NULL, stream, line, len);
}

/* Events are told on the loop. */
struct telling {
	const struct lane *lane;
	struct generate_told told;
};

static void tell_now(void *data)
{
	const struct telling *telling = data;
	tell_generate(telling->lane, &telling->told);
}

static void tell(const struct generation *g, const struct generate_told *told)
{
	struct telling telling = {g->lane, *told};
	dev_call(g->lane->dev, tell_now, &telling);
}

/* Where a map brings files in that nobody looked at so far. */
static bool needs_other_watch(const struct sync_source *old, const struct syncmap *map)
{
	CLEANUP(strv_release) struct strv roots = {0};
	_cleanup_free_ char *last = NULL;
	sync_source_roots(old, &roots);
	for vec_each (entry, &map->entries) {
		_cleanup_free_ char *dir = path_dir(entry->src);
		bool same = str_equal(dir, last), watched = false;
		replace_string(&last, dir);
		for (size_t i = 0; !same && i < roots.len; i++)
			watched = watched || path_below(entry->src, roots.items[i]);
		if (!same && (!watched || sync_source_prunes(old, dir, true)))
			return true;
	}
	return false;
}

/* A source of its own is taught: the lane's is being read by the loop. */
static int teach(struct generation *g, struct syncmap *map, struct error *err)
{
	const struct lane *lane = g->lane;
	CLEANUP(error_clear) struct error unsaved = {0};
	CLEANUP(sync_source_free_cleanup) struct sync_source *source = NULL;
	int r = sync_source_new(lane->dev->config, lane->artifact, base_image_lookup, lane->dev->docker, &source, err);
	if (r == 0)
		r = build_list_dependencies(lane->artifact, source, g->cancel, err);
	if (r < 0)
		return r;
	CLEANUP(base_image_release) struct base_image image = {0};
	base_image_lookup(lane->dev->docker, lane->image_id, &image);
	(void)sync_source_set_image(source, &image, NULL); /* its mistakes were told after the build */
	g->watch_anew = g->watch_anew || needs_other_watch(lane->source, map);
	if (sync_source_teach_map(source, map, &unsaved) < 0) {
		_cleanup_free_ char *text = error_format(&unsaved);
		put_line(g, 2, text, strlen(text));
	}
	sync_source_free(g->source);
	g->source = steal(&source);
	return 0;
}

/* The bytes are kept already. */
static void add_delta(struct generation *g, const struct delta *delta)
{
	const struct classification output = {.class_ = PATH_OUTPUT};
	for vec_each (entry, &delta->entries) {
		const char *src = entry->path ? entry->path : g->lane->artifact->context; /* some directory */
		struct candidate *c = candidate_add(&g->candidates, src, entry->dest, &output);
		c->item.mode = (int)(entry->mode & 07777);
		c->item.kind = S_ISDIR(entry->mode)   ? CARRY_DIRECTORY
			       : S_ISLNK(entry->mode) ? CARRY_SYMLINK
						      : CARRY_FILE;
		c->host_mode = entry->mode;
		c->hash = entry->hash;
		c->kept = true;
		candidate_look_up(g->lane, c);
	}
}

static int absorb(struct generation *g, const struct sync_generator *generator, struct generated *generated,
		  struct error *err)
{
	const char *rebuild = generated->map.rebuild ? generated->map.rebuild : generated->delta.rebuild;
	if (rebuild) {
		replace_string(&g->rebuild, *rebuild ? rebuild : "the program that maps it asks for a rebuild");
		return 0;
	}
	if (generator->kind == GENERATOR_MAP)
		return teach(g, &generated->map, err);
	if (generator->kind == GENERATOR_TAR)
		add_delta(g, &generated->delta);
	return 0;
}

static bool same_output(const struct input *a, const struct input *b)
{
	return a && b && a->mode == b->mode && hash_equal(a->hash, b->hash);
}

static char *absolute(const struct generation *g, const char *rel)
{
	return path_join(g->lane->artifact->context, rel);
}

/* Looks at all outputs: what changed may be read by another generator. */
static int look(struct generation *g, long long *changed, struct error *err)
{
	struct inputs now = {0};
	const struct inputs *before = g->outputs.scan.len ? &g->outputs.scan : &g->lane->outputs.scan;
	int r = sync_source_outputs(source_of(g), before, &now, err);
	if (r < 0)
		return r;
	for vec_each (output, &now) {
		const struct input *old = inputs_find(before, output->rel);
		if (same_output(old, output))
			continue;
		_cleanup_free_ char *path = absolute(g, output->rel);
		++*changed;
		mark_reader(g, path, old ? CHANGE_MODIFIED : CHANGE_ADDED, false);
	}
	inputs_release(&g->outputs.scan);
	g->outputs.scan = now;
	return 0;
}

static int run_one(struct generation *g, const struct sync_generator *generator, struct kept *kept)
{
	CLEANUP(generated_release) struct generated generated = {0};
	CLEANUP(strv_release) struct strv command = {0}; /* what is taught may take the generator away */
	_cleanup_free_ char *name = lane_generator_name(g->lane, generator);
	struct stale *stale = stale_of(g, generator);
	const uint64_t began = monotonic_ns();
	struct generate_told told = {.command = &command,
				     .name = name,
				     .background = g->background,
				     .status = "started",
				     .reason = g->reason,
				     .ms = -1,
				     .outputs = -1};
	strv_extend(&command, &generator->command);
	if (!g->name) {
		strv_extend(&g->command, &command);
		g->name = xstrdup(name);
	}
	if (!g->background) /* the loop said so: before `ready` */
		tell(g, &told);
	const struct generate_request request = {.artifact = g->lane->artifact,
						 .generator = generator,
						 .tag = g->lane->tag,
						 .changed = g->background ? NULL : &stale->changed,
						 .deleted = g->background ? NULL : &stale->deleted,
						 .kept = kept,
						 .line = put_line,
						 .data = g,
						 .cancel = g->cancel};
	stale->ran = true;
	long long changed = 0;
	int r = generate_run(&request, &generated, &g->err);
	if (r == 0)
		r = absorb(g, generator, &generated, &g->err);
	if (r == 0 && !g->rebuild)
		r = look(g, &changed, &g->err);
	_cleanup_free_ char *message = r < 0 ? error_format(&g->err) : NULL;
	told.ms = elapsed_ms(began);
	told.status = r < 0 ? "failed" : "succeeded";
	told.message = message;
	told.output = r < 0 ? str_text(&generated.log) : NULL;
	told.outputs = r < 0 ? -1 : changed;
	if (!cancel_requested(g->cancel))
		tell(g, &told);
	return r;
}

static int run_stale(struct generation *g)
{
	struct kept *kept = NULL;
	const struct sync_generator *generator;
	int r = 0;
	while (r == 0 && !g->rebuild && (generator = next_stale(g))) {
		if (generator->kind == GENERATOR_TAR && !kept)
			r = lane_open_kept(g->lane, &kept, &g->err);
		if (r == 0)
			r = run_one(g, generator, kept);
	}
	return r;
}

/* What is to be carried. */

struct collection {
	struct generation *g;
	struct map brought; /* destinations (keys) that something is for */
	struct map deleted; /* those to be deleted */
};

static void add_output(struct collection *c, const struct input *output)
{
	struct generation *g = c->g;
	_cleanup_free_ char *path = absolute(g, output->rel);
	CLEANUP(classification_release) struct classification class = {0};
	sync_source_classify(source_of(g), path, CHANGE_MODIFIED, S_ISDIR(output->mode), &class);
	for (size_t i = 0; class.class_ == PATH_OUTPUT && i < class.dests.len; i++) {
		struct candidate candidate = {.item = {.src = path, .dest = class.dests.items[i], .mode = class.mode},
					      .generated = true,
					      .host_mode = output->mode,
					      .hash = output->hash};
		candidate.item.kind = S_ISLNK(output->mode)   ? CARRY_SYMLINK
				      : S_ISDIR(output->mode) ? CARRY_DIRECTORY
							      : CARRY_FILE;
		map_set(&c->brought, class.dests.items[i], NULL);
		candidate_look_up(g->lane, &candidate);
		if (candidate_is_there(&candidate))
			continue;
		struct candidate *added = candidate_add(&g->candidates, path, class.dests.items[i], &class);
		added->item.kind = candidate.item.kind;
		candidate_look_up(g->lane, added);
	}
}

/* The batch, as it is planned by what is known now: a new file of a direct folder is in the map only since this run. */
static void add_direct(struct collection *c)
{
	struct generation *g = c->g;
	CLEANUP(decision_release) struct decision d = {0};
	plan_artifact(source_of(g), &g->changes, &d);
	if (d.kind == DECISION_REBUILD) {
		replace_string(&g->rebuild, d.reason);
		return;
	}
	for vec_each (copy, &d.copies) {
		if (sync_source_class(source_of(g), copy->src, CHANGE_MODIFIED, copy->directory) == PATH_OUTPUT)
			strv_clear(&copy->dests); /* all outputs are looked at anyway */
		for (size_t i = 0; i < copy->dests.len; i++)
			map_set(&c->brought, copy->dests.items[i], NULL);
	}
	for (size_t i = 0; i < d.deletes.len; i++)
		map_set(&c->deleted, d.deletes.items[i], NULL);
	strv_clear(&d.deletes);
	candidates_of_decision(g->lane, &d, &g->candidates);
}

/* True where the generator that makes the path, by what was known so far, ran in this round. */
static bool made_by_run(const struct generation *g, const char *path)
{
	const struct sync_generator *const *all = NULL;
	size_t count = sync_source_generators(g->lane->source, &all);
	for (size_t i = 0; i < count; i++) {
		const struct stale *stale = stale_of(g, all[i]);
		if (stale && stale->ran && sync_source_makes(g->lane->source, all[i], path))
			return true;
	}
	return false;
}

/* True if a rule that a person wrote brings another file there. */
static bool provided(const struct generation *g, const char *dest)
{
	CLEANUP(provider_list_release) struct provider_list providers = {0};
	sync_source_providers(source_of(g), dest, false, &providers);
	for vec_each (provider, &providers) {
		CLEANUP(classification_release) struct classification c = {0};
		sync_source_classify(source_of(g), provider->path, CHANGE_MODIFIED, provider->directory, &c);
		if (provider->directory || (c.class_ == PATH_DIRECT && strv_contains(&c.dests, dest)))
			return true;
	}
	return false;
}

/* Jib names each file that it made: one that it names was there, and is gone because somebody cleaned meanwhile. */
static bool is_named_by_jib(const struct generation *g, const char *path)
{
	return g->lane->artifact->builder == BUILDER_JIB && g->source &&
	       sync_source_class(g->source, path, CHANGE_MODIFIED, false) == PATH_OUTPUT;
}

static void consider_gone(struct collection *c, const char *path, const char *dest)
{
	const struct owned *owned = map_get(&c->g->lane->owned, dest);
	if (map_has(&c->brought, dest) || map_has(&c->deleted, dest) || (owned && owned->kind == CARRY_DELETE) ||
	    is_named_by_jib(c->g, path) || !made_by_run(c->g, path) || provided(c->g, dest))
		return;
	map_set(&c->deleted, dest, NULL);
}

static void consider_all_gone(struct collection *c, const struct inputs *before)
{
	for vec_each (output, before) {
		if (!c->g->source && inputs_find(&c->g->outputs.scan, output->rel))
			continue; /* it is there, and lands where it did */
		_cleanup_free_ char *path = absolute(c->g, output->rel);
		CLEANUP(classification_release) struct classification class = {0};
		sync_source_classify(c->g->lane->source, path, CHANGE_MODIFIED, S_ISDIR(output->mode), &class);
		for (size_t i = 0; class.class_ == PATH_OUTPUT && i < class.dests.len; i++)
			consider_gone(c, path, class.dests.items[i]);
	}
}

static bool has_brought_below(const struct collection *c, const char *dest)
{
	for map_each (entry, &c->brought)
		if (path_below(entry->key, dest))
			return true;
	return false;
}

/* A file or link that became a folder: that takes its place, before what is in it is brought. */
static void add_folder(struct generation *g, const char *dest)
{
	const struct classification folder = {.class_ = PATH_OUTPUT, .mode = MODE_NEW_FOLDER};
	struct candidate *c = candidate_add(&g->candidates, g->lane->artifact->context, dest, &folder);
	c->item.kind = CARRY_DIRECTORY;
	c->host_mode = S_IFDIR;
	c->kept = true; /* as it is described here: where it lies on the host is another's */
}

static void collect(struct generation *g)
{
	struct collection c = {.g = g};
	add_direct(&c);
	for vec_each (output, &g->outputs.scan)
		add_output(&c, output);
	consider_all_gone(&c, &g->lane->outputs.scan);
	consider_all_gone(&c, &g->lane->outputs.image);
	for map_each (entry, &g->lane->owned) {
		const struct owned *owned = entry->value;
		if (owned->generated && owned->origin)
			consider_gone(&c, owned->origin, entry->key);
	}
	for map_each (entry, &c.deleted)
		if (has_brought_below(&c, entry->key))
			add_folder(g, entry->key);
		else
			candidate_add_delete(&g->candidates, entry->key);
	map_release(&c.brought, NULL);
	map_release(&c.deleted, NULL);
}

void generation_work(void *data)
{
	struct generation *g = data;
	_cleanup_close_ int lock = build_lock_context(g->lane->artifact, put_line, g, g->cancel, &g->err);
	if (lock < 0) {
		g->r = lock;
		return;
	}
	for vec_each (change, &g->changes) {
		journal_see_file(&g->seen, change->path);
		mark_reader(g, change->path, change->kind, change->directory);
	}
	for vec_each (generator, &g->generators) /* those that read what another makes run once that changed */
		if (g->stale.len == 0)
			generation_mark(g, *generator, NULL, CHANGE_MODIFIED);
	g->r = run_stale(g);
	if (g->r < 0 || g->rebuild)
		return;
	const struct lane *lane = g->lane;
	if (g->background)
		g->r = outputs_of_image(lane, source_of(g), lane->image_id, g->built_ns, &lane->outputs.image,
					&g->outputs, &g->err);
	else
		collect(g);
	if (g->r == 0 && g->source)
		preflight_choose(g->source, &g->outputs.scan, &g->preflight);
}
