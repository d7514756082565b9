#include "deploy/docker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "deploy/container.h"
#include "deploy/engine.h"
#include "deploy/owner.h"

enum {
	PORT_TRIES = 5,
	SETTLE_MS = 300, /* a container that ends within this did not start */
	SETTLE_STEP_MS = 25,
	SHUTDOWN_MS = 2000, /* all containers together, at the end */
	RUN_ID_SHOWN = 8,
};

struct deployed { /* what runs for an image */
	char *image;
	char *container; /* the engine's id; NULL: none yet */
	struct port_plans ports;
};

struct docker_deployer {
	struct deployer base;
	const struct config *config;
	struct docker *docker;
	char *run_id, *project, *network, *directory;
	char *config_digest;
	bool remote;	       /* the engine is not on this machine */
	int lock_fd;	       /* of the run; -1: not taken */
	pthread_mutex_t mutex; /* of what follows: several images may be deployed at once */
	bool network_ready;
	VEC(struct deployed *) images;
	VEC(unsigned) refused; /* ports that the engine found taken */
};

static struct docker_deployer *cast(struct deployer *d)
{
	return (struct docker_deployer *)d;
}

/* The image's entry; made where there is none. With the mutex. */
static struct deployed *entry_of(struct docker_deployer *d, const char *image)
{
	for vec_each (entry, &d->images) {
		if (str_equal((*entry)->image, image))
			return *entry;
	}
	struct deployed *made = xcalloc(1, sizeof(*made));
	made->image = xstrdup(image);
	vec_push(&d->images, made);
	return made;
}

static const struct run_config *run_of(const struct config *config, const char *image)
{
	for vec_each (run, &config->run) {
		if (str_equal(run->image, image))
			return run;
	}
	return NULL;
}

/* Ports. */

struct taken { /* by other images of the run, or refused */
	const struct docker_deployer *d;
	const struct deployed *except;
};

static bool is_taken(void *data, unsigned port)
{
	const struct taken *taken = data;
	for vec_each (refused, &taken->d->refused) {
		if (*refused == port)
			return true;
	}
	for vec_each (entry, &taken->d->images) {
		for (size_t i = 0; *entry != taken->except && i < (*entry)->ports.len; i++) {
			if ((*entry)->ports.items[i].local == port)
				return true;
		}
	}
	return false;
}

static struct port_plans copy_plans(const struct port_plans *plans)
{
	struct port_plans copy = {0};
	for vec_each (plan, plans) {
		struct port_plan *item = vec_add(&copy);
		*item = *plan;
		item->address = xstrdup(plan->address);
	}
	return copy;
}

/* Chooses, and holds them for the image at once, so that no other takes them. */
static int choose_ports(struct docker_deployer *d, struct deployed *entry, struct port_plans *plans, struct error *err)
{
	struct taken taken = {d, entry};
	pthread_mutex_lock(&d->mutex);
	int r = ports_choose(plans, &entry->ports, is_taken, &taken, d->remote, err);
	if (r == 0) {
		port_plans_release(&entry->ports);
		entry->ports = copy_plans(plans);
	}
	pthread_mutex_unlock(&d->mutex);
	return r;
}

/* True if the engine could not publish a port that may be another one: marks it. */
static bool port_refused(struct docker_deployer *d, const struct port_plans *plans, const char *message)
{
	if (!strstr(message, "already allocated") && !strstr(message, "address already in use"))
		return false;
	bool marked = false;
	pthread_mutex_lock(&d->mutex);
	for vec_each (plan, plans) {
		char text[16];
		snprintf(text, sizeof(text), ":%u", plan->local);
		if (!plan->fixed && strstr(message, text)) {
			vec_push(&d->refused, plan->local);
			marked = true;
		}
	}
	pthread_mutex_unlock(&d->mutex);
	return marked;
}

static void publish(const struct deployed_image *image, const struct port_plans *plans, struct published_ports *ports)
{
	for vec_each (plan, plans)
		vec_push(ports, (struct published_port){.image = xstrdup(image->image),
							.address = xstrdup(plan->address),
							.local = plan->local,
							.container = plan->container,
							.udp = plan->udp});
}

/* Starting. */

static int pause_ms(struct cancel *cancel, int milliseconds, struct error *err)
{
	struct pollfd fd = {.fd = cancel_fd(cancel), .events = POLLIN};
	return poll(&fd, 1, milliseconds) > 0 ? error_set(err, ECANCELED, "cancelled") : 0;
}

static int settle(struct docker_deployer *d, const char *image, const char *id, struct cancel *cancel,
		  struct error *err)
{
	if (d->config->status_check_set && !d->config->status_check)
		return 0;
	for (int waited = 0; waited < SETTLE_MS; waited += SETTLE_STEP_MS) {
		bool running;
		int status;
		int r = engine_state(d->docker, id, &running, &status, cancel, err);
		if (r < 0)
			return r;
		if (!running && status != 0) {
			_cleanup_free_ char *lines = engine_last_lines(d->docker, id);
			return error_set(err, ECHILD, "the container of %s ended at once (exit %d)%s%s", image, status,
					 lines[0] ? ":\n" : ", without a word", lines);
		}
		if (!running)
			return 0; /* its work is done */
		r = pause_ms(cancel, SETTLE_STEP_MS, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int ensure_network(struct docker_deployer *d, struct cancel *cancel, struct error *err)
{
	pthread_mutex_lock(&d->mutex);
	int r = d->network_ready ? 0 : engine_network(d->docker, d->network, d->run_id, cancel, err);
	d->network_ready = r == 0;
	pthread_mutex_unlock(&d->mutex);
	return r;
}

struct deploying { /* one image */
	const struct deployed_image *image;
	struct engine_image facts;
	struct port_plans plans;
};

static void deploying_release(struct deploying *job)
{
	engine_image_release(&job->facts);
	port_plans_release(&job->plans);
}

static int create(struct docker_deployer *d, const struct deploying *job, char **id, struct cancel *cancel,
		  struct error *err)
{
	const struct deployed_image *image = job->image;
	const struct run_config *run = run_of(d->config, image->image);
	_cleanup_free_ char *directory = run && run->place.file ? path_dir(run->place.file) : NULL;
	_cleanup_free_ char *absolute = directory ? path_absolute(directory) : xstrdup(d->directory);
	const struct container_plan plan = {
		.image = image,
		.facts = &job->facts,
		.run_id = d->run_id,
		.config_digest = d->config_digest,
		.network = d->network,
		.run = run,
		.directory = absolute,
		.ports = &job->plans,
	};
	json_t *body = container_body(&plan);
	_cleanup_free_ char *base = image_base_name(image->image), *safe = container_safe_name(base);
	_cleanup_free_ char *name = xasprintf("skiff-%s-%s", d->project, safe);
	int r = engine_create(d->docker, name, body, id, cancel, err);
	json_decref(body);
	if (r == -ENOENT && !image->artifact)
		return error_wrap(err, "%s is not here, and is not built by this project (`docker pull %s`?)",
				  image->image, image->tag);
	return r < 0 ? error_wrap(err, "can't create the container of %s", image->image) : 0;
}

/* The new one takes the old one's place; if it does not start, the old one serves again. */
static int replace(struct docker_deployer *d, const char *image, const char *old, const char *id, struct cancel *cancel,
		   struct error *err)
{
	int r = old ? engine_stop(d->docker, old, cancel, err) : 0;
	if (r == 0)
		r = engine_start(d->docker, id, cancel, err);
	if (r < 0)
		error_wrap(err, "can't start the container of %s", image);
	else
		r = settle(d, image, id, cancel, err);
	if (r == 0)
		return old ? engine_remove(d->docker, old, cancel, err) : 0;
	if (r == -ECHILD && !old)
		return r; /* kept: a change carried into it may be what it lacks */
	(void)engine_remove(d->docker, id, NULL, NULL);
	if (old && engine_start(d->docker, old, NULL, NULL) == 0)
		error_wrap(err, "the container before it serves again");
	return r;
}

static int deploy_once(struct docker_deployer *d, struct deploying *job, struct deployed *entry, struct cancel *cancel,
		       struct error *err)
{
	_cleanup_free_ char *id = NULL;
	struct port_plans before = copy_plans(&entry->ports);
	int r = choose_ports(d, entry, &job->plans, err);
	if (r == 0)
		r = create(d, job, &id, cancel, err);
	if (r == 0)
		r = replace(d, job->image->image, entry->container, id, cancel, err);
	if (r == 0 || (r == -ECHILD && !entry->container)) {
		free(entry->container);
		entry->container = steal(&id);
		port_plans_release(&before);
		return r;
	}
	pthread_mutex_lock(&d->mutex);
	port_plans_release(&entry->ports);
	entry->ports = before;
	pthread_mutex_unlock(&d->mutex);
	return r;
}

static const char *label(const json_t *container, const char *name)
{
	return json_string_value(json_object_get(json_object_get(container, "Labels"), name));
}

static int take_run(struct docker_deployer *d, struct error *err)
{
	if (d->lock_fd >= 0)
		return 0;
	CLEANUP(error_clear) struct error inner = {0};
	int fd = owner_lock(d->run_id, &inner);
	if (fd == -EBUSY)
		return error_move(err, &inner);
	d->lock_fd = fd < 0 ? -1 : fd; /* without a state directory the labels alone must do */
	return 0;
}

/* The container that this skiff's deployer before this one left running (a configuration read anew): the one to replace. */
static int inherit(struct docker_deployer *d, struct deployed *entry, struct cancel *cancel, struct error *err)
{
	json_t *containers = NULL, *container;
	int r = engine_containers(d->docker, d->run_id, &containers, cancel, err);
	if (r < 0)
		return r;
	size_t i;
	json_array_foreach(containers, i, container) if (str_equal(label(container, LABEL_IMAGE), entry->image))
	{
		replace_string(&entry->container, json_string_value(json_object_get(container, "Id")));
		break; /* the newest comes first */
	}
	json_decref(containers);
	return 0;
}

static int docker_deploy(struct deployer *base, const struct deployed_image *image, struct published_ports *ports,
			 struct cancel *cancel, struct error *err)
{
	struct docker_deployer *d = cast(base);
	CLEANUP(deploying_release) struct deploying job = {.image = image};
	int r = ensure_network(d, cancel, err);
	if (r == 0)
		r = engine_image(d->docker, image->image_id ? image->image_id : image->tag, &job.facts, cancel, err);
	if (r == 0)
		r = ports_plan(d->config, image->image, run_of(d->config, image->image), &job.facts.exposed, &job.plans,
			       err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&d->mutex);
	struct deployed *entry = entry_of(d, image->image);
	r = take_run(d, err);
	pthread_mutex_unlock(&d->mutex);
	if (r == 0 && !entry->container)
		r = inherit(d, entry, cancel, err);
	if (r < 0)
		return r;
	CLEANUP(error_clear) struct error inner = {0};
	for (int tries = 0; tries < PORT_TRIES; tries++) {
		error_clear(&inner);
		r = deploy_once(d, &job, entry, cancel, &inner);
		if (r == 0 || !port_refused(d, &job.plans, inner.message ? inner.message : ""))
			break;
	}
	if (r < 0)
		return error_move(err, &inner);
	publish(image, &job.plans, ports);
	return 0;
}

/* Sweeping and cleaning up. */

/* -EBUSY if one of the containers belongs to a skiff that lives, and is not this one. */
static int refuse_others(const json_t *containers, struct error *err)
{
	size_t i;
	json_t *container;
	json_array_foreach(containers, i, container)
	{
		int pid;
		const char *host = label(container, LABEL_HOST);
		switch (owner_state(label(container, LABEL_PID), host, &pid)) {
		case OWNER_ALIVE:
			return error_set(err, EBUSY,
					 "this project is run by another skiff (pid %d): end that one first", pid);
		case OWNER_ELSEWHERE:
			return error_set(err, EBUSY,
					 "this project's containers on this engine belong to a skiff on %s (pid %d): "
					 "end that one first, or remove the "
					 "containers labelled %s=%s",
					 host, pid, LABEL_RUN, label(container, LABEL_RUN));
		case OWNER_DEAD:
		case OWNER_SELF:
			break;
		}
	}
	return 0;
}

/* Asks all to end, waits until they did or SHUTDOWN_MS are over. */
static void ask_to_end(struct docker_deployer *d, const json_t *containers, struct cancel *cancel)
{
	size_t i;
	json_t *container;
	json_array_foreach(containers, i, container)
	{
		_cleanup_free_ char *path = xasprintf("/containers/%s/kill?signal=TERM",
						      json_string_value(json_object_get(container, "Id")));
		(void)docker_call(d->docker, "POST", path, NULL, NULL, cancel, NULL);
	}
	for (int waited = 0; waited < SHUTDOWN_MS; waited += SETTLE_STEP_MS) {
		json_t *now = NULL;
		bool running = false;
		if (engine_containers(d->docker, d->run_id, &now, cancel, NULL) < 0)
			return;
		json_array_foreach(now, i, container) running =
			running || str_equal(json_string_value(json_object_get(container, "State")), "running");
		json_decref(now);
		if (!running || pause_ms(cancel, SETTLE_STEP_MS, NULL) < 0)
			return;
	}
}

static bool is_adopted(struct docker_deployer *d, const char *id)
{
	bool found = false;
	pthread_mutex_lock(&d->mutex);
	for vec_each (entry, &d->images)
		found = found || str_equal((*entry)->container, id);
	pthread_mutex_unlock(&d->mutex);
	return found;
}

/* With the network, where nothing is kept. */
static int remove_all(struct docker_deployer *d, bool all, struct cancel *cancel, struct error *err)
{
	bool kept = false;
	json_t *containers = NULL, *container;
	int r = engine_containers(d->docker, d->run_id, &containers, cancel, err);
	if (r < 0)
		return r;
	r = refuse_others(containers, err);
	if (r == 0 && all && json_array_size(containers) > 0)
		ask_to_end(d, containers, cancel);
	size_t i;
	json_array_foreach(containers, i, container)
	{
		const char *id = json_string_value(json_object_get(container, "Id"));
		bool keep = !all && is_adopted(d, id);
		kept = kept || keep;
		if (r == 0 && id && !keep)
			r = engine_remove(d->docker, id, cancel, err);
	}
	json_decref(containers);
	return r < 0 || kept ? r : engine_remove_networks(d->docker, d->run_id, cancel, err);
}

static void take_ports(const json_t *listed, const char *image, struct published_ports *ports)
{
	size_t i;
	const json_t *port;
	json_array_foreach(json_object_get(listed, "Ports"), i, port)
	{
		const char *address = json_string_value(json_object_get(port, "IP"));
		json_int_t local = json_integer_value(json_object_get(port, "PublicPort"));
		json_int_t inner = json_integer_value(json_object_get(port, "PrivatePort"));
		if (address && local > 0 && local <= UINT16_MAX && inner > 0 && inner <= UINT16_MAX)
			vec_push(ports, (struct published_port){.image = xstrdup(image),
								.address = xstrdup(address),
								.local = (unsigned)local,
								.container = (unsigned)inner,
								.udp = str_equal(json_string_value(
											 json_object_get(port, "Type")),
										 "udp")});
	}
}

static int docker_left(struct deployer *base, struct left_containers *left, struct cancel *cancel, struct error *err)
{
	struct docker_deployer *d = cast(base);
	json_t *containers = NULL;
	int r = take_run(d, err);
	if (r == 0)
		r = engine_containers(d->docker, d->run_id, &containers, cancel, err);
	if (r == 0)
		r = refuse_others(containers, err);
	size_t i;
	const json_t *container;
	json_array_foreach(containers, i, container)
	{
		const char *id = json_string_value(json_object_get(container, "Id"));
		const char *image = label(container, LABEL_IMAGE);
		if (r < 0 || !id || !image)
			continue;
		struct left_container *one = vec_add(left);
		one->id = xstrdup(id);
		one->image = xstrdup(image);
		one->base_id = xstrdup_or_null(label(container, LABEL_BASE));
		one->tag = xstrdup_or_null(label(container, LABEL_TAG));
		one->config_digest = xstrdup_or_null(label(container, LABEL_CONFIG));
		one->running = str_equal(json_string_value(json_object_get(container, "State")), "running");
		one->created_s = json_integer_value(json_object_get(container, "Created"));
		take_ports(container, image, &one->ports);
	}
	json_decref(containers);
	return r;
}

static void docker_adopt(struct deployer *base, const struct left_container *container)
{
	struct docker_deployer *d = cast(base);
	pthread_mutex_lock(&d->mutex);
	struct deployed *entry = entry_of(d, container->image);
	replace_string(&entry->container, container->id);
	port_plans_release(&entry->ports);
	for vec_each (port, &container->ports)
		vec_push(&entry->ports, (struct port_plan){.address = xstrdup(port->address),
							   .wanted = port->local,
							   .local = port->local,
							   .container = port->container,
							   .udp = port->udp});
	pthread_mutex_unlock(&d->mutex);
}

static int docker_sweep(struct deployer *base, struct cancel *cancel, struct error *err)
{
	struct docker_deployer *d = cast(base);
	int r = take_run(d, err);
	return r < 0 ? r : remove_all(d, false, cancel, err);
}

static int docker_cleanup(struct deployer *base, struct error *err)
{
	struct docker_deployer *d = cast(base);
	int r = take_run(d, err);
	if (r == 0)
		r = remove_all(d, true, NULL, err);
	pthread_mutex_lock(&d->mutex);
	d->network_ready = false;
	for vec_each (entry, &d->images) {
		free((*entry)->container);
		(*entry)->container = NULL;
	}
	pthread_mutex_unlock(&d->mutex);
	return r;
}

static void docker_free(struct deployer *base)
{
	if (!base)
		return;
	struct docker_deployer *d = cast(base);
	cleanup_close(&d->lock_fd);
	for vec_each (entry, &d->images) {
		free((*entry)->image);
		free((*entry)->container);
		port_plans_release(&(*entry)->ports);
		free(*entry);
	}
	vec_release(&d->images);
	vec_release(&d->refused);
	free(d->run_id);
	free(d->config_digest);
	free(d->project);
	free(d->network);
	free(d->directory);
	pthread_mutex_destroy(&d->mutex);
	free(d);
}

static const struct deployer_ops docker_ops = {.name = "docker",
					       .deploy = docker_deploy,
					       .left = docker_left,
					       .adopt = docker_adopt,
					       .sweep = docker_sweep,
					       .cleanup = docker_cleanup,
					       .free = docker_free};

int deployer_docker_open(const struct deploy_options *options, struct deployer **deployer, struct error *err)
{
	if (!options->docker)
		return error_set(err, ENOTCONN, "no container engine answers");
	struct docker_deployer *d = xcalloc(1, sizeof(*d));
	d->base.ops = &docker_ops;
	d->config = options->config;
	d->docker = options->docker;
	d->lock_fd = -1;
	d->run_id = xstrdup(options->run_id);
	d->config_digest = xstrdup_or_null(options->config_digest);
	d->remote = !str_starts_with(docker_host(d->docker), "unix://");
	_cleanup_free_ char *file =
		options->config->files.len > 0 ? path_absolute(options->config->files.items[0]) : path_absolute("x");
	d->directory = path_dir(file);
	d->project = container_safe_name(path_base(d->directory));
	d->network = xasprintf("skiff-%s-%.*s", d->project, RUN_ID_SHOWN, d->run_id);
	pthread_mutex_init(&d->mutex, NULL);
	*deployer = &d->base;
	return 0;
}
