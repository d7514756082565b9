/* The docker runtime: containers of an engine (client/docker.h), files carried through the archive API, deletes by exec. */
#ifndef RUNTIME_DOCKER_H
#define RUNTIME_DOCKER_H

#include "runtime/runtime.h"

int runtime_docker_open(struct runtime **runtime, struct cancel *cancel, struct error *err);

#endif
