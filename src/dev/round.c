/* A round of the loop: lanes and watcher as one configuration says, until the program ends or another configuration begins the next one. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "build/base-image.h"
#include "dev/adopt.h"
#include "dev/attach.h"
#include "dev/lane.h"

static void on_signal(void *data, int signal)
{
	struct dev *dev = data;
	if (dev->phase == DEV_STOPPING && signal == SIGINT)
		_exit(130); /* a person asks twice: at once; the next start removes what is left */
	if (dev->phase == DEV_STOPPING)
		return; /* a terminal that closes tells it twice, once through the shell */
	dev->signal = signal;
	dev->phase = DEV_STOPPING;
	dev_wind_down(dev);
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

void dev_listen(struct dev *dev)
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

int dev_open_deployer(struct dev *dev, struct error *err)
{
	const struct dev_options *o = dev->options;
	free(dev->config_digest);
	dev->config_digest =
		deploy_config_digest(dev->config, dev->config_text, o->default_repo, o->tag, !o->port_forward);
	const struct deploy_options options = {.config = dev->config,
					       .run_id = dev->run_id,
					       .docker = dev->docker,
					       .kubernetes = dev->kubernetes,
					       .default_repo = o->default_repo,
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
	int r = dev->deployer ? 0 : dev_open_deployer(dev, err);
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
	strv_clear(&dev->manifests);
	if (dev->kubernetes)
		deploy_manifest_files(dev->config, &dev->manifests);
	r = dev_watch(dev, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < dev->config->warnings.len; i++)
		tell_warning(dev, dev->config->warnings.items[i]);
	instances_follow(dev);
	if (dev->config->attach.len > 0)
		instances_refresh(dev);
	begin_lanes(dev);
	dev_check_configuration(dev); /* between its loading and the beginning of watching */
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

int dev_run_rounds(struct dev *dev, struct error *err)
{
	int r;
	for (;;) {
		r = start_round(dev, err);
		if (r < 0) {
			dev->phase = DEV_STOPPING;
			dev_wind_down(dev);
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
