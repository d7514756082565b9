#include "deploy/container.h"

#include <ctype.h>
#include <string.h>

#include "base/path.h"
#include "client/agent-program.h"
#include "deploy/owner.h"

enum { NAME_MAX_BYTES = 63 };

char *container_safe_name(const char *text)
{
	while (*text && !isalnum((unsigned char)*text))
		text++;
	if (!*text)
		return xstrdup("x");
	char *name = xstrndup(text, NAME_MAX_BYTES);
	for (char *p = name; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("_.-", *p))
			*p = '-';
	}
	return name;
}

char *container_bind(const char *volume, const char *directory)
{
	size_t source_len = strcspn(volume, ":");
	_cleanup_free_ char *source = xstrndup(volume, source_len);
	const char *home = getenv("HOME");
	_cleanup_free_ char *path = NULL;
	if (home && (str_equal(source, "~") || str_starts_with(source, "~/")))
		path = path_join(home, source[1] ? source + 2 : "");
	else if (source[0] == '.' || strchr(source, '/'))
		path = path_join(directory, source);
	else
		return xstrdup(volume);
	_cleanup_free_ char *normal = path_normalize(path);
	return xasprintf("%s%s", normal, volume + source_len);
}

/* Appends. */
static void add_strings(json_t *array, const struct strv *v)
{
	for (size_t i = 0; i < v->len; i++)
		json_array_append_new(array, json_string(v->items[i]));
}

static json_t *strings(const struct strv *v)
{
	json_t *array = json_array();
	add_strings(array, v);
	return array;
}

static json_t *environment(const struct run_config *run)
{
	json_t *array = json_array();
	for vec_each (pair, &run->env) {
		const char *value = pair->value ? pair->value : getenv(pair->name);
		if (value)
			json_array_append_new(array, json_sprintf("%s=%s", pair->name, value));
	}
	return array;
}

static void add_volumes(const struct container_plan *plan, json_t *body, json_t *host)
{
	json_t *binds = json_array(), *anonymous = json_object();
	for (size_t i = 0; i < plan->run->volumes.len; i++) {
		const char *volume = plan->run->volumes.items[i];
		_cleanup_free_ char *bind = container_bind(volume, plan->directory);
		if (strchr(volume, ':'))
			json_array_append_new(binds, json_string(bind));
		else /* a path alone: an anonymous volume */
			json_object_set_new(anonymous, volume, json_object());
	}
	json_object_set_new(host, "Binds", binds);
	json_object_set_new(body, "Volumes", anonymous);
}

static void add_run(const struct container_plan *plan, json_t *body, json_t *host)
{
	const struct run_config *run = plan->run;
	json_object_set_new(body, "Env", environment(run));
	if (run->user)
		json_object_set_new(body, "User", json_string(run->user));
	if (run->read_only)
		json_object_set_new(host, "ReadonlyRootfs", json_true());
	add_volumes(plan, body, host);
	json_t *tmpfs = json_object();
	for (size_t i = 0; i < run->tmpfs.len; i++) {
		const char *options = strchr(run->tmpfs.items[i], ':');
		_cleanup_free_ char *path = xstrndup(run->tmpfs.items[i], strcspn(run->tmpfs.items[i], ":"));
		json_object_set_new(tmpfs, path, json_string(options ? options + 1 : ""));
	}
	json_object_set_new(host, "Tmpfs", tmpfs);
}

static void add_ports(const struct port_plans *ports, json_t *body, json_t *host)
{
	json_t *exposed = json_object(), *bindings = json_object();
	for vec_each (port, ports) {
		_cleanup_free_ char *key = xasprintf("%u/%s", port->container, port->udp ? "udp" : "tcp");
		_cleanup_free_ char *local = xasprintf("%u", port->local);
		json_object_set_new(exposed, key, json_object());
		json_t *list = json_object_get(bindings, key);
		if (!list) {
			list = json_array();
			json_object_set_new(bindings, key, list);
		}
		json_array_append_new(list, json_pack("{s:s, s:s}", "HostIp", port->address, "HostPort", local));
	}
	json_object_set_new(body, "ExposedPorts", exposed);
	json_object_set_new(host, "PortBindings", bindings);
}

/* Where the containers of a run find each other: "web" and, for registry.io/team/web, "registry.io-team-web". */
static json_t *aliases(const char *image)
{
	_cleanup_free_ char *base = image_base_name(image), *short_name = container_safe_name(base),
			    *full = container_safe_name(image);
	json_t *array = json_array();
	json_array_append_new(array, json_string(short_name));
	if (!str_equal(short_name, full))
		json_array_append_new(array, json_string(full));
	return array;
}

static json_t *labels(const struct container_plan *plan)
{
	_cleanup_free_ char *self = owner_self(), *host_name = owner_host();
	_cleanup_free_ char *agent = plan->image->agent_id ? agent_programs_id() : NULL;
	const struct {
		const char *name, *value;
	} all[] = {
		{LABEL_RUN, plan->run_id},
		{LABEL_IMAGE, plan->image->image},
		{LABEL_BASE, plan->image->image_id},
		{LABEL_TAG, plan->image->tag},
		{LABEL_AGENT, agent},
		{LABEL_PID, self},
		{LABEL_HOST, host_name},
		{LABEL_CONFIG, plan->config_digest},
	};
	json_t *object = json_object();
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].value)
			json_object_set_new(object, all[i].name, json_string(all[i].value));
	return object;
}

/* The entry point and its arguments, as far as they are not the image's own. */
static void add_command(const struct container_plan *plan, json_t *body)
{
	const struct deployed_image *image = plan->image;
	bool restarts = image->agent_id && image->artifact && image->artifact->restart != RESTART_NONE;
	bool given = plan->run && plan->run->command.len > 0;
	const struct strv *command = given ? &plan->run->command : &plan->facts->command;
	if (restarts && plan->facts->entry_point.len + command->len > 0) {
		json_t *entry = json_pack("[s, s, s]", AGENT_PATH, "supervise", "--");
		add_strings(entry, &plan->facts->entry_point);
		add_strings(entry, command);
		json_object_set_new(body, "Entrypoint", entry); /* with which the image's Cmd counts no more */
	} else if (given) {
		json_object_set_new(body, "Cmd", strings(command));
	}
}

json_t *container_body(const struct container_plan *plan)
{
	const struct deployed_image *image = plan->image;
	const char *run_image = image->agent_id ? image->agent_id : image->image_id ? image->image_id : image->tag;
	json_t *body = json_object(), *host = json_object();
	json_object_set_new(body, "Image", json_string(run_image));
	json_object_set_new(body, "Labels", labels(plan));
	add_command(plan, body);
	json_object_set_new(host, "NetworkMode", json_string(plan->network));
	if (plan->run)
		add_run(plan, body, host);
	add_ports(plan->ports, body, host);
	json_object_set_new(body, "HostConfig", host);
	json_t *endpoints = json_object();
	json_object_set_new(endpoints, plan->network, json_pack("{s:o}", "Aliases", aliases(image->image)));
	json_object_set_new(body, "NetworkingConfig", json_pack("{s:o}", "EndpointsConfig", endpoints));
	return body;
}
