#include "deploy/kubernetes-status.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/file.h"
#include "client/docker.h"
#include "client/kubernetes-names.h"

enum {
	STEP_MS = 200,
	UNPLACED_MS = 10000, /* a node may be on its way, an old pod may make room */
	LOG_LINES = 10,
	LINES_MAX = 16 << 10,
	NS_PER_MS = 1000000,
};

static const struct {
	const char *kind, *api, *resource;
} kinds[] = {
	[TARGET_DEPLOYMENT] = {"Deployment", "/apis/apps/v1", "deployments"},
	[TARGET_STATEFUL_SET] = {"StatefulSet", "/apis/apps/v1", "statefulsets"},
	[TARGET_DAEMON_SET] = {"DaemonSet", "/apis/apps/v1", "daemonsets"},
	[TARGET_POD] = {"Pod", "/api/v1", "pods"},
};

bool status_kind(const char *kind, enum target_kind *target)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_equal(kinds[i].kind, kind)) {
			*target = (enum target_kind)i;
			return true;
		}
	return false;
}

/* ---- pure ---- */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static json_int_t number_of(const json_t *object, const char *key, json_int_t otherwise)
{
	const json_t *value = json_object_get(object, key);
	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static const json_t *condition_of(const json_t *object, const char *type)
{
	size_t i;
	const json_t *condition;
	json_array_foreach(json_object_get(json_object_get(object, "status"), "conditions"), i,
			   condition) if (str_equal(text_of(condition, "type"), type)) return condition;
	return NULL;
}

static bool pod_ready(const json_t *pod, char **missing)
{
	const char *phase = text_of(json_object_get(pod, "status"), "phase");
	const json_t *ready = condition_of(pod, "Ready");
	if (str_equal(phase, "Succeeded") || str_equal(text_of(ready, "status"), "True"))
		return true;
	const char *message = text_of(ready, "message");
	*missing = xasprintf("it is not ready%s%s", message ? ": " : "", message ? message : "");
	return false;
}

bool status_rolled_out(enum target_kind kind, const json_t *object, char **missing)
{
	const json_t *spec = json_object_get(object, "spec"), *status = json_object_get(object, "status");
	bool daemons = kind == TARGET_DAEMON_SET;
	*missing = NULL;
	if (kind == TARGET_POD)
		return pod_ready(object, missing);
	if (number_of(status, "observedGeneration", 0) <
	    number_of(json_object_get(object, "metadata"), "generation", 0)) {
		*missing = xstrdup("its controller has not seen it yet");
		return false;
	}
	const char *strategy = text_of(json_object_get(spec, "updateStrategy"), "type");
	json_int_t wanted = daemons ? number_of(status, "desiredNumberScheduled", 0) : number_of(spec, "replicas", 1);
	json_int_t updated = number_of(status, daemons ? "updatedNumberScheduled" : "updatedReplicas", 0);
	json_int_t available = number_of(status, daemons ? "numberAvailable" : "availableReplicas", 0);
	/* A StatefulSet with a partition keeps old pods below it, and with OnDelete nobody replaces them. */
	json_int_t kept = kind == TARGET_STATEFUL_SET
				  ? number_of(json_object_get(json_object_get(spec, "updateStrategy"), "rollingUpdate"),
					      "partition", 0)
				  : 0;
	json_int_t to_update = str_equal(strategy, "OnDelete") ? 0 : wanted > kept ? wanted - kept : 0;
	/* An old pod counts as available, too, while the new one beside it is not yet. */
	json_int_t unavailable = number_of(status, daemons ? "numberUnavailable" : "unavailableReplicas", 0);
	if (updated >= to_update && available >= wanted && unavailable == 0)
		return true;
	*missing = xasprintf("%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " pods are new, %" JSON_INTEGER_FORMAT
			     " available",
			     updated, to_update, available);
	return false;
}

/* kubernetes.io/docs/concepts/containers/images, and kubelet's pkg/kubelet/images and container: reasons of a container that waits. */
static const struct {
	const char *reason, *before, *after; /* around the image's name */
	bool image;			     /* false: it is not the image's fault */
} broken[] = {
	{"ErrImagePull", "can't get its image ", "", true},
	{"ImagePullBackOff", "can't get its image ", "", true},
	{"ErrImageNeverPull", "its image ", " is not on the node, and may not be pulled (imagePullPolicy: Never)",
	 true},
	{"InvalidImageName", "the name of its image ", " is not valid", true},
	{"RegistryUnavailable", "the registry of its image ", " does not answer", true},
	{"ImageInspectError", "its image ", " can't be looked at", true},
	{"CreateContainerConfigError", "it can't be created", "", false},
	{"CreateContainerError", "it can't be created", "", false},
	{"RunContainerError", "it can't be started", "", false},
};

/* Running again after a crash is no trouble any more, until the next one. */
static const json_t *ended_badly(const json_t *container)
{
	const json_t *state = json_object_get(container, "state"), *ended = json_object_get(state, "terminated");
	if (str_equal(text_of(json_object_get(state, "waiting"), "reason"), "CrashLoopBackOff"))
		return json_object_get(json_object_get(container, "lastState"), "terminated");
	return number_of(ended, "exitCode", 0) != 0 ? ended : NULL;
}

static enum pod_trouble container_trouble(const char *pod, const json_t *container, char **reason, bool *previous)
{
	const char *name = text_of(container, "name"), *image = text_of(container, "image");
	const json_t *waiting = json_object_get(json_object_get(container, "state"), "waiting");
	const char *why = text_of(waiting, "reason"), *message = text_of(waiting, "message");
	for (size_t i = 0; why && i < ARRAY_LEN(broken); i++) {
		if (!str_equal(why, broken[i].reason))
			continue;
		*reason = xasprintf("pod %s: container %s: %s%s%s (%s)%s%s", pod, name, broken[i].before,
				    broken[i].image && image ? image : "", broken[i].after, why, message ? ": " : "",
				    message ? message : "");
		return POD_BROKEN;
	}
	const json_t *ended = ended_badly(container);
	if (!ended)
		return POD_FINE;
	const char *end = text_of(ended, "reason"), *words = text_of(ended, "message");
	bool plain = !end || str_equal(end, "Error") || str_equal(end, "Completed");
	*previous = waiting != NULL;
	*reason = xasprintf("pod %s: the program of container %s ended (exit %" JSON_INTEGER_FORMAT "%s%s)%s%s", pod,
			    name, number_of(ended, "exitCode", 0), plain ? "" : ", ", plain ? "" : end,
			    words ? ": " : "", words ? words : "");
	return POD_CRASHED;
}

enum pod_trouble status_pod(const json_t *pod, char **reason, const char **container, bool *previous)
{
	static const char *const lists[] = {"initContainerStatuses", "containerStatuses"};
	const json_t *status = json_object_get(pod, "status"), *placed = condition_of(pod, "PodScheduled"), *one;
	const char *pod_name = text_of(json_object_get(pod, "metadata"), "name");
	*reason = NULL;
	*container = NULL;
	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		size_t i;
		json_array_foreach(json_object_get(status, lists[l]), i, one)
		{
			enum pod_trouble trouble = container_trouble(pod_name, one, reason, previous);
			*container = text_of(one, "name");
			if (trouble != POD_FINE)
				return trouble;
		}
	}
	if (str_equal(text_of(placed, "status"), "False") && str_equal(text_of(placed, "reason"), "Unschedulable")) {
		const char *message = text_of(placed, "message");
		*reason = xasprintf("pod %s: no node takes it: %s", pod_name, message ? message : "unschedulable");
		return POD_UNPLACED;
	}
	if (str_equal(text_of(status, "phase"), "Failed")) {
		const char *why = text_of(status, "reason"), *message = text_of(status, "message");
		*reason = xasprintf("pod %s failed: %s%s%s", pod_name, why ? why : "it does not say why",
				    message ? ": " : "", message ? message : "");
		return POD_BROKEN;
	}
	return POD_FINE;
}

/* ---- asking ---- */

static void add_line(void *data, const char *line, size_t len)
{
	struct str *lines = data;
	(void)len;
	_cleanup_free_ char *safe = str_printable(line);
	str_addf(lines, "\n%s", safe);
}

static int crashed(const struct status_wait *wait, const char *namespace_, const json_t *pod, const char *container,
		   bool previous, const char *reason, struct error *err)
{
	CLEANUP(str_release) struct str lines = {.max = LINES_MAX};
	const struct kubernetes_container of = {
		.namespace_ = namespace_,
		.pod = text_of(json_object_get(pod, "metadata"), "name"),
		.container = container,
	};
	const struct kubernetes_logs what = {.previous = previous, .tail = LOG_LINES};
	if (kubernetes_logs(wait->kubernetes, &of, &what, add_line, &lines, wait->cancel, NULL) < 0 && previous) {
		const struct kubernetes_logs now = {.tail = LOG_LINES};
		(void)kubernetes_logs(wait->kubernetes, &of, &now, add_line, &lines, wait->cancel, NULL);
	}
	return error_set(err, ECHILD, "%s%s%s", reason, lines.len ? ":" : ", without a word", str_text(&lines));
}

static bool is_new(const struct status_wait *wait, const json_t *pod)
{
	const json_t *metadata = json_object_get(pod, "metadata");
	const char *deployed = text_of(json_object_get(metadata, "annotations"), KUBERNETES_ANNOTATION_DEPLOYED);
	return wait->deployed && str_equal(deployed, wait->deployed) && !json_object_get(metadata, "deletionTimestamp");
}

/* One look at the pods of a namespace. */
static int look_at_pods(const struct status_wait *wait, const char *namespace_, uint64_t waited_ms, struct error *err)
{
	_cleanup_free_ char *space = docker_escape(namespace_), *run = docker_escape(wait->run_id);
	_cleanup_free_ char *path =
		xasprintf("/api/v1/namespaces/%s/pods?labelSelector=" KUBERNETES_LABEL_RUN "%%3D%s", space, run);
	json_t *answer = NULL;
	const json_t *pod;
	size_t i;
	int r = kubernetes_call(wait->kubernetes, "GET", path, NULL, &answer, wait->cancel, err);
	json_array_foreach(json_object_get(answer, "items"), i, pod)
	{
		_cleanup_free_ char *reason = NULL;
		const char *container;
		bool previous = false;
		if (r < 0 || !is_new(wait, pod))
			continue;
		enum pod_trouble trouble = status_pod(pod, &reason, &container, &previous);
		if (trouble == POD_CRASHED)
			r = crashed(wait, namespace_, pod, container, previous, reason, err);
		else if (trouble == POD_BROKEN || (trouble == POD_UNPLACED && waited_ms >= UNPLACED_MS))
			r = error_set(err, ECHILD, "%s", reason);
	}
	json_decref(answer);
	return r;
}

/* 1: rolled out; 0: not yet, *missing says what lacks. */
static int look_at_target(const struct status_wait *wait, const struct status_target *target, char **missing,
			  struct error *err)
{
	_cleanup_free_ char *space = docker_escape(target->namespace_), *name = docker_escape(target->name);
	_cleanup_free_ char *path =
		xasprintf("%s/namespaces/%s/%s/%s", kinds[target->kind].api, space, kinds[target->kind].resource, name);
	json_t *object = NULL;
	_cleanup_free_ char *lacks = NULL;
	int r = kubernetes_call(wait->kubernetes, "GET", path, NULL, &object, wait->cancel, err);
	if (r == 0 && status_rolled_out(target->kind, object, &lacks))
		r = 1;
	if (r == 0) {
		free(*missing);
		*missing = xasprintf("%s %s: %s", kinds[target->kind].kind, target->name, lacks);
	}
	json_decref(object);
	return r;
}

/* 1: all are. */
static int look(const struct status_wait *wait, uint64_t waited_ms, char **missing, struct error *err)
{
	int r = 1;
	for (size_t i = 0; r >= 0 && wait->deployed && i < wait->namespaces->len; i++) {
		int looked = look_at_pods(wait, wait->namespaces->items[i], waited_ms, err);
		r = looked < 0 ? looked : r;
	}
	for (size_t i = 0; r > 0 && i < wait->targets->len; i++)
		r = look_at_target(wait, &wait->targets->items[i], missing, err);
	return r;
}

/* The newest warning about pods of the namespaces: what a probe said, a volume that is not there. NULL: none. The caller frees. */
static char *last_warning(const struct status_wait *wait)
{
	char *found = NULL;
	for (size_t n = 0; n < wait->namespaces->len; n++) {
		_cleanup_free_ char *space = docker_escape(wait->namespaces->items[n]), *latest = NULL;
		_cleanup_free_ char *path = xasprintf(
			"/api/v1/namespaces/%s/events?fieldSelector=type%%3DWarning%%2CinvolvedObject.kind%%3DPod",
			space);
		json_t *answer = NULL;
		const json_t *event;
		size_t i;
		if (kubernetes_call(wait->kubernetes, "GET", path, NULL, &answer, wait->cancel, NULL) < 0)
			continue;
		json_array_foreach(json_object_get(answer, "items"), i, event)
		{
			const char *time = text_of(event, "lastTimestamp"), *message = text_of(event, "message");
			const char *pod = text_of(json_object_get(event, "involvedObject"), "name");
			if (!time || !message || !pod || (latest && strcmp(time, latest) < 0))
				continue;
			replace_string(&latest, time);
			free(found);
			found = xasprintf("pod %s: %s", pod, message);
		}
		json_decref(answer);
	}
	return found;
}

int status_await(const struct status_wait *wait, struct error *err)
{
	_cleanup_free_ char *missing = NULL;
	uint64_t start = monotonic_ns();
	for (;;) {
		uint64_t waited_ms = (monotonic_ns() - start) / NS_PER_MS;
		CLEANUP(error_clear) struct error inner = {0};
		int r = look(wait, waited_ms, &missing, &inner);
		if (r == 1)
			return 0;
		/* A server that is away for a moment has the whole deadline to come back; what was not there a moment ago may be made. */
		bool lasts = r == -ECONNREFUSED || r == -EIO || r == -ENOENT;
		if (r < 0 && !lasts)
			return error_move(err, &inner);
		if (waited_ms >= (uint64_t)wait->deadline_s * 1000) {
			if (r < 0)
				return error_move(err, &inner);
			_cleanup_free_ char *warning = last_warning(wait);
			return error_set(err, ETIMEDOUT, "not ready after %u s: %s%s%s", wait->deadline_s, missing,
					 warning ? "; " : "", warning ? warning : "");
		}
		struct pollfd fd = {.fd = cancel_fd(wait->cancel), .events = POLLIN};
		if (poll(&fd, 1, STEP_MS) > 0)
			return error_set(err, ECANCELED, "cancelled");
	}
}
