#include <errno.h>
#include <stdio.h>

#include "build/agent-layer.h"
#include "cli/pipeline.h"
#include "deploy/deploy.h"

static int deploy_all(struct pipeline *p, struct deployer *deployer, struct published_ports *ports, struct error *err)
{
	int r = deployer->ops->sweep(deployer, p->cancel, err);
	for (size_t i = 0; i < p->config->docker_images.len && r == 0; i++) {
		const char *image = p->config->docker_images.items[i];
		struct deployed_image extra = {.image = image, .tag = image};
		if (!config_artifact(p->config, image))
			r = deployer->ops->deploy(deployer, &extra, ports, p->cancel, err);
	}
	for (size_t i = 0; i < p->count && r == 0; i++) {
		const struct artifact *artifact = p->config->artifacts.items[i];
		struct deployed_image image = {.artifact = artifact,
					       .image = artifact->image.value,
					       .tag = p->results[i].tag,
					       .image_id = p->results[i].image_id};
		if (!config_deploys(p->config, artifact))
			continue;
		r = deployer->ops->deploy(deployer, &image, ports, p->cancel, err);
		if (r == 0)
			dev_note_started(&p->runtime, p->config, artifact, image.image_id);
		r = r > 0 ? 0 : r; /* nothing runs it */
	}
	return r;
}

/* As dev has it: it adopts what an equal configuration started. */
static char *config_digest(const struct pipeline *p)
{
	struct config_options load;
	const struct options *o = p->options;
	CLEANUP(str_release) struct str text = {0}, report = {0};
	cli_config_options(o, "run", &load);
	if (config_print(&load, &text, &report) < 0)
		return NULL;
	return deploy_config_digest(p->config, str_text(&text), o->default_repo, o->tag, !o->port_forward);
}

static int open_deployer(struct pipeline *p, struct deployer **deployer, struct error *err)
{
	_cleanup_free_ char *digest = config_digest(p);
	const struct deploy_options options = {.config = p->config,
					       .run_id = p->runtime.run_id,
					       .docker = p->runtime.docker,
					       .kubernetes = p->runtime.kubernetes,
					       .default_repo = p->options->default_repo,
					       .embedded = p->runtime.embedded,
					       .no_ports = !p->options->port_forward,
					       .config_digest = digest,
					       .detached = true,
					       .cancel = p->cancel};
	return deployer_open(&options, deployer, err);
}

int command_run(const struct options *options)
{
	CLEANUP(pipeline_release) struct pipeline p = {0};
	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(published_ports_release) struct published_ports ports = {0};
	struct deployer *deployer = NULL;
	int code = pipeline_open(&p, options, "run");
	if (code != EXIT_DONE)
		return code;
	p.leave_attached = true;
	int r = pipeline_build(&p, &err);
	if (r == 0)
		r = open_deployer(&p, &deployer, &err);
	if (r == 0)
		r = deploy_all(&p, deployer, &ports, &err);
	if (deployer)
		deployer->ops->free(deployer);
	for (size_t i = 0; i < ports.len && r == 0; i++)
		fprintf(stderr, "%s: running at http://%s:%u\n", ports.items[i].image, ports.items[i].address,
			ports.items[i].local);
	return pipeline_exit(&p, r, &err);
}

int command_delete(const struct options *options)
{
	CLEANUP(pipeline_release) struct pipeline p = {0};
	CLEANUP(error_clear) struct error err = {0};
	struct deployer *deployer = NULL;
	int code = pipeline_open(&p, options, "delete");
	if (code != EXIT_DONE)
		return code;
	int r = open_deployer(&p, &deployer, &err);
	if (r == 0) {
		r = deployer->ops->cleanup(deployer, &err);
		if (r == 0)
			dev_forget(&p.runtime, p.config);
		if (r == 0 && p.runtime.docker)
			agent_layers_remove(p.runtime.docker, p.runtime.run_id, p.cancel);
		deployer->ops->free(deployer);
	}
	return pipeline_exit(&p, r, &err);
}
