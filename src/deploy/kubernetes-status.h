/* Waiting until what was applied runs, and why it does not. Blocking. */
#ifndef DEPLOY_KUBERNETES_STATUS_H
#define DEPLOY_KUBERNETES_STATUS_H

#include <jansson.h>

#include "base/vec.h"
#include "client/kubernetes.h"

enum target_kind { TARGET_DEPLOYMENT, TARGET_STATEFUL_SET, TARGET_DAEMON_SET, TARGET_POD };

struct status_target { /* all of it borrowed */
	enum target_kind kind;
	const char *namespace_, *name;
};
VEC_TYPE(status_targets, struct status_target);

/* False: this kind is not waited for. */
bool status_kind(const char *kind, enum target_kind *target);

struct status_wait {
	struct kubernetes *kubernetes;
	const struct status_targets *targets;
	const struct strv *namespaces; /* of pods that are looked at for reasons */
	const char *run_id;
	const char *deployed; /* KUBERNETES_ANNOTATION_DEPLOYED of the pods of this revision; NULL: none has it */
	unsigned deadline_s;
	struct cancel *cancel;
};

/* 0 once all targets are rolled out: the controller has seen the new specification, and as many new pods as wanted are available. Old ones may still be
 * ending. -ECHILD as soon as it is known that a pod of the new revision can't start, with the reason in plain words (and the last lines of a program that
 * ended); -ETIMEDOUT at the deadline, with what is not ready yet. */
int status_await(const struct status_wait *wait, struct error *err);

/* Pure, for tests. */
/* True once the object is rolled out; *missing (the caller's) says what lacks otherwise. */
bool status_rolled_out(enum target_kind kind, const json_t *object, char **missing);

enum pod_trouble {
	POD_FINE,     /* or it is too early to say */
	POD_UNPLACED, /* no node takes it: counts once it lasts */
	POD_BROKEN,
	POD_CRASHED, /* the container's last lines say why */
};
/* *reason (the caller's; where it is not fine) in words that begin with the pod's name; *container (borrowed) which one crashed, *previous whether its last run
 * is over and another began. */
enum pod_trouble status_pod(const json_t *pod, char **reason, const char **container, bool *previous);

#endif
