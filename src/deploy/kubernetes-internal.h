/* What the files of the deployer of Kubernetes share. */
#ifndef DEPLOY_KUBERNETES_INTERNAL_H
#define DEPLOY_KUBERNETES_INTERNAL_H

#include <pthread.h>

#include "deploy/forward.h"
#include "deploy/kubectl.h"
#include "deploy/kubernetes-images.h"
#include "deploy/kubernetes-ports.h"

struct known_image { /* that was deployed or adopted */
	char *image, *ref, *base, *tag, *agent;
	bool in_registry, supervised;
	struct strv entry_point, command; /* with supervised */
};

struct kubernetes_deployer {
	struct deployer base;
	const struct config *config;
	struct kubernetes *kubernetes;
	struct kubectl kubectl;
	struct docker *docker;
	struct image_delivery delivery;
	struct forwards *forwards;
	char *run_id, *config_digest;
	struct strv candidates; /* the images that skiff builds and deploys */
	bool no_ports;
	int lock_fd; /* of the run; -1: not taken */
	pthread_mutex_t
		apply; /* one kubectl apply at a time: else an older state of an object could come last. Taken before `mutex` */
	pthread_mutex_t mutex; /* of what follows */
	bool rendered;
	struct manifests manifests;
	struct deploy_objects objects; /* unchanged once rendered, but for `applied` */
	struct strv namespaces;	       /* the connection's, and where objects go that name images */
	VEC(struct known_image *) images;
	VEC(struct known_image *) left; /* what pods of an earlier skiff run; kept until it is adopted */
	struct held_ports ports;
};

/* Renders unless it is done. */
int kubernetes_render(struct kubernetes_deployer *d, struct cancel *cancel, struct error *err);
int kubernetes_take_run(struct kubernetes_deployer *d, struct error *err);
/* With the mutex: the image's entry, NULL where there is none and none is made. */
struct known_image *kubernetes_known(struct kubernetes_deployer *d, const char *image, bool make);
void kubernetes_known_release(struct known_image *known);
/* How the program of an image with the agent in it is started, where it is supervised. id: of the image, or its reference. */
int kubernetes_facts(struct kubernetes_deployer *d, const struct artifact *artifact, const char *id,
		     struct known_image *known, struct cancel *cancel, struct error *err);
/* Starts (or starts anew) what is held for the image. ports: gets what is to be told, which is waited for: what is the image's own (`own`), or was never told. NULL:
 * nobody is told. */
void kubernetes_forward(struct kubernetes_deployer *d, const char *image, bool own, struct published_ports *ports,
			struct cancel *cancel);

/* kubernetes-left.c */
int kubernetes_left(struct deployer *base, struct left_containers *left, struct cancel *cancel, struct error *err);
void kubernetes_adopt(struct deployer *base, const struct left_container *container);
int kubernetes_sweep(struct deployer *base, struct cancel *cancel, struct error *err);
int kubernetes_cleanup(struct deployer *base, struct error *err);

#endif
