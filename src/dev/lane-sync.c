/* Carrying a decision's copies into the instances of a lane.
 *
 * prepare (job): look at each source; what has the content and mode that the destination has already is left out. A small file is read once: what was
 *     looked at stays with the batch, and is what each instance gets.
 * owned (loop): write down what the destinations must be, before anything is sent.
 * apply (lane-apply.c, a job an instance): carry; one that fails is `behind` and holds up no other.
 * barrier (loop): the lane goes on once all have ended, or after BARRIER_MS where one has: who is still under way catches up. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "dev/attach.h"
#include "dev/batch.h"

enum { BARRIER_MS = 100, ALL_HANG_MS = 2000 };
enum { MANY = 64 };	      /* items, after which what they took is given back when all is quiet */
enum { HELD_MAX = 16 << 20 }; /* bytes of files that a batch holds: what is past that is read when it is sent */

void batch_unref(struct batch *batch)
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

static bool any_on_host(const struct hook_list *hooks)
{
	for vec_each (hook, hooks)
		if (!hook->container)
			return true;
	return false;
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
	const struct hook_list *before = &batch->lane->artifact->sync.before;
	struct kept *kept = NULL;
	size_t room = HELD_MAX;
	size_t *hold = any_on_host(before) ? NULL : &room; /* what a hook writes before the copy belongs to it */
	if (batch->prepared)
		return;
	for vec_each (c, &batch->candidates) {
		if (c->generated && !kept)
			(void)lane_open_kept(batch->lane, &kept, NULL);
		candidate_prepare(c, kept, hold);
	}
	batch->r = run_host_hooks(batch, before, &batch->err);
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
	lane->syncing = NULL;
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

/* Where all are slow nobody is held up, but what only a build can mend. Hooks of the host stand around at least one copy: what belongs to the next
 * batch does not run before that. */
static bool may_pass(const struct batch *batch)
{
	const struct artifact *artifact = batch->lane->artifact;
	bool hooks = any_on_host(&artifact->sync.before) || any_on_host(&artifact->sync.after);
	return batch->under_way == 0 || (batch->late && batch->any_done) || (batch->all_hang && !hooks);
}

static void pass_barrier(struct batch *batch)
{
	struct lane *lane = batch->lane;
	if (batch->passed || !may_pass(batch))
		return;
	batch->passed = true;
	timer_stop(lane->barrier);
	if (any_on_host(&lane->artifact->sync.after) && lane->dev->phase != DEV_STOPPING)
		dev_job(lane->dev, after_hooks_work, after_hooks_done, batch);
	else
		batch_end(batch);
}

void batch_instance_done(struct batch *batch)
{
	batch->under_way--;
	batch->any_done = true;
	if (batch->passed) { /* the lane went on without it */
		batch_unref(batch);
		return;
	}
	batch->users--; /* the lane's own is left */
	pass_barrier(batch);
}

void lane_barrier(void *data)
{
	struct lane *lane = data;
	if (!lane->syncing)
		return;
	lane->syncing->all_hang = lane->syncing->late;
	lane->syncing->late = true;
	if (!lane->syncing->all_hang)
		timer_start(lane->barrier, ALL_HANG_MS - BARRIER_MS);
	pass_barrier(lane->syncing);
}

/* A session at work with an earlier batch may be so for long; with anything else it is done in a moment. */
static void join(struct batch *batch, struct lane_instance *instance)
{
	if (!instance->session || !instance_is_live(instance) || instance->use == SESSION_OPENING ||
	    instance->use == SESSION_CARRYING || instance->next) {
		instance->behind = true; /* it catches up once it can */
		return;
	}
	batch->users++;
	batch->under_way++;
	if (instance->use == SESSION_FREE)
		batch_carry_to(batch, instance);
	else
		instance->next = batch;
}

static void carry_to_all(struct batch *batch)
{
	struct lane *lane = batch->lane;
	for vec_each (instance, &lane->instances)
		if (batch->carry.len > 0 || (*instance)->behind)
			join(batch, *instance);
	if (batch->under_way > 0)
		timer_start(lane->barrier, BARRIER_MS);
	else
		pass_barrier(batch);
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

/* What the destinations must be is written down; then it goes to them. */
static void own_and_carry(struct batch *batch)
{
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
		bool first = !map_has(&lane->owned, c->item.dest);
		if (!c->skip && !torn && !lane_refuse_altered(lane, c, batch->story.first_event_ns))
			carry_owned(&batch->carry, c, lane_own(lane, c), first);
	}
	lane_journal_batch(lane, !torn);
	carry_sort(&batch->carry);
	if (batch->carry.len >= MANY)
		dev->trimmed = false;
	if (batch->r < 0 || dev->phase == DEV_STOPPING)
		batch_end(batch);
	else
		carry_to_all(batch);
}

static void prepare_done(void *data)
{
	struct batch *batch = data;
	struct dev *dev = batch->lane->dev;
	own_and_carry(batch);
	dev_job_done(dev);
}

/* A file or two that were saved just now are in memory: looking at them costs less than handing them to another thread and back. */
static bool is_quick(const struct batch *batch)
{
	enum { QUICK_FILES = 4, QUICK_SIZE = 64 << 10 };
	struct stat st;
	if (batch->candidates.len > QUICK_FILES || any_on_host(&batch->lane->artifact->sync.before))
		return false;
	for vec_each (c, &batch->candidates)
		if (c->generated || (c->item.src && lstat(c->item.src, &st) == 0 && st.st_size > QUICK_SIZE))
			return false;
	return true;
}

/* False: it would end at once, and its end is for the loop, not for the one who began it. */
static bool will_be_carried(const struct batch *batch)
{
	bool any = false;
	for vec_each (c, &batch->candidates)
		any = any || !c->skip;
	for vec_each (instance, &batch->lane->instances)
		if (any && (*instance)->session && (*instance)->use == SESSION_FREE)
			return true;
	return false;
}

static struct batch *batch_new(struct lane *lane, const struct sync_story *story)
{
	struct batch *batch = xcalloc(1, sizeof(*batch));
	batch->lane = lane;
	batch->users = 1; /* lane->syncing */
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
	lane->syncing = batch;
	if (is_quick(batch)) {
		prepare_work(batch);
		batch->prepared = true;
	}
	if (batch->prepared && will_be_carried(batch))
		own_and_carry(batch);
	else
		dev_job(lane->dev, prepare_work, prepare_done, batch);
}

void lane_catch_up(struct lane *lane)
{
	lane->state = LANE_SYNCING;
	lane->syncing = batch_new(lane, &(struct sync_story){.decided_ns = monotonic_ns()});
	carry_to_all(lane->syncing);
}
