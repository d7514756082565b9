#include "dev/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "build/base-image.h"
#include "client/docker.h"
#include "dev/adopt.h"
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

/* Ends this round of the loop once the running jobs are done: for good, or to start anew with another configuration. */
static void wind_down(struct dev *dev)
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
	return well && (!lane_deploys(lane) || lane->instances.len > 0);
}

static void end_once(struct dev *dev)
{
	for vec_each (lane, &dev->lanes)
		dev->once_failed = dev->once_failed || (*lane)->error || (*lane)->rebuild_due;
	dev->phase = DEV_STOPPING;
	wind_down(dev);
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

static void configuration_changed(struct dev *dev)
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
	dev->reload = true;
	tell_warning(dev, "the configuration changed: starting anew with it");
	wind_down(dev);
}

static void on_changed(void *data, struct change_set *changes, bool settled, uint64_t first_event_ns)
{
	struct dev *dev = data;
	if (dev->phase == DEV_STOPPING || dev->reload)
		return;
	dev->settled = settled;
	for (size_t i = 0; i < changes->len; i++)
		dev->configuration_changed |= is_configuration(dev, changes->items[i].path);
	if (changes->len > 0) {
		tell_change(dev, changes);
		for vec_each (lane, &dev->lanes)
			lane_add_changes(*lane, changes, first_event_ns);
	}
	if (dev->configuration_changed && settled) {
		dev->configuration_changed = false;
		configuration_changed(dev);
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
	if (is_configuration(dev, path))
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

/* ---- starting and ending ---- */

static void on_signal(void *data, int signal)
{
	struct dev *dev = data;
	if (dev->phase == DEV_STOPPING && signal == SIGINT)
		_exit(130); /* a person asks twice: at once; the next start removes what is left */
	if (dev->phase == DEV_STOPPING)
		return; /* a terminal that closes tells it twice, once through the shell */
	dev->signal = signal;
	dev->phase = DEV_STOPPING;
	wind_down(dev);
}

static void on_key(void *data)
{
	struct dev *dev = data;
	char keys[256];
	ssize_t n = read(dev->terminal, keys, sizeof(keys));
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		fd_watch_free(steal(&dev->keys));
		return;
	}
	dev->forced = true;
	watch_look(dev->watch);
	dev_step_all(dev);
	dev->forced = false;
}

static void listen(struct dev *dev)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		vec_push(&dev->signals, signal_watch_new(dev->loop, signals[i], on_signal, dev));
	if (isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp())
		dev->terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
	if (dev->terminal >= 0)
		dev->keys = fd_watch_new(dev->loop, dev->terminal, on_key, dev);
}

/* Images that are deployed as they are, without an artifact of this project. */
struct extras_job {
	struct dev *dev;
	struct published_ports ports;
	int r;
	struct error err;
};

static void extras_work(void *data)
{
	struct extras_job *job = data;
	struct deployer *deployer = job->dev->deployer;
	const struct strv *images = &job->dev->config->docker_images;
	for (size_t i = 0; i < images->len && job->r == 0; i++) {
		if (config_artifact(job->dev->config, images->items[i]))
			continue;
		struct deployed_image image = {.image = images->items[i], .tag = images->items[i]};
		job->r = deployer->ops->deploy(deployer, &image, &job->ports, job->dev->cancel, &job->err);
	}
}

static void extras_done(void *data)
{
	struct extras_job *job = data;
	struct dev *dev = job->dev;
	dev->extras_running = false;
	if (job->r < 0 && !cancel_requested(dev->cancel))
		tell_error(dev, NULL, "deploy", job->err.message);
	for vec_each (port, &job->ports)
		vec_push(&dev->ports, *port);
	vec_release(&job->ports);
	error_clear(&job->err);
	free(job);
	dev_step_all(dev);
	dev_job_done(dev);
}

static void deploy_extras(struct dev *dev)
{
	struct extras_job *job = xcalloc(1, sizeof(*job));
	job->dev = dev;
	dev->extras_running = true;
	dev_job(dev, extras_work, extras_done, job);
}

static int open_deployer(struct dev *dev, struct error *err)
{
	const struct dev_options *o = dev->options;
	free(dev->config_digest);
	dev->config_digest =
		deploy_config_digest(dev->config, dev->config_text, o->default_repo, o->tag, !o->port_forward);
	const struct deploy_options options = {.config = dev->config,
					       .run_id = dev->run_id,
					       .docker = dev->docker,
					       .embedded = dev->embedded,
					       .no_ports = !dev->options->port_forward,
					       .config_digest = dev->config_digest,
					       .cancel = dev->cancel};
	return deployer_open(&options, &dev->deployer, err);
}

static int set_attached(struct dev *dev, struct error *err)
{
	if (dev->config->attach.len > 0 && dev->embedded)
		return error_at(err, dev->config->attach.items[0].place, ENOTSUP,
				"containers that another tool runs (deploy.attach) need a container engine");
	attach_queries_release(&dev->runtime->attach);
	attach_queries(dev->config, &dev->runtime->attach);
	return 0;
}

/* Each with what an earlier skiff left running, else with a build. */
static void begin_lanes(struct dev *dev)
{
	for vec_each (each, &dev->lanes) {
		struct lane *lane = *each;
		struct adoption *adoption =
			lane->index < dev->adoptions.len ? steal(&dev->adoptions.items[lane->index]) : NULL;
		lane->force_build = dev->options->force;
		lane->wants_attach = lane->attached && !dev->options->once;
		if (adoption)
			lane_adopt(lane, adoption);
		else if (!dev->options->once && !lane->attached)
			lane_want_build(lane, "first build");
		if (!dev->options->once)
			lane_start_programs(lane);
	}
	vec_release(&dev->adoptions);
}

/* Lanes, sources and the watcher: what depends on the configuration. Blocking, before the loop runs. */
static int start_round(struct dev *dev, struct error *err)
{
	dev->cancel = cancel_new();
	dev->phase = DEV_STARTING;
	dev->settled = true;
	dev->reload = dev->ready = dev->said_idle = false;
	int r = dev->deployer ? 0 : open_deployer(dev, err);
	if (r == 0)
		r = set_attached(dev, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < dev->config->artifacts.len; i++) {
		struct lane *lane = lane_new(dev, i);
		CLEANUP(error_clear) struct error source_error = {0};
		vec_push(&dev->lanes, lane);
		/* A Dockerfile that does not parse: the first build says so, and a change of it mends it. */
		(void)sync_source_new(dev->config, lane->artifact, base_image_lookup, dev->docker, &lane->source,
				      &source_error);
	}
	dev->watch = new_watch(dev);
	r = add_roots(dev, dev->watch, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < dev->config->warnings.len; i++)
		tell_warning(dev, dev->config->warnings.items[i]);
	instances_follow(dev);
	if (dev->config->attach.len > 0)
		instances_refresh(dev);
	begin_lanes(dev);
	configuration_changed(dev); /* between its loading and the beginning of watching */
	if (dev->config->docker_images.len > 0 && !dev->options->once)
		deploy_extras(dev);
	dev_step_all(dev);
	return 0;
}

static void end_round(struct dev *dev)
{
	watch_free(steal(&dev->watch));
	for vec_each (lane, &dev->lanes)
		lane_free(*lane);
	vec_release(&dev->lanes);
	published_ports_release(&dev->ports);
	cancel_unref(steal(&dev->cancel));
}

/* With containers of images that the new configuration no longer has, all are removed: the rest starts again from its cached images. */
static int load_again(struct dev *dev, struct error *err)
{
	struct config *config = steal(&dev->next_config);
	bool lost = false;
	for vec_each (artifact, &dev->config->artifacts) {
		const char *image = (*artifact)->image.value;
		bool given_away = config_is_attached(config, image) && !config_is_attached(dev->config, image);
		lost = lost || !config_artifact(config, image) || given_away;
	}
	int r = lost ? dev->deployer->ops->cleanup(dev->deployer, err) : 0;
	dev->deployer->ops->free(steal(&dev->deployer));
	config_free(dev->config);
	dev->config = config;
	return r;
}

static int run_rounds(struct dev *dev, struct error *err)
{
	int r;
	for (;;) {
		r = start_round(dev, err);
		if (r < 0) {
			dev->phase = DEV_STOPPING;
			wind_down(dev);
		}
		if (dev->jobs > 0 || r == 0)
			loop_run(dev->loop);
		bool again = r == 0 && dev->reload && dev->phase != DEV_STOPPING;
		end_round(dev);
		if (!again)
			return r;
		r = load_again(dev, err);
		if (r < 0)
			return r;
	}
}

/* The same for the same project: what an earlier run left is found by it. */
static char *project_id(const struct config *config)
{
	char hex[HASH_HEX_SIZE];
	const char *file = config->files.len > 0 ? config->files.items[0] : "";
	hash_to_hex(hash_bytes(file, strlen(file)), hex);
	return xstrndup(hex, 16);
}

int dev_open_runtime(const char *name, const struct config *config, struct dev_runtime *out, char **fallback,
		     struct error *err)
{
	int r = runtime_open(name, &out->runtime, fallback, NULL, err);
	if (r < 0)
		return r;
	out->embedded = str_equal(out->runtime->ops->name, "embedded");
	out->run_id = project_id(config);
	return out->embedded ? 0 : docker_connect(&out->docker, NULL, err);
}

void dev_close_runtime(struct dev_runtime *rt)
{
	if (rt->runtime)
		rt->runtime->ops->free(rt->runtime);
	if (rt->docker)
		docker_close(rt->docker);
	free(rt->run_id);
	*rt = (struct dev_runtime){0};
}

static int dev_open(struct dev *dev, struct error *err)
{
	_cleanup_free_ char *fallback = NULL;
	CLEANUP(str_release) struct str text = {0}, report = {0};
	struct dev_runtime rt = {0};
	if (config_print(dev->options->config, &text, &report) == 0)
		dev->config_text = xstrdup(str_text(&text));
	int r = dev_open_runtime(dev->options->runtime, dev->config, &rt, &fallback, err);
	dev->runtime = rt.runtime;
	dev->docker = rt.docker;
	dev->run_id = rt.run_id;
	dev->embedded = rt.embedded;
	if (r < 0)
		return r;
	dev->runtime->no_agent = dev->options->no_agent;
	if (fallback) {
		_cleanup_free_ char *message =
			xasprintf("%s; going on without an engine (--runtime embedded)", fallback);
		tell_warning(dev, message);
	}
	dev->cancel = cancel_new();
	r = open_deployer(dev, err);
	if (r == 0)
		r = adopt_find(dev, err);
	cancel_unref(steal(&dev->cancel));
	return r;
}

static void dev_close(struct dev *dev)
{
	for vec_each (watch, &dev->signals)
		signal_watch_free(*watch);
	vec_release(&dev->signals);
	fd_watch_free(dev->keys);
	cleanup_close(&dev->terminal);
	if (dev->deployer)
		dev->deployer->ops->free(dev->deployer);
	struct dev_runtime rt = {dev->runtime, dev->docker, dev->run_id, dev->embedded};
	dev_close_runtime(&rt);
	config_free(dev->config);
	config_free(dev->next_config);
	free(dev->config_text);
	free(dev->list_problem);
	free(dev->config_digest);
	free(dev->once_problem);
	for vec_each (adoption, &dev->adoptions)
		adoption_free(*adoption);
	vec_release(&dev->adoptions);
	loop_free(dev->loop);
	line_pipe_free(dev->lines); /* after what was posted for it */
}

static void *forget(void *data)
{
	const struct dev *dev = data;
	const struct dev_runtime rt = {dev->runtime, dev->docker, dev->run_id, dev->embedded};
	dev_forget(&rt, dev->config);
	return NULL;
}

/* Thousands of kept files go while the containers do. */
static void clean_up(struct dev *dev)
{
	CLEANUP(error_clear) struct error err = {0};
	pthread_t thread;
	bool started = pthread_create(&thread, NULL, forget, dev) == 0;
	if (dev->deployer->ops->cleanup(dev->deployer, &err) < 0)
		tell_warning(dev, err.message);
	else if (dev->docker)
		agent_layers_remove(dev->docker, dev->run_id, NULL);
	if (started)
		pthread_join(thread, NULL);
	else
		forget(dev);
}

int dev_run(const struct dev_options *options, struct config *config, struct event_bus *bus, int *ended_by,
	    struct error *err)
{
	struct dev dev = {.options = options,
			  .bus = bus,
			  .config = config,
			  .loop = loop_new(),
			  .terminal = -1,
			  .since_ns = realtime_ns()};
	dev.lines = line_pipe_new(dev.loop, bus);
	dev.patience = timer_new(dev.loop, verify_patience_over, &dev);
	int r = dev_open(&dev, err);
	if (r == 0) {
		listen(&dev);
		r = run_rounds(&dev, err);
		signal(SIGINT, SIG_DFL); /* cleaning up asks an engine that may not answer */
		if (options->cleanup && dev.deployer)
			clean_up(&dev);
		if (r == 0 && dev.once_failed && !dev.signal)
			r = -EIO;
	}
	*ended_by = dev.signal;
	dev_close(&dev);
	return r;
}
