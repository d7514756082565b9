/* Ports of pods on this machine: a `kubectl port-forward` each, kept running by a thread of its own and started again when it ends (a pod was replaced,
 * the API server was away), at once the first time, then later and later. Safe from several threads. */
#ifndef DEPLOY_FORWARD_H
#define DEPLOY_FORWARD_H

#include "client/kubernetes.h"

struct forwards;

struct forward { /* copied */
	const char *namespace_;
	const char *resource; /* "deployment/web" */
	const char *address;  /* of this machine */
	unsigned local;
	const char *port; /* there: a number, or a service's or pod's name for one */
};

struct forwards *forwards_new(struct kubernetes *kubernetes) RETURNS_OWNED;
void forwards_free(struct forwards *forwards); /* takes NULL; ends all */

/* Starts it, and, where `wait`, waits (FORWARD_READY_MS at most) until it listens. The same again: starts its kubectl anew, so that it finds the pod that is there now. */
void forwards_add(struct forwards *forwards, const struct forward *forward, bool wait, struct cancel *cancel);
void forwards_stop(struct forwards *forwards); /* ends all; more may be added */

enum { FORWARD_READY_MS = 3000 };

#endif
