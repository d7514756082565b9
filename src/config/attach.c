/* deploy.attach: what its entries must be, and what follows from them for the rest. */
#include <string.h>

#include "config/decode.h"

/* "SERVICE" or "PROJECT/SERVICE". */
static bool names_service(const char *text)
{
	const char *slash = strchr(text, '/');
	return *text && *text != '/' && (!slash || (slash[1] && !strchr(slash + 1, '/')));
}

void finish_attach(struct decoder *d, const struct yaml_node *node, void *target)
{
	const struct attach_config *entry = target;
	const struct text *label = &entry->label, *compose = &entry->compose;
	if (label->value && (!*label->value || *label->value == '='))
		diagnostics_error(d->d, label->place, "'label' takes KEY or KEY=VALUE");
	if (compose->value && !names_service(compose->value))
		diagnostics_error(d->d, compose->place, "'compose' takes SERVICE or PROJECT/SERVICE");
	if (!label->value && !compose->value && node)
		diagnostics_error(d->d, node->place,
				  "one of 'label' and 'compose' must say which containers these are");
}

static void check_image(struct decoder *d, const struct attach_config *entry)
{
	const struct config *config = d->config;
	const struct artifact *artifact = config_artifact(config, entry->image.value);
	if (artifact && artifact->required_by_others)
		diagnostics_error(d->d, entry->image.place,
				  "'%s' can't be attached: other artifacts require it, and so it is built here",
				  entry->image.value);
	if (artifact)
		return;
	const char **images = xcalloc(config->artifacts.len + 1, sizeof(*images));
	size_t count = 0;
	for vec_each (item, &config->artifacts)
		if ((*item)->image.value)
			images[count++] = (*item)->image.value;
	_cleanup_free_ char *hint = suggestion(entry->image.value, images);
	diagnostics_error(d->d, entry->image.place, "no artifact has the image '%s'%s", entry->image.value, hint);
	free(images);
}

/* One container gets the files of one artifact. */
static void check_twice(struct decoder *d, size_t index)
{
	const struct attach_config *entry = &d->config->attach.items[index];
	const struct text *way = entry->label.value ? &entry->label : &entry->compose;
	for (size_t i = 0; way->value && i < index; i++) {
		const struct attach_config *earlier = &d->config->attach.items[i];
		if (!str_equal(earlier->label.value, entry->label.value) ||
		    !str_equal(earlier->compose.value, entry->compose.value))
			continue;
		_cleanup_free_ char *place = place_format(earlier->place);
		diagnostics_error(d->d, way->place, "the containers of '%s' are attached already (%s)", way->value,
				  place);
		return;
	}
}

/* What another tool runs is not deployed here. */
static void leave_out_attached(struct config *config)
{
	struct strv *images = &config->docker_images;
	size_t kept = 0;
	for (size_t i = 0; i < images->len; i++) {
		if (config_is_attached(config, images->items[i]))
			free(images->items[i]);
		else
			images->items[kept++] = images->items[i];
	}
	images->len = kept;
	if (images->items)
		images->items[kept] = NULL;
}

void resolve_attached(struct decoder *d)
{
	for (size_t i = 0; i < d->config->attach.len; i++) {
		if (!d->config->attach.items[i].image.value)
			continue; /* told as a missing field */
		check_image(d, &d->config->attach.items[i]);
		check_twice(d, i);
	}
	leave_out_attached(d->config);
}
