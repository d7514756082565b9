/* Which containers there are, and hearing of it when that changes: the part of the docker runtime that looks at the engine as a whole. */
#ifndef RUNTIME_DOCKER_INSTANCES_H
#define RUNTIME_DOCKER_INSTANCES_H

#include "client/docker.h"
#include "runtime/runtime.h"

struct docker_runtime {
	struct runtime base;
	struct docker *docker;
};

/* GET /containers/ID/json; a new reference. */
int docker_inspect(struct docker *docker, const char *id, json_t **inspected, struct cancel *cancel, struct error *err);
/* A text of an engine's answer, "" where it is none. */
const char *docker_text(const json_t *object, const char *key);

/* As struct runtime_ops has them. */
int docker_runtime_list(struct runtime *rt, const char *run_id, struct instances *out, struct cancel *cancel,
			struct error *err);
int docker_runtime_follow(struct runtime *rt, const char *run_id, void (*changed)(void *data), void *data,
			  struct cancel *cancel, struct error *err);

#endif
