#include "runtime/docker.h"

#include <errno.h>
#include <signal.h>

#include "base/path.h"
#include "runtime/docker-instances.h"
#include "runtime/docker-session.h"

enum {
	RESTART_GRACE_S = 2, /* for the program to end on SIGTERM: a person waits for it */
};

static struct docker_runtime *self(struct runtime *rt)
{
	return (struct docker_runtime *)rt;
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
	free(steal(&session->image_id));
	accounts_release(&session->accounts);
	session->accounts_read = false;
	look_close(&session->look);
	asker_reset(&session->asker);
	agent_keeper_reset(&session->keeper);
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
		add_mount(session, docker_text(mount, "Destination"), str_equal(docker_text(mount, "Type"), "tmpfs"),
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

static bool is_supervised(const json_t *inspected)
{
	const json_t *arguments = json_object_get(inspected, "Args");
	return str_equal(docker_text(inspected, "Path"), AGENT_PATH) &&
	       str_equal(json_string_value(json_array_get(arguments, 0)), "supervise");
}

int docker_state(struct session *session, bool *running, bool *paused, struct cancel *cancel, struct error *err)
{
	json_t *inspected = NULL;
	int r = docker_inspect(session->docker, session->id, &inspected, cancel, err);
	const json_t *state = json_object_get(inspected, "State");
	*running = json_is_true(json_object_get(state, "Running"));
	*paused = json_is_true(json_object_get(state, "Paused"));
	json_decref(inspected);
	return r;
}

int docker_refresh(struct session *session, struct cancel *cancel, struct error *err)
{
	json_t *inspected = NULL;
	int r = docker_inspect(session->docker, session->id, &inspected, cancel, err);
	if (r < 0)
		return error_wrap(err, "can't look at the container");
	const json_t *state = json_object_get(inspected, "State");
	const json_t *config = json_object_get(inspected, "Config");
	const char *name = docker_text(inspected, "Name");
	forget(session);
	session->name = xstrdup(*name == '/' ? name + 1 : name);
	session->image_id = xstrdup(docker_text(inspected, "Image"));
	session->user = xstrdup(docker_text(config, "User"));
	session->running = json_is_true(json_object_get(state, "Running"));
	session->paused = json_is_true(json_object_get(state, "Paused"));
	session->supervised = is_supervised(inspected);
	session->image_agent = agent_of_image(json_object_get(config, "Labels"));
	session->keeper.name = session->name;
	session->keeper.user = session->user;
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
	agent_keeper_release(&session->keeper);
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
	s->asker = (struct asker){.run = docker_ask_run, .session = s};
	s->keeper = (struct agent_keeper){.ops = &docker_agent_ops, .session = s, .unwanted = rt->no_agent};
	s->id = xstrdup(instance->id);
	int r = docker_refresh(s, cancel, err);
	if (r >= 0)
		r = agent_keeper_open(&s->keeper, cancel, err);
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
	int r = session->supervised ? agent_keeper_supervise(&session->keeper, signal, cancel, err) : -ENOTSUP;
	if (r != -ENOTSUP)
		return r;
	_cleanup_free_ char *id = docker_escape(session->id);
	_cleanup_free_ char *path = signal > 0 ? xasprintf("/containers/%s/kill?signal=%d", id, signal)
					       : xasprintf("/containers/%s/restart?t=%d", id, RESTART_GRACE_S);
	r = docker_call(session->docker, "POST", path, NULL, NULL, cancel, err);
	if (r < 0)
		return error_wrap(err, signal > 0 ? "can't signal %s" : "can't restart %s", session->name);
	session->keeper.stale = session->keeper.stale || signal <= 0; /* the agent went with it */
	return signal > 0 ? 0 : docker_refresh(session, cancel, err);
}

static int docker_runtime_logs(struct runtime *rt, const struct instance *instance,
			       void (*line)(void *data, int stream, const char *line, size_t len), void *data,
			       struct cancel *cancel, struct error *err)
{
	return docker_logs(self(rt)->docker, instance->id, instance->logs_since_ns, true, line, data, cancel, err);
}

static void docker_runtime_free(struct runtime *rt)
{
	attach_queries_release(&rt->attach);
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
