#include "deploy/embedded.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "client/embedded.h"

enum { STOP_MS = 5000, SETTLE_MS = 100, LAST_LINES = 5 };

struct service { /* an image that runs */
	char *image;
	struct embedded_instance instance;
	int control;
};

struct embedded_deployer {
	struct deployer base;
	const struct config *config;
	char *run_id;
	bool no_ports, detached;
	pthread_mutex_t lock; /* of services; images may be deployed at the same time */
	VEC(struct service) services;
};

static struct embedded_deployer *self(struct deployer *d)
{
	return (struct embedded_deployer *)d;
}

static const struct run_config *find_run_config(const struct config *config, const char *image)
{
	for vec_each (run, &config->run)
		if (str_equal(run->image, image))
			return run;
	return NULL;
}

/* Sets NAME=value, in the place of an earlier value. */
static void set_env(struct strv *env, const char *name, const char *value)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < env->len; i++) {
		if (strncmp(env->items[i], name, len) != 0 || env->items[i][len] != '=')
			continue;
		free(env->items[i]);
		env->items[i] = xasprintf("%s=%s", name, value);
		return;
	}
	strv_pushf(env, "%s=%s", name, value);
}

static void fill_env(struct embedded_start *start, const struct embedded_image *image, const struct run_config *run)
{
	set_env(&start->env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	set_env(&start->env, "HOME", "/");
	for (size_t i = 0; i < image->env.len; i++) {
		const char *equals = strchr(image->env.items[i], '=');
		_cleanup_free_ char *name =
			equals ? xstrndup(image->env.items[i], (size_t)(equals - image->env.items[i])) : NULL;
		if (name)
			set_env(&start->env, name, equals + 1);
	}
	for (size_t i = 0; run && i < run->env.len; i++) {
		const struct pair *pair = &run->env.items[i];
		const char *value = pair->value ? pair->value : getenv(pair->name);
		if (value)
			set_env(&start->env, pair->name, value);
	}
}

/* "name:/path[:ro]", "/host:/path[:ro]". A name is a folder beside the images: it outlives the run, as an engine's volume does. */
static int add_volume(struct embedded_start *start, const char *text, struct error *err)
{
	CLEANUP(strv_release) struct strv parts = {0};
	str_split(text, ':', &parts);
	if (parts.len < 2 || parts.len > 3 || !path_is_safe_destination(parts.items[1]))
		return error_set(err, EINVAL, "the volume '%s' is not NAME:/PATH or /HOST:/PATH, with :ro or not",
				 text);
	struct embedded_volume volume = {.dest = xstrdup(parts.items[1]),
					 .read_only = parts.len == 3 && str_equal(parts.items[2], "ro")};
	int r = 0;
	if (strchr("/.", parts.items[0][0]))
		volume.source = path_absolute(parts.items[0]);
	else
		r = embedded_volume_folder(parts.items[0], &volume.source, err);
	vec_push(&start->volumes, volume);
	return r;
}

static int fill_volumes(struct embedded_start *start, const struct run_config *run, struct error *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < run->volumes.len; i++)
		r = add_volume(start, run->volumes.items[i], err);
	for (size_t i = 0; r == 0 && i < run->tmpfs.len; i++) {
		const char *text = run->tmpfs.items[i];
		char *dest = xstrndup(text, strcspn(text, ":"));
		vec_push(&start->volumes, (struct embedded_volume){.dest = dest});
		if (!path_is_safe_destination(dest))
			r = error_set(err, EINVAL, "the tmpfs '%s' is not /PATH", text);
	}
	return r;
}

static const struct {
	const char *name;
	int number;
} stop_signals[] = {
	{"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"KILL", SIGKILL},
	{"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"TERM", SIGTERM}, {"WINCH", SIGWINCH},
};

static int stop_signal(const char *text)
{
	uint64_t number;
	if (!text)
		return 0;
	if (parse_uint(text, 64, &number) == 0)
		return (int)number;
	if (str_starts_with(text, "SIG"))
		text += 3;
	for (size_t i = 0; i < ARRAY_LEN(stop_signals); i++)
		if (str_equal(text, stop_signals[i].name))
			return stop_signals[i].number;
	return 0;
}

/* Adds a port, once. */
static void publish(struct published_ports *ports, const char *image, unsigned port)
{
	for vec_each (known, ports)
		if (known->container == port && str_equal(known->image, image))
			return;
	vec_push(ports, (struct published_port){.image = xstrdup(image),
						.address = xstrdup("127.0.0.1"),
						.local = port,
						.container = port});
}

/* "host:container", "container", "ip:host:container", each perhaps with "/tcp". */
static void publish_written(const char *text, struct embedded_start *start, struct published_ports *ports)
{
	CLEANUP(strv_release) struct strv parts = {0};
	str_split(text, ':', &parts);
	uint64_t container, host;
	char *last = parts.len ? parts.items[parts.len - 1] : NULL;
	if (!last)
		return;
	last[strcspn(last, "/")] = '\0';
	if (parse_uint(last, 65535, &container) < 0)
		return;
	publish(ports, start->image, (unsigned)container);
	if (parts.len > 1 && parse_uint(parts.items[parts.len - 2], 65535, &host) == 0 && host != container)
		strv_pushf(&start->notes,
			   "port %s: without an engine the program has the host's network, so it is reached at its own "
			   "port, %u",
			   text, (unsigned)container);
}

static void fill_ports(const struct config *config, const struct embedded_image *image, const struct run_config *run,
		       struct embedded_start *start, struct published_ports *ports)
{
	for (size_t i = 0; i < image->exposed.len; i++) {
		uint64_t port;
		_cleanup_free_ char *number = xstrndup(image->exposed.items[i], strcspn(image->exposed.items[i], "/"));
		if (parse_uint(number, 65535, &port) == 0 && !str_ends_with(image->exposed.items[i], "/udp"))
			publish(ports, start->image, (unsigned)port);
	}
	for (size_t i = 0; run && i < run->ports.len; i++)
		publish_written(run->ports.items[i], start, ports);
	for vec_each (forward, &config->port_forward)
		if (str_equal(forward->resource_name, start->image) && forward->local_port &&
		    forward->local_port != forward->port)
			strv_pushf(&start->notes,
				   "portForward to %u: without an engine the program is reached at its own "
				   "port, %u",
				   forward->local_port, forward->port);
}

static int fill_start(struct embedded_deployer *e, const struct embedded_image *image, struct embedded_start *start,
		      struct published_ports *ports, struct error *err)
{
	const struct run_config *run = find_run_config(e->config, start->image);
	strv_extend(&start->argv, &image->entrypoint);
	strv_extend(&start->argv, run && run->command.len ? &run->command : &image->cmd);
	if (start->argv.len == 0)
		return error_set(err, EINVAL, "%s has no command: neither CMD nor ENTRYPOINT, nor deploy.docker.run",
				 start->image);
	fill_env(start, image, run);
	if (!e->no_ports)
		fill_ports(e->config, image, run, start, ports);
	start->workdir = image->workdir;
	start->user = run && run->user ? run->user : image->user;
	start->read_only = run && run->read_only;
	start->detached = e->detached;
	start->stop_signal = stop_signal(image->stop_signal);
	if (start->user && geteuid() != 0)
		strv_pushf(&start->notes,
			   "user %s: without an engine and as an ordinary user, the program runs as your own user, "
			   "which it sees as 0",
			   start->user);
	for vec_each (artifact, &e->config->artifacts)
		strv_push(&start->hosts, path_base((*artifact)->image.value));
	return run ? fill_volumes(start, run, err) : 0;
}

static void release_service(struct service *s)
{
	cleanup_close(&s->control);
	embedded_instance_release(&s->instance);
	free(s->image);
	*s = (struct service){.control = -1};
}

/* Takes the image's running instance out of the list. */
static bool take_service(struct embedded_deployer *e, const char *image, struct service *out)
{
	bool found = false;
	pthread_mutex_lock(&e->lock);
	for (size_t i = 0; i < e->services.len && !found; i++) {
		if (image && !str_equal(e->services.items[i].image, image))
			continue;
		*out = e->services.items[i];
		e->services.items[i] = e->services.items[--e->services.len];
		found = true;
	}
	pthread_mutex_unlock(&e->lock);
	return found;
}

static void put_service(struct embedded_deployer *e, struct service service)
{
	pthread_mutex_lock(&e->lock);
	vec_push(&e->services, service);
	pthread_mutex_unlock(&e->lock);
}

static int stop_service(struct service *s, struct error *err)
{
	int r = embedded_remove(&s->instance, STOP_MS, err);
	release_service(s);
	return r;
}

static void keep_last_lines(void *data, int stream, const char *line, size_t len)
{
	struct strv *lines = data;
	(void)stream, (void)len;
	strv_push(lines, line);
	if (lines->len > LAST_LINES) {
		free(lines->items[0]);
		memmove(lines->items, lines->items + 1, lines->len-- * sizeof(*lines->items));
	}
}

/* The program's own last words. The caller frees. */
static char *last_lines(const struct service *s)
{
	struct cancel *at_once = cancel_new();
	struct strv lines = {0};
	cancel_request(at_once);
	embedded_logs(&s->instance, keep_last_lines, &lines, at_once, NULL);
	cancel_unref(at_once);
	char *text = strv_join(&lines, "\n");
	strv_release(&lines);
	return text;
}

/* What ends at once did not start. */
static int settle(const struct embedded_deployer *e, const struct service *s, struct cancel *cancel, struct error *err)
{
	int code, r = 0;
	if (!e->config->status_check_set || e->config->status_check)
		r = embedded_settle(&s->instance, SETTLE_MS, &code, cancel, err);
	if (r <= 0 || code == 0)
		return r < 0 ? r : 0;
	_cleanup_free_ char *words = last_lines(s);
	return error_set(err, ECHILD, "%s ended at once (exit %d)%s%s", s->image, code, *words ? ":\n" : "", words);
}

static int start_service(struct embedded_deployer *e, const struct embedded_start *start,
			 struct embedded_layout *layout, struct service *s, struct cancel *cancel, struct error *err)
{
	*s = (struct service){.image = xstrdup(start->image), .control = -1};
	int r = embedded_run(start, layout, &s->instance, &s->control, err);
	if (r < 0)
		release_service(s);
	return r < 0 ? r : settle(e, s, cancel, err);
}

/* The new root is there before the old program ends; then the old one, which has the ports, makes room. If the new one does not start, the
 * old one serves again; where there is none, it stays: a change carried into it may be what it lacks. */
static int replace(struct embedded_deployer *e, const struct embedded_start *start, struct cancel *cancel,
		   struct error *err)
{
	CLEANUP(embedded_layout_free_cleanup) struct embedded_layout *layout = NULL;
	int r = embedded_lay_out(start, &layout, cancel, err);
	if (r < 0)
		return r;
	struct service old, new;
	bool replaces = take_service(e, start->image, &old);
	if (replaces && (r = embedded_pause(&old.instance, cancel, err)) < 0 && r != -ESRCH) {
		put_service(e, old);
		return r;
	}
	r = start_service(e, start, layout, &new, cancel, err);
	if (r == 0 || (r == -ECHILD && !replaces)) {
		put_service(e, new);
		int stopped = replaces ? stop_service(&old, r == 0 ? err : NULL) : 0;
		return r < 0 ? r : stopped;
	}
	if (new.image)
		stop_service(&new, NULL);
	if (replaces && embedded_signal(&old.instance, 0, NULL, NULL) == 0)
		error_wrap(err, "the one before it serves again");
	if (replaces)
		put_service(e, old);
	return r;
}

static int deploy(struct deployer *d, const struct deployed_image *image, struct published_ports *ports,
		  struct cancel *cancel, struct error *err)
{
	struct embedded_deployer *e = self(d);
	if (!image->image_id || image->image_id[0] != '/')
		return error_set(err, ENOTSUP, "%s is not built here: an engine is needed to run it", image->image);
	struct embedded_image laid_out;
	int r = embedded_image_load(image->image_id, &laid_out, err);
	if (r < 0)
		return r;
	struct embedded_start start = {.run_id = e->run_id, .image = image->image, .image_folder = image->image_id};
	r = fill_start(e, &laid_out, &start, ports, err);
	if (r == 0)
		r = replace(e, &start, cancel, err);
	embedded_start_release(&start);
	embedded_image_release(&laid_out);
	return r;
}

/* Of this run's instances, those that no other living skiff has. */
static int remove_all(const char *run_id, struct error *err)
{
	struct embedded_instances left = {0};
	int r = embedded_list(run_id, &left, err);
	for (size_t i = 0; r == 0 && i < left.len; i++)
		if (!left.items[i].detached && left.items[i].owner != getpid() && embedded_owner_alive(&left.items[i]))
			r = error_set(err, EBUSY, "another skiff (process %d) runs this project",
				      (int)left.items[i].owner);
	for (size_t i = 0; r == 0 && i < left.len; i++) /* all are told before the first is waited for */
		embedded_stop(&left.items[i]);
	for (size_t i = 0; r == 0 && i < left.len; i++)
		r = embedded_remove(&left.items[i], STOP_MS, err);
	if (r == 0)
		embedded_sweep_folder(run_id);
	embedded_instances_release(&left);
	return r;
}

/* What ends with its skiff leaves nothing to adopt; what `skiff run` started is started anew, which costs nothing here. */
static int left(struct deployer *d, struct left_containers *containers, struct cancel *cancel, struct error *err)
{
	(void)d, (void)containers, (void)cancel, (void)err;
	return 0;
}

static void adopt(struct deployer *d, const struct left_container *container)
{
	(void)d, (void)container;
}

static int sweep(struct deployer *d, struct cancel *cancel, struct error *err)
{
	(void)cancel;
	return remove_all(self(d)->run_id, err);
}

static int cleanup(struct deployer *d, struct error *err)
{
	struct embedded_deployer *e = self(d);
	struct service s;
	int r = remove_all(e->run_id, err);
	while (r == 0 && take_service(e, NULL, &s))
		release_service(&s);
	return r;
}

static void free_deployer(struct deployer *d)
{
	struct embedded_deployer *e = self(d);
	for vec_each (s, &e->services)
		release_service(s);
	vec_release(&e->services);
	pthread_mutex_destroy(&e->lock);
	free(e->run_id);
	free(e);
}

static const struct deployer_ops embedded_ops = {
	.name = "embedded",
	.deploy = deploy,
	.left = left,
	.adopt = adopt,
	.sweep = sweep,
	.cleanup = cleanup,
	.free = free_deployer,
};

int deployer_embedded_open(const struct deploy_options *options, struct deployer **deployer, struct error *err)
{
	(void)err;
	struct embedded_deployer *e = xcalloc(1, sizeof(*e));
	e->base.ops = &embedded_ops;
	e->config = options->config;
	e->run_id = xstrdup(options->run_id);
	e->no_ports = options->no_ports;
	e->detached = options->detached;
	pthread_mutex_init(&e->lock, NULL);
	*deployer = &e->base;
	return 0;
}
