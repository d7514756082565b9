#include "deploy/kubernetes-images.h"

#include <errno.h>
#include <string.h>

#include "client/docker.h"
#include "deploy/manifest.h"
#include "deploy/render.h"
#include "io/process.h"

enum { ID_SHOWN = 12 };

static const char unique_tag[] = ":skiff-";

void image_delivery_init(struct image_delivery *delivery)
{
	pthread_mutex_init(&delivery->mutex, NULL);
}

void image_delivery_release(struct image_delivery *delivery)
{
	strv_release(&delivery->delivered);
	pthread_mutex_destroy(&delivery->mutex);
}

static bool has_registry(const char *name)
{
	size_t len = strcspn(name, "/");
	return name[len] &&
	       (memchr(name, '.', len) || memchr(name, ':', len) || strncmp(name, "localhost/", len + 1) == 0);
}

enum image_way image_way(const struct config *config, const char *context, const char *default_repo, const char *name)
{
	static const char *const shared[] = {"docker-desktop", "docker-for-desktop", "orbstack", "rancher-desktop"};
	bool push_said = config->local.push_set;
	if (config->kubernetes.load.len > 0)
		return IMAGE_COMMAND;
	if (push_said && config->local.push)
		return IMAGE_PUSH;
	if (str_starts_with(context, "kind-"))
		return IMAGE_KIND;
	if (str_starts_with(context, "k3d-"))
		return IMAGE_K3D;
	if (str_equal(context, "minikube"))
		return IMAGE_MINIKUBE;
	for (size_t i = 0; i < ARRAY_LEN(shared); i++)
		if (str_equal(context, shared[i]))
			return IMAGE_SHARED;
	if (push_said)
		return IMAGE_SHARED;
	return (default_repo && *default_repo) || has_registry(name) ? IMAGE_PUSH : IMAGE_UNKNOWN;
}

char *image_unique_reference(const char *tag, const char *id)
{
	_cleanup_free_ char *name = manifest_image_name(tag);
	const char *colon = strchr(id, ':');
	return xasprintf("%.*s%s%.*s", name ? (int)strlen(name) : (int)strcspn(tag, "@"), name ? name : tag, unique_tag,
			 ID_SHOWN, colon ? colon + 1 : id);
}

/* ---- carrying it out ---- */

static int tag_image(struct docker *docker, const char *id, const char *reference, struct cancel *cancel,
		     struct error *err)
{
	const char *colon = strrchr(reference, ':');
	_cleanup_free_ char *name = xstrndup(reference, (size_t)(colon - reference));
	_cleanup_free_ char *repo = docker_escape(name), *image = docker_escape(id), *tag = docker_escape(colon + 1);
	_cleanup_free_ char *path = xasprintf("/images/%s/tag?repo=%s&tag=%s", image, repo, tag);
	return docker_call(docker, "POST", path, NULL, NULL, cancel, err);
}

static void way_command(const struct image_delivery *delivery, enum image_way way, const char *reference,
			struct strv *argv)
{
	const char *context = delivery->context;
	const char *const push[] = {"docker", "push", reference, NULL};
	const char *const kind[] = {"kind", "load", "docker-image", reference, "--name", context + strlen("kind-"),
				    NULL};
	const char *const k3d[] = {"k3d", "image", "import", reference, "-c", context + strlen("k3d-"), NULL};
	const char *const minikube[] = {"minikube", "image", "load", reference, NULL};
	const char *const *words = way == IMAGE_PUSH   ? push
				   : way == IMAGE_KIND ? kind
				   : way == IMAGE_K3D  ? k3d
						       : minikube;
	if (way == IMAGE_COMMAND)
		strv_extend(argv, &delivery->config->kubernetes.load);
	for (; way != IMAGE_COMMAND && *words; words++)
		strv_push(argv, *words);
}

static int run_way(const struct image_delivery *delivery, enum image_way way, const char *reference,
		   struct cancel *cancel, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	struct program_words words = {0};
	_cleanup_free_ char *image = xasprintf("IMAGE=%s", reference);
	_cleanup_free_ char *host = xasprintf("DOCKER_HOST=%s", docker_host(delivery->docker));
	/* The engine that skiff found is the one that has the image, whatever these programs would find. */
	const char *const env[] = {image, str_starts_with(host, "DOCKER_HOST=unix:") ? host : NULL, NULL};
	way_command(delivery, way, reference, &argv);
	const struct process_spec spec = {.argv = (const char *const *)argv.items,
					  .env = env,
					  .line = program_line,
					  .data = &words,
					  .cancel = cancel};
	_cleanup_free_ char *name = way == IMAGE_COMMAND ? xstrdup("deploy.load.command") : strv_join(&argv, " ");
	int r = process_run(&spec, err);
	if (r > 0)
		r = program_failed(&words, name, r, err);
	str_release(&words.text);
	return r < 0 ? error_wrap(err, "%s does not get into the cluster", reference) : 0;
}

static int not_known(const struct image_delivery *delivery, const char *image, struct error *err)
{
	return error_set(
		err, ENOTSUP,
		"it is not known how the image %s gets into the cluster of context %s: --default-repo=REGISTRY pushes "
		"it there, `build: {local: {push: true}}` pushes it by its own name, `deploy: {load: {command: …}}` in "
		"a "
		"skiff.yaml says how to load it (the variable IMAGE names it)",
		image, delivery->context);
}

static bool is_delivered(struct image_delivery *delivery, const char *reference)
{
	pthread_mutex_lock(&delivery->mutex);
	bool known = strv_contains(&delivery->delivered, reference);
	pthread_mutex_unlock(&delivery->mutex);
	return known;
}

void image_was_delivered(struct image_delivery *delivery, const char *reference)
{
	pthread_mutex_lock(&delivery->mutex);
	if (strstr(reference, unique_tag) && !strv_contains(&delivery->delivered, reference))
		strv_push(&delivery->delivered, reference);
	pthread_mutex_unlock(&delivery->mutex);
}

int image_deliver(struct image_delivery *delivery, const struct deployed_image *image, char **reference,
		  bool *in_registry, struct cancel *cancel, struct error *err)
{
	const char *id = image->agent_id ? image->agent_id : image->image_id;
	if (!delivery->docker || !id) {
		*reference = xstrdup(image->tag);
		*in_registry = true;
		return 0;
	}
	_cleanup_free_ char *unique = image_unique_reference(image->tag, id);
	_cleanup_free_ char *name = xstrndup(unique, (size_t)(strrchr(unique, ':') - unique));
	enum image_way way = image_way(delivery->config, delivery->context, delivery->default_repo, name);
	if (way == IMAGE_UNKNOWN)
		return not_known(delivery, image->image, err);
	int r = 0;
	if (!is_delivered(delivery, unique)) {
		r = tag_image(delivery->docker, id, unique, cancel, err);
		if (r == 0 && way != IMAGE_SHARED)
			r = run_way(delivery, way, unique, cancel, err);
		if (r == 0)
			image_was_delivered(delivery, unique);
	}
	if (r < 0)
		return r;
	*in_registry = way == IMAGE_PUSH;
	*reference = steal(&unique);
	return 0;
}

void image_forget(struct image_delivery *delivery, const char *reference)
{
	_cleanup_free_ char *escaped = docker_escape(reference);
	_cleanup_free_ char *path = xasprintf("/images/%s", escaped);
	if (!delivery->docker || !is_delivered(delivery, reference))
		return;
	pthread_mutex_lock(&delivery->mutex);
	struct strv *list = &delivery->delivered;
	for (size_t i = 0; i < list->len; i++)
		if (str_equal(list->items[i], reference)) {
			free(list->items[i]);
			list->items[i] = list->items[--list->len];
			list->items[list->len] = NULL;
			break;
		}
	pthread_mutex_unlock(&delivery->mutex);
	(void)docker_call(delivery->docker, "DELETE", path, NULL, NULL, NULL, NULL);
}
