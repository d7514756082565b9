#include "runtime/docker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "base/path.h"
#include "runtime/docker-session.h"

enum {
	RESTART_GRACE_S = 2, /* for the program to end on SIGTERM: a person waits for it */
	BACK_OFF_MIN_MS = 100,
	BACK_OFF_MAX_MS = 5000,
};

struct docker_runtime {
	struct runtime base;
	struct docker *docker;
};

static struct docker_runtime *self(struct runtime *rt)
{
	return (struct docker_runtime *)rt;
}

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static int inspect_container(struct docker *docker, const char *id, json_t **inspected, struct cancel *cancel,
			     struct error *err)
{
	_cleanup_free_ char *escaped = docker_escape(id);
	_cleanup_free_ char *path = xasprintf("/containers/%s/json", escaped);
	return docker_call(docker, "GET", path, NULL, inspected, cancel, err);
}

/* The state comes from an inspection: at the moment of a `die` event the list still says "running" (seen with 20.10). */
static int add_instance(struct docker *docker, const json_t *listed, struct instances *out, struct cancel *cancel,
			struct error *err)
{
	const json_t *labels = json_object_get(listed, "Labels");
	const char *image = json_string_value(json_object_get(labels, "skiff.image"));
	const char *name = json_string_value(json_array_get(json_object_get(listed, "Names"), 0));
	const char *id = text_at(listed, "Id");
	CLEANUP(error_clear) struct error why = {0};
	json_t *inspected = NULL;
	int r = inspect_container(docker, id, &inspected, cancel, &why);
	if (r < 0)
		return r == -ENOENT ? 0 : error_move(err, &why); /* removed meanwhile */
	const json_t *state = json_object_get(inspected, "State");
	struct instance *instance = vec_add(out);
	instance->id = xstrdup(id);
	instance->name = xstrdup(!name ? id : *name == '/' ? name + 1 : name);
	instance->image = xstrdup(image ? image : text_at(listed, "Image"));
	instance->base_id = xstrdup_or_null(json_string_value(json_object_get(labels, "skiff.base")));
	instance->running = json_is_true(json_object_get(state, "Running"));
	instance->exit_code = (int)json_integer_value(json_object_get(state, "ExitCode"));
	json_decref(inspected);
	return 0;
}

static int docker_runtime_list(struct runtime *rt, const char *run_id, struct instances *out, struct cancel *cancel,
			       struct error *err)
{
	_cleanup_free_ char *label = xasprintf("skiff.run=%s", run_id);
	json_t *filters = json_pack("{s:[s]}", "label", label), *list = NULL, *listed;
	_cleanup_free_ char *text = filters ? json_dumps(filters, JSON_COMPACT) : NULL;
	json_decref(filters);
	if (!text)
		return error_set(err, EINVAL, "the run's name is not UTF-8");
	_cleanup_free_ char *escaped = docker_escape(text);
	_cleanup_free_ char *path = xasprintf("/containers/json?all=1&filters=%s", escaped);
	struct docker *docker = self(rt)->docker;
	int r = docker_call(docker, "GET", path, NULL, &list, cancel, err);
	size_t i;
	json_array_foreach(list, i, listed) if (r >= 0) r = add_instance(docker, listed, out, cancel, err);
	json_decref(list);
	return r < 0 ? error_wrap(err, "can't list the containers") : 0;
}

static void add_mount(struct session *session, const char *at, bool temporary, bool writable)
{
	if (*at == '/')
		vec_push(&session->mounts, (struct docker_mount){path_normalize(at), temporary, writable, false});
}

static void forget(struct session *session)
{
	for vec_each (mount, &session->mounts)
		free(mount->at);
	vec_clear(&session->mounts);
	free(steal(&session->user));
	free(steal(&session->name));
	accounts_release(&session->accounts);
	session->accounts_read = false;
	look_close(&session->look);
	map_release(&session->asked, free);
	agent_close(steal(&session->agent));
	free(steal(&session->agent_note));
	session->cannot_ask = false;
}

static void read_mounts(struct session *session, const json_t *inspected)
{
	static const char *const always[] = {"/dev", "/proc", "/sys"}; /* nothing of the image, in every container */
	const json_t *host = json_object_get(inspected, "HostConfig"), *mount;
	const char *at;
	json_t *options;
	size_t i;
	for (i = 0; i < ARRAY_LEN(always); i++)
		vec_push(&session->mounts, (struct docker_mount){xstrdup(always[i]), true, true, true});
	json_object_foreach(json_object_get(host, "Tmpfs"), at, options) add_mount(session, at, true, true);
	json_array_foreach(json_object_get(inspected, "Mounts"), i, mount)
		add_mount(session, text_at(mount, "Destination"), str_equal(text_at(mount, "Type"), "tmpfs"),
			  !json_is_false(json_object_get(mount, "RW")));
	session->read_only = json_is_true(json_object_get(host, "ReadonlyRootfs"));
}

static enum image_agent agent_of_image(const json_t *labels)
{
	const char *told = json_string_value(json_object_get(labels, "skiff.agent"));
	_cleanup_free_ char *ours = agent_programs_id();
	if (!told)
		return IMAGE_AGENT_NONE;
	return str_equal(told, ours) ? IMAGE_AGENT_SAME : IMAGE_AGENT_OTHER;
}

static int inspect(struct session *session, struct cancel *cancel, struct error *err)
{
	json_t *inspected = NULL;
	int r = inspect_container(session->docker, session->id, &inspected, cancel, err);
	if (r < 0)
		return error_wrap(err, "can't look at the container");
	const json_t *state = json_object_get(inspected, "State");
	const char *name = text_at(inspected, "Name");
	forget(session);
	session->name = xstrdup(*name == '/' ? name + 1 : name);
	session->user = xstrdup(text_at(json_object_get(inspected, "Config"), "User"));
	session->running = json_is_true(json_object_get(state, "Running"));
	session->image_agent = agent_of_image(json_object_get(json_object_get(inspected, "Config"), "Labels"));
	read_mounts(session, inspected);
	look_open(&session->look, session->running ? (int)json_integer_value(json_object_get(state, "Pid")) : 0,
		  session->id);
	_cleanup_close_ int root = look_root(&session->look);
	struct looked looked;
	session->root_temporary = look_at(root, "/", &looked) && looked.temporary;
	json_decref(inspected);
	return 0;
}

static void docker_runtime_close(struct session *session)
{
	forget(session);
	vec_release(&session->mounts);
	free(session->id);
	free(session);
}

static int docker_runtime_open(struct runtime *rt, const struct instance *instance, struct session **session,
			       struct cancel *cancel, struct error *err)
{
	struct session *s = xcalloc(1, sizeof(*s));
	s->docker = self(rt)->docker;
	s->look.pidfd = -1;
	s->no_agent = rt->no_agent;
	s->id = xstrdup(instance->id);
	struct agent *agent;
	int r = inspect(s, cancel, err);
	if (r >= 0)
		r = docker_agent(s, &agent, cancel, err);
	if (r < 0) {
		docker_runtime_close(s);
		return r;
	}
	*session = s;
	return 0;
}

static int docker_runtime_run(struct session *session, const char *const *argv, struct str *output,
			      struct cancel *cancel, struct error *err)
{
	struct docker_exec exec = {.argv = argv, .output = output, .errors = output};
	return docker_exec_run(session->docker, session->id, &exec, cancel, err);
}

static int docker_runtime_restart(struct session *session, int signal, struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *id = docker_escape(session->id);
	_cleanup_free_ char *path = signal > 0 ? xasprintf("/containers/%s/kill?signal=%d", id, signal)
					       : xasprintf("/containers/%s/restart?t=%d", id, RESTART_GRACE_S);
	int r = docker_call(session->docker, "POST", path, NULL, NULL, cancel, err);
	if (r < 0)
		return error_wrap(err, signal > 0 ? "can't signal %s" : "can't restart %s", session->name);
	return signal > 0 ? 0 : inspect(session, cancel, err);
}

struct follower {
	void (*changed)(void *data);
	void *data;
	bool stands; /* the stream was reached since the last look */
};

static void followed(void *data, const json_t *event)
{
	static const char *const actions[] = {"create", "start",   "restart", "die",  "destroy",
					      "pause",	"unpause", "rename",  "died", "remove"};
	struct follower *follower = data;
	bool counts = !event; /* the stream begins: something may have happened before */
	for (size_t i = 0; event && i < ARRAY_LEN(actions); i++)
		counts = counts || str_equal(text_at(event, "Action"), actions[i]);
	follower->stands = true;
	if (counts)
		follower->changed(follower->data);
}

static int docker_runtime_follow(struct runtime *rt, const char *run_id, void (*changed)(void *data), void *data,
				 struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *label = xasprintf("skiff.run=%s", run_id);
	struct pollfd stop = {.fd = cancel_fd(cancel), .events = POLLIN};
	int wait = BACK_OFF_MIN_MS;
	(void)err; /* an engine that restarts is no failure */
	while (!cancel_requested(cancel)) {
		struct follower follower = {.changed = changed, .data = data};
		docker_events(self(rt)->docker, label, followed, &follower, cancel, NULL);
		wait = follower.stands ? BACK_OFF_MIN_MS : wait * 2 < BACK_OFF_MAX_MS ? wait * 2 : BACK_OFF_MAX_MS;
		poll(&stop, 1, wait);
	}
	return 0;
}

static int docker_runtime_logs(struct runtime *rt, const struct instance *instance,
			       void (*line)(void *data, int stream, const char *line, size_t len), void *data,
			       struct cancel *cancel, struct error *err)
{
	return docker_logs(self(rt)->docker, instance->id, instance->logs_since_ns, true, line, data, cancel, err);
}

static void docker_runtime_free(struct runtime *rt)
{
	docker_close(self(rt)->docker);
	free(rt);
}

static const struct runtime_ops ops = RUNTIME_OPS(docker);

int runtime_docker_open(struct runtime **runtime, struct cancel *cancel, struct error *err)
{
	struct docker *docker = NULL;
	int r = docker_connect(&docker, cancel, err);
	if (r < 0)
		return r;
	struct docker_runtime *rt = xcalloc(1, sizeof(*rt));
	rt->base.ops = &ops;
	rt->docker = docker;
	*runtime = &rt->base;
	return 0;
}
