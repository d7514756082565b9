#include "runtime/docker-instances.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum {
	BACK_OFF_MIN_MS = 100,
	BACK_OFF_MAX_MS = 5000,
};

static const char LABEL_RUN[] = "skiff.run", LABEL_IMAGE[] = "skiff.image", LABEL_BASE[] = "skiff.base",
		  LABEL_PROJECT[] = "com.docker.compose.project";

const char *docker_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

int docker_inspect(struct docker *docker, const char *id, json_t **inspected, struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *escaped = docker_escape(id);
	_cleanup_free_ char *path = xasprintf("/containers/%s/json", escaped);
	return docker_call(docker, "GET", path, NULL, inspected, cancel, err);
}

/* ---- listing ---- */

struct listing {
	struct docker *docker;
	const struct attach_query *query; /* NULL: the run's own */
	struct instances *out;
	struct cancel *cancel;
};

static bool is_listed(const struct listing *listing, const char *id)
{
	for vec_each (instance, listing->out)
		if (str_equal(instance->id, id))
			return true;
	return false;
}

/* The state comes from an inspection: at the moment of a `die` event the list still says "running" (seen with 20.10). */
static int add_instance(const struct listing *listing, const json_t *listed, struct error *err)
{
	const struct attach_query *query = listing->query;
	const json_t *labels = json_object_get(listed, "Labels");
	const char *image = query ? query->image : json_string_value(json_object_get(labels, LABEL_IMAGE));
	const char *name = json_string_value(json_array_get(json_object_get(listed, "Names"), 0));
	const char *id = docker_text(listed, "Id");
	CLEANUP(error_clear) struct error why = {0};
	json_t *inspected = NULL;
	if (query && (json_object_get(labels, LABEL_RUN) || is_listed(listing, id)))
		return 0; /* a skiff's own, or of an earlier query */
	int r = docker_inspect(listing->docker, id, &inspected, listing->cancel, &why);
	if (r < 0)
		return r == -ENOENT ? 0 : error_move(err, &why); /* removed meanwhile */
	const json_t *state = json_object_get(inspected, "State");
	const char *base =
		query ? docker_text(inspected, "Image") : json_string_value(json_object_get(labels, LABEL_BASE));
	struct instance *instance = vec_add(listing->out);
	instance->id = xstrdup(id);
	instance->name = xstrdup(!name ? id : *name == '/' ? name + 1 : name);
	instance->image = xstrdup(image ? image : docker_text(listed, "Image"));
	instance->base_id = xstrdup_or_null(base);
	instance->attached = query != NULL;
	instance->running = json_is_true(json_object_get(state, "Running"));
	instance->paused = json_is_true(json_object_get(state, "Paused"));
	instance->started = xstrdup(docker_text(state, "StartedAt"));
	instance->exit_code = (int)json_integer_value(json_object_get(state, "ExitCode"));
	json_decref(inspected);
	return 0;
}

/* A service's name says little: two projects may have one of that name, and files of one are nothing for the other's. */
static bool is_of_one_project(const struct listing *listing, const json_t *list)
{
	const char *service = listing->query ? listing->query->one_project : NULL, *first = NULL;
	const json_t *listed;
	size_t i;
	json_array_foreach(list, i, listed)
	{
		const char *project = docker_text(json_object_get(listed, "Labels"), LABEL_PROJECT);
		if (!service || str_equal(docker_text(listed, "State"), "exited"))
			continue;
		if (first && !str_equal(first, project)) {
			_cleanup_free_ char *problem =
				xasprintf("the Compose projects '%s' and '%s' both have a service '%s': none is "
					  "attached until one is named (compose: %s/%s)",
					  first, project, service, first, service);
			replace_string(&listing->out->problem, problem);
			return false;
		}
		first = project;
	}
	return true;
}

/* labels: all of them must be there. */
static int list_labelled(const struct listing *listing, const char *const *labels, struct error *err)
{
	json_t *wanted = json_array(), *list = NULL, *listed;
	for (; *labels; labels++)
		json_array_append_new(wanted, json_string(*labels));
	json_t *filters = json_pack("{s:o}", "label", wanted);
	_cleanup_free_ char *text = filters ? json_dumps(filters, JSON_COMPACT) : NULL;
	json_decref(filters);
	if (!text)
		return error_set(err, EINVAL, "a label is not UTF-8");
	_cleanup_free_ char *escaped = docker_escape(text);
	_cleanup_free_ char *path = xasprintf("/containers/json?all=1&filters=%s", escaped);
	int r = docker_call(listing->docker, "GET", path, NULL, &list, listing->cancel, err);
	bool clear = is_of_one_project(listing, list);
	size_t i;
	json_array_foreach(list, i, listed) if (r >= 0 && clear) r = add_instance(listing, listed, err);
	json_decref(list);
	return r < 0 ? r : 0;
}

int docker_runtime_list(struct runtime *rt, const char *run_id, struct instances *out, struct cancel *cancel,
			struct error *err)
{
	_cleanup_free_ char *own = xasprintf("%s=%s", LABEL_RUN, run_id);
	struct listing listing = {.docker = ((struct docker_runtime *)rt)->docker, .out = out, .cancel = cancel};
	int r = list_labelled(&listing, (const char *const[]){own, NULL}, err);
	for (size_t i = 0; i < rt->attach.len && r == 0; i++) {
		listing.query = &rt->attach.items[i];
		r = list_labelled(&listing, (const char *const *)listing.query->labels.items, err);
	}
	return r < 0 ? error_wrap(err, "can't list the containers") : 0;
}

/* ---- following ---- */

struct follower {
	const struct runtime *rt;
	const char *own; /* the label of the run's own containers */
	void (*changed)(void *data);
	void *data;
	bool stands; /* the stream was reached since the last look */
};

/* "KEY" or "KEY=VALUE", as the engine's filters take it. */
static bool has_label(const json_t *attributes, const char *label)
{
	const char *equals = strchr(label, '=');
	_cleanup_free_ char *key = equals ? xstrndup(label, (size_t)(equals - label)) : xstrdup(label);
	const char *value = json_string_value(json_object_get(attributes, key));
	return value && (!equals || str_equal(value, equals + 1));
}

/* The attributes of an event of a container are its labels, and its name and image. */
static bool concerns(const struct follower *follower, const json_t *event)
{
	const json_t *attributes = json_object_get(json_object_get(event, "Actor"), "Attributes");
	if (has_label(attributes, follower->own))
		return true;
	for vec_each (query, &follower->rt->attach) {
		bool all = true;
		for (size_t i = 0; i < query->labels.len; i++)
			all = all && has_label(attributes, query->labels.items[i]);
		if (all)
			return true;
	}
	return false;
}

static void followed(void *data, const json_t *event)
{
	static const char *const actions[] = {"create", "start",   "restart", "die",  "destroy",
					      "pause",	"unpause", "rename",  "died", "remove"};
	struct follower *follower = data;
	bool counts = !event; /* the stream begins: something may have happened before */
	for (size_t i = 0; event && i < ARRAY_LEN(actions); i++)
		counts = counts || str_equal(docker_text(event, "Action"), actions[i]);
	follower->stands = true;
	if (counts && (!event || concerns(follower, event)))
		follower->changed(follower->data);
}

/* One stream for all: the engine's label filters must all hold, so that with attached containers it is asked for every container's events. */
int docker_runtime_follow(struct runtime *rt, const char *run_id, void (*changed)(void *data), void *data,
			  struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *own = xasprintf("%s=%s", LABEL_RUN, run_id);
	struct docker *docker = ((struct docker_runtime *)rt)->docker;
	struct pollfd stop = {.fd = cancel_fd(cancel), .events = POLLIN};
	int wait = BACK_OFF_MIN_MS;
	(void)err; /* an engine that restarts is no failure */
	while (!cancel_requested(cancel)) {
		struct follower follower = {.rt = rt, .own = own, .changed = changed, .data = data};
		docker_events(docker, rt->attach.len > 0 ? NULL : own, followed, &follower, cancel, NULL);
		wait = follower.stands ? BACK_OFF_MIN_MS : wait * 2 < BACK_OFF_MAX_MS ? wait * 2 : BACK_OFF_MAX_MS;
		poll(&stop, 1, wait);
	}
	return 0;
}
