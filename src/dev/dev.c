#include "dev/dev.h"

#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "base/path.h"
#include "dev/attach.h"
#include "dev/lane.h"
#include "dev/preflight.h"
#include "dev/verify.h"

/* ---- jobs and quiet moments ---- */

void dev_job(struct dev *dev, void (*work)(void *), void (*done)(void *), void *data)
{
	dev->jobs++;
	loop_job(dev->loop, work, done, data);
}

void dev_thread(struct dev *dev, void (*work)(void *), void (*done)(void *), void *data)
{
	dev->jobs++;
	loop_thread(dev->loop, work, done, data);
}

void dev_job_done(struct dev *dev)
{
	dev->jobs--;
	if (dev->jobs == 0 && (dev->phase == DEV_STOPPING || dev->reload))
		loop_stop(dev->loop);
}

struct call {
	void (*call)(void *data);
	void *data;
	sem_t done;
};

static void run_call(void *data)
{
	struct call *call = data;
	call->call(call->data);
	sem_post(&call->done);
}

void dev_call(struct dev *dev, void (*call)(void *data), void *data)
{
	struct call waiting = {.call = call, .data = data};
	sem_init(&waiting.done, 0, 0);
	loop_post(dev->loop, run_call, NULL, &waiting);
	while (sem_wait(&waiting.done) < 0 && errno == EINTR)
		;
	sem_destroy(&waiting.done);
}

void dev_happened(struct dev *dev)
{
	dev->said_idle = dev->impatient = false;
}

void dev_wind_down(struct dev *dev)
{
	cancel_request(dev->cancel);
	if (dev->phase == DEV_STOPPING)
		line_pipe_close(dev->lines);
	for vec_each (lane, &dev->lanes) {
		lane_generate_stop(*lane);
		for vec_each (instance, &(*lane)->instances)
			if ((*instance)->logs)
				cancel_request((*instance)->logs);
	}
	if (dev->jobs == 0)
		loop_stop(dev->loop);
}

static bool everything_built(const struct dev *dev)
{
	for vec_each (lane, &dev->lanes)
		if ((*lane)->state == LANE_BUILDING || (*lane)->state == LANE_ADOPTING ||
		    ((*lane)->wants_build && lane_may_build(*lane)))
			return false;
	return true;
}

static bool everything_quiet(const struct dev *dev)
{
	for vec_each (each, &dev->lanes) {
		if (!lane_is_quiet(*each))
			return false;
		for vec_each (instance, &(*each)->instances)
			if ((*instance)->use == SESSION_OPENING || (*instance)->use == SESSION_CARRYING)
				return false;
	}
	return !dev->listing && !dev->extras_running && dev->watch && !watch_pending(dev->watch);
}

/* A generator that fails keeps no version from running. */
static bool runs_well(const struct lane *lane)
{
	if (lane->attached) /* whether they run is the other tool's concern */
		return lane->expected;
	bool well = !lane->error || str_equal(lane->error_about, "generate");
	return well && (!lane_deploys(lane) || lane->unused || lane->instances.len > 0);
}

static void end_once(struct dev *dev)
{
	for vec_each (lane, &dev->lanes)
		dev->once_failed = dev->once_failed || (*lane)->error || (*lane)->rebuild_due;
	dev->phase = DEV_STOPPING;
	dev_wind_down(dev);
}

static void trim_work(void *data)
{
	(void)data;
	alloc_trim();
}

static void trim_done(void *data)
{
	dev_job_done(data);
}

/* Reading the tree for a build, or many files to carry them, takes much more memory than knowing it. */
static void trim_memory(struct dev *dev)
{
	if (dev->trimmed)
		return;
	dev->trimmed = true;
	dev_job(dev, trim_work, trim_done, dev);
}

static void say_quiet(struct dev *dev)
{
	if (dev->phase != DEV_RUNNING || dev->reload || dev->said_idle || !everything_quiet(dev))
		return;
	bool all_running = true, mapping = false; /* a map that is asked for holds up `idle` alone */
	for vec_each (lane, &dev->lanes)
		mapping = mapping || (*lane)->mapping || (*lane)->wants_map;
	for vec_each (lane, &dev->lanes)
		all_running = all_running && runs_well(*lane);
	if (all_running && !dev->ready && !dev->options->once) {
		dev->ready = true;
		attach_tell_waiting(dev);
		tell_ready(dev);
	}
	if (dev->ready)
		preflight_start(dev);
	if (verify_before_idle(dev) || mapping)
		return;
	tell_idle(dev);
	dev->said_idle = true;
	for vec_each (lane, &dev->lanes)
		lane_journal_tidy(*lane);
	if (dev->options->once)
		end_once(dev);
	else
		trim_memory(dev);
}

/* A new image is there: it is deployed, or waits for the person's word. */
static void step_built(struct lane *lane)
{
	struct dev *dev = lane->dev;
	if (dev->options->auto_deploy || dev->forced || !lane->deployed_id) {
		lane->announced_deploy = false;
		lane_deploy(lane);
		lane_step(lane);
		return;
	}
	if (!lane->announced_deploy) {
		_cleanup_free_ char *message =
			xasprintf("%s is built: automatic deployments are off; press Enter to deploy",
				  lane->artifact->image.value);
		tell_warning(dev, message);
	}
	lane->announced_deploy = true;
}

void dev_step_all(struct dev *dev)
{
	if (dev->phase == DEV_STOPPING || dev->reload)
		return;
	for vec_each (lane, &dev->lanes)
		lane_step(*lane);
	for vec_each (lane, &dev->lanes)
		lane_map(*lane);
	if (dev->phase == DEV_STARTING && everything_built(dev))
		dev->phase = DEV_RUNNING;
	if (dev->phase == DEV_RUNNING) {
		for vec_each (lane, &dev->lanes)
			if ((*lane)->state == LANE_BUILT)
				step_built(*lane);
	}
	say_quiet(dev);
}

/* ---- changes ---- */

static bool is_configuration(const struct dev *dev, const char *path)
{
	return strv_contains(&dev->config->files, path);
}

static bool is_manifest(const struct dev *dev, const char *path)
{
	for (size_t i = 0; i < dev->manifests.len; i++) {
		_cleanup_free_ char *folder = path_dir(dev->manifests.items[i]);
		const char *name = path_below(path, folder); /* a new one beside it may be one, too */
		if (str_equal(path, dev->manifests.items[i]) ||
		    (name && !strchr(name, '/') && str_ends_with(name, ".yaml")))
			return true;
	}
	return false;
}

static void start_anew(struct dev *dev, const char *why)
{
	dev->reload = true;
	tell_warning(dev, why);
	dev_wind_down(dev);
}

void dev_check_configuration(struct dev *dev)
{
	CLEANUP(str_release) struct str text = {0}, report = {0};
	if (config_print(dev->options->config, &text, &report) < 0) {
		tell_error(dev, NULL, "configuration", str_text(&report));
		tell_warning(dev, "the configuration above can't be used; the last good one stays");
		dev->configuration_bad = true;
		return;
	}
	if (dev->configuration_bad)
		tell_warning(dev, "the configuration can be used again");
	dev->configuration_bad = false;
	if (str_equal(str_text(&text), dev->config_text))
		return;
	str_release(&report);
	config_free(steal(&dev->next_config));
	if (config_load(dev->options->config, &dev->next_config, &report) < 0)
		return; /* changed once more: that is told by an event of its own */
	replace_string(&dev->config_text, str_text(&text));
	start_anew(dev, "the configuration changed: starting anew with it");
}

/* Manifests that can't be read are told by the deployment that they lead to. */
static void manifests_changed(struct dev *dev)
{
	CLEANUP(str_release) struct str report = {0};
	config_free(steal(&dev->next_config));
	if (config_load(dev->options->config, &dev->next_config, &report) == 0)
		start_anew(dev, "a manifest changed: deploying anew with it");
}

static void on_changed(void *data, struct change_set *changes, bool settled, uint64_t first_event_ns)
{
	struct dev *dev = data;
	if (dev->phase == DEV_STOPPING || dev->reload)
		return;
	dev->settled = settled;
	for (size_t i = 0; i < changes->len; i++) {
		dev->configuration_changed |= is_configuration(dev, changes->items[i].path);
		dev->manifests_changed |= !changes->items[i].directory && is_manifest(dev, changes->items[i].path);
	}
	if (changes->len > 0) {
		tell_change(dev, changes);
		for vec_each (lane, &dev->lanes)
			lane_add_changes(*lane, changes, first_event_ns);
	}
	if (dev->configuration_changed && settled) {
		dev->configuration_changed = false;
		dev_check_configuration(dev);
	}
	if (dev->manifests_changed && settled && !dev->reload) {
		dev->manifests_changed = false;
		manifests_changed(dev);
	}
	dev_step_all(dev);
}

static void on_notice(void *data, const char *message)
{
	tell_warning(data, message);
}

/* True where no lane can care. Pure: called for each path of the tree. */
static bool on_prune(void *data, const char *path, bool directory)
{
	const struct dev *dev = data;
	if (is_configuration(dev, path) || is_manifest(dev, path))
		return false;
	for vec_each (each, &dev->lanes) {
		const struct lane *lane = *each;
		if (!lane->source)
			return false;
		if (!sync_source_prunes(lane->source, path, directory))
			return false;
	}
	return true;
}

static int add_roots(struct dev *dev, struct watch *watch, struct error *err)
{
	CLEANUP(strv_release) struct strv roots = {0};
	for vec_each (lane, &dev->lanes)
		lane_roots(*lane, &roots);
	strv_extend(&roots, &dev->config->files);
	for (size_t i = 0; i < dev->manifests.len; i++)
		strv_push_owned(&roots, path_dir(dev->manifests.items[i]));
	strv_sort_unique(&roots);
	for (size_t i = 0; i < roots.len; i++) {
		int r = watch_add(watch, roots.items[i], err);
		if (r < 0)
			return error_wrap(err, "can't watch %s", roots.items[i]);
	}
	return 0;
}

static struct watch *new_watch(struct dev *dev)
{
	const struct watch_callbacks callbacks = {.changed = on_changed,
						  .notice = on_notice,
						  .prune = on_prune,
						  .data = dev};
	return watch_new(dev->loop, &dev->options->watch, &callbacks);
}

int dev_watch(struct dev *dev, struct error *err)
{
	dev->watch = new_watch(dev);
	return add_roots(dev, dev->watch, err);
}

void dev_watch_anew(struct dev *dev)
{
	CLEANUP(error_clear) struct error err = {0};
	struct watch *watch = new_watch(dev), *old = dev->watch;
	if (add_roots(dev, watch, &err) < 0)
		tell_warning(dev, err.message);
	watch_look(old); /* what it has seen and not told; the new one sees all from here on */
	dev->watch = watch;
	watch_free(old);
}
