/* How images get to where a cluster's nodes find them. Blocking, safe from several threads.
 *
 * Each content gets a reference of its own, "NAME:skiff-" and the start of the image's id, by which pods ask for exactly it. Then, the first that holds:
 * deploy.load.command of skiff.yaml; build.local.push: true, pushed; contexts of kind, k3d and minikube, loaded by their programs; those of Docker Desktop, OrbStack
 * and Rancher Desktop, whose nodes have the engine's images; a registry in the name (--default-repo puts one there), pushed; push: false, taken
 * for there already. */
#ifndef DEPLOY_KUBERNETES_IMAGES_H
#define DEPLOY_KUBERNETES_IMAGES_H

#include <pthread.h>

#include "deploy/deploy.h"

struct image_delivery {
	const struct config *config;
	struct docker *docker;	  /* NULL: images were pushed by who built them */
	const char *context;	  /* of kubectl */
	const char *default_repo; /* may be NULL */
	pthread_mutex_t mutex;	  /* of what follows */
	struct strv delivered;	  /* references */
};
void image_delivery_init(struct image_delivery *delivery);
void image_delivery_release(struct image_delivery *delivery);

enum image_way {
	IMAGE_UNKNOWN, /* nobody says how */
	IMAGE_COMMAND,
	IMAGE_PUSH,
	IMAGE_KIND,
	IMAGE_K3D,
	IMAGE_MINIKUBE,
	IMAGE_SHARED, /* nothing to do */
};
/* Pure. name: without a tag. */
enum image_way image_way(const struct config *config, const char *context, const char *default_repo, const char *name);

/* "sha256:0123456789ab…" and "team/web:v1" → "team/web:skiff-0123456789ab". The caller frees. */
char *image_unique_reference(const char *tag, const char *id) RETURNS_OWNED;

/* *reference (the caller's) is what pods are to name; *in_registry: nodes can pull it. Nothing is delivered twice. -EIO in the words of the program that
 * failed, -ENOENT where it is missing, -ENOTSUP (with the ways out) where it is not known how. */
int image_deliver(struct image_delivery *delivery, const struct deployed_image *image, char **reference,
		  bool *in_registry, struct cancel *cancel, struct error *err);

/* By an earlier skiff. */
void image_was_delivered(struct image_delivery *delivery, const char *reference);

/* Takes the unique reference away from the engine: no pod asks for it any more. The image goes where that was its last name. */
void image_forget(struct image_delivery *delivery, const char *reference);

#endif
