/* A round of generators as the loop sees it: started, watched, ended; and the map of a new image, asked for in the background. */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "dev/generation.h"
#include "dev/preflight.h"

enum { OWN_ROUNDS_MAX = 3, OWN_PAUSE_MS = 2000 };

bool lane_context_is_free(const struct lane *lane)
{
	for vec_each (other, &lane->dev->lanes) {
		const struct lane *one = *other;
		bool at_work = one->state == LANE_BUILDING || one->state == LANE_ADOPTING ||
			       one->state == LANE_ATTACHING || one->generating || one->mapping;
		bool shared = one == lane || (!lane->artifact->parallel && !one->artifact->parallel &&
					      str_equal(one->artifact->context, lane->artifact->context));
		if (at_work && shared)
			return false;
	}
	return true;
}

char *lane_generator_name(const struct lane *lane, const struct sync_generator *generator)
{
	bool jib = lane->artifact->builder == BUILDER_JIB && generator->kind == GENERATOR_MAP;
	return jib ? xstrdup(path_base(generator->command.items[0])) : sync_generator_name(generator);
}

void lane_generate_stop(struct lane *lane)
{
	if (lane->generating)
		cancel_request(lane->generating->cancel);
	if (lane->mapping)
		cancel_request(lane->mapping->cancel);
}

static void tell_endless(struct lane *lane, const struct decision *d)
{
	const char *path = d->deciding_path ? d->deciding_path : "something";
	bool generates = d->kind == DECISION_GENERATE;
	_cleanup_free_ char *name = generates ? lane_generator_name(lane, d->generators.items[0]) : NULL;
	_cleanup_free_ char *message =
		generates ? xasprintf("%s changes each time that '%s' runs, which reads it: it would run for ever. "
				      "Add the file to sync.auto.ignored, or take it out of `inputs`",
				      path, name)
			  : xasprintf("%s changes each time that %s is built, which reads it: it would be built for "
				      "ever. Let that be written elsewhere, or be ignored",
				      path, lane->artifact->image.value);
	lane->generate_failed = true;
	lane_set_error(lane, generates ? "generate" : "hook", message);
}

bool lane_feeds_itself(struct lane *lane, const struct decision *d)
{
	bool again = lane->pending_from_run && str_equal(lane->own_path, d->deciding_path);
	bool pausing = again && lane->own_rounds == OWN_ROUNDS_MAX + 1 && timer_running(lane->retry);
	if (pausing)
		return true;
	lane->own_rounds = !lane->pending_from_run ? 0 : again ? lane->own_rounds + 1 : 1;
	replace_string(&lane->own_path, d->deciding_path);
	if (lane->own_rounds <= OWN_ROUNDS_MAX || lane->own_rounds == OWN_ROUNDS_MAX + 2)
		return false;
	if (lane->own_rounds ==
	    OWN_ROUNDS_MAX + 1) { /* or a person who saves quickly: then nothing comes during the next */
		lane->retries_slowly = false;
		timer_start(lane->retry, OWN_PAUSE_MS);
		return true;
	}
	lane->own_rounds = 0;
	tell_endless(lane, d);
	change_set_append(&lane->failed, &lane->pending);
	change_set_sort(&lane->failed);
	lane_drop_pending(lane);
	return true;
}

/* ---- its end ---- */

/* The old version keeps running; nothing of what the run wrote is carried until one succeeds. */
static void generation_failed(struct lane *lane, struct generation *g)
{
	_cleanup_free_ char *message = error_format(&g->err);
	change_set_append(&lane->failed, &g->changes);
	lane_drop_outputs(lane, &lane->failed);
	lane->generate_failed = true;
	lane_set_error(lane, "generate", message);
}

/* For a build: what it was for is in the tree. */
static void generation_ended_by_lane(struct lane *lane, struct generation *g)
{
	change_set_append(&g->changes, &lane->pending);
	lane->pending = g->changes;
	g->changes = (struct change_set){0};
	change_set_sort(&lane->pending);
	lane->first_event_ns = g->story.first_event_ns;
}

static void wants_rebuild(struct lane *lane, struct generation *g)
{
	struct decision d = {.kind = DECISION_REBUILD, .reason = g->rebuild, .deciding_path = g->path};
	tell_decision(lane, &d);
	lane_want_build(lane, g->rebuild);
}

static void take_source(struct lane *lane, struct generation *g)
{
	if (!g->source)
		return;
	sync_source_free(lane->source);
	lane->source = steal(&g->source);
	lane_set_preflight(lane, &g->preflight);
}

static void watch_new_folders(struct lane *lane, const struct generation *g)
{
	if (!g->watch_anew)
		return;
	dev_watch_anew(lane->dev);
	lane_recheck_outputs(lane);
}

static void generation_succeeded(struct lane *lane, struct generation *g)
{
	lane_drop_outputs(lane, NULL);
	take_source(lane, g);
	inputs_release(&lane->outputs.scan);
	lane->outputs.scan = g->outputs.scan;
	g->outputs.scan = (struct inputs){0};
	watch_new_folders(lane, g);
	lane->generate_failed = false;
	lane_set_well(lane);
	for map_each (entry, &g->seen) {
		const struct journal_seen *seen = entry->value;
		lane_journal_see(lane, entry->key, seen->mode, seen->hash);
	}
	g->story.path = g->path;
	g->story.command = &g->command;
	g->story.changes = &g->changes;
	g->story.name = g->name;
	g->story.generate_us = (unsigned)((monotonic_ns() - g->story.decided_ns) / 1000);
	if (g->candidates.len > 0)
		lane_sync(lane, &g->candidates, &g->story);
	else
		lane_journal_batch(lane, true);
}

static void generation_done(void *data)
{
	struct generation *g = data;
	struct lane *lane = g->lane;
	struct dev *dev = lane->dev;
	if (dev->phase != DEV_STOPPING && !dev->reload)
		watch_look(dev->watch); /* what the run wrote is told now, while it counts as its own */
	lane->generating = NULL;
	lane->state = LANE_IDLE;
	if (dev->phase == DEV_STOPPING || dev->reload)
		goto end;
	if (g->r == -ECANCELED)
		generation_ended_by_lane(lane, g);
	else if (g->r < 0)
		generation_failed(lane, g);
	else if (g->rebuild)
		wants_rebuild(lane, g);
	else
		generation_succeeded(lane, g);
	lane->pending_from_run = true;
	if (lane->pending.len > 0 && lane->first_event_ns == 0)
		lane->first_event_ns = monotonic_ns();
	dev_step_all(dev);
end:
	generation_free(g);
	dev_job_done(dev);
}

/* ---- its begin ---- */

void lane_generate(struct lane *lane, const struct decision *d)
{
	struct generation *g = generation_new(lane, d->reason);
	g->path = xstrdup_or_null(d->deciding_path);
	g->story.first_event_ns = lane->first_event_ns;
	g->story.planned_ns = lane->planned_ns;
	for vec_each (generator, &d->generators)
		vec_push(&g->generators, *generator);
	change_set_append(&g->changes, &lane->pending);
	lane_drop_pending(lane);
	for vec_each (change, &g->changes)
		if (change->kind != CHANGE_DELETED)
			map_set(&lane->seen_by_generators, change->path, NULL);
	lane->state = LANE_GENERATING;
	lane->generating = g;
	dev_job(lane->dev, generation_work, generation_done, g);
}

void lane_check_generation(struct lane *lane)
{
	struct generation *g = lane->generating;
	const struct dev_options *options = lane->dev->options;
	bool pointless = lane->wants_build;
	bool news = lane->pending.len != g->looked_at && lane->dev->settled;
	if (!pointless && news && (options->auto_build || lane->dev->forced)) {
		CLEANUP(decision_release) struct decision d = {0};
		lane_drop_passed(lane);
		g->looked_at = lane->pending.len;
		plan_artifact(lane->source, &lane->pending, &d);
		pointless = d.kind == DECISION_REBUILD;
	}
	if (pointless)
		cancel_request(g->cancel);
}

/* ---- the map of a new image ---- */

static void map_failed(struct lane *lane, const struct generation *g)
{
	_cleanup_free_ char *message =
		g->rebuild ? xasprintf("the program that maps it asks for a rebuild of what was just built: %s",
				       g->rebuild)
			   : error_format(&g->err);
	lane->generate_failed = true;
	lane_set_error(lane, "generate", message);
}

static void map_done(void *data)
{
	struct generation *g = data;
	struct lane *lane = g->lane;
	struct dev *dev = lane->dev;
	if (dev->phase != DEV_STOPPING && !dev->reload)
		watch_look(dev->watch);
	lane->mapping = NULL;
	if (dev->phase == DEV_STOPPING || dev->reload)
		goto end;
	if (g->r < 0 || g->rebuild) {
		if (g->r != -ECANCELED)
			map_failed(lane, g);
	} else {
		take_source(lane, g);
		lane_take_outputs(lane, &g->outputs, g->built_ns == 0);
		lane->mapped = true;
		lane->wants_attach = lane->attached;
		watch_new_folders(lane, g);
	}
	dev_happened(dev);
	dev_step_all(dev);
end:
	generation_free(g);
	dev_job_done(dev);
}

static const struct sync_generator *find_map(const struct lane *lane)
{
	const struct sync_generator *const *all = NULL;
	size_t count = lane->source ? sync_source_generators(lane->source, &all) : 0;
	for (size_t i = 0; i < count; i++)
		if (all[i]->kind == GENERATOR_MAP)
			return all[i];
	return NULL;
}

/* Somebody's first image is more urgent than a map. */
static bool build_is_due(const struct lane *lane)
{
	for vec_each (other, &lane->dev->lanes)
		if ((*other)->wants_build && str_equal((*other)->artifact->context, lane->artifact->context))
			return true;
	return false;
}

void lane_map(struct lane *lane)
{
	if (!lane->wants_map || build_is_due(lane) || !lane_context_is_free(lane))
		return;
	const struct sync_generator *map = find_map(lane);
	lane->wants_map = false;
	if (!map)
		return;
	struct generation *g = generation_new(lane, "which outputs the image holds, and where, is not known yet");
	g->background = true;
	g->built_ns = lane->built_ns;
	generation_mark(g, map, NULL, CHANGE_MODIFIED);
	lane->mapping = g;
	_cleanup_free_ char *name = lane_generator_name(lane, map);
	tell_generate(lane, &(struct generate_told){.command = &map->command,
						    .name = name,
						    .background = true,
						    .status = "started",
						    .reason = g->reason,
						    .ms = -1,
						    .outputs = -1});
	dev_job(lane->dev, generation_work, map_done, g);
}
