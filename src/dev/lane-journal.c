/* A lane's side of the journal (sync/journal.h): what a skiff that is started again has to know of what this one did. */
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/path.h"
#include "build/base-image.h"
#include "dev/lane.h"
#include "sync/kept.h"

/* Of a path: whatever is there now, its last change was not dealt with. */
static const struct journal_seen UNSETTLED = {.mode = JOURNAL_UNSETTLED};

void lane_journal_owned(struct lane *lane, const char *dest, const struct owned *owned)
{
	journal_put_owned(lane->journal, dest,
			  &(struct journal_owned){.kind = (unsigned)owned->kind,
						  .src = owned->src,
						  .origin = owned->origin,
						  .owner = owned->owner,
						  .generated = owned->generated,
						  .owner_if_new = owned->owner_if_new,
						  .mode = owned->mode,
						  .host_mode = owned->host_mode,
						  .hash = owned->hash,
						  .number = owned->number,
						  .replaced = owned->replaced});
}

static void see(struct map *map, const char *path, struct journal_seen seen)
{
	free(map_set(map, path, xmemdup(&seen, sizeof(seen))));
}

void lane_journal_see(struct lane *lane, const char *path, unsigned mode, struct hash hash)
{
	see(&lane->about_to_see, path, (struct journal_seen){.mode = mode, .hash = hash});
}

void journal_see_file(struct map *seen, const char *path)
{
	struct stat st;
	struct journal_seen now = {0};
	if (lstat(path, &st) == 0 && source_hash(path, st.st_mode, &now.hash) == 0)
		now.mode = st.st_mode;
	see(seen, path, now);
}

static void written(struct lane *lane, int r, const struct error *err)
{
	if (r == 0)
		return;
	_cleanup_free_ char *message = error_format(err);
	tell_warning(lane->dev, message);
}

void lane_journal_batch(struct lane *lane, bool dealt_with)
{
	CLEANUP(error_clear) struct error err = {0};
	for map_each (entry, &lane->about_to_see) {
		if (!dealt_with)
			continue;
		journal_put_seen(lane->journal, entry->key, entry->value);
		free(map_set(&lane->seen, entry->key, steal(&entry->value)));
	}
	map_release(&lane->about_to_see, free);
	written(lane, journal_append(lane->journal, &err), &err);
}

static void put_unsettled(struct lane *lane)
{
	const struct change_set *const sets[] = {&lane->pending, &lane->before_build, &lane->failed, &lane->unmade};
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		for vec_each (change, sets[i])
			journal_put_seen(lane->journal, change->path, &UNSETTLED);
}

void lane_journal_next(struct lane *lane)
{
	CLEANUP(error_clear) struct error err = {0};
	if (str_equal(lane->image_id, lane->deployed_id))
		return;
	journal_put_next(lane->journal, lane->image_id);
	put_unsettled(lane);
	written(lane, journal_append(lane->journal, &err), &err);
}

void lane_prune_seen(struct lane *lane)
{
	for map_each (entry, &lane->seen) {
		const struct journal_seen *seen = entry->value;
		const char *rel = path_below(entry->key, lane->artifact->context);
		if (seen->mode != JOURNAL_UNSETTLED && inputs_find(&lane->baseline, rel ? rel : entry->key))
			free(map_remove(&lane->seen, entry->key));
	}
}

void lane_journal_write(struct lane *lane)
{
	CLEANUP(error_clear) struct error err = {0};
	if (lane->dev->embedded || !lane->deployed_id) /* what ends with skiff needs no journal */
		return;
	journal_put_image(lane->journal, lane->deployed_id);
	for map_each (entry, &lane->owned)
		lane_journal_owned(lane, entry->key, entry->value);
	for map_each (entry, &lane->seen)
		journal_put_seen(lane->journal, entry->key, entry->value);
	put_unsettled(lane);
	written(lane, journal_replace(lane->journal, &err), &err);
}

void lane_journal_tidy(struct lane *lane)
{
	if (journal_is_long(lane->journal))
		lane_journal_write(lane);
}

/* ---- what is neither in the baseline nor in the image ---- */

static void see_inputs(struct map *seen, const char *context, const struct inputs *inputs)
{
	for vec_each (input, inputs) {
		_cleanup_free_ char *path = path_join(context, input->rel);
		see(seen, path, (struct journal_seen){.mode = input->mode, .hash = input->hash});
	}
}

/* What rules bring although the image's build does not read it. */
static int see_carried(const struct sync_source *source, struct map *seen, struct error *err)
{
	const struct artifact *artifact = sync_source_artifact(source);
	struct sync_map map = {0};
	int r = sync_source_map(source, &map, err);
	for vec_each (entry, &map) {
		_cleanup_free_ char *path = path_join(artifact->context, entry->rel);
		if (!entry->generated && !sync_source_is_input(source, path))
			journal_see_file(seen, path);
	}
	sync_map_release(&map);
	return r;
}

int journal_see_others(const struct sync_source *source, struct map *seen, struct error *err)
{
	const struct artifact *artifact = sync_source_artifact(source);
	const struct sync_generator *const *all = NULL;
	size_t count = sync_source_generators(source, &all);
	int r = 0;
	if (artifact->builder ==
	    BUILDER_JIB) /* reads what its files goal named, all of it inputs; what it makes is looked at by itself */
		return 0;
	for (size_t i = 0; i < count && r == 0; i++) {
		CLEANUP(inputs_release) struct inputs read = {0};
		r = sync_source_generator_files(source, all[i], GENERATOR_READS, &read, err);
		see_inputs(seen, artifact->context, &read);
	}
	if (count > 0 && r == 0) {
		CLEANUP(inputs_release) struct inputs made = {0};
		r = sync_source_outputs(source, NULL, &made, err);
		see_inputs(seen, artifact->context, &made);
	}
	const struct sync_config *sync = &artifact->sync;
	bool may_carry = sync->manual.len > 0 || sync->direct.len > 0 || sync->map.command.len > 0;
	return r == 0 && may_carry ? see_carried(source, seen, err) : r;
}

/* ---- without a lane ---- */

char *dev_journal_name(const struct dev *dev, const struct artifact *artifact)
{
	return journal_name(dev->run_id, dev->runtime->ops->name, artifact->image.value);
}

void dev_note_started(const struct dev_runtime *rt, const struct config *config, const struct artifact *artifact,
		      const char *image_id)
{
	CLEANUP(sync_source_free_cleanup) struct sync_source *source = NULL;
	_cleanup_free_ char *name = journal_name(rt->run_id, rt->runtime->ops->name, artifact->image.value);
	struct map seen = {0};
	journal_remove(name);
	if (!rt->embedded && sync_source_new(config, artifact, base_image_lookup, rt->docker, &source, NULL) == 0 &&
	    journal_see_others(source, &seen, NULL) == 0) {
		struct journal *journal = journal_new(name);
		journal_put_image(journal, image_id);
		for map_each (entry, &seen)
			journal_put_seen(journal, entry->key, entry->value);
		(void)journal_replace(journal, NULL);
		journal_close(journal);
	}
	map_release(&seen, free);
}

void dev_forget(const struct dev_runtime *rt, const struct config *config)
{
	for vec_each (artifact, &config->artifacts) {
		_cleanup_free_ char *name = journal_name(rt->run_id, rt->runtime->ops->name, (*artifact)->image.value);
		journal_remove(name);
		kept_remove(name);
	}
}
