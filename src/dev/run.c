/* The loop's program: the runtime that is there, what an earlier skiff left, rounds, cleaning up. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "client/docker.h"
#include "dev/adopt.h"
#include "dev/dev.h"
#include "dev/lane.h"
#include "dev/verify.h"
#include "runtime/kubernetes.h"

/* The same for the same project: what an earlier run left is found by it. */
static char *project_id(const struct config *config, bool shared)
{
	char hex[HASH_HEX_SIZE], host[HOST_NAME_MAX + 1] = "";
	const char *file = config->files.len > 0 ? config->files.items[0] : "";
	if (shared) /* a cluster is many people's, who may have a project at the same path */
		gethostname(host, sizeof(host) - 1);
	_cleanup_free_ char *whose = shared ? xasprintf("%s/%u/%s", host, (unsigned)getuid(), file) : xstrdup(file);
	hash_to_hex(hash_bytes(whose, strlen(whose)), hex);
	return xstrndup(hex, 16);
}

int dev_open_runtime(const struct runtime_options *options, const struct config *config, struct dev_runtime *out,
		     char **fallback, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	struct runtime_options to = *options;
	if (!to.name && config->deploy_kubernetes)
		to.name = "kubernetes";
	to.context = to.context ? to.context : config->kubernetes.context;
	to.namespace_ = to.namespace_ ? to.namespace_ : config->kubernetes.default_namespace;
	int r = runtime_open(&to, &out->runtime, fallback, NULL, err);
	if (r < 0)
		return r;
	out->embedded = str_equal(out->runtime->ops->name, "embedded");
	out->kubernetes = runtime_kubernetes(out->runtime);
	out->run_id = project_id(config, out->kubernetes);
	if (out->embedded)
		return 0;
	r = docker_connect(&out->docker, NULL, &why);
	return r < 0 && !out->kubernetes ? error_move(err, &why) : 0; /* images may be built without an engine */
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
	const struct runtime_options to = {.name = dev->options->runtime,
					   .context = dev->options->kube_context,
					   .namespace_ = dev->options->namespace_};
	int r = dev_open_runtime(&to, dev->config, &rt, &fallback, err);
	dev->runtime = rt.runtime;
	dev->docker = rt.docker;
	dev->kubernetes = rt.kubernetes;
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
	r = dev_open_deployer(dev, err);
	if (r == 0)
		r = adopt_find(dev, err);
	cancel_unref(steal(&dev->cancel));
	return r;
}

static struct dev_runtime runtime_of(const struct dev *dev)
{
	return (struct dev_runtime){dev->runtime, dev->docker, dev->kubernetes, dev->run_id, dev->embedded};
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
	struct dev_runtime rt = runtime_of(dev);
	dev_close_runtime(&rt);
	config_free(dev->config);
	config_free(dev->next_config);
	free(dev->config_text);
	free(dev->list_problem);
	strv_release(&dev->manifests);
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
	const struct dev_runtime rt = runtime_of(dev);
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
		dev_listen(&dev);
		r = dev_run_rounds(&dev, err);
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
