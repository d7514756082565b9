#include "deploy/deploy.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "deploy/docker.h"
#include "deploy/embedded.h"
#include "deploy/kubernetes.h"
#include "deploy/manifest.h"
#include "deploy/render.h"

int deployer_open(const struct deploy_options *options, struct deployer **deployer, struct error *err)
{
	if (options->kubernetes)
		return deployer_kubernetes_open(options, deployer, err);
	return (options->embedded ? deployer_embedded_open : deployer_docker_open)(options, deployer, err);
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

/* Names without a value are the environment's. */
static void add_environment(struct hasher *hasher, const struct pair_list *pairs)
{
	for vec_each (pair, pairs)
		hasher_add_string(hasher, pair->value ? NULL : getenv(pair->name));
}

/* The variables that templates name, ".NAME" behind "{{": more than are expanded, which does no harm. */
static void add_variables(struct hasher *hasher, const char *text)
{
	for (const char *p = strstr(text, "{{"); p && (p = strchr(p, '.')); p++) {
		size_t len = 0;
		while (isalnum((unsigned char)p[1 + len]) || p[1 + len] == '_')
			len++;
		_cleanup_free_ char *name = xstrndup(p + 1, len);
		hasher_add_string(hasher, len ? getenv(name) : NULL);
	}
}

void deploy_manifest_files(const struct config *config, struct strv *files)
{
	render_files(config, files);
}

static void add_manifests(struct hasher *hasher, const struct config *config)
{
	CLEANUP(strv_release) struct strv files = {0};
	deploy_manifest_files(config, &files);
	for (size_t i = 0; i < files.len; i++) {
		_cleanup_free_ char *text = NULL;
		size_t len = 0;
		hasher_add_string(hasher, files.items[i]);
		if (file_read(files.items[i], MANIFEST_MAX_BYTES, &text, &len, NULL) == 0)
			hasher_add(hasher, text, len);
	}
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
	add_variables(hasher, effective);
	for vec_each (artifact, &config->artifacts)
		add_environment(hasher, &(*artifact)->docker.build_args);
	for vec_each (run, &config->run)
		add_environment(hasher, &run->env);
	add_manifests(hasher, config);
	hash_to_hex(hasher_finish(hasher), hex);
	return xstrdup(hex);
}
