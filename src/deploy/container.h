/* The body of "create a container" (docs.docker.com/reference/api/engine, ContainerCreate), from the configuration. Pure. */
#ifndef DEPLOY_CONTAINER_H
#define DEPLOY_CONTAINER_H

#include <jansson.h>

#include "deploy/ports.h"

struct container_plan {
	const char *image;     /* as in the configuration: its aliases and label */
	const char *run_image; /* id or tag to run */
	const char *run_id;
	const char *base_id, *tag, *config_digest; /* labels; NULL: without */
	const char *network;
	const struct run_config *run; /* may be NULL */
	const char *directory;	      /* absolute: relative host paths of volumes start here */
	const struct port_plans *ports;
};

json_t *container_body(const struct container_plan *plan); /* a new reference */

/* "volume:/path[:options]" with the host's path made absolute: relative to directory, "~/" to the home directory. A volume's name stays. */
char *container_bind(const char *volume, const char *directory) RETURNS_OWNED;

/* Letters, digits, '_', '.' and '-' stay, the rest becomes '-', none of the last three at the start; at most 63 bytes: for names of containers,
 * networks and hosts. "x" where nothing is left. */
char *container_safe_name(const char *text) RETURNS_OWNED;

#endif
