#include "deploy/engine.h"

#include <errno.h>

#include "deploy/owner.h"

enum { NAME_TRIES = 100, LAST_LINES = 10, LINE_SHOWN = 400 };

static char *label_filter(const char *run_id)
{
	json_t *filter = json_pack("{s:[o]}", "label", json_sprintf("%s=%s", LABEL_RUN, run_id));
	_cleanup_free_ char *text = json_dumps(filter, JSON_COMPACT);
	json_decref(filter);
	return docker_escape(text ? text : "{}");
}

int engine_containers(struct docker *docker, const char *run_id, json_t **containers, struct cancel *cancel,
		      struct error *err)
{
	_cleanup_free_ char *filter = label_filter(run_id),
			    *path = xasprintf("/containers/json?all=1&filters=%s", filter);
	return docker_call(docker, "GET", path, NULL, containers, cancel, err);
}

static int call_on(struct docker *docker, const char *method, const char *before, const char *id, const char *after,
		   struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *escaped = docker_escape(id), *path = xasprintf("%s%s%s", before, escaped, after);
	return docker_call(docker, method, path, NULL, NULL, cancel, err);
}

int engine_create(struct docker *docker, const char *name, const json_t *body, char **id, struct cancel *cancel,
		  struct error *err)
{
	json_t *answer = NULL;
	int r = -EEXIST;
	CLEANUP(error_clear) struct error inner = {0};
	for (int number = 1; r == -EEXIST && number <= NAME_TRIES; number++) {
		_cleanup_free_ char *path = xasprintf("/containers/create?name=%s-%d", name, number);
		error_clear(&inner);
		r = docker_call(docker, "POST", path, body, &answer, cancel, &inner);
	}
	if (r < 0)
		return error_move(err, &inner);
	const char *created = json_string_value(json_object_get(answer, "Id"));
	if (created)
		*id = xstrdup(created);
	else
		r = error_set(err, EPROTO, "the engine tells no id of the container that it created");
	json_decref(answer);
	return r;
}

int engine_start(struct docker *docker, const char *id, struct cancel *cancel, struct error *err)
{
	return call_on(docker, "POST", "/containers/", id, "/start", cancel, err);
}

static int gone_is_fine(int r, struct error *inner, struct error *err)
{
	if (r == 0 || r == -ENOENT || r == -EEXIST) { /* EEXIST: its removal is under way */
		error_clear(inner);
		return 0;
	}
	return error_move(err, inner);
}

int engine_stop(struct docker *docker, const char *id, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error inner = {0};
	char after[32];
	snprintf(after, sizeof(after), "/stop?t=%d", STOP_GRACE_S);
	return gone_is_fine(call_on(docker, "POST", "/containers/", id, after, cancel, &inner), &inner, err);
}

int engine_remove(struct docker *docker, const char *id, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error inner = {0};
	return gone_is_fine(call_on(docker, "DELETE", "/containers/", id, "?force=1&v=1", cancel, &inner), &inner, err);
}

static int list_networks(struct docker *docker, const char *run_id, json_t **networks, struct cancel *cancel,
			 struct error *err)
{
	_cleanup_free_ char *filter = label_filter(run_id), *path = xasprintf("/networks?filters=%s", filter);
	return docker_call(docker, "GET", path, NULL, networks, cancel, err);
}

int engine_network(struct docker *docker, const char *name, const char *run_id, struct cancel *cancel,
		   struct error *err)
{
	json_t *networks = NULL, *network;
	int r = list_networks(docker, run_id, &networks, cancel, err);
	if (r < 0)
		return r;
	bool found = false;
	size_t i;
	json_array_foreach(networks, i, network) found =
		found || str_equal(json_string_value(json_object_get(network, "Name")), name);
	json_decref(networks);
	if (found)
		return 0;
	json_t *body = json_pack("{s:s, s:b, s:{s:s}}", "Name", name, "CheckDuplicate", 1, "Labels", LABEL_RUN, run_id);
	r = docker_call(docker, "POST", "/networks/create", body, NULL, cancel, err);
	json_decref(body);
	return r < 0 ? error_wrap(err, "can't make the network %s", name) : 0;
}

int engine_remove_networks(struct docker *docker, const char *run_id, struct cancel *cancel, struct error *err)
{
	json_t *networks = NULL, *network;
	int r = list_networks(docker, run_id, &networks, cancel, err);
	if (r < 0)
		return r;
	size_t i;
	json_array_foreach(networks, i, network)
	{
		const char *id = json_string_value(json_object_get(network, "Id"));
		if (!id) /* Podman 3 */
			id = json_string_value(json_object_get(network, "Name"));
		if (id)
			(void)call_on(docker, "DELETE", "/networks/", id, "", cancel, NULL);
	}
	json_decref(networks);
	return 0;
}

void engine_image_release(struct engine_image *image)
{
	strv_release(&image->exposed);
	strv_release(&image->entry_point);
	strv_release(&image->command);
}

static void add_strings(struct strv *out, const json_t *array)
{
	size_t i;
	json_t *item;
	json_array_foreach(array, i, item) if (json_is_string(item)) strv_push(out, json_string_value(item));
}

int engine_image(struct docker *docker, const char *name, struct engine_image *image, struct cancel *cancel,
		 struct error *err)
{
	_cleanup_free_ char *escaped = docker_escape(name), *path = xasprintf("/images/%s/json", escaped);
	json_t *answer = NULL;
	int r = docker_call(docker, "GET", path, NULL, &answer, cancel, err);
	if (r < 0)
		return r;
	json_t *config = json_object_get(answer, "Config"), *value;
	const char *key;
	json_object_foreach(json_object_get(config, "ExposedPorts"), key, value) strv_push(&image->exposed, key);
	strv_sort(&image->exposed);
	add_strings(&image->entry_point, json_object_get(config, "Entrypoint"));
	add_strings(&image->command, json_object_get(config, "Cmd"));
	json_decref(answer);
	return 0;
}

int engine_state(struct docker *docker, const char *id, bool *running, int *status, struct cancel *cancel,
		 struct error *err)
{
	_cleanup_free_ char *path = xasprintf("/containers/%s/json", id);
	json_t *answer = NULL;
	int r = docker_call(docker, "GET", path, NULL, &answer, cancel, err);
	if (r < 0)
		return r;
	const json_t *state = json_object_get(answer, "State");
	*running = json_is_true(json_object_get(state, "Running"));
	*status = (int)json_integer_value(json_object_get(state, "ExitCode"));
	json_decref(answer);
	return 0;
}

static void keep_line(void *data, int stream, const char *line, size_t len)
{
	(void)stream;
	struct strv *lines = data;
	_cleanup_free_ char *cut = xstrndup(line, len < LINE_SHOWN ? len : LINE_SHOWN);
	strv_push_owned(lines, str_printable(cut));
	if (lines->len > LAST_LINES) {
		free(lines->items[0]);
		memmove(lines->items, lines->items + 1,
			lines->len * sizeof(*lines->items)); /* with the NULL at the end */
		lines->len--;
	}
}

char *engine_last_lines(struct docker *docker, const char *id)
{
	CLEANUP(strv_release) struct strv lines = {0};
	(void)docker_logs(docker, id, 0, false, keep_line, &lines, NULL, NULL);
	return strv_join(&lines, "\n");
}
