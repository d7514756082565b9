/* Which containers there are in pods, and hearing of it when that changes. */
#include <errno.h>
#include <poll.h>

#include "client/docker.h"
#include "client/kubernetes-names.h"
#include "runtime/kubernetes-session.h"

enum {
	BACK_OFF_MIN_MS = 100,
	BACK_OFF_MAX_MS = 2000,
};

const char *kubernetes_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static const json_t *named(const json_t *list, const char *name)
{
	const json_t *one;
	size_t i;
	json_array_foreach(list, i, one) if (str_equal(kubernetes_text(one, "name"), name)) return one;
	return NULL;
}

const json_t *kubernetes_status_of(const json_t *pod, const char *container)
{
	return named(json_object_get(json_object_get(pod, "status"), "containerStatuses"), container);
}

/* All that the deployer wrote into a pod; NULL: nothing, or nothing that can be read. A new reference. */
static json_t *notes_of(const json_t *pod)
{
	const json_t *annotations = json_object_get(json_object_get(pod, "metadata"), "annotations");
	const char *text = json_string_value(json_object_get(annotations, KUBERNETES_ANNOTATION_CONTAINERS));
	return text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

json_t *kubernetes_note_of(const json_t *pod, const char *container)
{
	json_t *notes = notes_of(pod);
	json_t *note = json_incref(json_object_get(notes, container));
	json_decref(notes);
	return note;
}

/* ---- listing ---- */

struct listing {
	struct kubernetes *kubernetes;
	const struct attach_query *query; /* NULL: the run's own */
	struct instances *out;
	struct cancel *cancel;
};

/* Going, or done for good. */
static bool is_over(const json_t *pod)
{
	const char *phase = kubernetes_text(json_object_get(pod, "status"), "phase");
	return json_object_get(json_object_get(pod, "metadata"), "deletionTimestamp") ||
	       str_equal(phase, "Succeeded") || str_equal(phase, "Failed");
}

static int exit_code_of(const json_t *status)
{
	const json_t *ended = json_object_get(json_object_get(status, "state"), "terminated");
	if (!ended)
		ended = json_object_get(json_object_get(status, "lastState"), "terminated");
	return (int)json_integer_value(json_object_get(ended, "exitCode"));
}

static void add_instance(const struct listing *listing, const json_t *pod, const char *container, const char *image,
			 const char *base)
{
	const json_t *metadata = json_object_get(pod, "metadata");
	const json_t *status = kubernetes_status_of(pod, container);
	const json_t *running = json_object_get(json_object_get(status, "state"), "running");
	const char *name = kubernetes_text(metadata, "name"), *id = kubernetes_text(status, "containerID");
	if (!*id)
		return; /* not started yet */
	bool alone = json_array_size(json_object_get(json_object_get(pod, "spec"), "containers")) == 1;
	struct instance *instance = vec_add(listing->out);
	*instance = (struct instance){
		.id = xasprintf("%s/%s/%s@%s", kubernetes_text(metadata, "namespace"), name, container, id),
		.name = alone ? xstrdup(name) : xasprintf("%s/%s", name, container),
		.image = xstrdup(image),
		.base_id = xstrdup_or_null(base),
		.attached = listing->query != NULL,
		.ends = true,
		.running = running != NULL,
		.started = running ? xstrdup(kubernetes_text(running, "startedAt")) : NULL,
		.exit_code = running ? 0 : exit_code_of(status),
	};
}

/* Those that run exactly what was deployed: another tool that sets another image makes the container its own. */
static void add_own(const struct listing *listing, const json_t *pod)
{
	json_t *notes = notes_of(pod), *note;
	const char *container;
	json_object_foreach(notes, container, note)
	{
		const json_t *spec = named(json_object_get(json_object_get(pod, "spec"), "containers"), container);
		const char *image = kubernetes_text(note, "image");
		if (spec && *image && str_equal(kubernetes_text(spec, "image"), kubernetes_text(note, "ref")))
			add_instance(listing, pod, container, image, json_string_value(json_object_get(note, "base")));
	}
	json_decref(notes);
}

/* The last element of an image's name, without tag and digest. */
static char *short_name(const char *image)
{
	const char *slash = strrchr(image, '/'), *name = slash ? slash + 1 : image;
	return xstrndup(name, strcspn(name, ":@"));
}

/* Of another tool's pod: the container of that image, or that bears its name; or the only one. */
static void add_attached(const struct listing *listing, const json_t *pod)
{
	const json_t *containers = json_object_get(json_object_get(pod, "spec"), "containers"), *one;
	const json_t *labels = json_object_get(json_object_get(pod, "metadata"), "labels");
	_cleanup_free_ char *wanted = short_name(listing->query->image);
	size_t i, count = json_array_size(containers);
	if (json_object_get(labels, KUBERNETES_LABEL_RUN))
		return; /* a skiff's own */
	json_array_foreach(containers, i, one)
	{
		const char *name = kubernetes_text(one, "name");
		_cleanup_free_ char *image = short_name(kubernetes_text(one, "image"));
		if (count == 1 || str_equal(image, wanted) || str_equal(name, wanted))
			add_instance(listing, pod, name, listing->query->image,
				     json_string_value(json_object_get(kubernetes_status_of(pod, name), "imageID")));
	}
}

static char *selector_of(const struct attach_query *query, const char *run_id)
{
	struct str selector = {0};
	for (size_t i = 0; query && i < query->labels.len; i++)
		str_addf(&selector, "%s%s", i ? "," : "", query->labels.items[i]);
	if (!query)
		str_addf(&selector, "%s=%s", KUBERNETES_LABEL_RUN, run_id);
	_cleanup_free_ char *text = str_steal(&selector);
	return docker_escape(text);
}

static char *pods_path(const char *namespace_, const struct attach_query *query, const char *run_id)
{
	_cleanup_free_ char *selector = selector_of(query, run_id), *escaped = docker_escape(namespace_);
	return xasprintf("/api/v1/namespaces/%s/pods?labelSelector=%s", escaped, selector);
}

static int list_pods(const struct listing *listing, const char *namespace_, const char *run_id, struct error *err)
{
	_cleanup_free_ char *path = pods_path(namespace_, listing->query, run_id);
	json_t *list = NULL;
	const json_t *pod;
	size_t i;
	int r = kubernetes_call(listing->kubernetes, "GET", path, NULL, &list, listing->cancel, err);
	json_array_foreach(json_object_get(list, "items"), i, pod)
	{
		if (r < 0 || is_over(pod))
			continue;
		if (listing->query)
			add_attached(listing, pod);
		else
			add_own(listing, pod);
	}
	json_decref(list);
	return r < 0 ? r : 0;
}

int kubernetes_runtime_list(struct runtime *rt, const char *run_id, struct instances *out, struct cancel *cancel,
			    struct error *err)
{
	struct kubernetes *kubernetes = ((struct kubernetes_runtime *)rt)->kubernetes;
	CLEANUP(strv_release) struct strv namespaces = {0};
	struct listing listing = {.kubernetes = kubernetes, .out = out, .cancel = cancel};
	int r = 0;
	kubernetes_namespaces(kubernetes, &namespaces);
	for (size_t n = 0; n < namespaces.len && r == 0; n++) {
		listing.query = NULL;
		r = list_pods(&listing, namespaces.items[n], run_id, err);
		for (size_t i = 0; i < rt->attach.len && r == 0; i++) {
			listing.query = &rt->attach.items[i];
			r = list_pods(&listing, namespaces.items[n], run_id, err);
		}
	}
	return r < 0 ? error_wrap(err, "can't list the pods") : 0;
}

/* ---- following ---- */

struct follower { /* of one namespace and selector, on a thread of its own */
	struct kubernetes *kubernetes;
	char *path;
	void (*changed)(void *data);
	void *data;
	struct cancel *cancel;
	bool stands; /* the stream was reached since the last look */
	pthread_t thread;
};

static void followed(void *data, const json_t *event)
{
	struct follower *follower = data;
	(void)event; /* whatever it is: the pods are listed anew */
	follower->stands = true;
	follower->changed(follower->data);
}

/* The list that is asked for when the stream breaks tells that the cluster is gone; the stream's beginning, that it is back. */
static void *follow_thread(void *data)
{
	struct follower *follower = data;
	struct pollfd stop = {.fd = cancel_fd(follower->cancel), .events = POLLIN};
	int wait = BACK_OFF_MIN_MS;
	while (!cancel_requested(follower->cancel)) {
		follower->stands = false;
		int r = kubernetes_watch(follower->kubernetes, follower->path, followed, follower, follower->cancel,
					 NULL);
		wait = follower->stands ? BACK_OFF_MIN_MS : wait * 2 < BACK_OFF_MAX_MS ? wait * 2 : BACK_OFF_MAX_MS;
		if (r < 0 && follower->stands)
			follower->changed(follower->data);
		poll(&stop, 1, wait);
	}
	return NULL;
}

static void start_follower(struct follower *follower)
{
	if (pthread_create(&follower->thread, NULL, follow_thread, follower) != 0)
		abort(); /* as all memory: no thread, no skiff */
}

int kubernetes_runtime_follow(struct runtime *rt, const char *run_id, void (*changed)(void *data), void *data,
			      struct cancel *cancel, struct error *err)
{
	struct kubernetes *kubernetes = ((struct kubernetes_runtime *)rt)->kubernetes;
	CLEANUP(strv_release) struct strv namespaces = {0};
	(void)err; /* a cluster that is gone for a while is no failure */
	kubernetes_namespaces(kubernetes, &namespaces);
	size_t queries = rt->attach.len + 1, count = namespaces.len * queries;
	struct follower *followers = xcalloc(count + 1, sizeof(*followers));
	for (size_t i = 0; i < count; i++) {
		const struct attach_query *query = i % queries ? &rt->attach.items[i % queries - 1] : NULL;
		followers[i] = (struct follower){.kubernetes = kubernetes,
						 .path = pods_path(namespaces.items[i / queries], query, run_id),
						 .changed = changed,
						 .data = data,
						 .cancel = cancel};
		start_follower(&followers[i]);
	}
	for (size_t i = 0; i < count; i++) {
		pthread_join(followers[i].thread, NULL);
		free(followers[i].path);
	}
	free(followers);
	return 0;
}
