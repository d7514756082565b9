/* The life of a session: opened when an instance appears, used by one job at a time, given back, pinged where nothing uses it. */
#include <errno.h>

#include "dev/batch.h"

struct open_job {
	struct lane_instance *instance;
	struct session *session;
	int r;
	struct error err;
};

static void open_work(void *data)
{
	struct open_job *job = data;
	struct dev *dev = job->instance->lane->dev;
	job->r = dev->runtime->ops->open(dev->runtime, &job->instance->info, &job->session, dev->cancel, &job->err);
}

static void open_done(void *data)
{
	struct open_job *job = data;
	struct lane_instance *instance = job->instance;
	struct lane *lane = instance->lane;
	struct dev *dev = lane->dev;
	bool failed = job->r < 0 && job->r != -ENOENT && !instance->gone && !cancel_requested(dev->cancel);
	if (failed && !lane_retry_later(lane)) {
		_cleanup_free_ char *message = error_format(&job->err);
		instance->stuck = true; /* until it is open, and carried to */
		lane_set_error(lane, "session", message);
	}
	instance->session = job->session;
	if (job->r == 0 && instance->stuck) {
		instance->stuck = false;
		if (lane->owned.len == 0)
			lane_set_well(lane);
	}
	/* One that has ended is started again by the next change, not by looking at it. What is attached is surveyed. */
	if (!lane->attached)
		instance->behind = instance->behind || (instance->info.running && lane->owned.len > 0);
	error_clear(&job->err);
	free(job);
	session_give_back(instance);
	dev_step_all(dev);
	dev_job_done(dev);
}

struct ping_job {
	struct lane_instance *instance;
	int r;
};

static void ping_work(void *data)
{
	struct ping_job *job = data;
	struct dev *dev = job->instance->lane->dev;
	CLEANUP(error_clear) struct error why = {0}; /* what it means for a copy is told with the copy */
	job->r = dev->runtime->ops->ping(job->instance->session, dev->cancel, &why);
}

static void ping_done(void *data)
{
	struct ping_job *job = data;
	struct lane_instance *instance = job->instance;
	struct dev *dev = instance->lane->dev;
	bool stopping = dev->phase == DEV_STOPPING || dev->reload;
	bool broken = job->r < 0 && job->r != -EBUSY && !stopping;
	free(job);
	if (broken)
		session_lost(instance);
	session_give_back(instance);
	dev_step_all(dev);
	dev_job_done(dev);
}

/* Nothing used it for a while. */
static void ping(void *data)
{
	struct lane_instance *instance = data;
	const struct dev *dev = instance->lane->dev;
	bool stopping = dev->phase == DEV_STOPPING || dev->reload;
	if (instance->use != SESSION_FREE || !instance->session || stopping)
		return;
	struct ping_job *job = xcalloc(1, sizeof(*job));
	job->instance = instance;
	instance->use = SESSION_PINGING;
	dev_job(instance->lane->dev, ping_work, ping_done, job);
}

void session_open(struct lane_instance *instance)
{
	struct open_job *job = xcalloc(1, sizeof(*job));
	if (!instance->ping)
		instance->ping = timer_new(instance->lane->dev->loop, ping, instance);
	job->instance = instance;
	instance->use = SESSION_OPENING;
	dev_job(instance->lane->dev, open_work, open_done, job);
}

void session_reopen(struct lane_instance *instance)
{
	if (instance->use != SESSION_FREE) {
		instance->stale = true;
		return;
	}
	if (instance->session)
		instance->lane->dev->runtime->ops->close(steal(&instance->session));
	session_open(instance);
}

void session_give_back(struct lane_instance *instance)
{
	struct batch *next = steal(&instance->next);
	instance->use = SESSION_FREE;
	if (instance->stale && !instance->gone) {
		instance->stale = false;
		session_reopen(instance);
	}
	if (next && instance->session && instance->use == SESSION_FREE && !instance->gone) {
		batch_carry_to(next, instance);
		return;
	}
	instance->behind = instance->behind || next;
	if (instance->gone)
		lane_instance_release(instance);
	else if (instance->session)
		timer_start(instance->ping, RUNTIME_PING_S * 1000);
	if (next)
		batch_instance_done(next);
}

void session_lost(struct lane_instance *instance)
{
	struct lane *lane = instance->lane;
	lane->dev->runtime->ops->close(steal(&instance->session));
	instances_refresh(lane->dev); /* it may be gone, or have ended; else a session is opened anew */
}
