#include "client/endpoint.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/vec.h"
#include "io/process.h"
#include "net/connection.h"

enum { CONFIG_MAX = 1 << 20, CONTEXTS_MAX = 1000 };

static const char *environment(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

static char *config_directory(void)
{
	const char *set = environment("DOCKER_CONFIG");
	const char *home = environment("HOME");
	return set ? xstrdup(set) : path_join(home ? home : "/", ".docker");
}

static void add_socket(struct endpoints *endpoints, const char *path)
{
	struct endpoint *endpoint = vec_add(endpoints);
	endpoint->host = xasprintf("unix://%s", path);
	endpoint->socket = xstrdup(path);
}

/* option: "--host" or "--context", so that the program finds certificates and keys as it always does. */
static void add_dial(struct endpoints *endpoints, const char *host, const char *option, const char *value)
{
	struct endpoint *endpoint = vec_add(endpoints);
	endpoint->host = xstrdup(host);
	strv_push(&endpoint->dial, "docker");
	strv_push(&endpoint->dial, option);
	strv_push(&endpoint->dial, value);
	strv_push(&endpoint->dial, "system");
	strv_push(&endpoint->dial, "dial-stdio");
}

static void add_host(struct endpoints *endpoints, const char *host, const char *option, const char *value)
{
	if (str_starts_with(host, "unix://"))
		add_socket(endpoints, host + strlen("unix://"));
	else
		add_dial(endpoints, host, option, value);
}

/* Loads a JSON file; NULL and 0 where it does not exist. */
static int load_json(const char *path, json_t **json, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	CLEANUP(error_clear) struct error why = {0};
	json_error_t bad;
	*json = NULL;
	int r = file_read(path, CONFIG_MAX, &text, &len, &why);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return error_move(err, &why);
	*json = json_loadb(text, len, 0, &bad);
	return *json ? 0 : error_set(err, EINVAL, "%s:%d:%d: %s", path, bad.line, bad.column, bad.text);
}

/* Adds the context if the meta file is its own. 1: it was. */
static int try_context(struct endpoints *endpoints, const char *meta, const char *name, struct error *err)
{
	json_t *json = NULL;
	const char *found = NULL, *host = NULL;
	int r = load_json(meta, &json, err);
	if (r >= 0 && json) {
		json_unpack(json, "{s:s, s:{s:{s:s}}}", "Name", &found, "Endpoints", "docker", "Host", &host);
		if (str_equal(found, name) && host) {
			add_host(endpoints, host, "--context", name);
			r = 1;
		}
	}
	json_decref(json);
	return r;
}

static int find_context(struct endpoints *endpoints, const char *directory, const char *name, struct error *err)
{
	_cleanup_free_ char *contexts = path_join(directory, "contexts/meta");
	DIR *dir = opendir(contexts);
	int r = 0;
	struct dirent *entry;
	for (int i = 0; dir && r == 0 && i < CONTEXTS_MAX && (entry = readdir(dir)); i++) {
		_cleanup_free_ char *meta = xasprintf("%s/%s/meta.json", contexts, entry->d_name);
		if (entry->d_name[0] != '.')
			r = try_context(endpoints, meta, name, err);
	}
	if (dir)
		closedir(dir);
	if (r == 0)
		return error_set(err, EINVAL, "docker context '%s' is not known (docker context ls)", name);
	return r < 0 ? r : 0;
}

/* The context to use, NULL: the default one. The caller frees. */
static int current_context(const char *directory, char **name, struct error *err)
{
	const char *set = environment("DOCKER_CONTEXT");
	*name = xstrdup_or_null(set);
	if (!set) {
		_cleanup_free_ char *path = path_join(directory, "config.json");
		json_t *config = NULL;
		int r = load_json(path, &config, err);
		if (r < 0)
			return r;
		*name = xstrdup_or_null(json_string_value(json_object_get(config, "currentContext")));
		json_decref(config);
	}
	if (*name && (!**name || str_equal(*name, "default")))
		free(steal(name));
	return 0;
}

static void add_usual_sockets(struct endpoints *endpoints)
{
	static const struct {
		bool runtime_dir; /* below $XDG_RUNTIME_DIR */
		const char *path;
	} usual[] = {
		{false, "/var/run/docker.sock"},
		{true, "docker.sock"},
		{true, "podman/podman.sock"},
		{false, "/run/podman/podman.sock"},
	};
	const char *runtime = environment("XDG_RUNTIME_DIR");
	for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
		if (usual[i].runtime_dir && !runtime)
			continue;
		_cleanup_free_ char *path = path_join(usual[i].runtime_dir ? runtime : "/", usual[i].path);
		if (i == 0 || file_exists(path))
			add_socket(endpoints, path);
	}
}

int endpoints_find(struct endpoints *endpoints, struct error *err)
{
	const char *host = environment("DOCKER_HOST");
	_cleanup_free_ char *directory = config_directory();
	_cleanup_free_ char *context = NULL;
	if (host) {
		add_host(endpoints, host, "--host", host);
		return 0;
	}
	int r = current_context(directory, &context, err);
	if (r < 0)
		return r;
	if (context)
		return find_context(endpoints, directory, context, err);
	add_usual_sockets(endpoints);
	return 0;
}

void endpoints_release(struct endpoints *endpoints)
{
	for vec_each (endpoint, endpoints) {
		free(endpoint->host);
		free(endpoint->socket);
		strv_release(&endpoint->dial);
	}
	vec_release(endpoints);
}

int endpoint_dial(const struct endpoint *endpoint, int *pid, struct error *err)
{
	int fd = -1;
	*pid = 0;
	if (!endpoint->socket) {
		*pid = process_connect((const char *const *)endpoint->dial.items, true, &fd, err);
		return *pid < 0 ? error_wrap(err, "can't reach %s", endpoint->host) : fd;
	}
	CLEANUP(error_clear) struct error why = {0};
	fd = socket_connect_unix(endpoint->socket, &why);
	if (fd == -EACCES)
		return error_set(
			err, EACCES,
			"no permission for the engine's socket %s: add yourself to its group (sudo usermod -aG docker "
			"\"$USER\", then log in again)",
			endpoint->socket);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return error_set(err, -fd, "no engine answers at %s (is it running?)", endpoint->host);
	return fd < 0 ? error_move(err, &why) : fd;
}
