#include "config/config.h"

#include <errno.h>
#include <string.h>

#include "config/decode.h"
#include "config/load.h"

const struct artifact *config_artifact(const struct config *config, const char *image)
{
	for vec_each (item, &config->artifacts)
		if (str_equal((*item)->image.value, image))
			return *item;
	return NULL;
}

bool config_is_attached(const struct config *config, const char *image)
{
	for vec_each (entry, &config->attach)
		if (str_equal(entry->image.value, image))
			return true;
	return false;
}

bool config_deploys(const struct config *config, const struct artifact *artifact)
{
	if (config_is_attached(config, artifact->image.value))
		return false;
	if (config->deploy_kubernetes && !config->deploy_docker)
		return true; /* which images run, the manifests say */
	bool listed = config->docker_images.len > 0 || (config->deploy_docker && config->attach.len > 0);
	return listed ? strv_contains(&config->docker_images, artifact->image.value) : !artifact->required_by_others;
}

/* Freeing. */

static void release_texts(struct text_list *list)
{
	for vec_each (text, list)
		free(text->value);
	vec_release(list);
}

static void release_pairs(struct pair_list *list)
{
	for vec_each (pair, list) {
		free(pair->name);
		free(pair->value);
	}
	vec_release(list);
}

static void release_hooks(struct hook_list *list)
{
	for vec_each (hook, list) {
		strv_release(&hook->command);
		strv_release(&hook->os);
		free(hook->dir);
	}
	vec_release(list);
}

static void release_rules(struct sync_rule_list *list)
{
	for vec_each (rule, list) {
		free(rule->src.value);
		free(rule->dest.value);
		free(rule->strip.value);
	}
	vec_release(list);
}

void sync_generators_release(struct sync_generator_list *generators)
{
	for vec_each (generator, generators) {
		strv_release(&generator->command);
		release_texts(&generator->inputs);
		release_rules(&generator->sync);
	}
	vec_release(generators);
}

static void release_program(struct sync_program *program)
{
	strv_release(&program->command);
	release_texts(&program->inputs);
	release_texts(&program->rebuild);
}

static void release_sync(struct sync_config *sync)
{
	release_rules(&sync->manual);
	release_texts(&sync->infer);
	release_texts(&sync->ignored);
	release_texts(&sync->rebuild);
	release_rules(&sync->direct);
	sync_generators_release(&sync->generated);
	release_program(&sync->map);
	release_program(&sync->tar);
	release_hooks(&sync->before);
	release_hooks(&sync->after);
}

static void release_docker(struct docker_config *docker)
{
	free(docker->dockerfile.value);
	free(docker->target);
	release_pairs(&docker->build_args);
	free(docker->network);
	strv_release(&docker->add_host);
	strv_release(&docker->cache_from);
	strv_release(&docker->cache_to);
	strv_release(&docker->cli_flags);
	for (size_t i = 0; i < docker->secrets_len; i++) {
		free(docker->secrets[i].id);
		free(docker->secrets[i].src);
		free(docker->secrets[i].env);
	}
	free(docker->secrets);
	free(docker->ssh);
}

static void release_other_builders(struct artifact *a)
{
	free(a->custom.build_command.value);
	free(a->custom.command.value);
	release_texts(&a->custom.paths);
	release_texts(&a->custom.ignore);
	free(a->jib.project);
	free(a->jib.type);
	free(a->jib.from_image);
	strv_release(&a->jib.args);
	free(a->ko.from_image);
	free(a->ko.dir);
	free(a->ko.main);
	release_texts(&a->ko.paths);
	release_texts(&a->ko.ignore);
	strv_release(&a->ko.env);
	strv_release(&a->ko.flags);
	strv_release(&a->ko.labels);
	strv_release(&a->ko.ldflags);
	free(a->buildpacks.builder);
	free(a->buildpacks.run_image);
	free(a->buildpacks.project_descriptor);
	strv_release(&a->buildpacks.env);
	strv_release(&a->buildpacks.buildpacks);
	strv_release(&a->buildpacks.volumes);
	release_texts(&a->buildpacks.paths);
	release_texts(&a->buildpacks.ignore);
}

static void artifact_free(struct artifact *a)
{
	free(a->image.value);
	free(a->context);
	release_docker(&a->docker);
	release_other_builders(a);
	release_sync(&a->sync);
	for vec_each (dependency, &a->requires_) {
		free(dependency->image);
		free(dependency->alias);
	}
	vec_release(&a->requires_);
	release_hooks(&a->before);
	release_hooks(&a->after);
	strv_release(&a->platforms);
	free(a->runtime_type);
	free(a->base_dir);
	free(a);
}

static void release_run(struct run_config *run)
{
	free(run->image);
	release_pairs(&run->env);
	strv_release(&run->volumes);
	strv_release(&run->command);
	strv_release(&run->ports);
	strv_release(&run->tmpfs);
	free(run->user);
}

void tag_rule_release(struct tag_rule *rule)
{
	free(rule->name);
	free(rule->template);
	free(rule->timezone);
	free(rule->git_variant);
	free(rule->git_prefix);
	*rule = (struct tag_rule){0};
}

static void files_free(struct config_files *files)
{
	if (!files)
		return;
	sources_release(&files->sources);
	free(files);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for vec_each (item, &config->artifacts)
		artifact_free(*item);
	vec_release(&config->artifacts);
	tag_rule_release(&config->tag);
	for vec_each (component, &config->tag_components)
		tag_rule_release(component);
	vec_release(&config->tag_components);
	strv_release(&config->docker_images);
	for vec_each (run, &config->run)
		release_run(run);
	vec_release(&config->run);
	for vec_each (entry, &config->attach) {
		free(entry->image.value);
		free(entry->label.value);
		free(entry->compose.value);
	}
	vec_release(&config->attach);
	for vec_each (forward, &config->port_forward) {
		free(forward->resource_type);
		free(forward->resource_name);
		free(forward->namespace_);
		free(forward->address);
		free(forward->port_name);
	}
	vec_release(&config->port_forward);
	kubernetes_config_release(&config->kubernetes);
	free(config->log_prefix);
	strv_release(&config->files);
	strv_release(&config->warnings);
	files_free(config->texts);
	free(config);
}

/* Loading. */

/* True if a document says to deploy in a way that skiff does not know. */
static bool deploys_elsewhere(const struct yaml_node *document)
{
	const struct yaml_node *deploy = yaml_get(document, "deploy");
	return yaml_pair(deploy, "kpt") || yaml_pair(deploy, "cloudrun");
}

static void decode_modules(struct loader *loader, struct config *config)
{
	bool docker = false, elsewhere = false, listed = false;
	for vec_each (module, &loader->modules) {
		struct decoder decoder = {.d = &loader->d,
					  .options = loader->options,
					  .config = config,
					  .base_dir = module->base_dir};
		decode_section(&decoder, &section_config, module->node, config);
		docker = docker || yaml_pair(yaml_get(module->node, "deploy"), "docker");
		listed = listed || yaml_get(yaml_get(yaml_get(module->node, "deploy"), "docker"), "images");
		bool kubernetes = decode_kubernetes(&decoder, module->node, !loader->memory_only);
		config->deploy_kubernetes = config->deploy_kubernetes || kubernetes;
		elsewhere = elsewhere || kubernetes || deploys_elsewhere(module->node);
	}
	config->deploy_docker = docker || !elsewhere;
	for (size_t i = 0; config->deploy_docker && !listed && i < config->artifacts.len; i++)
		if (config->artifacts.items[i]->image.value)
			strv_push(&config->docker_images, config->artifacts.items[i]->image.value);
	struct decoder decoder = {.d = &loader->d, .options = loader->options, .config = config};
	resolve_artifacts(&decoder);
	resolve_attached(&decoder);
	if (!config->log_prefix)
		config->log_prefix = xstrdup("auto");
}

static void keep_warnings(struct loader *loader, struct config *config)
{
	struct diagnostics *d = &loader->d;
	for vec_each (item, &d->items) {
		struct str text = {0};
		if (item->severity == SEVERITY_WARNING)
			diagnostic_format(d, item, &text);
		if (text.len > 0)
			strv_push(&config->warnings, str_text(&text));
		str_release(&text);
	}
}

static int report_failure(struct loader *loader, int r, const struct error *err, struct str *report)
{
	diagnostics_format(&loader->d, SEVERITY_ERROR, report);
	if (err->message) {
		_cleanup_free_ char *text = error_format(err);
		str_addf(report, "error: %s\n", text);
	}
	return r;
}

/* r: what the loader said. Decodes what it found, also where something was wrong, so that all is told in one go. */
static int decode_all(struct loader *loader, int r, struct error *err, struct config **config, struct str *report)
{
	CLEANUP(config_free_cleanup) struct config *result = xcalloc(1, sizeof(*result));
	result->texts = loader->files;
	result->local.concurrency = 1;
	if (!err->message)
		decode_modules(loader, result);
	if (r == 0 && diagnostics_failed(&loader->d))
		r = -EINVAL;
	if (r < 0) {
		r = report_failure(loader, r, err, report);
	} else {
		keep_warnings(loader, result);
		for (size_t i = 0; i < loader->files->sources.len; i++)
			strv_push(&result->files, loader->files->sources.items[i]->path);
	}
	loader_release(loader);
	if (r == 0)
		*config = steal(&result);
	return r;
}

int config_load(const struct config_options *options, struct config **config, struct str *report)
{
	CLEANUP(error_clear) struct error err = {0};
	struct loader loader = {.options = options, .files = xcalloc(1, sizeof(struct config_files))};
	int r = loader_run(&loader, &err);
	return decode_all(&loader, r, &err, config, report);
}

int config_load_text(const struct config_options *options, const char *name, const char *text, size_t len,
		     struct config **config, struct str *report)
{
	CLEANUP(error_clear) struct error err = {0};
	struct loader loader = {.options = options, .files = xcalloc(1, sizeof(struct config_files))};
	int r = loader_run_text(&loader, name, text, len, &err);
	return decode_all(&loader, r, &err, config, report);
}

int config_print(const struct config_options *options, struct str *yaml, struct str *report)
{
	CLEANUP(error_clear) struct error err = {0};
	struct config_files *files = xcalloc(1, sizeof(*files));
	struct loader loader = {.options = options, .files = files};
	CLEANUP(config_free_cleanup) struct config *config = NULL;
	int r = config_load(options, &config, report);
	if (r == 0 && (r = loader_run(&loader, &err)) < 0)
		report_failure(&loader, r, &err, report);
	for (size_t i = 0; r == 0 && i < loader.modules.len; i++) {
		if (i > 0)
			str_add(yaml, "---\n");
		yaml_emit(loader.modules.items[i].node, yaml);
	}
	loader_release(&loader);
	files_free(files);
	return r;
}
