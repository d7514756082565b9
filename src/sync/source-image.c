/* What an image at hand tells the source of a builder that has no Dockerfile. */
#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "sync/devmode.h"
#include "sync/source-internal.h"

bool source_asks_label(const struct sync_source *s)
{
	return s->artifact->builder == BUILDER_BUILDPACKS && s->artifact->sync.mode == SYNC_AUTO;
}

bool sync_source_lacks_image(const struct sync_source *s)
{
	return source_asks_label(s) && !s->image_known;
}

static const char *value_of(const struct strv *variables, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < variables->len; i++)
		if (strncmp(variables->items[i], name, len) == 0 && variables->items[i][len] == '=')
			return variables->items[i] + len + 1;
	return NULL;
}

static void forget_label(struct sync_source *s)
{
	struct source_rules others = {0}, labels = {0};
	for vec_each (rule, &s->rules)
		vec_push(rule->by_label ? &labels : &others, *rule);
	vec_release(&s->rules);
	s->rules = others;
	source_rules_release(&labels);
	devmode_release(&s->label_rules);
	replace_string(&s->label_error, NULL);
}

static int compile_label(struct sync_source *s, const char *label, struct error *err)
{
	int r = devmode_parse(label, strlen(label), &s->label_rules, err);
	for (size_t i = 0; r == 0 && i < s->label_rules.len; i++) {
		struct source_rule rule = {.written = &s->label_rules.items[i], .by_label = true};
		r = source_glob_compile(&rule.written->src, &rule.src, err);
		if (r == 0)
			vec_push(&s->rules, rule);
	}
	return r;
}

static int take_label(struct sync_source *s, const struct base_image *image, struct error *err)
{
	forget_label(s);
	const char *label = value_of(&image->labels, DEVMODE_LABEL);
	CLEANUP(error_clear) struct error why = {0};
	if (!label || compile_label(s, label, &why) == 0)
		return 0;
	forget_label(s);
	s->label_error = xasprintf("the label " DEVMODE_LABEL " of the image %s can't be used: %s",
				   s->artifact->image.value, why.message);
	return error_set(err, EINVAL, "%s", s->label_error);
}

int sync_source_set_image(struct sync_source *s, const struct base_image *image, struct error *err)
{
	if (!image->known || s->dockerfile)
		return 0;
	s->image_known = true;
	replace_string(&s->workdir, image->workdir && *image->workdir ? image->workdir : "/");
	replace_string(&s->unknown_base, NULL);
	const char *data = value_of(&image->env, "KO_DATA_PATH");
	_cleanup_free_ char *root = data && path_is_absolute(data) ? path_normalize(data) : NULL;
	if (s->kodata_root && root && path_is_safe_destination(root))
		replace_string(&s->kodata_root, root);
	return source_asks_label(s) ? take_label(s, image, err) : 0;
}
