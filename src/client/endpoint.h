/* Where the engine is, found as the docker command finds it: DOCKER_HOST, DOCKER_CONTEXT, the current context of ~/.docker/config.json
 * ($DOCKER_CONFIG), then the usual sockets of Docker and Podman. */
#ifndef CLIENT_ENDPOINT_H
#define CLIENT_ENDPOINT_H

#include "base/error.h"
#include "base/str.h"

struct endpoint {
	char *host;	  /* for messages: "unix:///var/run/docker.sock", "ssh://me@there" */
	char *socket;	  /* path of a unix socket; NULL: through a program */
	struct strv dial; /* that program: docker … system dial-stdio */
};

/* Candidates in the order in which to try them; at least one. An unknown context, a config.json that does not parse: -EINVAL. */
struct endpoints {
	struct endpoint *items;
	size_t len, cap;
};
int endpoints_find(struct endpoints *endpoints, struct error *err);
void endpoints_release(struct endpoints *endpoints);

/* Connects. The descriptor; *pid > 0 where a program is behind it (process_end). -ECONNREFUSED, -ENOENT, -EACCES with words on the way out. */
int endpoint_dial(const struct endpoint *endpoint, int *pid, struct error *err);

#endif
