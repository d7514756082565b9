#include "dev/lane.h"

#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "dev/attach.h"
#include "sync/kept.h"

static void retry_now(void *data)
{
	struct lane *lane = data;
	for vec_each (instance, &lane->instances)
		(*instance)->stuck = (*instance)->stuck && !(*instance)->unreachable;
	instances_refresh(lane->dev); /* the instance may be gone by now, or be another */
	lane_step(lane);
}

enum { RETRY_FIRST_MS = 200, RETRIES_MAX = 6, RETRY_ON_MS = 10000 };

bool lane_retry_later(struct lane *lane)
{
	if (!timer_running(lane->retry)) { /* else another of its instances has failed just now */
		bool slowly = lane->retries == RETRIES_MAX;
		timer_start(lane->retry, slowly ? RETRY_ON_MS : (uint64_t)RETRY_FIRST_MS << lane->retries++);
		lane->retries_slowly = slowly;
	}
	return !lane->retries_slowly;
}

/* For a moment that the rest waits for. */
static bool retries_soon(const struct lane *lane)
{
	return timer_running(lane->retry) && !lane->retries_slowly;
}

struct lane *lane_new(struct dev *dev, size_t index)
{
	struct lane *lane = xcalloc(1, sizeof(*lane));
	lane->dev = dev;
	lane->index = index;
	lane->artifact = dev->config->artifacts.items[index];
	lane->attached = config_is_attached(dev->config, lane->artifact->image.value);
	_cleanup_free_ char *name = dev_journal_name(dev, lane->artifact);
	lane->journal = journal_new(name);
	lane->kept_old = true; /* of a run before */
	lane->retry = timer_new(dev->loop, retry_now, lane);
	lane->barrier = timer_new(dev->loop, lane_barrier, lane);
	return lane;
}

void lane_free(struct lane *lane)
{
	if (!lane)
		return;
	for vec_each (instance, &lane->instances)
		lane_instance_release(*instance);
	vec_release(&lane->instances);
	sync_source_free(lane->source);
	change_set_release(&lane->pending);
	change_set_release(&lane->before_build);
	change_set_release(&lane->failed);
	change_set_release(&lane->unmade);
	inputs_release(&lane->outputs.scan);
	inputs_release(&lane->outputs.image);
	map_release(&lane->seen_by_generators, NULL);
	lane_free_programs(lane);
	kept_close(lane->kept);
	journal_close(lane->journal);
	map_release(&lane->seen, free);
	map_release(&lane->about_to_see, free);
	free(lane->own_path);
	map_release(&lane->owned, owned_free);
	inputs_release(&lane->baseline);
	map_release(&lane->dirty, NULL);
	timer_free(lane->retry);
	timer_free(lane->barrier);
	strv_release(&lane->preflight);
	strv_release(&lane->unwritable);
	free(lane->build_reason);
	free(lane->error);
	free(lane->tag);
	free(lane->image_id);
	free(lane->deployed_id);
	free(lane->layer);
	free(lane->layer_note);
	expected_list_unref(lane->expected);
	free(lane->rebuild_due);
	strv_release(&lane->old_images);
	free(lane);
}

bool lane_deploys(const struct lane *lane)
{
	return !lane->unused && config_deploys(lane->dev->config, lane->artifact);
}

void lane_set_error(struct lane *lane, const char *about, const char *message)
{
	if (message && !str_equal(lane->error, message))
		tell_error(lane->dev, lane->artifact->image.value, about, message);
	replace_string(&lane->error, message);
	lane->error_about = message ? about : NULL;
}

static bool any_stuck(const struct lane *lane)
{
	for vec_each (instance, &lane->instances)
		if ((*instance)->stuck)
			return true;
	return false;
}

void lane_set_well(struct lane *lane)
{
	if (!lane->build_failed && !lane->generate_failed && !any_stuck(lane) && !lane_programs_fail(lane))
		lane_set_error(lane, NULL, NULL);
}

/* Nothing below a root of this lane? Then its changes are another's. */
static bool concerns(const struct lane *lane, const struct strv *roots, const struct change *change)
{
	for (size_t i = 0; i < roots->len; i++)
		if (path_below(change->path, roots->items[i]))
			return !lane->source || !sync_source_prunes(lane->source, change->path, change->directory);
	return false;
}

void lane_roots(const struct lane *lane, struct strv *roots)
{
	if (lane->source)
		sync_source_roots(lane->source, roots);
	else
		strv_push(roots, lane->artifact->context);
}

void lane_add_changes(struct lane *lane, const struct change_set *changes, uint64_t first_event_ns)
{
	CLEANUP(strv_release) struct strv roots = {0};
	size_t before = lane->pending.len;
	bool added = false;
	/* A compiler that writes thousands of files is heard of in thousands of small reports. */
	bool one_by_one = changes->len < before / 16;
	lane_roots(lane, &roots);
	for vec_each (change, changes) {
		if (!concerns(lane, &roots, change))
			continue;
		/* What is added while an image is built may be in it, or read by a generator: that it is deleted again is then not
		 * nothing. */
		bool at_work = lane->state == LANE_BUILDING || lane->state == LANE_GENERATING;
		bool maybe_built = at_work && change->kind == CHANGE_ADDED;
		if (lane->state == LANE_GENERATING && change->kind != CHANGE_DELETED)
			map_set(&lane->seen_by_generators, change->path, NULL);
		enum change_kind kind = maybe_built ? CHANGE_MODIFIED : change->kind;
		(one_by_one ? change_set_insert : change_set_add)(&lane->pending, kind, change->directory,
								  change->path);
		added = true;
	}
	if (!added)
		return;
	lane->pending_from_run = false;
	if (before == 0)
		lane->first_event_ns = first_event_ns;
	if (!one_by_one)
		change_set_sort(&lane->pending);
}

/* `once`: the way out is the person's to choose. */
static void refuse_build(struct lane *lane, const char *reason)
{
	free(lane->rebuild_due);
	lane->rebuild_due = xasprintf("a rebuild is due (%s): `skiff dev` or `skiff run` builds it", reason);
	lane_drop_pending(lane);
	tell_error(lane->dev, lane->artifact->image.value, "rebuild", lane->rebuild_due);
}

void lane_want_build(struct lane *lane, const char *reason)
{
	if (lane->attached) {
		lane_ask_rebuild(lane, NULL, reason);
		return;
	}
	if (lane->dev->options->once) {
		refuse_build(lane, reason);
		return;
	}
	lane->wants_build = true;
	replace_string(&lane->build_reason, reason);
}

bool lane_is_quiet(const struct lane *lane)
{
	bool waits_to_deploy = lane->state == LANE_BUILT && lane->announced_deploy;
	return waits_to_deploy ||
	       (lane->state == LANE_IDLE && !lane->wants_attach && !(lane->wants_build && lane_may_build(lane)) &&
		(lane->pending.len == 0 || lane->announced_wait) && !retries_soon(lane));
}

void lane_drop_pending(struct lane *lane)
{
	change_set_release(&lane->pending);
	lane->first_event_ns = 0;
	lane->announced_wait = false;
}

/* Held back until something else happens: the person is told once. */
static void wait_with_pending(struct lane *lane, const char *why)
{
	if (!lane->announced_wait) {
		_cleanup_free_ char *message =
			xasprintf("%s: %zu change%s waiting: %s", lane->artifact->image.value, lane->pending.len,
				  lane->pending.len == 1 ? " is" : "s are", why);
		tell_warning(lane->dev, message);
	}
	lane->announced_wait = true;
}

static void decide_without_source(struct decision *d)
{
	d->kind = DECISION_REBUILD;
	d->reason = xstrdup("the last build did not get as far as its Dockerfile");
}

/* Then other folders may be worth watching after the build. */
static bool has_build_definition(const struct lane *lane)
{
	for (size_t i = 0; i < lane->pending.len && lane->source; i++) {
		const struct change *change = &lane->pending.items[i];
		CLEANUP(classification_release) struct classification c = {0};
		sync_source_classify(lane->source, change->path, change->kind, change->directory, &c);
		if (c.class_ == PATH_BUILD_DEFINITION)
			return true;
	}
	return !lane->source;
}

static void step_rebuild(struct lane *lane, const struct decision *d)
{
	struct dev *dev = lane->dev;
	if (!dev->settled) {
		lane->waits_for_rest = true; /* dearer than a copy: it waits until the batch is whole */
		return;
	}
	if (!dev->options->auto_build && !dev->forced) {
		wait_with_pending(lane, "automatic builds are off; press Enter to build");
		return;
	}
	if (lane_feeds_itself(lane, d))
		return;
	if (!dev->options->once)
		tell_decision(lane, d);
	lane_want_build(lane, d->reason);
	lane->definitions_changed |= has_build_definition(lane);
	lane_step(lane);
}

/* False where all that waits was made for containers: the image's build reads none of it. */
static bool may_mend_build(const struct lane *lane)
{
	for vec_each (change, &lane->pending)
		if (sync_source_class(lane->source, change->path, change->kind, change->directory) != PATH_OUTPUT ||
		    sync_source_is_input(lane->source, change->path))
			return true;
	return false;
}

static void step_copy(struct lane *lane, struct decision *d)
{
	struct dev *dev = lane->dev;
	if (!dev->options->auto_sync && !dev->forced) {
		wait_with_pending(lane, "automatic copies are off; press Enter to copy");
		return;
	}
	bool retry_build = lane->build_failed && may_mend_build(lane);
	if (!lane_has_live(lane)) {
		if (retry_build ||
		    !(lane->attached || lane_deploys(lane))) { /* only a build can bring this change anywhere */
			step_rebuild(lane, d);
			return;
		}
		if (lane->build_failed) { /* which is told already, and stands */
			lane->announced_wait = true;
			return;
		}
		if (!dev->listing) /* else the answer is under way */
			wait_with_pending(lane, "no container is there yet");
		return;
	}
	if (retry_build && lane_feeds_itself(lane, d))
		return;
	tell_decision(lane, d);
	CLEANUP(candidates_release) struct candidate_list candidates = {0};
	candidates_of_decision(lane, d, &candidates);
	const struct sync_story story = {.first_event_ns = lane->first_event_ns,
					 .planned_ns = lane->planned_ns,
					 .decided_ns = monotonic_ns()};
	for vec_each (change, &lane->pending)
		if (change->kind == CHANGE_DELETED)
			lane_journal_see(lane, change->path, 0, (struct hash){0});
	_cleanup_free_ char *reason =
		retry_build ? xstrdup(lane->build_reason ? lane->build_reason : "the last build failed") : NULL;
	lane_drop_pending(lane);
	lane_sync(lane, &candidates, &story);
	if (retry_build) /* what was carried may be what the failed build lacked */
		lane_want_build(lane, reason);
}

/* With those of the last run, where that failed. True if there were any: the plan may be another then. */
static bool join_failed(struct lane *lane)
{
	if (lane->failed.len == 0)
		return false;
	change_set_append(&lane->failed, &lane->pending);
	lane->pending = lane->failed;
	lane->failed = (struct change_set){0};
	change_set_sort(&lane->pending);
	return true;
}

static void step_generate(struct lane *lane, struct decision *d)
{
	struct dev *dev = lane->dev;
	if (!dev->settled) {
		lane->waits_for_rest = true;
		return;
	}
	if (!dev->options->auto_sync && !dev->forced) {
		wait_with_pending(lane, "automatic copies are off; press Enter to generate and copy");
		return;
	}
	if (lane->build_failed || !(lane->attached || lane_deploys(lane))) {
		step_rebuild(lane, d);
		return;
	}
	if (!lane_has_live(lane)) {
		if (!dev->listing)
			wait_with_pending(lane, "no container is there yet");
		return;
	}
	if (!lane_context_is_free(lane))
		return; /* the end of what is at work there steps again */
	if (join_failed(lane)) {
		lane_step(lane);
		return;
	}
	if (lane_feeds_itself(lane, d))
		return;
	tell_decision(lane, d);
	lane_generate(lane, d);
}

static bool was_carried(const struct lane *lane, const char *path)
{
	for map_each (entry, &lane->owned) {
		const struct owned *owned = entry->value;
		if (str_equal(owned->origin ? owned->origin : owned->src, path))
			return true;
	}
	return false;
}

static bool is_read(const struct lane *lane, const struct change *change)
{
	const struct sync_generator *const *all = NULL;
	size_t count = lane->source && !change->directory ? sync_source_generators(lane->source, &all) : 0;
	for (size_t i = 0; i < count; i++)
		if (sync_source_reads(lane->source, all[i], change->path))
			return true;
	return false;
}

/* True for a deleted path that neither the image nor a container, nor a generator, ever had: a temporary file that came and went while its writer (sed -i, a
 * compiler) was at work. A rebuild would change nothing. Rules that carry deletes do so, whatever was there. */
static bool only_passed(const struct lane *lane, const struct change *change)
{
	const char *rel = path_below(change->path, lane->artifact->context);
	bool carried = lane->source &&
		       sync_source_class(lane->source, change->path, change->kind, change->directory) == PATH_DIRECT;
	return change->kind == CHANGE_DELETED && rel && !carried && lane->artifact->sync.mode != SYNC_MANUAL &&
	       lane->baseline.len > 0 && !lane->build_failed && !inputs_find(&lane->baseline, rel) &&
	       !map_has(&lane->dirty, change->path) && !map_has(&lane->seen_by_generators, change->path) &&
	       !was_carried(lane, change->path) && !is_read(lane, change);
}

void lane_drop_passed(struct lane *lane)
{
	size_t kept = 0;
	for vec_each (change, &lane->pending) {
		if (only_passed(lane, change) || lane_saw_output(lane, change))
			free(change->path);
		else
			lane->pending.items[kept++] = *change;
	}
	lane->pending.len = kept;
}

/* Another tool builds it: that is asked for, and the rest of the batch goes on. */
static void step_foreign_rebuild(struct lane *lane, struct decision *d)
{
	if (!lane->dev->settled) {
		lane->waits_for_rest = true;
		return;
	}
	if (lane_set_rebuilds_aside(lane, d)) {
		lane_step(lane);
		return;
	}
	d->kind = DECISION_COPY;
	step_copy(lane, d);
}

static void plan_pending(struct lane *lane)
{
	struct decision d = {0};
	if (lane->attached && !lane->expected) { /* reading the tree failed: this may have mended it */
		lane_drop_pending(lane);
		lane->wants_attach = true;
		(void)lane_attach(lane);
		return;
	}
	lane_drop_passed(lane);
	if (lane->pending.len == 0) {
		lane_drop_pending(lane);
		return;
	}
	lane->planned_ns = monotonic_ns();
	if (lane->source)
		plan_artifact(lane->source, &lane->pending, &d);
	else
		decide_without_source(&d);
	lane_decide_altered(lane, &d);
	switch (d.kind) {
	case DECISION_NONE:
		tell_decision(lane, &d);
		lane_drop_pending(lane);
		break;
	case DECISION_COPY:
		step_copy(lane, &d);
		break;
	case DECISION_GENERATE:
		step_generate(lane, &d);
		break;
	case DECISION_REBUILD:
		if (lane->mapping && !has_build_definition(lane))
			break; /* it may be what the map's program writes */
		if (lane->attached)
			step_foreign_rebuild(lane, &d);
		else
			step_rebuild(lane, &d);
		break;
	}
	decision_release(&d);
}

/* What a build tool is still writing waits until it is done: half of it is nothing to carry. */
static void step_pending(struct lane *lane)
{
	CLEANUP(change_set_release) struct change_set written = {0};
	uint64_t first_event_ns = lane->first_event_ns;
	if (lane->source && !lane_context_is_free(lane))
		lane_drop_outputs(lane, &written);
	if (lane->pending.len > 0)
		plan_pending(lane);
	if (written.len == 0)
		return;
	if (lane->pending.len == 0)
		lane->first_event_ns = first_event_ns;
	change_set_append(&lane->pending, &written);
	change_set_sort(&lane->pending);
}

/* Deletes are told last, after the copies that came instead. */
static void step_missing(struct lane *lane)
{
	struct decision d = {.kind = DECISION_COPY, .reason = xstrdup("a generator that runs for ever makes less")};
	lane->outputs_came = false;
	lane_missing_outputs(lane, &d.deletes);
	if (d.deletes.len > 0)
		step_copy(lane, &d);
	decision_release(&d);
}

static void note_outputs(struct lane *lane)
{
	for (size_t i = 0; i < lane->pending.len && lane->programs.len > 0 && lane->source; i++) {
		const struct change *change = &lane->pending.items[i];
		lane->outputs_came = lane->outputs_came ||
				     (change->kind != CHANGE_DELETED && lane_is_endless_output(lane, change->path));
	}
}

static bool any_behind(const struct lane *lane)
{
	for vec_each (each, &lane->instances) {
		const struct lane_instance *instance = *each;
		if (instance->behind && !instance->stuck && !instance->info.paused && instance->session &&
		    instance->use == SESSION_FREE && instance_is_live(instance))
			return true;
	}
	return false;
}

/* Someone removed the container, perhaps while a generator or a copy was under way: what skiff deployed is deployed again, and catches up. */
static bool redeploy_if_gone(struct lane *lane)
{
	if (!lane->none_listed || lane->build_failed || !lane->deployed_id || lane->instances.len > 0 ||
	    !lane_deploys(lane) || lane->dev->options->once || lane->dev->runtime->brings_back)
		return false;
	free(steal(&lane->deployed_id));
	replace_string(&lane->build_reason, "its container is gone");
	lane->build_started_ns = 0;
	lane_deploy(lane);
	return true;
}

void lane_step(struct lane *lane)
{
	if (lane->dev->phase == DEV_STOPPING || lane->dev->reload)
		return;
	if (lane->generating)
		lane_check_generation(lane);
	lane_survey(lane);
	if (lane->state != LANE_IDLE || lane_attach(lane))
		return;
	if (lane->wants_build) {
		if (lane_may_build(lane))
			lane_build(lane);
		else if (lane->mapping)
			lane_generate_stop(lane); /* the next image has another map */
		return;
	}
	if (redeploy_if_gone(lane))
		return;
	if (lane->waits_for_rest && !lane->dev->settled)
		return; /* what is added makes no decision cheaper */
	lane->waits_for_rest = false;
	note_outputs(lane);
	if (lane->pending.len > 0)
		step_pending(lane);
	if (lane->state != LANE_IDLE || lane->wants_build || lane->pending.len > 0)
		return;
	if (lane->outputs_came && lane->dev->settled && lane->instances.len > 0)
		step_missing(lane);
	else if (any_behind(lane) && !retries_soon(lane))
		lane_catch_up(lane);
}
