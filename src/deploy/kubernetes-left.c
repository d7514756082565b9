/* What an earlier skiff left in the cluster: finding it, taking it over, removing it. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "client/docker.h"
#include "client/kubernetes-names.h"
#include "deploy/kubernetes-internal.h"
#include "deploy/owner.h"

static struct kubernetes_deployer *cast(struct deployer *d)
{
	return (struct kubernetes_deployer *)d;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static const char *annotation(const json_t *pod, const char *name)
{
	return text_of(json_object_get(json_object_get(pod, "metadata"), "annotations"), name);
}

static const char *run_of(const json_t *object)
{
	return text_of(json_object_get(json_object_get(object, "metadata"), "labels"), KUBERNETES_LABEL_RUN);
}

/* ---- pods ---- */

/* The run's pods in all of its namespaces: a new reference. */
static int list_pods(struct kubernetes_deployer *d, json_t **pods, struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *run = docker_escape(d->run_id);
	json_t *all = json_array();
	int r = 0;
	for (size_t i = 0; r == 0 && i < d->namespaces.len; i++) {
		_cleanup_free_ char *space = docker_escape(d->namespaces.items[i]);
		_cleanup_free_ char *path =
			xasprintf("/api/v1/namespaces/%s/pods?labelSelector=" KUBERNETES_LABEL_RUN "%%3D%s", space,
				  run);
		json_t *answer = NULL;
		r = kubernetes_call(d->kubernetes, "GET", path, NULL, &answer, cancel, err);
		json_array_extend(all, json_object_get(answer, "items"));
		json_decref(answer);
	}
	if (r == 0)
		*pods = all;
	else
		json_decref(all);
	return r;
}

/* -EBUSY if a pod belongs to a skiff that lives, and is not this one. */
static int refuse_others(const json_t *pods, struct error *err)
{
	size_t i;
	const json_t *pod;
	json_array_foreach(pods, i, pod)
	{
		const char *owner = annotation(pod, KUBERNETES_ANNOTATION_OWNER),
			   *slash = owner ? strchr(owner, '/') : NULL;
		_cleanup_free_ char *host = slash ? xstrndup(owner, (size_t)(slash - owner)) : NULL;
		int pid = 0;
		switch (owner_state(slash ? slash + 1 : NULL, host, &pid)) {
		case OWNER_ALIVE:
			return error_set(err, EBUSY,
					 "this project is run by another skiff (pid %d): end that one first", pid);
		case OWNER_ELSEWHERE:
			return error_set(
				err, EBUSY,
				"this project's pods in this cluster belong to a skiff on %s (pid %d): end that "
				"one first, or remove what is labelled %s=%s",
				host, pid, KUBERNETES_LABEL_RUN, run_of(pod));
		case OWNER_DEAD:
		case OWNER_SELF:
			break;
		}
	}
	return 0;
}

/* ---- left ---- */

static const json_t *status_of(const json_t *pod, const char *container)
{
	size_t i;
	const json_t *status;
	json_array_foreach(json_object_get(json_object_get(pod, "status"), "containerStatuses"), i,
			   status) if (str_equal(text_of(status, "name"), container)) return status;
	return NULL;
}

/* "2026-08-01T10:00:00Z"; 0 for anything else. */
static int64_t seconds_of(const char *time)
{
	struct tm parts = {0};
	const char *end = time ? strptime(time, "%Y-%m-%dT%H:%M:%S", &parts) : NULL;
	return end ? (int64_t)timegm(&parts) : 0;
}

static struct left_container *find_left(struct left_containers *left, const char *image)
{
	for vec_each (one, left)
		if (str_equal(one->image, image))
			return one;
	return NULL;
}

static void keep_left(struct kubernetes_deployer *d, const char *image, const json_t *entry)
{
	struct known_image *kept = NULL;
	for vec_each (left, &d->left)
		kept = str_equal((*left)->image, image) ? *left : kept;
	if (!kept) {
		kept = xcalloc(1, sizeof(*kept));
		vec_push(&d->left, kept);
	}
	kubernetes_known_release(kept);
	kept->image = xstrdup(image);
	kept->ref = xstrdup(text_of(entry, "ref"));
	kept->base = xstrdup_or_null(text_of(entry, "base"));
	kept->tag = xstrdup_or_null(text_of(entry, "tag"));
	kept->agent = xstrdup_or_null(text_of(entry, KUBERNETES_AGENT));
}

/* One container of a pod. Where the pods of an image are not of one kind, none is anybody's: they are deployed anew. */
static void take_container(struct kubernetes_deployer *d, const json_t *pod, const json_t *entry, const char *container,
			   struct left_containers *left, struct strv *torn)
{
	const json_t *metadata = json_object_get(pod, "metadata"), *status = status_of(pod, container);
	const char *image = text_of(entry, "image"), *base = text_of(entry, "base");
	const char *config = annotation(pod, KUBERNETES_ANNOTATION_CONFIG), *id = text_of(status, "containerID");
	bool running = json_object_get(json_object_get(status, "state"), "running") != NULL;
	struct left_container *one = find_left(left, image);
	if (one && (!str_equal(one->base_id, base) || !str_equal(one->config_digest, config)) &&
	    !strv_contains(torn, image))
		strv_push(torn, image);
	if (one && (one->running || !running))
		return;
	if (!one) {
		one = vec_add(left);
		one->image = xstrdup(image);
	}
	free(one->id);
	one->id = xasprintf("%s/%s/%s@%s", text_of(metadata, "namespace"), text_of(metadata, "name"), container,
			    id ? id : "");
	replace_string(&one->base_id, base);
	replace_string(&one->tag, text_of(entry, "tag"));
	replace_string(&one->config_digest, config);
	one->running = running;
	one->created_s = seconds_of(text_of(metadata, "creationTimestamp"));
	keep_left(d, image, entry);
}

static bool is_going(const json_t *pod)
{
	const char *phase = text_of(json_object_get(pod, "status"), "phase");
	return json_object_get(json_object_get(pod, "metadata"), "deletionTimestamp") ||
	       str_equal(phase, "Succeeded") || str_equal(phase, "Failed");
}

static void take_pod(struct kubernetes_deployer *d, const json_t *pod, struct left_containers *left, struct strv *torn)
{
	const char *text = annotation(pod, KUBERNETES_ANNOTATION_CONTAINERS);
	json_t *entries = text ? json_loads(text, 0, NULL) : NULL;
	const json_t *container;
	size_t i;
	json_array_foreach(json_object_get(json_object_get(pod, "spec"), "containers"), i, container)
	{
		const char *name = text_of(container, "name");
		const json_t *entry = name ? json_object_get(entries, name) : NULL;
		const char *ref = text_of(entry, "ref"), *image = text_of(entry, "image");
		if (ref && image && str_equal(ref, text_of(container, "image")) && strv_contains(&d->candidates, image))
			take_container(d, pod, entry, name, left, torn);
	}
	json_decref(entries);
}

static void left_container_release(struct left_container *one)
{
	struct left_containers list = {.items = xmemdup(one, sizeof(*one)), .len = 1, .cap = 1};
	left_containers_release(&list);
}

static void drop_torn(struct left_containers *left, const struct strv *torn)
{
	size_t kept = 0;
	for vec_each (one, left) {
		if (strv_contains(torn, one->image))
			left_container_release(one);
		else
			left->items[kept++] = *one;
	}
	left->len = kept;
}

/* The local ports that it would have again; they are forwarded once it is adopted. */
static void plan_left_ports(struct kubernetes_deployer *d, struct left_container *one)
{
	if (d->no_ports || held_ports_plan(&d->ports, d->config, &d->objects, one->image,
					   kubernetes_namespace(d->kubernetes), NULL) < 0)
		return;
	for vec_each (held, &d->ports) {
		if (!str_equal(held->image, one->image))
			continue;
		held->told = true;
		vec_push(&one->ports, (struct published_port){.image = xstrdup(one->image),
							      .address = xstrdup(held->address),
							      .local = held->local,
							      .container = held->container});
	}
}

/* What rewriting its manifest takes that its pods don't say; asked here, since adopting may not wait. */
static void complete_left(struct kubernetes_deployer *d, struct cancel *cancel)
{
	for vec_each (item, &d->left) {
		struct known_image *left = *item;
		_cleanup_free_ char *name = manifest_image_name(left->ref);
		left->in_registry = !d->docker || (name && image_way(d->config, kubernetes_context(d->kubernetes),
								     d->delivery.default_repo, name) == IMAGE_PUSH);
		strv_clear(&left->entry_point);
		strv_clear(&left->command);
		(void)kubernetes_facts(d, config_artifact(d->config, left->image), left->ref, left, cancel, NULL);
	}
}

int kubernetes_left(struct deployer *base, struct left_containers *left, struct cancel *cancel, struct error *err)
{
	struct kubernetes_deployer *d = cast(base);
	CLEANUP(strv_release) struct strv torn = {0};
	json_t *pods = NULL;
	int r = kubernetes_take_run(d, err);
	if (r < 0)
		return r;
	(void)kubernetes_render(d, cancel, NULL); /* for its namespaces; what is wrong is said when it is needed */
	r = list_pods(d, &pods, cancel, err);
	if (r == 0)
		r = refuse_others(pods, err);
	size_t i;
	const json_t *pod;
	pthread_mutex_lock(&d->mutex);
	json_array_foreach(pods, i, pod) if (r == 0 && !is_going(pod)) take_pod(d, pod, left, &torn);
	drop_torn(left, &torn);
	complete_left(d, cancel);
	for vec_each (one, left)
		plan_left_ports(d, one);
	pthread_mutex_unlock(&d->mutex);
	json_decref(pods);
	return r;
}

void kubernetes_adopt(struct deployer *base, const struct left_container *container)
{
	struct kubernetes_deployer *d = cast(base);
	pthread_mutex_lock(&d->mutex);
	for vec_each (item, &d->left) {
		struct known_image *left = *item;
		if (!str_equal(left->image, container->image))
			continue;
		struct known_image *known = kubernetes_known(d, container->image, true);
		kubernetes_known_release(known);
		*known = *left;
		image_was_delivered(&d->delivery, known->ref);
		free(left);
		*item = d->left.items[--d->left.len];
		break;
	}
	pthread_mutex_unlock(&d->mutex);
	kubernetes_forward(d, container->image, true, NULL, NULL);
}

/* ---- removing ---- */

static int refuse(struct kubernetes_deployer *d, struct cancel *cancel, struct error *err)
{
	json_t *pods = NULL;
	int r = kubernetes_take_run(d, err);
	if (r == 0)
		r = list_pods(d, &pods, cancel, err);
	if (r == 0)
		r = refuse_others(pods, err);
	json_decref(pods);
	return r;
}

int kubernetes_sweep(struct deployer *base, struct cancel *cancel, struct error *err)
{
	return refuse(cast(base), cancel, err); /* what is applied replaces what was */
}

static bool is_kept(const char *kind)
{
	static const char *const kinds[] = {"Namespace", "PersistentVolumeClaim", "PersistentVolume"};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_equal(kind, kinds[i]))
			return true;
	return false;
}

static void add_identity(struct kubectl_objects *objects, const struct deploy_object *object)
{
	struct str text = {0};
	manifest_identity(object->manifest, &text);
	vec_push(objects, (struct kubectl_object){.kind = object->manifest->kind,
						  .namespace_ = object->namespace_,
						  .text = str_steal(&text)});
}

static bool is_ours(const struct kubernetes_deployer *d, const struct deploy_object *object, const json_t *found)
{
	size_t i;
	const json_t *one;
	json_array_foreach(found, i, one)
	{
		const json_t *metadata = json_object_get(one, "metadata");
		const char *space = text_of(metadata, "namespace");
		if (str_equal(text_of(one, "kind"), object->manifest->kind) &&
		    str_equal(text_of(metadata, "name"), object->manifest->name) &&
		    (!space || str_equal(space, object->namespace_)) && str_equal(run_of(one), d->run_id))
			return true;
	}
	return false;
}

/* Asks for all, then deletes those that carry the label. Where kubectl can't be asked (a definition is gone), what this process applied. */
static int remove_ours(struct kubernetes_deployer *d, struct error *err)
{
	CLEANUP(kubectl_objects_release) struct kubectl_objects asked = {0}, ours = {0};
	CLEANUP(error_clear) struct error inner = {0};
	json_t *found = json_array();
	for vec_each (object, &d->objects)
		if (object->manifest->name && !is_kept(object->manifest->kind))
			add_identity(&asked, object);
	int r = kubectl_get(&d->kubectl, &asked, found, NULL, &inner);
	for vec_each (object, &d->objects)
		if (object->manifest->name && !is_kept(object->manifest->kind) &&
		    (is_ours(d, object, found) || (r < 0 && object->applied)))
			add_identity(&ours, object);
	json_decref(found);
	bool absent = inner.message && strstr(inner.message, "no matches for kind"); /* then there is none of it */
	if (r < 0 && ours.len == 0 && !absent)
		return error_move(err, &inner);
	return ours.len > 0 ? kubectl_delete(&d->kubectl, &ours, false, NULL, err) : 0;
}

int kubernetes_cleanup(struct deployer *base, struct error *err)
{
	struct kubernetes_deployer *d = cast(base);
	forwards_stop(d->forwards);
	int r = kubernetes_take_run(d, err);
	if (r == 0)
		r = kubernetes_render(d, NULL, err);
	if (r == 0)
		r = refuse(d, NULL, err);
	if (r == 0)
		r = remove_ours(d, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&d->mutex);
	for vec_each (object, &d->objects)
		object->applied = false;
	for vec_each (known, &d->images)
		image_forget(&d->delivery, (*known)->ref);
	pthread_mutex_unlock(&d->mutex);
	return 0;
}
