/* Following the containers of a run: listed again whenever the runtime says that something changed; a session is opened into each new
 * one, and its output is followed. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "dev/attach.h"
#include "dev/lane.h"
#include "dev/verify.h"

struct log_job {
	struct dev *dev;
	struct instance info; /* a copy: the instance may be freed before the job ends */
	struct cancel *cancel;
	uint64_t ended_ns; /* time of day */
};

static void copy_instance(struct instance *to, const struct instance *from)
{
	*to = (struct instance){.id = xstrdup(from->id),
				.name = xstrdup_or_null(from->name),
				.image = xstrdup_or_null(from->image),
				.base_id = xstrdup_or_null(from->base_id),
				.attached = from->attached,
				.ends = from->ends,
				.running = from->running,
				.paused = from->paused,
				.started = xstrdup_or_null(from->started),
				.exit_code = from->exit_code,
				.logs_since_ns = from->logs_since_ns};
}

static void release_instance(struct instance *instance)
{
	free(instance->id);
	free(instance->name);
	free(instance->image);
	free(instance->base_id);
	free(instance->started);
}

void lane_instance_release(struct lane_instance *instance)
{
	if (!instance)
		return;
	if (instance->logs)
		cancel_request(instance->logs);
	cancel_unref(instance->logs);
	if (instance->session)
		instance->lane->dev->runtime->ops->close(instance->session);
	timer_free(instance->ping);
	release_instance(&instance->info);
	verify_forget(instance);
	free(instance);
}

static void log_line(void *data, int stream, const char *line, size_t len)
{
	struct log_job *job = data;
	line_pipe_put(job->dev->lines, EVENT_LOG, job->info.image, job->info.name, stream, line, len);
}

static void log_work(void *data)
{
	struct log_job *job = data;
	(void)job->dev->runtime->ops->logs(job->dev->runtime, &job->info, log_line, job, job->cancel, NULL);
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	job->ended_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The stream ended with the program: a program started again is followed from there on. */
static void note_logs_ended(const struct log_job *job)
{
	for vec_each (lane, &job->dev->lanes)
		for vec_each (each, &(*lane)->instances) {
			struct lane_instance *instance = *each;
			if (instance->logs != job->cancel)
				continue;
			instance->info.logs_since_ns = job->ended_ns;
			cancel_unref(steal(&instance->logs));
		}
}

static void log_done(void *data)
{
	struct log_job *job = data;
	struct dev *dev = job->dev;
	note_logs_ended(job);
	release_instance(&job->info);
	cancel_unref(job->cancel);
	free(job);
	dev_job_done(dev);
}

static void start_logs(struct lane_instance *instance)
{
	struct dev *dev = instance->lane->dev;
	if (!dev->options->tail)
		return;
	if (instance->logs)
		cancel_request(instance->logs);
	cancel_unref(instance->logs);
	instance->logs = cancel_new();
	struct log_job *job = xcalloc(1, sizeof(*job));
	job->dev = dev;
	job->cancel = cancel_ref(instance->logs);
	copy_instance(&job->info, &instance->info);
	dev_thread(dev, log_work, log_done, job);
}

static struct lane_instance *find_instance(const struct lane *lane, const char *id)
{
	for vec_each (instance, &lane->instances)
		if (str_equal((*instance)->info.id, id))
			return *instance;
	return NULL;
}

static void instance_gone(struct lane_instance *instance)
{
	instance->info.running = false;
	tell_instance(instance, "gone");
	instance->gone = true;
	if (instance->logs)
		cancel_request(instance->logs);
	if (instance->use == SESSION_FREE)
		lane_instance_release(instance);
}

static void drop_missing(struct lane *lane, const struct instances *found)
{
	size_t kept = 0;
	for (size_t i = 0; i < lane->instances.len; i++) {
		struct lane_instance *instance = lane->instances.items[i];
		bool there = false;
		for vec_each (f, found)
			there = there || str_equal(f->id, instance->info.id);
		if (there)
			lane->instances.items[kept++] = instance;
		else
			instance_gone(instance);
	}
	lane->instances.len = kept;
}

enum {
	SIGNALLED = 128,       /* and the signal: a shell's and an engine's exit code */
	STEADY_S = 10,	       /* it ran for so long: that it ends now is another story */
	CRASHES_TO_REBUILD = 2 /* the first is mostly the person's own, and the next save mends it */
};

/* Somebody ended it. */
static bool was_ended(int exit_code)
{
	return exit_code == SIGNALLED + SIGINT || exit_code == SIGNALLED + SIGKILL || exit_code == SIGNALLED + SIGTERM;
}

/* A program that can't live with what was copied, whatever is copied next: its image is built anew. After that nothing is owned, or it failed: so it is
 * not built again and again. */
static void note_exit(struct lane_instance *instance)
{
	struct lane *lane = instance->lane;
	int code = instance->info.exit_code;
	bool counts = code != 0 && !was_ended(code) && lane->owned.len > 0 && !lane->build_failed;
	if (!counts || instance->info.attached)
		return;
	bool steady = elapsed_ms(instance->started_ns) >= STEADY_S * 1000.0;
	lane->crashes = steady ? 1 : lane->crashes + 1;
	if (lane->crashes < CRASHES_TO_REBUILD || !lane->dev->options->auto_build || lane->wants_build ||
	    lane->state == LANE_BUILDING)
		return;
	_cleanup_free_ char *reason = xasprintf("%s ended with exit code %d twice since files were copied into it",
						instance->info.name, code);
	struct decision d = {.kind = DECISION_REBUILD, .reason = reason};
	lane->crashes = 0;
	tell_decision(lane, &d);
	lane_want_build(lane, reason);
}

static void instance_seen(struct lane *lane, const struct instance *found)
{
	struct lane_instance *instance = find_instance(lane, found->id);
	if (instance) {
		bool was_running = instance->info.running, was_paused = instance->info.paused;
		bool restarted = found->attached && !str_equal(instance->info.started, found->started);
		instance->info.running = found->running;
		instance->info.paused = found->paused;
		instance->info.exit_code = found->exit_code;
		replace_string(&instance->info.started, found->started);
		if (restarted)
			instance->surveyed = instance->stuck = false;
		if (!instance->session && instance->use == SESSION_FREE && instance_is_live(instance))
			session_open(instance);
		if (found->running && !instance->logs)
			start_logs(instance);
		if (!found->running && instance->use == SESSION_CARRYING &&
		    lane->artifact->restart == RESTART_CONTAINER) {
			instance->exit_untold =
				true; /* skiff restarts it: news only if it is so afterwards (apply_done lists again) */
			return;
		}
		bool own = instance->exit_untold, untold = own && !found->running;
		instance->exit_untold = false;
		if (was_running == found->running && was_paused == found->paused && !untold) {
			if (restarted && instance->use == SESSION_FREE)
				session_reopen(instance);
			return;
		}
		tell_instance(instance, found->paused ? "paused" : found->running ? "running" : "exited");
		instance->stuck = false; /* what failed may go now */
		if (!found->running)
			note_exit(instance);
		else if (!was_running)
			instance->started_ns = monotonic_ns();
		if (!found->running || was_running || own)
			return;
		instance->behind = lane->owned.len > 0; /* what is in memory was lost */
		session_reopen(instance);
		return;
	}
	if ((found->attached || found->ends) && !found->running)
		return; /* nobody knows for how long; once it starts it is new */
	instance = xcalloc(1, sizeof(*instance));
	instance->lane = lane;
	instance->fresh = !found->attached;
	instance->started_ns = monotonic_ns();
	instance->behind = lane->owned.len > 0;
	copy_instance(&instance->info, found);
	if (found->attached)
		instance->info.logs_since_ns = lane->dev->since_ns;
	vec_push(&lane->instances, instance);
	tell_instance(instance, found->running ? "running" : "exited");
	start_logs(instance);
	if (instance_is_live(instance))
		session_open(instance);
}

struct list_job {
	struct dev *dev;
	struct instances found;
	int r;
	struct error err;
};

static void list_work(void *data)
{
	struct list_job *job = data;
	job->r = job->dev->runtime->ops->list(job->dev->runtime, job->dev->run_id, &job->found, job->dev->cancel,
					      &job->err);
}

static void take_list(struct dev *dev, const struct instances *found)
{
	for vec_each (each, &dev->lanes) {
		struct lane *lane = *each;
		if (lane->state == LANE_DEPLOYING) { /* its containers are being replaced: listed again after it */
			dev->list_again = true;
			continue;
		}
		drop_missing(lane, found);
		for vec_each (f, found)
			if (str_equal(f->image, lane->artifact->image.value))
				instance_seen(lane, f);
		lane->none_listed = lane->instances.len == 0;
		lane->listed = true;
		if (lane->attached)
			lane_note_images(lane);
	}
	if (found->problem && !str_equal(found->problem, dev->list_problem))
		tell_warning(dev, found->problem);
	replace_string(&dev->list_problem, found->problem);
}

/* The engine does not answer. It is asked again once it is back (follow); what an instance lacks until then is an error that stands. */
static void list_failed(struct dev *dev, const struct error *err)
{
	if (!str_equal(err->message, dev->list_problem))
		tell_warning(dev, err->message);
	replace_string(&dev->list_problem, err->message);
	for vec_each (lane, &dev->lanes)
		for vec_each (instance, &(*lane)->instances)
			if ((*instance)->behind && !(*instance)->session)
				lane_set_error(*lane, "session", err->message);
}

static void list_done(void *data)
{
	struct list_job *job = data;
	struct dev *dev = job->dev;
	dev->listing = false;
	if (dev->phase != DEV_STOPPING && !dev->reload &&
	    !dev->list_again) { /* asked again meanwhile: this list may be old */
		if (job->r < 0)
			list_failed(dev, &job->err);
		else
			take_list(dev, &job->found);
	}
	instances_release(&job->found);
	error_clear(&job->err);
	free(job);
	if (dev->list_again) {
		dev->list_again = false;
		bool deploying = false; /* the end of a deployment lists by itself */
		for vec_each (lane, &dev->lanes)
			deploying = deploying || (*lane)->state == LANE_DEPLOYING;
		if (!deploying)
			instances_refresh(dev);
	}
	dev_step_all(dev);
	dev_job_done(dev);
}

void instances_refresh(struct dev *dev)
{
	if (dev->phase == DEV_STOPPING || dev->reload)
		return;
	if (dev->listing) {
		dev->list_again = true;
		return;
	}
	dev->listing = true;
	struct list_job *job = xcalloc(1, sizeof(*job));
	job->dev = dev;
	dev_job(dev, list_work, list_done, job);
}

struct follow_job {
	struct dev *dev;
	int r;
	struct error err;
};

static void follow_posted(void *data)
{
	instances_refresh(data);
}

static void follow_changed(void *data)
{
	struct follow_job *job = data;
	loop_post(job->dev->loop, follow_posted, NULL, job->dev);
}

static void follow_work(void *data)
{
	struct follow_job *job = data;
	struct dev *dev = job->dev;
	job->r = dev->runtime->ops->follow(dev->runtime, dev->run_id, follow_changed, job, dev->cancel, &job->err);
}

static void follow_done(void *data)
{
	struct follow_job *job = data;
	struct dev *dev = job->dev;
	if (job->r < 0 && job->r != -ECANCELED && !cancel_requested(dev->cancel))
		tell_warning(dev, job->err.message);
	error_clear(&job->err);
	free(job);
	dev_job_done(dev);
}

void instances_follow(struct dev *dev)
{
	struct follow_job *job = xcalloc(1, sizeof(*job));
	job->dev = dev;
	dev_thread(dev, follow_work, follow_done, job);
}
