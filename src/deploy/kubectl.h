/* Objects applied, looked up and deleted by kubectl. Blocking. */
#ifndef DEPLOY_KUBECTL_H
#define DEPLOY_KUBECTL_H

#include <jansson.h>

#include "client/kubernetes.h"
#include "config/config.h"

struct kubectl {
	struct kubernetes *kubernetes;
	const struct kubernetes_config *config;
};

struct kubectl_object {
	const char *kind, *namespace_; /* borrowed; where it goes if it names none */
	char *text;		       /* owned: a document, "---" first */
};
VEC_TYPE(kubectl_objects, struct kubectl_object);
void kubectl_objects_release(struct kubectl_objects *objects);

/* Namespaces and definitions of resources come first, and are waited for. -EIO in kubectl's own words; some may be applied then. */
int kubectl_apply(const struct kubectl *kubectl, const struct kubectl_objects *objects, struct cancel *cancel,
		  struct error *err);

/* wait: until they are gone, their programs having a second to end in. What is not there is no failure. */
int kubectl_delete(const struct kubectl *kubectl, const struct kubectl_objects *objects, bool wait,
		   struct cancel *cancel, struct error *err);

/* Those of the objects that the cluster has: appended to the array. */
int kubectl_get(const struct kubectl *kubectl, const struct kubectl_objects *objects, json_t *found,
		struct cancel *cancel, struct error *err);

#endif
