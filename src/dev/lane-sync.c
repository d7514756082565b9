/* Carrying a decision's copies into the instances of a lane.
 *
 * prepare (job): look at each source; what has the content and mode that the destination has already is left out.
 * owned (loop): write down what the destinations must be, before anything is sent.
 * apply (a job an instance): carry; one that fails is `behind` and holds up no other. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "dev/lane.h"

/* One batch; shared by the jobs of its instances, read-only once prepared. */
struct batch {
	struct lane *lane;
	struct candidate_list candidates;
	struct carry carry;
	struct sync_story story;
	char *path, *name;	   /* story's: what a generator was run for */
	struct strv command;	   /* story's: of that generator */
	struct change_set changes; /* story's: what it was run for */
	unsigned users;
	int r; /* of the host's hooks */
	struct error err;
};

static void batch_unref(struct batch *batch)
{
	if (--batch->users > 0)
		return;
	candidates_release(&batch->candidates);
	carry_release(&batch->carry);
	free(batch->path);
	free(batch->name);
	strv_release(&batch->command);
	change_set_release(&batch->changes);
	error_clear(&batch->err);
	free(batch);
}

static char *shown_paths(const struct batch *batch, bool deletes)
{
	CLEANUP(strv_release) struct strv paths = {0};
	_cleanup_free_ char *cwd = path_absolute(".");
	for vec_each (c, &batch->candidates) {
		const char *path = c->origin ? c->origin : c->item.src ? c->item.src : c->item.dest;
		const char *below = path_below(path, cwd);
		if (!c->skip && (c->item.kind == CARRY_DELETE) == deletes)
			strv_push(&paths, below ? below : path);
	}
	strv_sort_unique(&paths);
	return strv_join(&paths, ";");
}

static void hook_line(void *data, int stream, const char *line, size_t len)
{
	struct batch *batch = data;
	line_pipe_put(batch->lane->dev->lines, EVENT_PROGRESS, batch->lane->artifact->image.value, NULL, stream, line,
		      len);
}

static int run_host_hooks(struct batch *batch, const struct hook_list *hooks, struct error *err)
{
	const struct lane *lane = batch->lane;
	if (hooks->len == 0)
		return 0;
	CLEANUP(strv_release) struct strv env = {0};
	_cleanup_free_ char *cwd = path_absolute(".");
	_cleanup_free_ char *changed = shown_paths(batch, false), *deleted = shown_paths(batch, true);
	strv_pushf(&env, "SKAFFOLD_IMAGE=%s", lane->tag);
	strv_pushf(&env, "SKAFFOLD_BUILD_CONTEXT=%s", lane->artifact->context);
	strv_pushf(&env, "SKAFFOLD_FILES_ADDED_OR_MODIFIED=%s", changed);
	strv_pushf(&env, "SKAFFOLD_FILES_DELETED=%s", deleted);
	strv_push(&env, "SKAFFOLD_KUBE_CONTEXT=");
	strv_push(&env, "SKAFFOLD_NAMESPACES=");
	strv_pushf(&env, "SKAFFOLD_WORK_DIR=%s", cwd);
	return hooks_run_host(hooks, lane->artifact->base_dir, (const char *const *)env.items, hook_line, batch,
			      lane->dev->cancel, err);
}

static void prepare_work(void *data)
{
	struct batch *batch = data;
	struct kept *kept = NULL;
	for vec_each (c, &batch->candidates) {
		if (c->generated && !kept)
			(void)lane_open_kept(batch->lane, &kept, NULL);
		candidate_prepare(c, kept);
	}
	batch->r = run_host_hooks(batch, &batch->lane->artifact->sync.before, &batch->err);
}

struct apply_job {
	struct batch *batch;
	struct lane_instance *instance;
	struct carry everything; /* where the instance was behind */
	const struct carry *carry;
	struct carry_report report;
	bool running; /* the container, when the job began */
	bool hook_failed;
	int r;
	struct error err;
};

static int run_container_hooks(struct apply_job *job, const struct hook_list *hooks)
{
	const struct runtime_ops *ops = job->batch->lane->dev->runtime->ops;
	for vec_each (hook, hooks) {
		if (!hook->container)
			continue;
		CLEANUP(str_release) struct str output = {.max = 64 << 10};
		int r = ops->run(job->instance->session, (const char *const *)hook->command.items, &output,
				 job->batch->lane->dev->cancel, &job->err);
		job->hook_failed = r != 0;
		if (r < 0)
			return r;
		if (r > 0)
			return error_at(&job->err, hook->place, EIO, "the hook %s ended with %d: %s",
					hook->command.items[0], r, str_text(&output));
	}
	return 0;
}

static void apply_work(void *data)
{
	struct apply_job *job = data;
	const struct lane *lane = job->batch->lane;
	const struct runtime_ops *ops = lane->dev->runtime->ops;
	struct cancel *cancel = lane->dev->cancel;
	job->r = run_container_hooks(job, &lane->artifact->sync.before);
	if (job->r < 0)
		return;
	job->r = ops->apply(job->instance->session, job->carry, &job->report, cancel, &job->err);
	if (job->r < 0)
		return;
	job->r = run_container_hooks(job, &lane->artifact->sync.after);
	if (job->r < 0)
		return;
	if (lane->artifact->restart == RESTART_CONTAINER || !job->running)
		job->r = ops->restart(job->instance->session, 0, cancel, &job->err);
	else if (lane->artifact->restart == RESTART_SIGNAL)
		job->r = ops->restart(job->instance->session, lane->artifact->signal, cancel, &job->err);
}

static void after_hooks_work(void *data)
{
	struct batch *batch = data;
	batch->r = run_host_hooks(batch, &batch->lane->artifact->sync.after, &batch->err);
}

static void batch_end(struct batch *batch)
{
	struct lane *lane = batch->lane;
	if (batch->r < 0 && !cancel_requested(lane->dev->cancel)) {
		_cleanup_free_ char *message = error_format(&batch->err);
		lane_set_error(lane, NULL, NULL); /* each change runs it: each failure is told */
		lane_set_error(lane, "hook", message);
	}
	lane->state = LANE_IDLE;
	batch_unref(batch);
	dev_step_all(lane->dev);
}

static void after_hooks_done(void *data)
{
	struct batch *batch = data;
	struct dev *dev = batch->lane->dev;
	batch_end(batch);
	dev_job_done(dev);
}

/* True where each item that failed is one that the image's build writes too. Only a change asks for a rebuild: what fails again when
 * the new container catches up would fail for ever. */
static bool rebuild_helps(const struct lane *lane, const struct apply_job *job)
{
	bool failed = false;
	for (size_t i = 0; i < job->report.len; i++) {
		const struct carry_item *item = &job->carry->items[i];
		const struct carry_result *result = &job->report.results[i];
		if (result->code == 0)
			continue;
		failed = true;
		if (result->outside || result->code == ENOSPC ||
		    (item->src && !lane_image_holds(lane, item->src, item->dest)))
			return false;
	}
	return failed && job->batch->candidates.len > 0;
}

static const char *first_failure(const struct apply_job *job)
{
	for (size_t i = 0; i < job->report.len; i++)
		if (job->report.results[i].code)
			return job->report.results[i].message;
	return NULL;
}

/* Between looking at a source and carrying it, it may have become another: then nobody knows what the destination holds. */
static void note_carried(struct lane *lane, const struct apply_job *job)
{
	for (size_t i = 0; i < job->report.len; i++) {
		const struct carry_item *item = &job->carry->items[i];
		const struct carry_result *result = &job->report.results[i];
		struct owned *owned = map_get(&lane->owned, item->dest);
		bool content = item->kind == CARRY_FILE || item->kind == CARRY_SYMLINK;
		if (owned && (result->skipped || result->code || (content && !hash_equal(result->hash, owned->hash))))
			owned->unsure = true;
	}
}

static void apply_failed(struct lane *lane, struct apply_job *job)
{
	_cleanup_free_ char *text = error_format(&job->err);
	const char *message = first_failure(job) ? first_failure(job) : text;
	job->instance->behind = true;
	if (cancel_requested(lane->dev->cancel))
		return;
	bool broken = job->report.len == 0 && !job->hook_failed; /* the line, not a file: it may come back */
	bool again = broken && lane_retry_later(lane);
	if (!again || job->r != -ENOENT) /* a container that is being replaced: the next list tells of that */
		tell_sync(job->instance, job->carry, &job->report, "failed", &job->batch->story, message);
	if (again) {
		lane->dev->runtime->ops->close(steal(&job->instance->session));
		return;
	}
	job->instance->stuck = true;
	if (!job->hook_failed && rebuild_helps(lane, job))
		lane_want_build(lane, message);
	else
		lane_set_error(lane, "sync", message);
}

static void apply_done(void *data)
{
	struct apply_job *job = data;
	struct lane_instance *instance = job->instance;
	struct batch *batch = job->batch;
	struct lane *lane = batch->lane;
	struct dev *dev = lane->dev;
	instance->busy = false;
	batch->story.transfer_us = job->report.transfer_us;
	note_carried(lane, job);
	if (job->r < 0) {
		apply_failed(lane, job);
	} else {
		instance->behind = instance->stuck = false;
		lane->retries = 0;
		lane_set_well(lane);
		tell_sync(instance, job->carry, &job->report, "succeeded", &batch->story, NULL);
	}
	if (job->report.note)
		tell_warning(dev, job->report.note);
	carry_report_release(&job->report);
	carry_release(&job->everything);
	error_clear(&job->err);
	free(job);
	if (instance->exit_untold && !instance->gone)
		instances_refresh(dev);
	if (instance->gone)
		lane_instance_release(instance);
	if (--lane->sync_jobs > 0)
		batch_unref(batch);
	else if (lane->artifact->sync.after.len > 0 && dev->phase != DEV_STOPPING)
		dev_job(dev, after_hooks_work, after_hooks_done, batch);
	else
		batch_end(batch);
	dev_job_done(dev);
}

static void apply_to(struct batch *batch, struct lane_instance *instance)
{
	struct apply_job *job = xcalloc(1, sizeof(*job));
	job->batch = batch;
	job->instance = instance;
	job->carry = &batch->carry;
	job->running = instance->info.running;
	if (instance->behind) {
		lane_all_owned(batch->lane, &job->everything);
		job->carry = &job->everything;
	}
	batch->users++;
	batch->lane->sync_jobs++;
	instance->busy = true;
	dev_job(batch->lane->dev, apply_work, apply_done, job);
}

static void apply_to_all(struct batch *batch)
{
	struct lane *lane = batch->lane;
	batch->users++; /* ours, while the jobs start */
	for vec_each (each, &lane->instances) {
		struct lane_instance *instance = *each;
		if (batch->carry.len == 0 && !instance->behind)
			continue;
		if (instance->session)
			apply_to(batch, instance);
		else
			instance->behind = true; /* it catches up once it is open */
	}
	if (lane->sync_jobs > 0) {
		batch_unref(batch);
		return;
	}
	batch_end(batch);
}

/* True where what a generator made was removed again (a clean, elsewhere) before it could be kept: half of it would be a mixture of two versions. */
static bool is_torn(const struct batch *batch)
{
	for vec_each (c, &batch->candidates)
		if (c->gone && c->generated && batch->changes.len > 0)
			return true;
	return false;
}

/* Then nothing of it is carried, and it is made again. */
static void make_again(struct batch *batch)
{
	enum { TORN_MAX = 3 };
	struct lane *lane = batch->lane;
	bool again = ++lane->torn <= TORN_MAX;
	lane->pending_from_run = false;
	struct change_set *into = again ? &lane->pending : &lane->failed;
	if (lane->pending.len == 0)
		lane->first_event_ns = batch->story.first_event_ns;
	change_set_append(into, &batch->changes);
	change_set_sort(into);
	if (again)
		return;
	_cleanup_free_ char *message =
		xasprintf("what '%s' makes is removed before it can be copied, again and again", batch->name);
	lane->torn = 0;
	lane->generate_failed = true;
	lane_set_error(lane, "generate", message);
}

static void prepare_done(void *data)
{
	struct batch *batch = data;
	struct lane *lane = batch->lane;
	struct dev *dev = lane->dev;
	if (batch->r < 0) {
		for vec_each (instance, &lane->instances)
			(*instance)->behind = (*instance)->stuck = true;
	}
	bool torn = is_torn(batch);
	if (torn)
		make_again(batch);
	else if (batch->changes.len > 0)
		lane->torn = 0;
	for vec_each (c, &batch->candidates) {
		if (!c->skip && !torn)
			carry_owned(&batch->carry, c->item.dest, lane_own(lane, c));
	}
	carry_sort(&batch->carry);
	batch->users = 0;
	if (batch->r < 0 || dev->phase == DEV_STOPPING) {
		batch->users = 1;
		batch_end(batch);
	} else {
		apply_to_all(batch);
	}
	dev_job_done(dev);
}

static struct batch *batch_new(struct lane *lane, const struct sync_story *story)
{
	struct batch *batch = xcalloc(1, sizeof(*batch));
	batch->lane = lane;
	batch->story = *story;
	if (!story->command)
		return batch;
	batch->path = xstrdup_or_null(story->path);
	batch->name = xstrdup_or_null(story->name);
	strv_extend(&batch->command, story->command);
	batch->story.path = batch->path;
	batch->story.name = batch->name;
	batch->story.command = &batch->command;
	change_set_append(&batch->changes, story->changes);
	batch->story.changes = &batch->changes;
	return batch;
}

void lane_sync(struct lane *lane, struct candidate_list *candidates, const struct sync_story *story)
{
	struct batch *batch = batch_new(lane, story);
	batch->candidates = *candidates;
	*candidates = (struct candidate_list){0};
	lane->state = LANE_SYNCING;
	dev_job(lane->dev, prepare_work, prepare_done, batch);
}

void lane_catch_up(struct lane *lane)
{
	lane->state = LANE_SYNCING;
	apply_to_all(batch_new(lane, &(struct sync_story){.decided_ns = monotonic_ns()}));
}
