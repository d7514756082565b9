/* The deployer of the embedded runtime (client/embedded.h): programs started in a private root, on the host's network. */
#ifndef DEPLOY_EMBEDDED_H
#define DEPLOY_EMBEDDED_H

#include "deploy/deploy.h"

/* What it can't do of deploy.docker.run (other ports than the program's own, named volumes of an engine, …) is said in the
 * instance's log, once at each start. */
int deployer_embedded_open(const struct deploy_options *options, struct deployer **deployer, struct error *err);

#endif
