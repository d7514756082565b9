#include "dev/attach.h"

#include <string.h>

#include "base/path.h"
#include "build/base-image.h"
#include "config/compose.h"

#define LABEL_SERVICE "com.docker.compose.service"
#define LABEL_PROJECT "com.docker.compose.project"

/* ---- where they are found ---- */

/* Where the file that says so is. */
static char *directory_of(const struct attach_config *entry)
{
	_cleanup_free_ char *file = path_absolute(entry->place.file ? entry->place.file : "x");
	return path_dir(file);
}

static void find_by_service(const struct attach_config *entry, struct attach_query *query)
{
	const char *slash = strchr(entry->compose.value, '/'), *service = slash ? slash + 1 : entry->compose.value;
	_cleanup_free_ char *directory = directory_of(entry), *project = NULL;
	project = slash ? xstrndup(entry->compose.value, (size_t)(slash - entry->compose.value))
			: compose_project(directory);
	strv_pushf(&query->labels, LABEL_SERVICE "=%s", service);
	if (project)
		strv_pushf(&query->labels, LABEL_PROJECT "=%s", project);
	else
		query->one_project = xstrdup(service);
}

void attach_queries(const struct config *config, struct attach_queries *queries)
{
	for vec_each (entry, &config->attach) {
		struct attach_query *query = vec_add(queries);
		query->image = xstrdup(entry->image.value);
		if (entry->compose.value)
			find_by_service(entry, query);
		else
			strv_push(&query->labels, entry->label.value);
	}
}

static void tell_waiting(const struct lane *lane)
{
	CLEANUP(strv_release) struct strv ways = {0};
	for vec_each (query, &lane->dev->runtime->attach) {
		_cleanup_free_ char *labels = strv_join(&query->labels, " and ");
		if (str_equal(query->image, lane->artifact->image.value))
			strv_push(&ways, labels);
	}
	_cleanup_free_ char *all = strv_join(&ways, ", or ");
	_cleanup_free_ char *message = xasprintf("%s: no container with the label %s runs yet: waiting for one",
						 lane->artifact->image.value, all);
	tell_warning(lane->dev, message);
}

void attach_tell_waiting(struct dev *dev)
{
	for vec_each (lane, &dev->lanes)
		if ((*lane)->attached && !lane_has_live(*lane))
			tell_waiting(*lane);
}

bool instance_is_live(const struct lane_instance *instance)
{
	bool waits = !instance->info.attached &&
		     !instance->info.ends; /* one that does not run can be carried to all the same */
	return waits || (instance->info.running && !instance->info.paused);
}

bool lane_has_live(const struct lane *lane)
{
	for vec_each (instance, &lane->instances)
		if (instance_is_live(*instance) || !lane->attached)
			return true;
	return false;
}

/* ---- reading the tree ---- */

struct attach_job {
	struct lane *lane;
	char *image_id;
	struct sync_source *source;
	struct inputs baseline;
	struct expected_list *expected;
	bool wants_map;
	int r;
	struct error err;
};

static void attach_work(void *data)
{
	struct attach_job *job = data;
	const struct lane *lane = job->lane;
	const struct dev *dev = lane->dev;
	job->r = sync_source_new(dev->config, lane->artifact, base_image_lookup, dev->docker, &job->source, &job->err);
	if (job->r == 0)
		job->r = build_list_dependencies(lane->artifact, job->source, dev->cancel, &job->err);
	if (job->r < 0)
		return;
	if (job->image_id) { /* where only the image tells where files land */
		CLEANUP(base_image_release) struct base_image image = {0};
		base_image_lookup(dev->docker, job->image_id, &image);
		(void)sync_source_set_image(job->source, &image, NULL);
	}
	job->wants_map = sync_source_needs_map(job->source);
	job->r = sync_source_inputs(job->source, NULL, &job->baseline, &job->err);
	if (job->r == 0)
		job->r = expected_list_new(lane, job->source, &job->baseline, &job->expected, &job->err);
}

/* Of another image nobody knows what its build made of these; what it copied is surveyed. */
static void forget_made(struct lane *lane)
{
	for map_each (entry, &lane->owned) {
		const struct owned *owned = entry->value;
		const char *origin = owned->origin ? owned->origin : owned->src;
		if (owned->generated && !(origin && lane_image_holds(lane, origin, entry->key)))
			owned_free(map_remove(&lane->owned, entry->key));
	}
}

static void attach_succeeded(struct lane *lane, struct attach_job *job)
{
	bool again = lane->expected != NULL;
	bool told = sync_source_listing_command(job->source) || lane->artifact->builder == BUILDER_JIB;
	sync_source_free(lane->source);
	lane->source = steal(&job->source);
	inputs_release(&lane->baseline);
	lane->baseline = job->baseline;
	job->baseline = (struct inputs){0};
	expected_list_unref(lane->expected);
	lane->expected = steal(&job->expected);
	if (lane->other_image)
		forget_made(lane);
	lane->other_image = false;
	lane->wants_map = job->wants_map;
	if (!lane->tag)
		lane->tag = xstrdup(lane->artifact->image.value);
	if (again || told) /* other folders may count */
		dev_watch_anew(lane->dev);
	for vec_each (change, &lane->pending) { /* it may have been read before or after */
		map_set(&lane->dirty, change->path, NULL);
		if (change->kind == CHANGE_ADDED)
			change->kind = CHANGE_MODIFIED; /* a survey may bring it: deleting it is not nothing */
	}
	for vec_each (instance, &lane->instances)
		(*instance)->surveyed = false;
	lane_set_well(lane);
}

static void attach_done(void *data)
{
	struct attach_job *job = data;
	struct lane *lane = job->lane;
	struct dev *dev = lane->dev;
	bool ending = dev->phase == DEV_STOPPING || dev->reload;
	if (!ending)
		watch_look(dev->watch);
	if (!ending && job->r == 0) {
		attach_succeeded(lane, job);
	} else if (!ending) {
		_cleanup_free_ char *message = error_format(&job->err);
		lane_set_error(lane, "build", message);
	}
	lane->state = LANE_IDLE; /* only now: looking steps the lanes */
	expected_list_unref(job->expected);
	sync_source_free(job->source);
	inputs_release(&job->baseline);
	error_clear(&job->err);
	free(job->image_id);
	free(job);
	dev_step_all(dev);
	dev_job_done(dev);
}

bool lane_attach(struct lane *lane)
{
	if (!lane->wants_attach)
		return false;
	if (!lane->listed || !lane_context_is_free(lane))
		return true;
	struct attach_job *job = xcalloc(1, sizeof(*job));
	job->lane = lane;
	job->image_id = xstrdup_or_null(lane->image_id);
	lane->wants_attach = false;
	lane->state = LANE_ATTACHING;
	dev_job(lane->dev, attach_work, attach_done, job);
	return true;
}

/* ---- images ---- */

static bool any_runs_old(const struct lane *lane, bool *any)
{
	bool old = false;
	*any = false;
	for vec_each (instance, &lane->instances) {
		const char *id = (*instance)->info.base_id;
		if (!(*instance)->info.running)
			continue;
		*any = true;
		old = old || !id || strv_contains(&lane->old_images, id);
	}
	return old;
}

void lane_note_images(struct lane *lane)
{
	const char *newest = NULL;
	bool any;
	for (size_t i = 0; i < lane->instances.len; i++)
		if (lane->instances.items[i]->info.running)
			newest = lane->instances.items[i]->info.base_id; /* the one seen last */
	if (newest && !str_equal(newest, lane->image_id)) {
		lane->other_image = lane->expected != NULL;
		lane->wants_attach = lane->wants_attach || lane->other_image;
		replace_string(&lane->image_id, newest);
		replace_string(&lane->deployed_id, newest);
	}
	if (!lane->rebuild_due || any_runs_old(lane, &any) || !any)
		return;
	free(steal(&lane->rebuild_due));
	strv_release(&lane->old_images);
	dev_happened(lane->dev);
}

void lane_ask_rebuild(struct lane *lane, const char *path, const char *reason)
{
	const char *image = lane->artifact->image.value;
	if (lane->rebuild_due)
		return;
	for vec_each (instance, &lane->instances)
		if ((*instance)->info.base_id)
			strv_push(&lane->old_images, (*instance)->info.base_id);
	if (lane->image_id)
		strv_push(&lane->old_images, lane->image_id);
	lane->rebuild_due =
		path ? xasprintf("%s changed: rebuild %s with the tool that runs it (%s)", path, image, reason)
		     : xasprintf("%s: rebuild %s with the tool that runs it", reason, image);
	tell_error(lane->dev, image, "rebuild", lane->rebuild_due);
}

/* True where the change by itself is one; a copy that a Dockerfile without its source holds up is none. */
static bool is_rebuild(const struct lane *lane, const struct change *change, struct decision *d)
{
	CLEANUP(change_set_release) struct change_set one = {0};
	change_set_add(&one, change->kind, change->directory, change->path);
	plan_artifact(lane->source, &one, d);
	enum path_class class_ = sync_source_class(lane->source, change->path, change->kind, change->directory);
	bool copy = change->kind != CHANGE_DELETED && (class_ == PATH_DIRECT || class_ == PATH_OUTPUT);
	return d->kind == DECISION_REBUILD && !copy;
}

bool lane_set_rebuilds_aside(struct lane *lane, const struct decision *decision)
{
	size_t kept = 0, before = lane->pending.len;
	tell_decision(lane, decision);
	for vec_each (change, &lane->pending) {
		CLEANUP(decision_release) struct decision d = {0};
		if (is_rebuild(lane, change, &d)) {
			lane_ask_rebuild(lane, d.deciding_path, d.reason);
			free(change->path);
		} else {
			lane->pending.items[kept++] = *change;
		}
	}
	lane->pending.len = kept;
	if (kept == before)
		lane_ask_rebuild(lane, decision->deciding_path, decision->reason);
	if (kept == 0)
		lane_drop_pending(lane);
	return kept < before;
}
