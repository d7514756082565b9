#include "deploy/kubernetes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "client/agent-program.h"
#include "client/docker.h"
#include "client/kubernetes-names.h"
#include "deploy/engine.h"
#include "deploy/kubernetes-internal.h"
#include "deploy/kubernetes-status.h"
#include "deploy/owner.h"
#include "deploy/render.h"

enum { DEADLINE_S = 600 };

static struct kubernetes_deployer *cast(struct deployer *d)
{
	return (struct kubernetes_deployer *)d;
}

/* ---- what is known ---- */

struct known_image *kubernetes_known(struct kubernetes_deployer *d, const char *image, bool make)
{
	for vec_each (known, &d->images)
		if (str_equal((*known)->image, image))
			return *known;
	if (!make)
		return NULL;
	struct known_image *known = xcalloc(1, sizeof(*known));
	known->image = xstrdup(image);
	vec_push(&d->images, known);
	return known;
}

int kubernetes_take_run(struct kubernetes_deployer *d, struct error *err)
{
	CLEANUP(error_clear) struct error inner = {0};
	int r = 0;
	pthread_mutex_lock(&d->mutex);
	if (d->lock_fd < 0) {
		int fd = owner_lock(d->run_id, &inner);
		d->lock_fd = fd < 0 ? -1 : fd; /* without a state directory the annotations alone must do */
		r = fd == -EBUSY ? error_move(err, &inner) : 0;
	}
	pthread_mutex_unlock(&d->mutex);
	return r;
}

static void add_unique(struct strv *list, const struct strv *more)
{
	for (size_t i = 0; i < more->len; i++)
		if (!strv_contains(list, more->items[i]))
			strv_push(list, more->items[i]);
}

static void add_objects(struct kubernetes_deployer *d)
{
	const char *own = kubernetes_namespace(d->kubernetes);
	for vec_each (manifest, &d->manifests.items) {
		struct deploy_object *object = vec_add(&d->objects);
		object->manifest = manifest;
		object->namespace_ = manifest->namespace_ ? manifest->namespace_
				     : manifest->home	  ? manifest->home
							  : own;
		manifest_named(manifest, &d->candidates, &object->images);
		if (object->images.len > 0 && !strv_contains(&d->namespaces, object->namespace_)) {
			strv_push(&d->namespaces, object->namespace_);
			kubernetes_note_namespace(d->kubernetes, object->namespace_); /* the runtime looks there */
		}
	}
	for vec_each (service, &d->objects)
		for vec_each (other, &d->objects)
			if (str_equal(service->namespace_, other->namespace_) &&
			    manifest_selects(service->manifest, other->manifest))
				add_unique(&service->serves, &other->images);
}

int kubernetes_render(struct kubernetes_deployer *d, struct cancel *cancel, struct error *err)
{
	int r = 0;
	pthread_mutex_lock(&d->mutex);
	if (!d->rendered) {
		r = render_manifests(d->config, d->kubernetes, &d->manifests, cancel, err);
		if (r == 0)
			add_objects(d);
		else
			manifests_release(&d->manifests);
		d->rendered = r == 0;
	}
	pthread_mutex_unlock(&d->mutex);
	return r;
}

/* ---- what is to be applied ---- */

struct deployment { /* of one image */
	const struct deployed_image *image;
	struct known_image new_; /* what it is from now on; moved away once it is known */
	char *before;		 /* the reference before it */
	char deployed[24];
	struct kubectl_objects apply, replace; /* replace: in the cluster, and can't be changed */
	VEC(struct deploy_object *) objects;   /* those of `apply` */
};

void kubernetes_known_release(struct known_image *known)
{
	free(known->image);
	free(known->ref);
	free(known->base);
	free(known->tag);
	free(known->agent);
	strv_release(&known->entry_point);
	strv_release(&known->command);
	*known = (struct known_image){0};
}

static void deployment_release(struct deployment *job)
{
	kubernetes_known_release(&job->new_);
	free(job->before);
	kubectl_objects_release(&job->apply);
	kubectl_objects_release(&job->replace);
	vec_release(&job->objects);
}

static bool is_named(const struct kubernetes_deployer *d, const char *image)
{
	for vec_each (object, &d->objects)
		if (strv_contains(&object->images, image))
			return true;
	return false;
}

int kubernetes_facts(struct kubernetes_deployer *d, const struct artifact *artifact, const char *id,
		     struct known_image *known, struct cancel *cancel, struct error *err)
{
	struct engine_image facts = {0};
	known->supervised = false;
	if (!d->docker || !known->agent || !artifact || artifact->restart == RESTART_NONE)
		return 0;
	int r = engine_image(d->docker, id, &facts, cancel, err);
	if (r == 0) {
		strv_extend(&known->entry_point, &facts.entry_point);
		strv_extend(&known->command, &facts.command);
		known->supervised = true;
	}
	engine_image_release(&facts);
	return r;
}

/* Delivers it, and finds out how it is started. */
static int prepare(struct kubernetes_deployer *d, struct deployment *job, struct cancel *cancel, struct error *err)
{
	const struct deployed_image *image = job->image;
	struct known_image *known = &job->new_;
	int r = image_deliver(&d->delivery, image, &known->ref, &known->in_registry, cancel, err);
	known->image = xstrdup(image->image);
	known->base = xstrdup_or_null(image->image_id);
	known->tag = xstrdup(image->tag);
	known->agent = image->agent_id ? agent_programs_id() : NULL;
	return r < 0 ? r : kubernetes_facts(d, image->artifact, image->agent_id, known, cancel, err);
}

/* With the mutex. */
static bool is_due(struct kubernetes_deployer *d, const struct deploy_object *object, const char *image)
{
	if (object->images.len == 0)
		return !object->applied;
	for (size_t i = 0; i < object->images.len; i++)
		if (!kubernetes_known(d, object->images.items[i], false))
			return false;
	return strv_contains(&object->images, image);
}

static bool is_fixed(const char *kind)
{
	return str_equal(kind, "Pod") || str_equal(kind, "Job");
}

static void add_object(struct deployment *job, struct deploy_object *object, const struct manifest_changes *changes)
{
	CLEANUP(str_release) struct str text = {0}, identity = {0};
	const struct manifest *manifest = object->manifest;
	manifest_rewrite(manifest, changes, &text);
	vec_push(&job->objects, object);
	vec_push(&job->apply, (struct kubectl_object){.kind = manifest->kind,
						      .namespace_ = object->namespace_,
						      .text = str_steal(&text)});
	if (!is_fixed(manifest->kind) || object->images.len == 0 || !manifest->name)
		return;
	manifest_identity(manifest, &identity);
	vec_push(&job->replace, (struct kubectl_object){.kind = manifest->kind,
							.namespace_ = object->namespace_,
							.text = str_steal(&identity)});
}

/* From here on the image is known; what is due becomes text. */
static void choose(struct kubernetes_deployer *d, struct deployment *job)
{
	_cleanup_free_ char *host = owner_host(), *self = owner_self(), *owner = xasprintf("%s/%s", host, self);
	struct manifest_images images = {0};
	snprintf(job->deployed, sizeof(job->deployed), "%" PRIu64, realtime_ns());
	const struct manifest_changes changes = {.images = &images,
						 .run_id = d->run_id,
						 .owner = owner,
						 .config = d->config_digest,
						 .deployed = job->deployed};
	pthread_mutex_lock(&d->mutex);
	if (job->new_.image) {
		struct known_image *known = kubernetes_known(d, job->image->image, true);
		job->before = steal(&known->ref);
		kubernetes_known_release(known);
		*known = job->new_;
		job->new_ = (struct known_image){0};
	}
	for vec_each (item, &d->images) {
		const struct known_image *known = *item;
		vec_push(&images, (struct manifest_image){.image = known->image,
							  .ref = known->ref,
							  .base = known->base,
							  .tag = known->tag,
							  .agent = known->agent,
							  .in_registry = known->in_registry,
							  .supervised = known->supervised,
							  .entry_point = &known->entry_point,
							  .command = &known->command});
	}
	for vec_each (object, &d->objects)
		if (is_due(d, object, job->image->image))
			add_object(job, object, &changes);
	pthread_mutex_unlock(&d->mutex);
	vec_release(&images);
}

/* ---- applying ---- */

static const char *label_of(const json_t *object)
{
	return json_string_value(
		json_object_get(json_object_get(json_object_get(object, "metadata"), "labels"), KUBERNETES_LABEL_RUN));
}

/* Only what is ours is deleted; for the rest kubectl says why it can't be changed. */
static int make_room(struct kubernetes_deployer *d, const struct kubectl_objects *objects, struct cancel *cancel,
		     struct error *err)
{
	for vec_each (object, objects) {
		json_t *found = json_array(), *one;
		struct kubectl_objects alone = {.items = object, .len = 1};
		size_t i;
		bool ours = false;
		int r = kubectl_get(&d->kubectl, &alone, found, cancel, err);
		json_array_foreach(found, i, one) ours = ours || str_equal(label_of(one), d->run_id);
		json_decref(found);
		if (r == 0 && ours)
			r = kubectl_delete(&d->kubectl, &alone, true, cancel, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int apply(struct kubernetes_deployer *d, struct deployment *job, struct cancel *cancel, struct error *err)
{
	pthread_mutex_lock(&d->apply);
	choose(d, job);
	int r = make_room(d, &job->replace, cancel, err);
	if (r == 0 && job->apply.len > 0)
		r = kubectl_apply(&d->kubectl, &job->apply, cancel, err);
	if (r == 0) {
		pthread_mutex_lock(&d->mutex);
		for vec_each (object, &job->objects)
			(*object)->applied = true;
		pthread_mutex_unlock(&d->mutex);
	}
	pthread_mutex_unlock(&d->apply);
	return r;
}

static int await(struct kubernetes_deployer *d, const struct deployment *job, struct cancel *cancel, struct error *err)
{
	const struct config *config = d->config;
	struct status_targets targets = {0};
	for vec_each (object, &job->objects) {
		const struct manifest *manifest = (*object)->manifest;
		enum target_kind kind;
		if (manifest->name && status_kind(manifest->kind, &kind))
			vec_push(&targets, (struct status_target){.kind = kind,
								  .namespace_ = (*object)->namespace_,
								  .name = manifest->name});
	}
	const struct status_wait wait = {.kubernetes = d->kubernetes,
					 .targets = &targets,
					 .namespaces = &d->namespaces,
					 .run_id = d->run_id,
					 .deployed = job->deployed,
					 .deadline_s = config->status_check_deadline_s ? config->status_check_deadline_s
										       : DEADLINE_S,
					 .cancel = cancel};
	bool wanted = targets.len > 0 && (!config->status_check_set || config->status_check);
	int r = wanted ? status_await(&wait, err) : 0;
	vec_release(&targets);
	return r;
}

/* Copies: others may hold more meanwhile. */
static void take_held(struct kubernetes_deployer *d, const char *image, bool tell, struct held_ports *mine)
{
	pthread_mutex_lock(&d->mutex);
	for vec_each (held, &d->ports) {
		if (!str_equal(held->image, image))
			continue;
		struct held_port *copy = vec_add(mine);
		*copy = *held;
		copy->image = xstrdup(held->image);
		copy->namespace_ = xstrdup(held->namespace_);
		copy->resource = xstrdup(held->resource);
		copy->address = xstrdup(held->address);
		copy->port = xstrdup(held->port);
		held->told = held->told || tell;
	}
	pthread_mutex_unlock(&d->mutex);
}

void kubernetes_forward(struct kubernetes_deployer *d, const char *image, bool own, struct published_ports *ports,
			struct cancel *cancel)
{
	CLEANUP(held_ports_release) struct held_ports mine = {0};
	take_held(d, image, ports != NULL, &mine);
	for vec_each (held, &mine) {
		const struct forward forward = {.namespace_ = held->namespace_,
						.resource = held->resource,
						.address = held->address,
						.local = held->local,
						.port = held->port};
		forwards_add(d->forwards, &forward, ports != NULL, cancel);
		if (ports && (own || !held->told))
			vec_push(ports, (struct published_port){.image = steal(&held->image),
								.address = steal(&held->address),
								.local = held->local,
								.container = held->container});
	}
}

/* Of all images in what was applied: another one's deployment may have waited for this one. */
static int forward(struct kubernetes_deployer *d, const struct deployment *job, struct published_ports *ports,
		   struct cancel *cancel, struct error *err)
{
	CLEANUP(strv_release) struct strv images = {0};
	int r = 0;
	for vec_each (object, &job->objects)
		add_unique(&images, &(*object)->images);
	for (size_t i = 0; r == 0 && !d->no_ports && i < images.len; i++) {
		pthread_mutex_lock(&d->mutex);
		r = held_ports_plan(&d->ports, d->config, &d->objects, images.items[i],
				    kubernetes_namespace(d->kubernetes), err);
		pthread_mutex_unlock(&d->mutex);
		if (r == 0)
			kubernetes_forward(d, images.items[i], str_equal(images.items[i], job->image->image), ports,
					   cancel);
	}
	return r;
}

/* The reference that no pod asks for any more. */
static void forget_old(struct kubernetes_deployer *d, const struct deployment *job)
{
	pthread_mutex_lock(&d->mutex);
	const struct known_image *known = kubernetes_known(d, job->image->image, false);
	bool old = job->before && known && !str_equal(known->ref, job->before);
	pthread_mutex_unlock(&d->mutex);
	if (old)
		image_forget(&d->delivery, job->before);
}

static int kubernetes_deploy(struct deployer *base, const struct deployed_image *image, struct published_ports *ports,
			     struct cancel *cancel, struct error *err)
{
	struct kubernetes_deployer *d = cast(base);
	CLEANUP(deployment_release) struct deployment job = {.image = image};
	int r = kubernetes_take_run(d, err);
	if (r == 0)
		r = kubernetes_render(d, cancel, err);
	if (r == 0 && is_named(d, image->image))
		r = prepare(d, &job, cancel, err);
	if (r == 0)
		r = apply(d, &job, cancel, err);
	if (r < 0)
		return r;
	r = await(d, &job, cancel, err);
	if (r == -ECHILD) /* it may come back, by a change carried into it */
		(void)forward(d, &job, NULL, cancel, NULL);
	if (r < 0)
		return r;
	forget_old(d, &job);
	r = forward(d, &job, ports, cancel, err);
	return r < 0 ? r : !is_named(d, image->image);
}

/* ---- opening ---- */

static void object_release(struct deploy_object *object)
{
	strv_release(&object->images);
	strv_release(&object->serves);
}

static void kubernetes_free(struct deployer *base)
{
	if (!base)
		return;
	struct kubernetes_deployer *d = cast(base);
	forwards_free(d->forwards);
	cleanup_close(&d->lock_fd);
	for vec_each (known, &d->images) {
		kubernetes_known_release(*known);
		free(*known);
	}
	vec_release(&d->images);
	for vec_each (left, &d->left) {
		kubernetes_known_release(*left);
		free(*left);
	}
	vec_release(&d->left);
	for vec_each (object, &d->objects)
		object_release(object);
	vec_release(&d->objects);
	manifests_release(&d->manifests);
	held_ports_release(&d->ports);
	image_delivery_release(&d->delivery);
	strv_release(&d->candidates);
	strv_release(&d->namespaces);
	pthread_mutex_destroy(&d->apply);
	pthread_mutex_destroy(&d->mutex);
	free(d->run_id);
	free(d->config_digest);
	free(d);
}

static const struct deployer_ops kubernetes_ops = {.name = "kubernetes",
						   .deploy = kubernetes_deploy,
						   .left = kubernetes_left,
						   .adopt = kubernetes_adopt,
						   .sweep = kubernetes_sweep,
						   .cleanup = kubernetes_cleanup,
						   .free = kubernetes_free};

int deployer_kubernetes_open(const struct deploy_options *options, struct deployer **deployer, struct error *err)
{
	if (!options->kubernetes)
		return error_set(err, ENOTCONN, "no cluster answers");
	struct kubernetes_deployer *d = xcalloc(1, sizeof(*d));
	const struct config *config = options->config;
	d->base.ops = &kubernetes_ops;
	d->config = config;
	d->kubernetes = options->kubernetes;
	d->kubectl = (struct kubectl){.kubernetes = options->kubernetes, .config = &config->kubernetes};
	d->docker = options->docker;
	d->delivery = (struct image_delivery){.config = config,
					      .docker = options->docker,
					      .context = kubernetes_context(options->kubernetes),
					      .default_repo = options->default_repo};
	image_delivery_init(&d->delivery);
	d->forwards = forwards_new(options->kubernetes);
	d->run_id = xstrdup(options->run_id);
	d->config_digest = xstrdup_or_null(options->config_digest);
	d->no_ports = options->no_ports || options->detached; /* what forwards them ends with this process */
	d->lock_fd = -1;
	strv_push(&d->namespaces, kubernetes_namespace(options->kubernetes));
	for vec_each (artifact, &config->artifacts)
		if (config_deploys(config, *artifact))
			strv_push(&d->candidates, (*artifact)->image.value);
	pthread_mutex_init(&d->apply, NULL);
	pthread_mutex_init(&d->mutex, NULL);
	*deployer = &d->base;
	return 0;
}
