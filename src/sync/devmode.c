#include "sync/devmode.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static const struct place label_place = {.file = "label " DEVMODE_LABEL};

void devmode_release(struct sync_rule_list *rules)
{
	for vec_each (rule, rules) {
		free(rule->src.value);
		free(rule->dest.value);
		free(rule->strip.value);
	}
	vec_release(rules);
}

/* *text stays NULL where the key is not there. */
static int take_text(const json_t *rule, const char *key, struct text *text, struct error *err)
{
	const json_t *value = json_object_get(rule, key);
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return error_set(err, EINVAL, "'%s' of a devmode.sync rule is no text", key);
	if (json_string_length(value) > DEVMODE_TEXT_MAX)
		return error_set(err, EINVAL, "'%s' of a devmode.sync rule is longer than %d bytes", key,
				 DEVMODE_TEXT_MAX);
	*text = (struct text){.value = xstrdup(json_string_value(value)), .place = label_place};
	return 0;
}

static int take_rule(const json_t *value, struct sync_rule_list *rules, struct error *err)
{
	if (!json_is_object(value))
		return error_set(err, EINVAL, "a devmode.sync rule is no object");
	if (rules->len >= DEVMODE_RULES_MAX)
		return error_set(err, EINVAL, "there are more than %d devmode.sync rules", DEVMODE_RULES_MAX);
	struct sync_rule *rule = vec_add(rules);
	rule->place = label_place;
	const struct {
		const char *key;
		struct text *text;
	} texts[] = {{"src", &rule->src}, {"dest", &rule->dest}, {"strip", &rule->strip}};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		int r = take_text(value, texts[i].key, texts[i].text, err);
		if (r < 0)
			return r;
	}
	if (!rule->src.value || !rule->src.value[0] || !rule->dest.value)
		return error_set(err, EINVAL, "a devmode.sync rule needs src and dest");
	return 0;
}

/* A list, or nothing. */
static int expect_list(const json_t *value, const char *name, struct error *err)
{
	return !value || json_is_null(value) || json_is_array(value) ? 0
								     : error_set(err, EINVAL, "'%s' is no list", name);
}

static int take_entry(const json_t *entry, struct sync_rule_list *rules, struct error *err)
{
	if (!json_is_object(entry))
		return error_set(err, EINVAL, "an entry of 'bom' is no object");
	const json_t *metadata = json_object_get(entry, "metadata");
	if (!metadata || json_is_null(metadata))
		return 0;
	if (!json_is_object(metadata))
		return error_set(err, EINVAL, "'metadata' of an entry of 'bom' is no object");
	const json_t *sync = json_object_get(metadata, "devmode.sync");
	int r = expect_list(sync, "devmode.sync", err);
	for (size_t i = 0; r == 0 && i < json_array_size(sync); i++)
		r = take_rule(json_array_get(sync, i), rules, err);
	return r;
}

static int take_all(const json_t *root, struct sync_rule_list *rules, struct error *err)
{
	if (!json_is_object(root))
		return error_set(err, EINVAL, "it is no JSON object");
	const json_t *bom = json_object_get(root, "bom");
	int r = expect_list(bom, "bom", err);
	for (size_t i = 0; r == 0 && i < json_array_size(bom); i++)
		r = take_entry(json_array_get(bom, i), rules, err);
	return r;
}

int devmode_parse(const char *label, size_t len, struct sync_rule_list *rules, struct error *err)
{
	if (len > DEVMODE_LABEL_MAX)
		return error_set(err, EINVAL, "it is longer than %d MiB", DEVMODE_LABEL_MAX >> 20);
	json_error_t why;
	json_t *root = json_loadb(label, len, 0, &why);
	if (!root)
		return error_set(err, EINVAL, "it is no JSON: %s", why.text);
	struct sync_rule_list found = {0};
	int r = take_all(root, &found, err);
	json_decref(root);
	if (r == 0)
		for vec_each (rule, &found)
			vec_push(rules, *rule);
	if (r == 0)
		vec_release(&found);
	else
		devmode_release(&found);
	return r;
}
