/* The files that generators made: whose writing an event tells of, what an image holds of them, which are gone. */
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/path.h"
#include "dev/lane.h"
#include "sync/baseline.h"

enum {
	VERIFY_MAX = 64 << 10, /* bytes of a file that is read on the loop */
};

/* The kernel's clock for files lags behind by up to a tick. */
static const uint64_t TICK_NS = 10000000;

static uint64_t in_ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* All but the time of the last change, which a look leaves out where the file was too young for it to tell versions apart. */
static bool same_file(const struct input *seen, const struct stat *st)
{
	return seen->size == (uint64_t)st->st_size && seen->mode == st->st_mode && seen->inode == st->st_ino &&
	       seen->mtime_ns == in_ns(st->st_mtim);
}

/* The next event of it is news, whatever it tells. */
static void forget(struct input *seen)
{
	seen->inode = seen->ctime_ns = 0;
}

static char *absolute(const struct lane *lane, const char *rel)
{
	return path_join(lane->artifact->context, rel);
}

bool lane_saw_output(const struct lane *lane, const struct change *change)
{
	struct stat st;
	const struct input *seen =
		lane->source && change->kind != CHANGE_DELETED && !change->directory
			? inputs_find(&lane->outputs.scan, sync_source_shown(lane->source, change->path))
			: NULL;
	if (!seen || lstat(change->path, &st) < 0 || !same_file(seen, &st))
		return false;
	if (seen->ctime_ns != 0)
		return seen->ctime_ns == in_ns(st.st_ctim);
	struct hash hash;
	return st.st_size <= VERIFY_MAX && source_hash(change->path, st.st_mode, &hash) == 0 &&
	       hash_equal(hash, seen->hash);
}

bool lane_is_endless_output(const struct lane *lane, const char *path)
{
	for vec_each (generator, &lane->artifact->sync.generated)
		if (generator->watch && sync_source_makes(lane->source, generator, path))
			return true;
	return false;
}

void lane_drop_outputs(struct lane *lane, struct change_set *into)
{
	size_t kept = 0;
	for vec_each (change, &lane->pending) {
		bool output =
			sync_source_class(lane->source, change->path, change->kind, change->directory) == PATH_OUTPUT &&
			!lane_is_endless_output(lane, change->path);
		bool drop = output && (into || change->kind == CHANGE_DELETED || change->directory);
		if (!drop) {
			lane->pending.items[kept++] = *change;
			continue;
		}
		if (into)
			change_set_add(into, change->kind, change->directory, change->path);
		free(change->path);
	}
	lane->pending.len = kept;
	if (into)
		change_set_sort(into);
}

/* ---- after a build ---- */

/* Jib: what was there when the build ended is what went into the image. What was written since may be known from a look before. */
static void held_by_image(const struct lane *lane, const struct inputs *scan, uint64_t built_ns,
			  const struct inputs *known, struct inputs *image)
{
	for vec_each (output, scan) {
		struct stat st;
		_cleanup_free_ char *path = absolute(lane, output->rel);
		const struct input *before = known ? inputs_find(known, output->rel) : NULL;
		if (before)
			inputs_add_copy(image, before);
		else if (lstat(path, &st) == 0 && same_file(output, &st) && in_ns(st.st_ctim) + TICK_NS <= built_ns)
			inputs_add_copy(image, output);
	}
	inputs_sort(image);
}

/* Before the first map nobody says which files are outputs: all where Jib's tools usually put them are looked at, so that what the map's own run
 * writes anew is not carried for nothing. */
static int guess_image(const struct lane *lane, const struct sync_source *source, uint64_t built_ns,
		       struct inputs *image, struct error *err)
{
	CLEANUP(inputs_release) struct inputs guessed = {0};
	int r = sync_source_guess_outputs(source, &guessed, err);
	if (r == 0)
		held_by_image(lane, &guessed, built_ns, NULL, image);
	return r;
}

int outputs_of_image(const struct lane *lane, const struct sync_source *source, const char *image_id, uint64_t built_ns,
		     const struct inputs *known, struct outputs *outputs, struct error *err)
{
	const struct sync_generator *const *generators = NULL;
	struct inputs scan = {0};
	if (sync_source_generators(source, &generators) == 0)
		return 0;
	int r = sync_source_outputs(source, &outputs->scan, &scan, err);
	if (r < 0)
		return r;
	inputs_release(&outputs->scan);
	outputs->scan = scan;
	if (lane->artifact->builder != BUILDER_JIB)
		return 0;
	/* Without what is kept of them they are carried once more than needed. */
	_cleanup_free_ char *name = xasprintf("%s outputs", image_id);
	if (built_ns == 0) {
		(void)inputs_load(name, &outputs->image, NULL);
	} else {
		if (scan.len == 0)
			r = guess_image(lane, source, built_ns, &outputs->image, err);
		else
			held_by_image(lane, &scan, built_ns, known, &outputs->image);
		(void)inputs_save(name, &outputs->image, NULL);
	}
	return r;
}

/* True if what the generator makes goes into the image as it is. */
static bool image_takes_in(const struct lane *lane, const struct sync_generator *generator)
{
	for vec_each (output, &lane->outputs.scan) {
		_cleanup_free_ char *path = absolute(lane, output->rel);
		if (inputs_find(&lane->baseline, output->rel) && sync_source_makes(lane->source, generator, path))
			return true;
	}
	return false;
}

/* True if something has to be run for the change, that no build of the image runs. */
static bool is_for_generator(const struct lane *lane, const struct change *change, bool after_build)
{
	const struct sync_generator *const *all = NULL;
	size_t count = sync_source_generators(lane->source, &all);
	for (size_t i = 0; i < count && !change->directory; i++)
		if (!all[i]->watch && sync_source_reads(lane->source, all[i], change->path) &&
		    !(after_build && image_takes_in(lane, all[i])))
			return true;
	return false;
}

void lane_note_unmade(struct lane *lane)
{
	const struct change_set *sets[] = {&lane->failed, &lane->pending};
	if (!lane->source || lane->artifact->builder == BUILDER_JIB) /* its image holds all that the map names */
		return;
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		for vec_each (change, sets[i])
			if (is_for_generator(lane, change, false))
				change_set_add(&lane->unmade, change->kind, false, change->path);
	change_set_sort(&lane->unmade);
}

void lane_owe_unmade(struct lane *lane)
{
	for vec_each (change, &lane->unmade)
		if (change->kind != CHANGE_DELETED && is_for_generator(lane, change, true))
			change_set_add(&lane->pending, change->kind, false, change->path);
	change_set_sort(&lane->pending);
}

static void becomes_change(struct lane *lane, struct input *output)
{
	_cleanup_free_ char *path = absolute(lane, output->rel);
	forget(output);
	change_set_add(&lane->pending, CHANGE_MODIFIED, S_ISDIR(output->mode), path);
}

void lane_take_outputs(struct lane *lane, struct outputs *outputs, bool cached)
{
	inputs_release(&lane->outputs.scan);
	inputs_release(&lane->outputs.image);
	lane->outputs = *outputs;
	*outputs = (struct outputs){0};
	bool jib = lane->artifact->builder == BUILDER_JIB;
	for vec_each (output, &lane->outputs.scan) {
		const struct input *held = inputs_find(&lane->outputs.image, output->rel);
		if (!jib)
			forget(output); /* the image may hold another version: each event is news */
		else if (cached && lane->outputs.image.len > 0 && !(held && hash_equal(held->hash, output->hash)))
			becomes_change(lane, output); /* an IDE was at work since */
	}
	change_set_sort(&lane->pending);
}

void lane_doubt_outputs(struct lane *lane, uint64_t since_ns)
{
	size_t kept = 0;
	for (size_t i = 0; i < lane->outputs.image.len; i++) {
		const struct input *held = &lane->outputs.image.items[i];
		if (held->ctime_ns != 0 && held->ctime_ns + TICK_NS < since_ns)
			lane->outputs.image.items[kept++] = *held;
	}
	lane->outputs.image.len = kept;
}

void lane_recheck_outputs(struct lane *lane)
{
	for vec_each (output, &lane->outputs.scan) {
		struct stat st;
		_cleanup_free_ char *path = absolute(lane, output->rel);
		if (lstat(path, &st) < 0 || output->inode == 0)
			continue;
		if (!same_file(output, &st) || (output->ctime_ns && output->ctime_ns != in_ns(st.st_ctim)))
			becomes_change(lane, output);
	}
	change_set_sort(&lane->pending);
}

/* ---- what is gone ---- */

static void add_missing(const struct lane *lane, const char *path, struct strv *deletes)
{
	CLEANUP(classification_release) struct classification c = {0};
	sync_source_classify(lane->source, path, CHANGE_MODIFIED, false, &c);
	for (size_t i = 0; c.class_ == PATH_OUTPUT && i < c.dests.len; i++) {
		const struct owned *owned = map_get(&lane->owned, c.dests.items[i]);
		if (!owned || owned->kind != CARRY_DELETE)
			strv_push(deletes, c.dests.items[i]);
	}
}

void lane_missing_outputs(const struct lane *lane, struct strv *dests)
{
	for vec_each (output, &lane->outputs.scan) {
		_cleanup_free_ char *path = absolute(lane, output->rel);
		if (!file_exists(path) && lane_is_endless_output(lane, path))
			add_missing(lane, path, dests);
	}
	for map_each (entry, &lane->owned) {
		const struct owned *owned = entry->value;
		if (owned->origin && !file_exists(owned->origin) && lane_is_endless_output(lane, owned->origin))
			add_missing(lane, owned->origin, dests);
	}
	strv_sort_unique(dests);
}
