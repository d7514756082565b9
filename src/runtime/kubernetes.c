#include "runtime/kubernetes.h"
#include "runtime/carry.h"

#include <errno.h>

#include "base/path.h"
#include "client/docker.h"
#include "client/kubernetes-names.h"
#include "runtime/kubernetes-session.h"

enum {
	FOLLOWED_MAX = 256,
	LAST_LINES = 20, /* of what a container said before it crashed, where nobody listened */
};

static struct kubernetes_runtime *self(struct runtime *rt)
{
	return (struct kubernetes_runtime *)rt;
}

int kubernetes_pod(struct kubernetes *kubernetes, const char *namespace_, const char *pod, json_t **answer,
		   struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *a = docker_escape(namespace_), *b = docker_escape(pod);
	_cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/pods/%s", a, b);
	return kubernetes_call(kubernetes, "GET", path, NULL, answer, cancel, err);
}

/* NAMESPACE/POD/CONTAINER@ID. */
static void split_id(const char *id, char **namespace_, char **pod, char **container, char **container_id)
{
	size_t n = strcspn(id, "/"), p = id[n] ? strcspn(id + n + 1, "/") : 0;
	const char *rest = id[n] && id[n + 1 + p] ? id + n + 1 + p + 1 : "";
	size_t c = strcspn(rest, "@");
	*namespace_ = xstrndup(id, n);
	*pod = xstrndup(id[n] ? id + n + 1 : "", p);
	*container = xstrndup(rest, c);
	*container_id = xstrdup(rest[c] ? rest + c + 1 : "");
}

/* ---- sessions ---- */

static bool is_supervised(const json_t *spec)
{
	const json_t *command = json_object_get(spec, "command");
	return str_equal(json_string_value(json_array_get(command, 0)), AGENT_PATH) &&
	       str_equal(json_string_value(json_array_get(command, 1)), "supervise");
}

static void read_pod(struct session *s, const json_t *pod)
{
	const json_t *spec = json_object_get(pod, "spec"), *one;
	json_t *note = kubernetes_note_of(pod, s->container);
	_cleanup_free_ char *ours = agent_programs_id();
	const json_t *user = json_object_get(json_object_get(spec, "securityContext"), "runAsUser");
	size_t i;
	s->in_image = str_equal(kubernetes_text(note, KUBERNETES_AGENT), ours);
	json_array_foreach(json_object_get(spec, "containers"), i, one)
	{
		if (!str_equal(kubernetes_text(one, "name"), s->container))
			continue;
		const json_t *own = json_object_get(json_object_get(one, "securityContext"), "runAsUser");
		s->supervised = is_supervised(one);
		user = own ? own : user;
	}
	free(s->user);
	s->user = json_is_integer(user) ? xasprintf("%lld", (long long)json_integer_value(user)) : xstrdup("its user");
	s->keeper.user = s->user;
	json_decref(note);
}

int kubernetes_refresh(struct session *s, struct cancel *cancel, struct error *err)
{
	json_t *pod = NULL;
	int r = kubernetes_pod(s->kubernetes, s->namespace_, s->pod, &pod, cancel, err);
	if (r < 0)
		return error_wrap(err, "can't look at the pod");
	const json_t *status = kubernetes_status_of(pod, s->container);
	bool same = str_equal(kubernetes_text(status, "containerID"), s->container_id);
	s->running = same && json_object_get(json_object_get(status, "state"), "running");
	if (same)
		read_pod(s, pod);
	agent_keeper_reset(&s->keeper);
	asker_reset(&s->asker);
	accounts_release(&s->accounts);
	s->accounts_read = false;
	json_decref(pod);
	return same ? s->running : error_set(err, ENOENT, "%s was started anew", s->name);
}

static void kubernetes_runtime_close(struct session *s)
{
	agent_keeper_release(&s->keeper);
	asker_reset(&s->asker);
	accounts_release(&s->accounts);
	free(s->namespace_);
	free(s->pod);
	free(s->container);
	free(s->container_id);
	free(s->name);
	free(s->user);
	free(s);
}

static int kubernetes_runtime_open(struct runtime *rt, const struct instance *instance, struct session **session,
				   struct cancel *cancel, struct error *err)
{
	struct session *s = xcalloc(1, sizeof(*s));
	s->kubernetes = self(rt)->kubernetes;
	split_id(instance->id, &s->namespace_, &s->pod, &s->container, &s->container_id);
	s->at = (struct kubernetes_container){s->namespace_, s->pod, s->container};
	s->name = xstrdup(instance->name);
	s->asker = (struct asker){.run = kubernetes_ask_run, .session = s};
	s->keeper = (struct agent_keeper){.ops = &kubernetes_agent_ops,
					  .session = s,
					  .name = s->name,
					  .unwanted = rt->no_agent};
	int r = kubernetes_refresh(s, cancel, err);
	if (r >= 0)
		r = agent_keeper_open(&s->keeper, cancel, err);
	if (r < 0) {
		kubernetes_runtime_close(s);
		return r;
	}
	*session = s;
	return 0;
}

static int kubernetes_runtime_apply(struct session *s, const struct carry *carry, struct carry_report *report,
				    struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	*report = (struct carry_report){0};
	int r = carry_check(carry, err);
	if (r < 0)
		return r;
	r = carry->len ? agent_keeper_apply(&s->keeper, carry, report, cancel, &why) : 0;
	bool elsewise = r < 0 && r != -ENOENT && r != -EAGAIN && !report->len && !cancel_requested(cancel);
	if (elsewise && s->running)
		r = kubernetes_tar_apply(s, carry, report, cancel, err);
	else if (r == -ENOTSUP)
		r = error_set(err, EPIPE, "%s does not run", s->name);
	else if (r < 0)
		error_move(err, &why);
	if (report->len)
		report->note = steal(&s->keeper.note);
	return r;
}

static int kubernetes_runtime_look(struct session *s, const struct strv *dests, const struct instance_file *before,
				   struct instance_file *found, struct cancel *cancel, struct error *err)
{
	return agent_keeper_look(&s->keeper, dests, before, found, cancel, err);
}

static int kubernetes_runtime_check(struct session *s, const struct strv *dests, struct carry_report *report,
				    struct cancel *cancel, struct error *err)
{
	return agent_keeper_check(&s->keeper, dests, report, cancel, err);
}

static int kubernetes_runtime_ping(struct session *s, struct cancel *cancel, struct error *err)
{
	return agent_keeper_ping(&s->keeper, cancel, err);
}

int kubernetes_session_run(struct session *s, const struct kubernetes_exec *exec, struct cancel *cancel,
			   struct error *err)
{
	return kubernetes_exec_run(s->kubernetes, &s->at, exec, cancel, err);
}

int kubernetes_ask_run(struct session *s, const char *const *argv, struct str *output, struct cancel *cancel)
{
	struct kubernetes_exec exec = {.argv = argv, .output = output};
	return kubernetes_session_run(s, &exec, cancel, NULL);
}

static int kubernetes_runtime_run(struct session *s, const char *const *argv, struct str *output, struct cancel *cancel,
				  struct error *err)
{
	struct kubernetes_exec exec = {.argv = argv, .output = output, .errors = output};
	return kubernetes_session_run(s, &exec, cancel, err);
}

/* A container that restarts has lost its files, so that is no way; a signal goes to its first process. */
static int kubernetes_runtime_restart(struct session *s, int signal, struct cancel *cancel, struct error *err)
{
	int r = s->supervised ? agent_keeper_supervise(&s->keeper, signal, cancel, err) : -ENOTSUP;
	if (r != -ENOTSUP)
		return r;
	if (signal == 0)
		return error_set(err, ENOTSUP,
				 "the program in %s can't be started again without its container, whose files would be "
				 "lost: it needs skiff's agent as its entry point (an image that skiff built, and no "
				 "--no-agent)",
				 s->name);
	_cleanup_free_ char *number = xasprintf("-%d", signal);
	const char *const argv[] = {"kill", number, "1", NULL};
	CLEANUP(str_release) struct str words = {.max = 4 << 10};
	r = kubernetes_runtime_run(s, argv, &words, cancel, err);
	if (r < 0)
		return error_wrap(err, "can't signal %s", s->name);
	return r ? error_set(err, EIO, "can't signal %s: %s", s->name, str_text(&words)) : 0;
}

/* ---- logs ---- */

struct log_lines {
	void (*line)(void *data, int stream, const char *line, size_t len);
	void *data;
};

static void log_line(void *data, const char *line, size_t len)
{
	const struct log_lines *lines = data;
	lines->line(lines->data, 1, line, len);
}

/* True where its output was told already. It is from now on. */
static bool note_followed(struct kubernetes_runtime *rt, const char *container_id, bool add)
{
	pthread_mutex_lock(&rt->mutex);
	bool known = strv_contains(&rt->followed, container_id);
	if (add && !known) {
		if (rt->followed.len == FOLLOWED_MAX)
			strv_release(&rt->followed);
		strv_push(&rt->followed, container_id);
	}
	pthread_mutex_unlock(&rt->mutex);
	return known;
}

/* What the container before this one said last, where that was not heard. */
static void tell_last_words(struct kubernetes_runtime *rt, const struct kubernetes_container *of,
			    struct log_lines *lines, struct cancel *cancel)
{
	json_t *pod = NULL;
	if (kubernetes_pod(rt->kubernetes, of->namespace_, of->pod, &pod, cancel, NULL) < 0)
		return;
	const json_t *status = kubernetes_status_of(pod, of->container);
	const char *before =
		kubernetes_text(json_object_get(json_object_get(status, "lastState"), "terminated"), "containerID");
	const struct kubernetes_logs what = {.previous = true, .tail = LAST_LINES};
	if (*before && !note_followed(rt, before, true))
		(void)kubernetes_logs(rt->kubernetes, of, &what, log_line, lines, cancel, NULL);
	json_decref(pod);
}

static int kubernetes_runtime_logs(struct runtime *base, const struct instance *instance,
				   void (*line)(void *data, int stream, const char *line, size_t len), void *data,
				   struct cancel *cancel, struct error *err)
{
	struct kubernetes_runtime *rt = self(base);
	_cleanup_free_ char *namespace_, *pod, *container, *id;
	struct log_lines lines = {line, data};
	split_id(instance->id, &namespace_, &pod, &container, &id);
	const struct kubernetes_container of = {namespace_, pod, container};
	const struct kubernetes_logs what = {.follow = true, .since_ns = instance->logs_since_ns};
	if (!note_followed(rt, id, true) && instance->logs_since_ns == 0)
		tell_last_words(rt, &of, &lines, cancel);
	return kubernetes_logs(rt->kubernetes, &of, &what, log_line, &lines, cancel, err);
}

/* ---- the runtime ---- */

static void kubernetes_runtime_free(struct runtime *base)
{
	struct kubernetes_runtime *rt = self(base);
	attach_queries_release(&base->attach);
	kubernetes_close(rt->kubernetes);
	strv_release(&rt->followed);
	pthread_mutex_destroy(&rt->mutex);
	free(rt);
}

static const struct runtime_ops ops = RUNTIME_OPS(kubernetes);

int runtime_kubernetes_open(const struct runtime_options *options, struct runtime **runtime, struct cancel *cancel,
			    struct error *err)
{
	const struct kubernetes_options to = {.context = options->context, .namespace_ = options->namespace_};
	struct kubernetes *kubernetes = NULL;
	int r = kubernetes_connect(&to, &kubernetes, cancel, err);
	if (r < 0)
		return r;
	struct kubernetes_runtime *rt = xcalloc(1, sizeof(*rt));
	rt->base.ops = &ops;
	rt->base.brings_back = true;
	rt->kubernetes = kubernetes;
	pthread_mutex_init(&rt->mutex, NULL);
	*runtime = &rt->base;
	return 0;
}

struct kubernetes *runtime_kubernetes(const struct runtime *runtime)
{
	return runtime->ops == &ops ? ((const struct kubernetes_runtime *)runtime)->kubernetes : NULL;
}
