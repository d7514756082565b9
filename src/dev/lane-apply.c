/* Carrying into one instance: a job on its session. One that fails is `behind`, and holds up no other. */
#include <errno.h>

#include "base/file.h"
#include "dev/batch.h"
#include "dev/verify.h"

struct apply_job {
	struct batch *batch;
	struct lane_instance *instance;
	struct wanted_list wanted; /* everything, where the instance was behind */
	struct carry differing;	   /* then: what of that it lacks */
	const struct carry *carry;
	struct carry_report report;
	uint64_t number; /* the last of owned when the job began */
	bool running;	 /* the container, then */
	bool unfinished; /* as struct lane_instance has it, then */
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
		job->hook_failed = r != 0 && r != -EAGAIN;
		if (r < 0)
			return r;
		if (r > 0)
			return error_at(&job->err, hook->place, EIO, "the hook %s ended with %d: %s",
					hook->command.items[0], r, str_text(&output));
	}
	return 0;
}

/* What it changed itself, and was told of, stays. */
static bool is_there(const struct wanted *wanted, const struct instance_file *found)
{
	bool unknown;
	if (wanted->drift && verify_same_file(wanted->drift, found))
		return true;
	return !wanted->unsure && verify_holds(&wanted->item, wanted->hash, wanted->host_mode, found, &unknown);
}

/* Only what differs travels; all of it where the instance can't be looked into. */
static int find_differing(struct apply_job *job)
{
	struct dev *dev = job->batch->lane->dev;
	CLEANUP(strv_release) struct strv dests = {0};
	_cleanup_free_ struct instance_file *found = xcalloc(job->wanted.len + 1, sizeof(*found));
	for vec_each (wanted, &job->wanted)
		strv_push(&dests, wanted->item.dest);
	int r = dests.len == 0
			? 0
			: dev->runtime->ops->look(job->instance->session, &dests, NULL, found, dev->cancel, &job->err);
	if (r < 0 && r != -ENOTSUP)
		return r;
	error_clear(&job->err);
	for (size_t i = 0; i < job->wanted.len; i++) {
		struct wanted *wanted = &job->wanted.items[i];
		if (r == 0 && is_there(wanted, &found[i]))
			continue;
		vec_push(&job->differing, wanted->item);
		wanted->item = (struct carry_item){0};
	}
	return 0;
}

static int carry_work(struct apply_job *job)
{
	const struct lane *lane = job->batch->lane;
	const struct runtime_ops *ops = lane->dev->runtime->ops;
	struct cancel *cancel = lane->dev->cancel;
	int r = run_container_hooks(job, &lane->artifact->sync.before);
	if (r >= 0)
		r = ops->apply(job->instance->session, job->carry, &job->report, cancel, &job->err);
	if (r >= 0)
		r = run_container_hooks(job, &lane->artifact->sync.after);
	if (r < 0)
		return r;
	if (lane->artifact->restart == RESTART_CONTAINER || !job->running)
		r = ops->restart(job->instance->session, 0, cancel, &job->err);
	else if (lane->artifact->restart == RESTART_SIGNAL)
		r = ops->restart(job->instance->session, lane->artifact->signal, cancel, &job->err);
	return r;
}

static bool has_nothing_to_do(const struct apply_job *job)
{
	return job->carry->len == 0 && !job->unfinished;
}

static void apply_work(void *data)
{
	struct apply_job *job = data;
	job->r = job->carry == &job->differing ? find_differing(job) : 0;
	if (job->r >= 0 && !has_nothing_to_do(job))
		job->r = carry_work(job);
}

/* True where each item that failed is one that the image's build writes too. Only a change asks for a rebuild: what fails again when
 * the new container catches up would fail for ever. */
static bool rebuild_helps(const struct lane *lane, const struct apply_job *job)
{
	bool failed = false;
	for (size_t i = 0; i < job->report.len; i++) {
		const struct carry_item *item = &job->carry->items[i];
		const struct carry_result *result = &job->report.results[i];
		if (result->code == 0 || result->unexpected)
			continue;
		failed = true;
		if (result->outside || result->code == ENOSPC ||
		    (item->src && !lane_image_holds(lane, item->src, item->dest)))
			return false;
	}
	return failed && !lane->attached && job->batch->candidates.len > 0;
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
		if (owned && owned->number <= job->number &&
		    (result->skipped || result->code || (content && !hash_equal(result->hash, owned->hash))))
			owned->unsure = true;
	}
}

/* What the image's build changed after copying it becomes a change again, which only a build can carry. In a mount no build would: there the copy is
 * what the person wants. True where nothing else failed. */
static bool take_unexpected(struct lane *lane, const struct apply_job *job)
{
	bool only = job->report.len > 0 && !job->hook_failed, any = false;
	for (size_t i = 0; i < job->report.len; i++) {
		const struct carry_result *result = &job->report.results[i];
		only = only && (result->code == 0 || result->unexpected);
		if (!result->unexpected)
			continue;
		any = true;
		if (result->outside)
			lane_expect_nothing(lane, job->carry->items[i].dest);
		else
			lane_note_altered(lane, job->carry->items[i].dest, job->batch->story.first_event_ns);
	}
	return any && only;
}

static void apply_failed(struct lane *lane, struct apply_job *job)
{
	_cleanup_free_ char *text = error_format(&job->err);
	const char *message = first_failure(job) ? first_failure(job) : text;
	job->instance->behind = job->instance->unfinished = true;
	if (cancel_requested(lane->dev->cancel) || job->instance->gone)
		return; /* what comes in its place gets everything */
	if (take_unexpected(lane, job))
		return;
	if (job->r == -EBUSY && job->report.len == 0 && job->instance->info.paused) { /* until it goes on */
		tell_sync(job->instance, job->carry, &job->report, "failed", &job->batch->story, message);
		return;
	}
	bool broken = job->report.len == 0 && !job->hook_failed; /* the line, not a file: it may come back */
	bool again = broken && lane_retry_later(lane);
	bool told = job->instance->unreachable && job->batch->candidates.len == 0;
	job->instance->unreachable = broken;
	if (!(told && broken) && (!again || job->r != -ENOENT)) /* a container that is being replaced: the list tells */
		tell_sync(job->instance, job->carry, &job->report, "failed", &job->batch->story, message);
	if (again) {
		lane->dev->runtime->ops->close(steal(&job->instance->session));
		return;
	}
	job->instance->stuck = true;
	if (!job->hook_failed && rebuild_helps(lane, job))
		lane_want_build(lane, message);
	else if (!(told && broken && lane->error)) /* one of many that are away */
		lane_set_error(lane, "sync", message);
}

static void apply_succeeded(struct lane *lane, struct apply_job *job)
{
	struct lane_instance *instance = job->instance;
	instance->stuck = instance->unfinished = instance->unreachable = false;
	instance->unverified = true;
	if (!job->running && !has_nothing_to_do(job)) { /* started again: whether it stays is news */
		instance->exit_untold = true;
		instance->started_ns = monotonic_ns();
	}
	lane->retries = 0;
	lane_set_well(lane);
	if (!has_nothing_to_do(job))
		tell_sync(instance, job->carry, &job->report, "succeeded", &job->batch->story, NULL);
}

static void apply_done(void *data)
{
	struct apply_job *job = data;
	struct lane_instance *instance = job->instance;
	struct batch *batch = job->batch;
	struct lane *lane = batch->lane;
	struct dev *dev = lane->dev;
	batch->story.transfer_us = job->report.transfer_us;
	note_carried(lane, job);
	instance->fresh = instance->fresh && job->report.len == 0;
	if (job->r < 0)
		apply_failed(lane, job);
	else
		apply_succeeded(lane, job);
	if (job->report.note)
		tell_warning(dev, job->report.note);
	carry_report_release(&job->report);
	carry_release(&job->differing);
	wanted_release(&job->wanted);
	error_clear(&job->err);
	free(job);
	if (instance->exit_untold && !instance->gone)
		instances_refresh(dev);
	session_give_back(instance);
	batch_instance_done(batch);
	dev_step_all(dev); /* one that ends late may be behind again */
	dev_job_done(dev);
}

void batch_carry_to(struct batch *batch, struct lane_instance *instance)
{
	struct apply_job *job = xcalloc(1, sizeof(*job));
	job->batch = batch;
	job->instance = instance;
	job->carry = &batch->carry;
	job->running = instance->info.running;
	job->number = batch->lane->carried;
	job->unfinished = instance->unfinished;
	if (instance->behind) {
		lane_all_owned(batch->lane, instance, &job->wanted);
		job->carry = &job->differing;
	}
	instance->behind = false; /* what comes from here on says so again */
	instance->use = SESSION_CARRYING;
	dev_job(batch->lane->dev, apply_work, apply_done, job);
}
