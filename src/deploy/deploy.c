#include "deploy/deploy.h"

#include <errno.h>

#include "deploy/docker.h"
#include "deploy/embedded.h"

int deployer_open(const struct deploy_options *options, struct deployer **deployer, struct error *err)
{
	static int (*const open[])(const struct deploy_options *, struct deployer **, struct error *) = {
		[false] = deployer_docker_open,
		[true] = deployer_embedded_open,
	};
	return open[options->embedded](options, deployer, err);
}

void published_ports_release(struct published_ports *ports)
{
	for vec_each (port, ports) {
		free(port->image);
		free(port->address);
	}
	vec_release(ports);
}
