/* From checked trees to structs. Everything here expects what check_section let through, and stays safe with anything else. */
#ifndef CONFIG_DECODE_H
#define CONFIG_DECODE_H

#include "config/config.h"
#include "config/schema.h"
#include "format/yaml.h"

struct decoder {
	struct diagnostics *d;
	const struct config_options *options;
	struct config *config;
	const char *base_dir; /* relative paths of this document start here */
	size_t manifests;     /* this document's index in config->kubernetes.sources + 1; 0: it has none yet */
};

/* Decodes a mapping into target, by the table; NULL or no mapping: only the finish function runs. Warns of FIELD_LATER. */
void decode_section(struct decoder *d, const struct section *section, const struct yaml_node *node, void *target);

/* One value into its place by its type; used by decode functions too. */
void decode_strings(const struct yaml_node *value, struct strv *out);
void decode_texts(const struct yaml_node *value, struct text_list *out);

/* What the types alone can't say; named in the tables. */
void decode_artifacts(struct decoder *d, const struct yaml_node *value, void *target);
void decode_auto(struct decoder *d, const struct yaml_node *value, void *target);
void decode_custom_template(struct decoder *d, const struct yaml_node *value, void *target);
void decode_container_hook(struct decoder *d, const struct yaml_node *value, void *target);
void decode_dockerfile_dependency(struct decoder *d, const struct yaml_node *value, void *target);
void decode_flat_templates(struct decoder *d, const struct yaml_node *value, void *target);
void decode_flat_values(struct decoder *d, const struct yaml_node *value, void *target);
void decode_helm(struct decoder *d, const struct yaml_node *value, void *target);
void decode_helm_overrides(struct decoder *d, const struct yaml_node *value, void *target);
void decode_default_namespace(struct decoder *d, const struct yaml_node *value, void *target);
void decode_kubectl_flags(struct decoder *d, const struct yaml_node *value, void *target);
void decode_kustomize(struct decoder *d, const struct yaml_node *value, void *target);
void decode_manifests(struct decoder *d, const struct yaml_node *value, void *target);
void decode_old_kustomize_path(struct decoder *d, const struct yaml_node *value, void *target);
void decode_old_manifests(struct decoder *d, const struct yaml_node *value, void *target);
void decode_remote_chart(struct decoder *d, const struct yaml_node *value, void *target);
void decode_ko_labels(struct decoder *d, const struct yaml_node *value, void *target);
void decode_buildpacks_volumes(struct decoder *d, const struct yaml_node *value, void *target);
void decode_local_buildkit(struct decoder *d, const struct yaml_node *value, void *target);
void decode_local_push(struct decoder *d, const struct yaml_node *value, void *target);
void decode_nested_template(struct decoder *d, const struct yaml_node *value, void *target);
void decode_port(struct decoder *d, const struct yaml_node *value, void *target);
void decode_requires(struct decoder *d, const struct yaml_node *value, void *target);
void decode_restart(struct decoder *d, const struct yaml_node *value, void *target);
void decode_run(struct decoder *d, const struct yaml_node *value, void *target);
void decode_secrets(struct decoder *d, const struct yaml_node *value, void *target);
void decode_signal(struct decoder *d, const struct yaml_node *value, void *target);
void decode_status_check(struct decoder *d, const struct yaml_node *value, void *target);

void finish_artifact(struct decoder *d, const struct yaml_node *node, void *target);
void finish_attach(struct decoder *d, const struct yaml_node *node, void *target);
void finish_artifact_dependency(struct decoder *d, const struct yaml_node *node, void *target);
void finish_generator(struct decoder *d, const struct yaml_node *node, void *target);
void finish_helm_release(struct decoder *d, const struct yaml_node *node, void *target);
void finish_hook(struct decoder *d, const struct yaml_node *node, void *target);
void finish_port_forward(struct decoder *d, const struct yaml_node *node, void *target);
void finish_sync_program(struct decoder *d, const struct yaml_node *node, void *target);
void finish_sync_rule(struct decoder *d, const struct yaml_node *node, void *target);
void finish_tag_component(struct decoder *d, const struct yaml_node *node, void *target);
void finish_tag_policy(struct decoder *d, const struct yaml_node *node, void *target);

/* What a rule holds; it is empty then. */
void tag_rule_release(struct tag_rule *rule);

/* After a document: true if it deploys to Kubernetes. Fills in the default manifests; files: whether the file system may be asked for them. */
bool decode_kubernetes(struct decoder *d, const struct yaml_node *document, bool files);
void kubernetes_config_release(struct kubernetes_config *kubernetes);

/* When all documents are decoded: duplicate images, requires, cycles. */
void resolve_artifacts(struct decoder *d);

/* After it: what is attached is an artifact, and of nobody else's concern. */
void resolve_attached(struct decoder *d);

#endif
