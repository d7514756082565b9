/* Where manifests come from, and how they are applied. */
#include <glob.h>
#include <string.h>

#include "config/decode.h"

static const char default_manifests[] = "k8s/*.yaml";

/* This document's own; made where there is none. Valid until another document's is. */
static struct manifest_source *source_of(struct decoder *d)
{
	struct kubernetes_config *kubernetes = &d->config->kubernetes;
	if (!d->manifests) {
		vec_add(&kubernetes->sources)->base_dir = xstrdup(d->base_dir);
		d->manifests = kubernetes->sources.len;
	}
	return &kubernetes->sources.items[d->manifests - 1];
}

void decode_manifests(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	decode_section(d, &section_manifests, value, source_of(d));
}

void decode_helm(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	decode_section(d, &section_helm, value, source_of(d));
}

void decode_kustomize(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	struct manifest_source *source = source_of(d);
	decode_section(d, &section_old_kustomize, value, source);
	if (source->kustomize.len == 0) /* what version 2 and 3 mean by `kustomize: {}` */
		vec_push(&source->kustomize, (struct text){.value = xstrdup("."), .place = value->place});
}

void decode_old_kustomize_path(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)d;
	struct manifest_source *source = target;
	vec_push(&source->kustomize, (struct text){.value = xstrdup(yaml_text(value)), .place = value->place});
}

/* The flags of deploy.kustomize are kubectl's. */
void decode_kubectl_flags(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	decode_section(d, &section_kubectl_flags, value, d->config);
}

void decode_default_namespace(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	replace_string(&d->config->kubernetes.default_namespace, yaml_text(value));
}

void decode_old_manifests(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	decode_texts(value, &source_of(d)->raw_yaml);
}

/* Helm. */

void decode_remote_chart(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)d;
	struct helm_release *release = target;
	replace_string(&release->chart.value, yaml_text(value));
	release->chart.place = value->place;
	release->remote = true;
}

/* As `helm --set` names what is inside: "a.b" and "a[0]"; a "." in a key that is no mapping's is a path already, as in Skaffold. */
static void flatten(const struct yaml_node *value, const char *name, struct pair_list *out)
{
	for vec_each (pair, &value->pairs) {
		_cleanup_free_ char *inner = xasprintf("%s%s%s", name, *name ? "." : "", pair->key->text);
		flatten(pair->value, inner, out);
	}
	for (size_t i = 0; i < value->items.len; i++) {
		_cleanup_free_ char *inner = xasprintf("%s[%zu]", name, i);
		flatten(value->items.items[i], inner, out);
	}
	if (value->kind == YAML_SCALAR)
		vec_push(out, (struct pair){.name = xstrdup(name),
					    .value = xstrdup(yaml_is_null(value) ? "null" : value->text),
					    .place = value->place});
}

static void decode_flat(struct decoder *d, const struct yaml_node *value, struct pair_list *out)
{
	if (value->kind == YAML_MAPPING)
		flatten(value, "", out);
	else
		diagnostics_error(d->d, value->place, "values are a mapping, and this is %s", yaml_kind_name(value));
}

void decode_flat_values(struct decoder *d, const struct yaml_node *value, void *target)
{
	decode_flat(d, value, &((struct helm_release *)target)->values);
}

void decode_flat_templates(struct decoder *d, const struct yaml_node *value, void *target)
{
	decode_flat(d, value, &((struct helm_release *)target)->value_templates);
}

void decode_helm_overrides(struct decoder *d, const struct yaml_node *value, void *target)
{
	struct helm_release *release = target;
	CLEANUP(str_release) struct str text = {0};
	if (value->kind != YAML_MAPPING) {
		diagnostics_error(d->d, value->place, "'overrides' is a mapping, and this is %s",
				  yaml_kind_name(value));
		return;
	}
	yaml_emit(value, &text);
	replace_string(&release->overrides, str_text(&text));
}

void finish_helm_release(struct decoder *d, const struct yaml_node *node, void *target)
{
	const struct helm_release *release = target;
	if (node && release->name && !release->chart.value)
		diagnostics_error(d->d, node->place,
				  "the release '%s' has no chart: chartPath or remoteChart says which", release->name);
}

/* The whole. */

static bool has_default_manifests(const char *base_dir)
{
	CLEANUP(str_release) struct str pattern = {0};
	for (const char *p = base_dir; *p; p++) {
		if (strchr("*?[\\", *p))
			str_add_char(&pattern, '\\');
		str_add_char(&pattern, *p);
	}
	str_addf(&pattern, "/%s", default_manifests);
	glob_t found = {0};
	bool any = glob(str_text(&pattern), GLOB_NOSORT, NULL, &found) == 0 && found.gl_pathc > 0;
	globfree(&found);
	return any;
}

/* Several documents of one directory share its manifests. */
static bool has_them_already(const struct config *config, const char *base_dir)
{
	for vec_each (source, &config->kubernetes.sources)
		if (source->by_default && str_equal(source->base_dir, base_dir))
			return true;
	return false;
}

static bool says_kubernetes(const struct yaml_node *document)
{
	const struct yaml_node *deploy = yaml_get(document, "deploy");
	return yaml_get(document, "manifests") || yaml_pair(deploy, "kubectl") || yaml_pair(deploy, "helm") ||
	       yaml_pair(deploy, "kustomize");
}

/* Nothing is written: then what lies in k8s/ decides. A document that requires others leaves it to them, as in Skaffold. */
static bool implies_kubernetes(const struct decoder *d, const struct yaml_node *document, bool files)
{
	const struct yaml_node *deploy = yaml_get(document, "deploy");
	static const char *const others[] = {"docker", "attach", "kpt", "cloudrun"};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (yaml_pair(deploy, others[i]))
			return false;
	return files && !yaml_get(document, "requires") && has_default_manifests(d->base_dir);
}

bool decode_kubernetes(struct decoder *d, const struct yaml_node *document, bool files)
{
	bool deploys = says_kubernetes(document) || implies_kubernetes(d, document, files);
	/* Beside deploy.docker they are for --runtime kubernetes. */
	bool beside = files && yaml_pair(yaml_get(document, "deploy"), "docker") && has_default_manifests(d->base_dir);
	if (!deploys && !beside)
		return false;
	const struct manifest_source *written =
		d->manifests ? &d->config->kubernetes.sources.items[d->manifests - 1] : NULL;
	bool any = written && (written->raw_yaml.len || written->kustomize.len || written->releases.len);
	if (any || yaml_get(yaml_get(document, "manifests"), "kpt") || has_them_already(d->config, d->base_dir))
		return deploys;
	struct manifest_source *source = source_of(d);
	vec_push(&source->raw_yaml, (struct text){.value = xstrdup(default_manifests)});
	source->by_default = true;
	return deploys;
}

static void release_texts(struct text_list *texts)
{
	for vec_each (text, texts)
		free(text->value);
	vec_release(texts);
}

static void release_pairs(struct pair_list *pairs)
{
	for vec_each (pair, pairs) {
		free(pair->name);
		free(pair->value);
	}
	vec_release(pairs);
}

static void release_helm(struct helm_release *release)
{
	free(release->name);
	free(release->chart.value);
	free(release->repo);
	free(release->version);
	free(release->namespace_);
	free(release->overrides);
	strv_release(&release->values_files);
	release_pairs(&release->values);
	release_pairs(&release->value_templates);
	release_pairs(&release->files);
}

void kubernetes_config_release(struct kubernetes_config *kubernetes)
{
	for vec_each (source, &kubernetes->sources) {
		free(source->base_dir);
		release_texts(&source->raw_yaml);
		release_texts(&source->kustomize);
		strv_release(&source->kustomize_args);
		for vec_each (release, &source->releases)
			release_helm(release);
		vec_release(&source->releases);
		strv_release(&source->helm_global_flags);
		strv_release(&source->helm_template_flags);
	}
	vec_release(&kubernetes->sources);
	strv_release(&kubernetes->global_flags);
	strv_release(&kubernetes->apply_flags);
	strv_release(&kubernetes->delete_flags);
	strv_release(&kubernetes->load);
	free(kubernetes->default_namespace);
	free(kubernetes->context);
}
