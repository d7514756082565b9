/* The life of a session: opened when an instance appears, used by one job at a time, given back. */
#include <errno.h>

#include "dev/batch.h"

void session_give_back(struct lane_instance *instance)
{
	struct batch *next = steal(&instance->next);
	instance->use = SESSION_FREE;
	if (next && instance->session && !instance->gone) {
		batch_carry_to(next, instance);
		return;
	}
	instance->behind = instance->behind || next;
	if (instance->gone)
		lane_instance_release(instance);
	if (next)
		batch_instance_done(next);
}

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
	instance->behind = instance->behind || lane->owned.len > 0;
	error_clear(&job->err);
	free(job);
	session_give_back(instance);
	dev_step_all(dev);
	dev_job_done(dev);
}

void session_open(struct lane_instance *instance)
{
	struct open_job *job = xcalloc(1, sizeof(*job));
	job->instance = instance;
	instance->use = SESSION_OPENING;
	dev_job(instance->lane->dev, open_work, open_done, job);
}
