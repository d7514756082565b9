#include "dev/owned.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "dev/lane.h"
#include "dev/verify.h"
#include "runtime/source.h"
#include "sync/kept.h"

void owned_free(void *data)
{
	struct owned *owned = data;
	if (owned) {
		free(owned->src);
		free(owned->origin);
		free(owned->owner);
	}
	free(owned);
}

void wanted_release(struct wanted_list *list)
{
	for vec_each (wanted, list) {
		free(wanted->item.src);
		free(wanted->item.dest);
		free(wanted->item.owner);
		free(wanted->drift);
	}
	vec_release(list);
}

void candidates_release(struct candidate_list *candidates)
{
	for vec_each (c, candidates) {
		free(c->item.src);
		free(c->item.dest);
		free(c->item.owner);
		free(c->origin);
		held_file_free(c->held);
	}
	vec_release(candidates);
}

struct candidate *candidate_add(struct candidate_list *list, const char *src, const char *dest,
				const struct classification *c)
{
	struct candidate *added = vec_add(list);
	added->item = (struct carry_item){.kind = CARRY_FILE,
					  .src = xstrdup(src),
					  .dest = xstrdup(dest),
					  .mode = c->mode,
					  .owner = xstrdup_or_null(c->owner),
					  .owner_if_new = c->owner_if_new};
	added->generated = c->class_ == PATH_OUTPUT;
	return added;
}

void candidate_add_delete(struct candidate_list *list, const char *dest)
{
	struct candidate *added = vec_add(list);
	added->item = (struct carry_item){.kind = CARRY_DELETE, .dest = xstrdup(dest)};
}

bool lane_image_holds(const struct lane *lane, const char *src, const char *dest)
{
	const struct copy_map *map = lane->source ? sync_source_copy_map(lane->source) : NULL;
	const char *rel = path_below(src, lane->artifact->context);
	if (lane->source && sync_source_jib_lands(lane->source, src, dest))
		return true;
	if (!map || !rel)
		return false;
	for vec_each (rule, &map->rules) {
		_cleanup_free_ char *lands = NULL;
		if (rule->final && copy_rule_destination(rule, rel, &lands) && str_equal(lands, dest))
			return true;
	}
	return false;
}

static enum carry_kind kind_of_mode(unsigned mode)
{
	return S_ISLNK(mode) ? CARRY_SYMLINK : S_ISDIR(mode) ? CARRY_DIRECTORY : CARRY_FILE;
}

/* When last something above the destination was no directory: what it held before that is gone. 0: never. */
static uint64_t replaced_above(const struct lane *lane, const char *dest)
{
	uint64_t last = 0;
	if (lane->owned.len == 0)
		return 0;
	_cleanup_free_ char *above = path_dir(dest);
	while (!str_equal(above, "/")) {
		const struct owned *owned = map_get(&lane->owned, above);
		if (owned && owned->replaced > last)
			last = owned->replaced;
		char *next = path_dir(above);
		free(above);
		above = next;
	}
	return last;
}

/* What the image holds of a source at the destination; NULL: not known. */
static const struct input *in_image(const struct lane *lane, const struct candidate *c)
{
	if (!str_equal(lane->image_id, lane->deployed_id) || !lane->source)
		return NULL; /* what is known is of another image */
	const struct input *output =
		c->generated ? inputs_find(&lane->outputs.image, sync_source_shown(lane->source, c->item.src)) : NULL;
	if (output)
		return output;
	const char *rel = path_below(c->item.src, lane->artifact->context);
	if (!rel || map_has(&lane->dirty, c->item.src) || !lane_image_holds(lane, c->item.src, c->item.dest))
		return NULL;
	return inputs_find(&lane->baseline, rel);
}

/* A person's own rules say what a file becomes, whatever a RUN makes of it. What is attached was surveyed, and its image is another tool's. */
static bool expects_of_image(const struct lane *lane)
{
	enum sync_mode mode = lane->artifact->sync.mode;
	return !lane->attached && lane->artifact->builder == BUILDER_DOCKER &&
	       (mode == SYNC_INFER || mode == SYNC_AUTO);
}

bool owned_is_current(const struct lane *lane, const char *dest, const struct owned *owned)
{
	return !owned->unsure && !owned->altered && owned->number > replaced_above(lane, dest);
}

void candidate_look_up(const struct lane *lane, struct candidate *c)
{
	const struct owned *owned = map_get(&lane->owned, c->item.dest);
	uint64_t replaced = replaced_above(lane, c->item.dest);
	if (owned) {
		c->known = !owned->unsure && !owned->drifted && owned->number > replaced &&
			   owned->kind != CARRY_DELETE && owned->mode == c->item.mode;
		c->known_kind = owned->kind;
		c->known_mode = owned->host_mode;
		c->known_hash = owned->hash;
		return;
	}
	const struct input *input = c->item.src && replaced == 0 ? in_image(lane, c) : NULL;
	if (!input)
		return;
	c->known = true;
	c->known_kind = kind_of_mode(input->mode);
	c->known_mode = input->mode;
	c->known_hash = input->hash;
	c->expects = expects_of_image(lane) && c->known_kind != CARRY_DIRECTORY;
}

bool candidate_is_there(const struct candidate *c)
{
	bool same_mode = c->item.mode == MODE_KEEP || c->known_mode == c->host_mode;
	return c->known && c->known_kind == c->item.kind && same_mode && hash_equal(c->known_hash, c->hash);
}

void candidates_of_decision(const struct lane *lane, const struct decision *decision, struct candidate_list *out)
{
	for vec_each (copy, &decision->copies) {
		struct classification like = {.mode = copy->mode,
					      .owner = copy->owner,
					      .owner_if_new = copy->owner_if_new,
					      .class_ = sync_source_class(lane->source, copy->src, CHANGE_MODIFIED,
									  copy->directory)};
		/* Of a folder that a generator made, the files count: one that the image has need not be made. */
		const char *rel = path_below(copy->src, lane->artifact->context);
		if (copy->directory && like.class_ == PATH_OUTPUT && rel && inputs_are_below(&lane->baseline, rel))
			continue;
		for (size_t i = 0; i < copy->dests.len; i++) {
			struct candidate *c = candidate_add(out, copy->src, copy->dests.items[i], &like);
			if (copy->directory)
				c->item.kind = CARRY_DIRECTORY;
			candidate_look_up(lane, c);
		}
	}
	for (size_t i = 0; i < decision->deletes.len; i++)
		candidate_add_delete(out, decision->deletes.items[i]);
}

int source_hash(const char *path, unsigned mode, struct hash *hash)
{
	if (S_ISLNK(mode)) {
		char target[PATH_MAX];
		ssize_t n = readlink(path, target, sizeof(target));
		if (n < 0)
			return -errno;
		*hash = hash_bytes(target, (size_t)n);
		return 0;
	}
	if (S_ISDIR(mode)) {
		*hash = (struct hash){0};
		return 0;
	}
	_cleanup_close_ int fd = source_open_descriptor(path);
	return fd < 0 ? fd : hash_fd(fd, hash, NULL);
}

/* Its bytes as they are at this moment: they are what is carried, now and to each instance that comes. Where they can't be kept (a full
 * disk) the host's own file has to do. */
static void keep(struct candidate *c, struct kept *kept)
{
	CLEANUP(error_clear) struct error why = {0};
	char *copy = NULL;
	int r = kept_file(kept, c->item.src, &copy, &c->hash, &c->host_mode, &why);
	c->skip = c->gone = r == -ENOENT; /* a change of its own tells */
	if (r < 0)
		return;
	c->origin = c->item.src;
	c->item.src = copy;
	c->item.kind = kind_of_mode(c->host_mode);
	c->kept = true;
}

static void hold(struct candidate *c, struct source *source, size_t *room)
{
	if (!room || !source->bytes || source->size > *room)
		return;
	*room -= source->size;
	c->held = xmalloc(sizeof(*c->held));
	*c->held = (struct held_file){.bytes = steal(&source->bytes),
				      .size = source->size,
				      .mode = source->mode,
				      .hash = source->hash};
}

/* What a file holds now, unless the destination holds it already. */
static int read_file(struct candidate *c, size_t *room)
{
	CLEANUP(source_release) struct source source = {.fd = -1};
	int r = source_open_file(c->item.src, &source, NULL);
	if (r == 0 && source.fd >= 0)
		r = hash_fd(source.fd, &source.hash, NULL);
	if (r < 0)
		return r;
	c->host_mode = source.mode;
	c->hash = source.hash;
	if (!candidate_is_there(c))
		hold(c, &source, room);
	return 0;
}

void candidate_prepare(struct candidate *c, struct kept *kept, size_t *room)
{
	struct stat st;
	if (c->item.kind == CARRY_DELETE)
		return;
	bool found = c->kept || lstat(c->item.src, &st) == 0;
	c->gone = !found;
	c->skip = !found || !(c->kept || S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode));
	if (c->skip)
		return; /* gone again: a change of its own will tell */
	if (!c->kept) {
		c->host_mode = st.st_mode;
		c->item.kind = kind_of_mode(st.st_mode);
	}
	bool wanted = c->generated && !c->kept && kept && !S_ISDIR(c->host_mode);
	if (wanted)
		keep(c, kept);
	if (c->generated && !c->origin && !c->kept)
		c->origin = xstrdup(c->item.src);
	int r = 0;
	if (!c->kept && !c->skip)
		r = c->item.kind == CARRY_FILE ? read_file(c, c->generated ? NULL : room)
					       : source_hash(c->item.src, c->host_mode, &c->hash);
	c->skip = c->skip || r == -ENOENT || candidate_is_there(c);
}

/* Also of struct wanted, which begins with one. */
static int compare_items(const void *a, const void *b)
{
	const struct carry_item *x = a, *y = b;
	int order = (x->kind == CARRY_DELETE) - (y->kind == CARRY_DELETE);
	return order ? order : strcmp(x->dest, y->dest);
}

void carry_sort(struct carry *carry)
{
	if (carry->len > 1)
		qsort(carry->items, carry->len, sizeof(*carry->items), compare_items);
}

const struct owned *lane_own(struct lane *lane, const struct candidate *c)
{
	const struct owned *old = map_get(&lane->owned, c->item.dest);
	struct owned *owned = xcalloc(1, sizeof(*owned));
	uint64_t number = ++lane->carried;
	*owned = (struct owned){.kind = c->item.kind,
				.src = xstrdup_or_null(c->item.src),
				.origin = xstrdup_or_null(c->origin),
				.generated = c->generated,
				.mode = c->item.mode,
				.owner = xstrdup_or_null(c->item.owner),
				.owner_if_new = c->item.owner_if_new,
				.hash = c->hash,
				.host_mode = c->host_mode,
				.number = number,
				.replaced = c->item.kind != CARRY_DIRECTORY ? number
					    : old			    ? old->replaced
									    : 0,
				.expects = old ? old->expects : c->expects,
				.expected = old ? old->expected : c->known_hash};
	owned_free(map_set(&lane->owned, c->item.dest, owned));
	lane_journal_owned(lane, c->item.dest, owned);
	if (c->item.src && !c->generated)
		lane_journal_see(lane, c->item.src, c->host_mode, c->hash);
	return owned;
}

static struct carry_item item_of(const char *dest, const struct owned *owned, bool first)
{
	/* A kept copy may serve files of several modes: its own says nothing. */
	bool resolve = owned->generated && owned->mode == MODE_HOST && owned->kind == CARRY_FILE;
	return (struct carry_item){.kind = owned->kind,
				   .src = xstrdup_or_null(owned->src),
				   .dest = xstrdup(dest),
				   .mode = resolve ? (int)(owned->host_mode & 07777) : owned->mode,
				   .owner = xstrdup_or_null(owned->owner),
				   .owner_if_new = owned->owner_if_new,
				   .expects = owned->expects && first,
				   .expected = owned->expected};
}

void carry_owned(struct carry *carry, const struct candidate *c, const struct owned *owned, bool first)
{
	struct carry_item *item = vec_add(carry);
	*item = item_of(c->item.dest, owned, first);
	item->held = c->held;
}

void lane_all_owned(const struct lane *lane, const struct lane_instance *instance, struct wanted_list *all)
{
	for map_each (entry, &lane->owned) {
		const struct owned *owned = entry->value;
		if (owned->altered)
			continue;
		*(struct wanted *)vec_add(all) = (struct wanted){.item = item_of(entry->key, owned, instance->fresh),
								 .hash = owned->hash,
								 .host_mode = owned->host_mode,
								 .unsure = !owned_is_current(lane, entry->key, owned),
								 .drift = verify_drift(instance, entry->key, owned)};
	}
	if (all->len > 1)
		qsort(all->items, all->len, sizeof(*all->items), compare_items);
}

/* What the build of the new image put there, too, or made anew by itself: a stale output would hide it. */
static bool is_in_new_image(const struct lane *lane, const struct owned *owned, const char *dest)
{
	if (owned->generated && (lane->artifact->builder == BUILDER_JIB || lane->unmade.len > 0))
		return true;
	const char *src = owned->origin ? owned->origin : owned->src;
	const char *rel = src ? path_below(src, lane->artifact->context) : NULL;
	return rel && inputs_find(&lane->baseline, rel) && lane_image_holds(lane, src, dest);
}

void lane_prune_owned(struct lane *lane)
{
	for map_each (entry, &lane->owned) {
		struct owned *owned = entry->value;
		owned->expects = owned->altered = owned->drifted = false; /* that was another image's */
		if (!owned->src || !file_exists(owned->src) || is_in_new_image(lane, owned, entry->key))
			owned_free(map_remove(&lane->owned, entry->key));
	}
	lane->kept_old = true;
}

/* Copies that nothing needs any more: since a new image holds what they were kept for. */
static void prune_kept(struct lane *lane)
{
	struct map keep = {0};
	for map_each (entry, &lane->owned) {
		const struct owned *owned = entry->value;
		if (owned->generated && owned->src)
			map_set(&keep, owned->src, NULL);
	}
	kept_prune(lane->kept, &keep);
	map_release(&keep, NULL);
	lane->kept_old = false;
}

int lane_open_kept(struct lane *lane, struct kept **kept, struct error *err)
{
	_cleanup_free_ char *name = lane->dev->embedded ? NULL : dev_journal_name(lane->dev, lane->artifact);
	int r = lane->kept ? 0 : kept_open(name, &lane->kept, err);
	if (r == 0 && lane->kept_old)
		prune_kept(lane);
	*kept = lane->kept;
	return r;
}
