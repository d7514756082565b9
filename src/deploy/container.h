/* The body of "create a container" (docs.docker.com/reference/api/engine, ContainerCreate), from the configuration. Pure. */
#ifndef DEPLOY_CONTAINER_H
#define DEPLOY_CONTAINER_H

#include <jansson.h>

#include "deploy/deploy.h"
#include "deploy/engine.h"
#include "deploy/ports.h"

struct container_plan {
	const struct deployed_image *image;
	const struct engine_image *facts; /* of it */
	const char *run_id;
	const char *config_digest; /* NULL: no such label */
	const char *network;
	const struct run_config *run; /* may be NULL */
	const char *directory;	      /* absolute: relative host paths of volumes start here */
	const struct port_plans *ports;
};

/* A new reference. Where the artifact wants a restart or a signal after each sync, and the agent is in the image, that is the entry point, and starts what the
 * image, or `command` of run, says. */
json_t *container_body(const struct container_plan *plan);

/* "volume:/path[:options]" with the host's path made absolute: relative to directory, "~/" to the home directory. A volume's name stays. */
char *container_bind(const char *volume, const char *directory) RETURNS_OWNED;

/* Letters, digits, '_', '.' and '-' stay, the rest becomes '-', none of the last three at the start; at most 63 bytes: for names of containers,
 * networks and hosts. "x" where nothing is left. */
char *container_safe_name(const char *text) RETURNS_OWNED;

#endif
