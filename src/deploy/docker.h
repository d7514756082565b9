/* The deployer of container engines: a container an image, on a network of the run's own. */
#ifndef DEPLOY_DOCKER_H
#define DEPLOY_DOCKER_H

#include "deploy/deploy.h"

int deployer_docker_open(const struct deploy_options *options, struct deployer **deployer, struct error *err);

#endif
