#include "deploy/deploy.h"

#include <errno.h>

#include "base/hash.h"
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

void left_containers_release(struct left_containers *left)
{
	for vec_each (one, left) {
		free(one->id);
		free(one->image);
		free(one->base_id);
		free(one->tag);
		free(one->config_digest);
		published_ports_release(&one->ports);
	}
	vec_release(left);
}

char *deploy_config_digest(const struct config *config, const char *effective, const char *default_repo,
			   const char *tag, bool no_ports)
{
	struct hasher *hasher = hasher_new();
	char hex[HASH_HEX_SIZE];
	hasher_add_string(hasher, effective);
	hasher_add_string(hasher, default_repo);
	hasher_add_string(hasher, tag);
	hasher_add(hasher, &no_ports, sizeof(no_ports));
	for vec_each (run, &config->run)
		for vec_each (pair, &run->env)
			hasher_add_string(hasher, pair->value ? NULL : getenv(pair->name));
	hash_to_hex(hasher_finish(hasher), hex);
	return xstrdup(hex);
}
