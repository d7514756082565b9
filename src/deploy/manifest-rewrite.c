/* Changed trees are copies along the way to what changes; the rest is shared with what was read. */
#include <jansson.h>
#include <string.h>

#include "client/agent-program.h"
#include "client/kubernetes-names.h"
#include "deploy/manifest.h"

struct rewriter {
	const struct manifest_changes *changes;
	struct yaml_pool pool;
};

static const struct yaml_node *rewrite(struct rewriter *r, const struct yaml_node *node);

/* ---- trees ---- */

static struct yaml_node *text_node(struct rewriter *r, const char *text)
{
	struct yaml_node *node = yaml_new_text(&r->pool, text, (struct place){0});
	node->quoted = true; /* a run's id may be all digits */
	return node;
}

static void set(struct rewriter *r, struct yaml_node *mapping, const char *key, const struct yaml_node *value)
{
	yaml_set(mapping, text_node(r, key), (struct yaml_node *)value);
}

static void set_text(struct rewriter *r, struct yaml_node *mapping, const char *key, const char *text)
{
	if (text)
		set(r, mapping, key, text_node(r, text));
}

/* The mapping below a key of one that is a copy already, as a copy; made where there is none. NULL where something else stands there. */
static struct yaml_node *open_mapping(struct rewriter *r, struct yaml_node *mapping, const char *key)
{
	const struct yaml_node *old = yaml_get(mapping, key);
	if (old && old->kind != YAML_MAPPING)
		return NULL;
	struct yaml_node *copy = old ? yaml_copy(&r->pool, old) : yaml_new(&r->pool, YAML_MAPPING, (struct place){0});
	set(r, mapping, key, copy);
	return copy;
}

static void set_label(struct rewriter *r, struct yaml_node *metadata)
{
	struct yaml_node *labels = metadata ? open_mapping(r, metadata, "labels") : NULL;
	if (labels)
		set_text(r, labels, KUBERNETES_LABEL_RUN, r->changes->run_id);
}

/* ---- containers ---- */

static const struct manifest_image *image_of(const struct rewriter *r, const struct yaml_node *container)
{
	const char *reference = yaml_text(yaml_get(container, "image"));
	_cleanup_free_ char *name = reference ? manifest_image_name(reference) : NULL;
	for vec_each (image, r->changes->images) {
		_cleanup_free_ char *wanted = manifest_image_name(image->image);
		if (name && str_equal(name, wanted))
			return image;
	}
	return NULL;
}

static void push_text(struct rewriter *r, struct yaml_node *list, const char *text)
{
	vec_push(&list->items, text_node(r, text));
}

/* In a manifest $(NAME) is expanded, which an image's own words are not: "$$" is one "$" there (kubernetes.io/docs, Container.command). */
static void push_literal(struct rewriter *r, struct yaml_node *list, const struct strv *words)
{
	for (size_t i = 0; i < words->len; i++) {
		CLEANUP(str_release) struct str text = {0};
		for (const char *p = words->items[i]; *p; p++)
			str_add(&text, *p == '$' ? "$$" : (const char[]){*p, '\0'});
		push_text(r, list, str_text(&text));
	}
}

static const struct yaml_node *list_of(const struct yaml_node *container, const char *key)
{
	const struct yaml_node *list = yaml_get(container, key);
	return list && list->kind == YAML_SEQUENCE && list->items.len > 0 ? list : NULL;
}

/* The same as for Docker (container.c): what would start is started by the agent. `command` of a manifest takes the place of the image's entry point,
 * and of its command too; `args` that of its command alone. */
static void supervise(struct rewriter *r, struct yaml_node *container, const struct manifest_image *image)
{
	const struct yaml_node *command = list_of(container, "command"), *args = list_of(container, "args");
	bool own_args = !command && !args && image->command->len > 0;
	if (!command && !args && image->entry_point->len + image->command->len == 0)
		return;
	struct yaml_node *list = yaml_new(&r->pool, YAML_SEQUENCE, (struct place){0});
	push_text(r, list, AGENT_PATH);
	push_text(r, list, "supervise");
	push_text(r, list, "--");
	if (!command)
		push_literal(r, list, image->entry_point);
	for (size_t i = 0; command && i < command->items.len; i++)
		vec_push(&list->items, command->items.items[i]);
	set(r, container, "command", list);
	if (!own_args)
		return;
	list = yaml_new(&r->pool, YAML_SEQUENCE, (struct place){0});
	push_literal(r, list, image->command);
	set(r, container, "args", list);
}

/* started: it is one of spec.containers, which live as long as the pod. */
static const struct yaml_node *rewrite_container(struct rewriter *r, const struct yaml_node *node, bool started)
{
	const struct manifest_image *image = image_of(r, node);
	const char *policy = yaml_text(yaml_get(node, "imagePullPolicy"));
	if (!image)
		return rewrite(r, node);
	struct yaml_node *copy = yaml_copy(&r->pool, node);
	set_text(r, copy, "image", image->ref);
	if (!image->in_registry && str_equal(policy, "Always"))
		set_text(r, copy, "imagePullPolicy", "IfNotPresent");
	if (image->supervised && started)
		supervise(r, copy, image);
	return copy;
}

static const struct yaml_node *rewrite_containers(struct rewriter *r, const struct yaml_node *list, bool started)
{
	struct yaml_node *copy = yaml_copy(&r->pool, list);
	for vec_each (item, &copy->items)
		*item = (struct yaml_node *)rewrite_container(r, *item, started);
	return copy;
}

/* ---- pods and their templates ---- */

static const struct yaml_node *containers_of(const struct yaml_node *node, const char *key)
{
	const struct yaml_node *list = yaml_get(yaml_get(node, "spec"), key);
	return list && list->kind == YAML_SEQUENCE ? list : NULL;
}

/* The annotation's value; NULL where no container is an artifact's, those that only start the pod included. The caller frees. */
static char *describe(struct rewriter *r, const struct yaml_node *pod)
{
	static const char *const others[] = {"initContainers", "ephemeralContainers"};
	const struct yaml_node *list = containers_of(pod, "containers");
	json_t *all = json_object();
	bool any = false;
	for (size_t i = 0; list && i < list->items.len; i++) {
		const struct yaml_node *container = list->items.items[i];
		const struct manifest_image *image = image_of(r, container);
		const char *name = yaml_text(yaml_get(container, "name"));
		any = any || image;
		if (!image || !name)
			continue;
		json_t *one = json_pack("{s:s, s:s}", "image", image->image, "ref", image->ref);
		if (image->base)
			json_object_set_new(one, "base", json_string(image->base));
		if (image->tag)
			json_object_set_new(one, "tag", json_string(image->tag));
		if (image->agent)
			json_object_set_new(one, KUBERNETES_AGENT, json_string(image->agent));
		json_object_set_new(all, name, one);
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		list = containers_of(pod, others[i]);
		for (size_t k = 0; list && k < list->items.len; k++)
			any = any || image_of(r, list->items.items[k]);
	}
	char *text = any ? json_dumps(all, JSON_COMPACT) : NULL;
	json_decref(all);
	return text;
}

/* pod: as it was; copy: the same with its images replaced. */
static void mark_pod(struct rewriter *r, const struct yaml_node *pod, struct yaml_node *copy)
{
	_cleanup_free_ char *containers = describe(r, pod);
	struct yaml_node *metadata = containers ? open_mapping(r, copy, "metadata") : NULL;
	if (!metadata)
		return;
	set_label(r, metadata);
	struct yaml_node *annotations = open_mapping(r, metadata, "annotations");
	if (!annotations)
		return;
	set_text(r, annotations, KUBERNETES_ANNOTATION_CONTAINERS, containers);
	set_text(r, annotations, KUBERNETES_ANNOTATION_OWNER, r->changes->owner);
	set_text(r, annotations, KUBERNETES_ANNOTATION_CONFIG, r->changes->config);
	set_text(r, annotations, KUBERNETES_ANNOTATION_DEPLOYED, r->changes->deployed);
}

static const struct yaml_node *rewrite_value(struct rewriter *r, const struct yaml_node *around,
					     const struct yaml_pair *pair)
{
	const char *key = pair->key->text;
	if (pair->value->kind == YAML_SCALAR) {
		const struct manifest_image *image = str_equal(key, "image") ? image_of(r, around) : NULL;
		return image ? text_node(r, image->ref) : pair->value;
	}
	bool list = pair->value->kind == YAML_SEQUENCE;
	if (list && str_equal(key, "containers"))
		return rewrite_containers(r, pair->value, true);
	if (list && (str_equal(key, "initContainers") || str_equal(key, "ephemeralContainers")))
		return rewrite_containers(r, pair->value, false);
	return rewrite(r, pair->value);
}

/* Depth and size are bounded where trees are read (format/yaml.h). */
static const struct yaml_node *rewrite(struct rewriter *r, const struct yaml_node *node)
{
	if (node->kind == YAML_SCALAR)
		return node;
	struct yaml_node *copy = yaml_copy(&r->pool, node);
	for vec_each (item, &copy->items)
		*item = (struct yaml_node *)rewrite(r, *item);
	for vec_each (pair, &copy->pairs)
		pair->value = (struct yaml_node *)rewrite_value(r, node, pair);
	if (containers_of(node, "containers"))
		mark_pod(r, node, copy);
	return copy;
}

void manifest_rewrite(const struct manifest *manifest, const struct manifest_changes *changes, struct str *out)
{
	static const struct manifest_images none;
	struct manifest_changes own = *changes;
	if (!own.images || str_equal(manifest->kind, "ConfigMap") || str_equal(manifest->kind, "Secret") ||
	    str_equal(manifest->kind, "CustomResourceDefinition"))
		own.images = &none;
	struct rewriter r = {.changes = &own};
	const struct yaml_node *changed = own.images->len > 0 ? rewrite(&r, manifest->root) : manifest->root;
	struct yaml_node *root = yaml_copy(&r.pool, changed);
	set_label(&r, open_mapping(&r, root, "metadata"));
	str_add(out, "---\n");
	yaml_emit(root, out);
	yaml_pool_release(&r.pool);
}

void manifest_identity(const struct manifest *manifest, struct str *out)
{
	struct rewriter r = {0};
	struct yaml_node *root = yaml_new(&r.pool, YAML_MAPPING, (struct place){0});
	set_text(&r, root, "apiVersion", manifest->api_version);
	set_text(&r, root, "kind", manifest->kind);
	struct yaml_node *metadata = open_mapping(&r, root, "metadata");
	set_text(&r, metadata, "name", manifest->name);
	set_text(&r, metadata, "namespace", manifest->namespace_);
	str_add(out, "---\n");
	yaml_emit(root, out);
	yaml_pool_release(&r.pool);
}
