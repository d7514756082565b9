/* The Kubernetes runtime: containers of pods, found by what the deployer wrote into them (client/kubernetes-names.h); files carried by the agent over an
 * exec's WebSocket, without one by exec of tar.
 *
 * An instance is one life of a container: a container that restarts has lost its files, and is another instance. Its id is NAMESPACE/POD/CONTAINER@ID. */
#ifndef RUNTIME_KUBERNETES_H
#define RUNTIME_KUBERNETES_H

#include "runtime/runtime.h"

struct kubernetes;

/* -ECONNREFUSED, -EINVAL, -ENOENT as kubernetes_connect has them. */
int runtime_kubernetes_open(const struct runtime_options *options, struct runtime **runtime, struct cancel *cancel,
			    struct error *err);

/* The runtime's line to the cluster, for those who deploy there; NULL for another runtime. */
struct kubernetes *runtime_kubernetes(const struct runtime *runtime);

#endif
