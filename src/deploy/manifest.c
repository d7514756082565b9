#include "deploy/manifest.h"

#include <errno.h>
#include <string.h>

void manifests_release(struct manifests *manifests)
{
	vec_release(&manifests->items);
	strv_release(&manifests->homes);
	yaml_pool_release(&manifests->pool);
	sources_release(&manifests->sources);
}

/* ---- reading ---- */

static int add_object(struct manifests *manifests, const struct yaml_node *root, struct diagnostics *d)
{
	const struct yaml_node *metadata = yaml_get(root, "metadata"), *items = yaml_get(root, "items");
	const char *kind = yaml_text(yaml_get(root, "kind")), *version = yaml_text(yaml_get(root, "apiVersion"));
	if (root->kind != YAML_MAPPING) {
		diagnostics_error(d, root->place, "a manifest is a mapping, and this is %s", yaml_kind_name(root));
		return -EINVAL;
	}
	if (kind && str_ends_with(kind, "List") && items && items->kind == YAML_SEQUENCE) {
		for vec_each (item, &items->items)
			if (add_object(manifests, *item, d) < 0)
				return -EINVAL;
		return 0;
	}
	if (!kind || !version) {
		diagnostics_error(d, root->place, "the field '%s' is missing: this is no manifest of Kubernetes",
				  kind ? "apiVersion" : "kind");
		return -EINVAL;
	}
	vec_push(&manifests->items, (struct manifest){.root = root,
						      .api_version = version,
						      .kind = kind,
						      .name = yaml_text(yaml_get(metadata, "name")),
						      .namespace_ = yaml_text(yaml_get(metadata, "namespace"))});
	return 0;
}

static int report(struct diagnostics *d, struct error *err)
{
	CLEANUP(str_release) struct str text = {0};
	diagnostics_format(d, SEVERITY_ERROR, &text);
	if (text.len > 0)
		text.data[text.len - 1] = '\0';
	return error_set(err, EINVAL, "%s", str_text(&text));
}

int manifests_add(struct manifests *manifests, const char *name, char *text, size_t len, struct error *err)
{
	struct diagnostics d = {.sources = &manifests->sources};
	struct yaml_documents documents = {0};
	const struct source *source = sources_add(&manifests->sources, name, name, text, len);
	size_t before = manifests->items.len;
	int r = yaml_parse(&manifests->pool, source, &d, &documents);
	for vec_each (document, &documents)
		r = r < 0 ? r : add_object(manifests, *document, &d);
	if (r < 0)
		r = report(&d, err);
	else if (manifests->items.len > MANIFESTS_MAX_OBJECTS)
		r = error_set(err, E2BIG, "%s: more than %d objects", name, MANIFESTS_MAX_OBJECTS);
	if (r < 0)
		manifests->items.len = before;
	vec_release(&documents);
	diagnostics_release(&d);
	return r;
}

void manifests_place(struct manifests *manifests, size_t first, const char *home)
{
	strv_push(&manifests->homes, home);
	for (size_t i = first; i < manifests->items.len; i++)
		manifests->items.items[i].home = manifests->homes.items[manifests->homes.len - 1];
}

char *manifest_image_name(const char *reference)
{
	const char *at = strchr(reference, '@');
	if (at && !str_equal(at + 1, MANIFEST_DIGEST_OPEN))
		return NULL;
	char *name = xstrndup(reference, at ? (size_t)(at - reference) : strlen(reference));
	char *slash = strrchr(name, '/');
	char *colon = strchr(slash ? slash : name, ':');
	if (colon)
		*colon = '\0';
	return name;
}

/* ---- what it names ---- */

static bool holds_images(const struct manifest *manifest)
{
	return !str_equal(manifest->kind, "ConfigMap") && !str_equal(manifest->kind, "Secret") &&
	       !str_equal(manifest->kind, "CustomResourceDefinition");
}

struct visitor {
	void (*image)(void *data, const char *reference, const struct yaml_node *around);
	void *data;
};

/* Depth and size are bounded where trees are read (format/yaml.h). */
static void visit(const struct yaml_node *node, const struct visitor *visitor)
{
	for vec_each (item, &node->items)
		visit(*item, visitor);
	for vec_each (pair, &node->pairs) {
		const char *text = yaml_text(pair->value);
		if (text && str_equal(pair->key->text, "image"))
			visitor->image(visitor->data, text, node);
		visit(pair->value, visitor);
	}
}

static void visit_images(const struct manifest *manifest, const struct visitor *visitor)
{
	if (holds_images(manifest))
		visit(manifest->root, visitor);
}

static void add_name(void *data, const char *reference, const struct yaml_node *around)
{
	(void)around;
	char *name = manifest_image_name(reference);
	if (name)
		strv_push_owned(data, name);
}

void manifest_named(const struct manifest *manifest, const struct strv *candidates, struct strv *named)
{
	CLEANUP(strv_release) struct strv names = {0};
	visit_images(manifest, &(struct visitor){.image = add_name, .data = &names});
	for (size_t i = 0; i < candidates->len; i++) {
		_cleanup_free_ char *plain = manifest_image_name(candidates->items[i]);
		if (plain && strv_contains(&names, plain) && !strv_contains(named, candidates->items[i]))
			strv_push(named, candidates->items[i]);
	}
}

struct port_search {
	const char *name;
	struct port_numbers *ports;
};

static void add_ports(void *data, const char *reference, const struct yaml_node *around)
{
	const struct port_search *search = data;
	_cleanup_free_ char *name = manifest_image_name(reference);
	const struct yaml_node *list = yaml_get(around, "ports");
	for (size_t i = 0; str_equal(name, search->name) && list && i < list->items.len; i++) {
		const struct yaml_node *port = yaml_get(list->items.items[i], "containerPort");
		const char *protocol = yaml_text(yaml_get(list->items.items[i], "protocol"));
		int64_t number = 0;
		bool known = !port || !yaml_int(port, &number) || number < 1 || number > UINT16_MAX ||
			     (protocol && !str_equal(protocol, "TCP"));
		for vec_each (earlier, search->ports)
			known = known || *earlier == (unsigned)number;
		if (!known)
			vec_push(search->ports, (unsigned)number);
	}
}

void manifest_ports(const struct manifest *manifest, const char *image, struct port_numbers *ports)
{
	_cleanup_free_ char *name = manifest_image_name(image);
	struct port_search search = {name, ports};
	if (name)
		visit_images(manifest, &(struct visitor){.image = add_ports, .data = &search});
}

bool manifest_selects(const struct manifest *service, const struct manifest *workload)
{
	const struct yaml_node *selector = yaml_get(yaml_get(service->root, "spec"), "selector");
	const struct yaml_node *pod = str_equal(workload->kind, "Pod")
					      ? workload->root
					      : yaml_get(yaml_get(workload->root, "spec"), "template");
	const struct yaml_node *labels = yaml_get(yaml_get(pod, "metadata"), "labels");
	if (!str_equal(service->kind, "Service") || !selector || selector->pairs.len == 0)
		return false;
	for vec_each (pair, &selector->pairs) {
		const struct yaml_node *has = yaml_get(labels, pair->key->text);
		if (!has || !yaml_text(pair->value) || !str_equal(yaml_text(has), pair->value->text))
			return false;
	}
	return true;
}
