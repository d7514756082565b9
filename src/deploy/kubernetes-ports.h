/* Which ports of a cluster are forwarded to this machine, and from where there. Internal to the deployer of Kubernetes. */
#ifndef DEPLOY_KUBERNETES_PORTS_H
#define DEPLOY_KUBERNETES_PORTS_H

#include "deploy/deploy.h"
#include "deploy/manifest.h"

struct deploy_object { /* one of the manifests */
	const struct manifest *manifest;
	const char *namespace_; /* where it goes */
	struct strv images;	/* that it names, as artifacts call them */
	struct strv serves;	/* a service: images of the pods that it selects */
	bool applied;		/* by this process */
};
VEC_TYPE(deploy_objects, struct deploy_object);

struct held_port {
	char *image; /* for whom it is told */
	char *namespace_, *resource, *address;
	char *port; /* there: a number or a name */
	unsigned local, container;
	bool told;
};
VEC_TYPE(held_ports, struct held_port);
void held_ports_release(struct held_ports *held);

/* Holds what is to be forwarded once the image's pods run: the entries of portForward for what names the image, for services in front of it, and, for whom nobody
 * else is to be named, all others; where portForward is not written, each port that its containers say they have. What is held already keeps its local port. */
int held_ports_plan(struct held_ports *held, const struct config *config, const struct deploy_objects *objects,
		    const char *image, const char *namespace_, struct error *err);

#endif
