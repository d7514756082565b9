/* What builders and programs tell of an artifact: teaching a source, what it needs to be told, and the index by which it is asked. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "sync/source-internal.h"

bool source_rules_count(const struct sync_source *s)
{
	return !s->artifact->required_by_others;
}

bool source_asks_files(const struct sync_source *s)
{
	return s->input_kind == INPUTS_TOLD;
}

bool source_asks_map(const struct sync_source *s)
{
	const struct artifact *a = s->artifact;
	return a->sync.mode == SYNC_AUTO && source_rules_count(s) &&
	       (a->builder == BUILDER_JIB || a->sync.map.command.len > 0);
}

/* The index. */

void source_told_release(struct told_index *told)
{
	map_release(&told->paths, NULL);
	map_release(&told->entries, NULL);
	free(told->order);
	strv_release(&told->outside);
	*told = (struct told_index){0};
}

static unsigned flags_of(const struct told_index *told, const char *path)
{
	return (unsigned)(uintptr_t)map_get(&told->paths, path);
}

static bool add_flag(struct told_index *told, const char *path, unsigned flag)
{
	unsigned flags = flags_of(told, path);
	if ((flags & flag) == flag)
		return false;
	map_set(&told->paths, path, (void *)(uintptr_t)(flags | flag));
	return true;
}

/* Cuts the last element off; false at the root. */
static bool step_up(char *path)
{
	char *slash = strrchr(path, '/');
	if (!slash || path[1] == '\0')
		return false;
	slash[slash == path] = '\0';
	return true;
}

static void tell(struct told_index *told, const char *path, unsigned flag, unsigned below)
{
	if (!add_flag(told, path, flag) || !below)
		return;
	_cleanup_free_ char *up = xstrdup(path);
	while (step_up(up) && add_flag(told, up, below))
		;
}

static void tell_all(struct told_index *told, const struct strv *paths, unsigned flag, unsigned below)
{
	for (size_t i = 0; i < paths->len; i++)
		tell(told, paths->items[i], flag, below);
}

unsigned source_told(const struct sync_source *s, const char *path)
{
	if (s->told.paths.len == 0)
		return 0;
	unsigned flags = flags_of(&s->told, path);
	_cleanup_free_ char *up = xstrdup(path);
	while (step_up(up))
		flags |= flags_of(&s->told, up) & ~(unsigned)TOLD_BELOW;
	return flags;
}

static int compare_entries(const void *a, const void *b, void *data)
{
	const struct syncmap *map = data;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int order = strcmp(map->entries.items[x].src, map->entries.items[y].src);
	return order ? order : (x > y) - (x < y);
}

static void index_entries(struct sync_source *s)
{
	const struct syncmap *map = &s->knowledge.map;
	struct told_index *told = &s->told;
	told->order = xcalloc(map->entries.len + 1, sizeof(*told->order));
	for (uint32_t i = 0; i < map->entries.len; i++)
		told->order[i] = i;
	qsort_r(told->order, map->entries.len, sizeof(*told->order), compare_entries, (void *)(uintptr_t)map);
	for (size_t i = 0; i < map->entries.len; i++) {
		const char *src = map->entries.items[told->order[i]].src;
		if (map_has(&told->entries, src))
			continue;
		map_set(&told->entries, src, (void *)(uintptr_t)(i + 1));
		tell(told, src, TOLD_ENTRY, TOLD_BELOW_ENTRY);
	}
}

const struct syncmap_entry *source_entry(const struct sync_source *s, const char *src, size_t *position)
{
	const struct syncmap *map = &s->knowledge.map;
	if (*position == 0)
		*position = (size_t)(uintptr_t)map_get(&s->told.entries, src);
	else
		++*position;
	if (*position == 0 || *position > map->entries.len)
		return NULL;
	const struct syncmap_entry *entry = &map->entries.items[s->told.order[*position - 1]];
	return strcmp(entry->src, src) == 0 ? entry : NULL;
}

bool sync_source_jib_lands(const struct sync_source *s, const char *src, const char *dest)
{
	size_t position = 0;
	bool lands = false;
	for (const struct syncmap_entry *entry; (entry = source_entry(s, src, &position));)
		lands = lands || (!entry->generated && strcmp(entry->dest, dest) == 0);
	return lands && s->artifact->builder == BUILDER_JIB;
}

/* What is to be watched: a directory that is an input itself; else the directory that a file is in, since there may be thousands of them. */
static void find_outside(struct sync_source *s)
{
	const char *context = s->artifact->context;
	CLEANUP(strv_release) struct strv all = {0};
	for map_each (entry, &s->told.paths) {
		unsigned flags = (unsigned)(uintptr_t)entry->value;
		if (path_below(entry->key, context) || path_below(context, entry->key) ||
		    !(flags & (TOLD_BUILD | TOLD_INPUT | TOLD_DEFINITION | TOLD_ENTRY)))
			continue;
		if (S_ISDIR(s->world.mode(s->world.data, entry->key)))
			strv_push(&all, entry->key);
		else
			strv_push_owned(&all, path_dir(entry->key));
	}
	strv_sort_unique(&all);
	for (size_t i = 0; i < all.len; i++) {
		const struct strv *kept = &s->told.outside;
		if (kept->len == 0 || !path_below(all.items[i], kept->items[kept->len - 1]))
			strv_push(&s->told.outside, all.items[i]);
	}
}

void source_index_told(struct sync_source *s)
{
	const struct knowledge *k = &s->knowledge;
	source_told_release(&s->told);
	tell_all(&s->told, &k->files.build, TOLD_BUILD, TOLD_BELOW_READ);
	tell_all(&s->told, &k->files.inputs, TOLD_INPUT, TOLD_BELOW_READ);
	tell_all(&s->told, &k->files.ignore, TOLD_EXCLUDED, 0);
	tell_all(&s->told, &k->map.build, TOLD_DEFINITION, TOLD_BELOW_READ);
	tell_all(&s->told, &k->map.ignore, TOLD_IGNORED, 0);
	index_entries(s);
	find_outside(s);
}

/* Teaching. */

static struct hash map_digest(const struct sync_source *s)
{
	CLEANUP(strv_release) struct strv build = {0};
	strv_extend(&build, &s->knowledge.files.build);
	strv_extend(&build, &s->knowledge.map.build);
	return knowledge_digest(s->artifact, &build);
}

void source_load_knowledge(struct sync_source *s)
{
	struct knowledge *k = &s->knowledge;
	if ((!source_asks_files(s) && !source_asks_map(s)) || knowledge_load(s->artifact, k, NULL) < 0)
		return;
	if (!source_asks_map(s)) {
		syncmap_release(&k->map);
		k->map = (struct syncmap){0};
		k->has_map = false;
	}
	source_index_told(s);
}

int sync_source_teach_files(struct sync_source *s, struct build_files *files, struct error *err)
{
	struct knowledge *k = &s->knowledge;
	build_files_release(&k->files);
	k->files = *files;
	*files = (struct build_files){0};
	k->has_files = true;
	k->files_digest = knowledge_digest(s->artifact, &k->files.build);
	source_index_told(s);
	return knowledge_save(s->artifact, k, err);
}

static bool same_lists(const struct strv *a, const struct strv *b)
{
	bool same = a->len == b->len;
	for (size_t i = 0; same && i < a->len; i++)
		same = strcmp(a->items[i], b->items[i]) == 0;
	return same;
}

/* Most runs of a build tell what the one before told: then nothing is to be written or indexed. Generators are not compared. */
static bool tells_nothing_new(const struct syncmap *before, const struct syncmap *map)
{
	bool same = before->entries.len == map->entries.len && before->generators.len == 0 &&
		    map->generators.len == 0 && !map->rebuild && same_lists(&before->build, &map->build) &&
		    same_lists(&before->ignore, &map->ignore);
	for (size_t i = 0; same && i < map->entries.len; i++) {
		const struct syncmap_entry *x = &before->entries.items[i], *y = &map->entries.items[i];
		same = x->mode == y->mode && x->generated == y->generated && strcmp(x->src, y->src) == 0 &&
		       strcmp(x->dest, y->dest) == 0;
	}
	return same;
}

int sync_source_teach_map(struct sync_source *s, struct syncmap *map, struct error *err)
{
	struct knowledge *k = &s->knowledge;
	if (k->has_map && tells_nothing_new(&k->map, map) && hash_equal(k->map_digest, map_digest(s))) {
		syncmap_release(map);
		*map = (struct syncmap){0};
		return 0;
	}
	struct syncmap before = k->map;
	bool had_map = k->has_map;
	k->map = *map;
	*map = (struct syncmap){0};
	k->has_map = true;
	int r = k->map.rebuild ? error_set(err, EINVAL, "a map that asks for a rebuild tells nothing")
			       : source_make_generators(s, err);
	if (r < 0) {
		syncmap_release(&k->map);
		k->map = before;
		k->has_map = had_map;
		return r;
	}
	syncmap_release(&before);
	k->map_digest = map_digest(s);
	source_index_told(s);
	return knowledge_save(s->artifact, k, err);
}

bool sync_source_needs_files(const struct sync_source *s)
{
	const struct knowledge *k = &s->knowledge;
	return source_asks_files(s) &&
	       (!k->has_files || !hash_equal(k->files_digest, knowledge_digest(s->artifact, &k->files.build)));
}

bool sync_source_needs_map(const struct sync_source *s)
{
	return source_asks_map(s) && (!s->knowledge.has_map || !hash_equal(s->knowledge.map_digest, map_digest(s)));
}

bool sync_source_knows_nothing(const struct sync_source *s)
{
	const struct knowledge *k = &s->knowledge;
	return source_asks_map(s) && (!k->has_map || (source_asks_files(s) && !k->has_files));
}
