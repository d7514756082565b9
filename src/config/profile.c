#include "config/profile.h"

#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

static bool says_nothing(const struct yaml_node *value)
{
	return yaml_is_null(value) || (value->kind == YAML_SEQUENCE && value->items.len == 0);
}

static void drop_group(const struct section *section, const struct field *field, struct yaml_node *node)
{
	for (size_t i = 0; field->group && i < section->count; i++) {
		const struct field *other = &section->fields[i];
		if (other != field && other->group && strcmp(other->group, field->group) == 0)
			yaml_remove(node, other->name);
	}
}

/* Whether a field's mapping is merged into the one that is there. */
static bool merges(const struct field *field, bool everything)
{
	if (!field->section || field->type == FIELD_OBJECTS)
		return false;
	if (everything)
		return field->type != FIELD_AUTO && strcmp(field->name, "sync") != 0;
	return field->flags & FIELD_MERGED;
}

static struct yaml_node *lay_over(struct yaml_pool *pool, const struct section *section, struct yaml_node *base,
				  const struct yaml_node *over, bool everything);

/* A mapping from names to mappings. */
static struct yaml_node *lay_map_over(struct yaml_pool *pool, const struct section *section, struct yaml_node *base,
				      const struct yaml_node *over)
{
	struct yaml_node *result = yaml_copy(pool, base);
	for vec_each (pair, &over->pairs) {
		struct yaml_node *before = yaml_get(base, pair->key->text);
		bool both = before && before->kind == YAML_MAPPING && pair->value->kind == YAML_MAPPING;
		yaml_set(result, pair->key, both ? lay_over(pool, section, before, pair->value, true) : pair->value);
	}
	return result;
}

static struct yaml_node *lay_over(struct yaml_pool *pool, const struct section *section, struct yaml_node *base,
				  const struct yaml_node *over, bool everything)
{
	struct yaml_node *result = base ? yaml_copy(pool, base) : yaml_new(pool, YAML_MAPPING, over->place);
	for vec_each (pair, &over->pairs) {
		const struct field *field = section_field(section, pair->key->text);
		if (!field || (says_nothing(pair->value) && strcmp(field->name, "sync") != 0))
			continue;
		struct yaml_node *before = yaml_get(base, pair->key->text), *value = pair->value;
		bool both = before && before->kind == YAML_MAPPING && value->kind == YAML_MAPPING;
		if (both && field->type == FIELD_OBJECT_MAP)
			value = lay_map_over(pool, field->section, before, value);
		else if (both && merges(field, everything))
			value = lay_over(pool, field->section, before, value, everything);
		drop_group(section, field, result);
		yaml_set(result, pair->key, value);
	}
	return result;
}

struct yaml_node *profile_overlay(struct yaml_pool *pool, const struct section *section, struct yaml_node *base,
				  const struct yaml_node *over)
{
	return lay_over(pool, section, base, over, false);
}

struct yaml_node *profile_merge(struct yaml_pool *pool, const struct section *section, struct yaml_node *base,
				const struct yaml_node *over)
{
	return lay_over(pool, section, base, over, true);
}

/* Activation. */

const struct yaml_node *profile_find(const struct yaml_node *document, const char *name)
{
	const struct yaml_node *profiles = yaml_get(document, "profiles");
	for (size_t i = 0; profiles && i < profiles->items.len; i++)
		if (str_equal(yaml_text(yaml_get(profiles->items.items[i], "name")), name))
			return profiles->items.items[i];
	return NULL;
}

enum { PATTERN_MAX_BYTES = 1024, PATTERN_MAX_REPEATS = 1000, PATTERN_MAX_PRODUCT = 20000 };

/* The C library takes unbounded time and stack for a pattern that is long, repeats repetitions, or refers back: Go's expressions, which these
 * are, can't do the last, and have the same limit of repetitions. */
static bool is_reasonable(const char *pattern)
{
	unsigned long repeats = 1;
	if (strlen(pattern) > PATTERN_MAX_BYTES)
		return false;
	for (const char *p = pattern; *p; p++) {
		unsigned long count = 0;
		if (*p == '\\' && isdigit((unsigned char)p[1]))
			return false;
		if (*p == '\\' && p[1]) {
			p++;
			continue;
		}
		for (const char *q = p; *p == '{' && *q && *q != '}'; q++)
			if (isdigit((unsigned char)*q) && !isdigit((unsigned char)q[-1]))
				count = strtoul(q, NULL, 10) > count ? strtoul(q, NULL, 10) : count;
		if (count > PATTERN_MAX_REPEATS || (count > 1 && (repeats *= count) > PATTERN_MAX_PRODUCT))
			return false;
	}
	return true;
}

/* Equal, or the regular expression is found in it; "!" in front turns the answer round. What is no expression is only compared, as in
 * Skaffold. */
static bool matches(const char *pattern, const char *text)
{
	bool negated = pattern[0] == '!', found = false;
	pattern += negated;
	regex_t regex;
	if (strcmp(pattern, text) == 0) {
		found = true;
	} else if (is_reasonable(pattern) && regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) == 0) {
		found = regexec(&regex, text, 0, NULL, 0) == 0;
		regfree(&regex);
	}
	return found != negated;
}

static bool environment_matches(const struct yaml_node *node, struct diagnostics *d)
{
	const char *text = yaml_text(node), *equals = text ? strchr(text, '=') : NULL;
	if (!text)
		return true;
	if (!equals) {
		diagnostics_error(d, node->place, "'%s' is not NAME=pattern", text);
		return false;
	}
	_cleanup_free_ char *name = xstrndup(text, (size_t)(equals - text));
	const char *value = getenv(name);
	return equals[1] ? matches(equals + 1, value ? value : "") : !value || !*value;
}

static bool word_matches(const struct yaml_node *node, const char *word)
{
	const char *pattern = yaml_text(node);
	return !pattern || (word && matches(pattern, word));
}

static bool is_activated(const struct yaml_node *profile, const struct config_options *options, struct diagnostics *d)
{
	const struct yaml_node *activation = yaml_get(profile, "activation"),
			       *all_node = yaml_get(profile, "requiresAllActivations");
	bool all = false;
	if (!activation || activation->items.len == 0)
		return false;
	if (all_node)
		yaml_bool(all_node, &all);
	for vec_each (item, &activation->items) {
		bool holds = environment_matches(yaml_get(*item, "env"), d) &&
			     word_matches(yaml_get(*item, "kubeContext"), options->kube_context) &&
			     word_matches(yaml_get(*item, "command"), options->command);
		if (holds != all)
			return holds;
	}
	return all;
}

static void turn_off(struct strv *active, const char *name)
{
	struct strv kept = {0};
	for (size_t i = 0; i < active->len; i++)
		if (strcmp(active->items[i], name) != 0)
			strv_push(&kept, active->items[i]);
	strv_release(active);
	*active = kept;
}

void profile_active(const struct yaml_node *document, const struct strv *named, const struct config_options *options,
		    struct diagnostics *d, struct strv *active)
{
	const struct yaml_node *profiles = yaml_get(document, "profiles");
	for (size_t i = 0; profiles && i < profiles->items.len; i++) {
		const char *name = yaml_text(yaml_get(profiles->items.items[i], "name"));
		if (name && !strv_contains(active, name) && is_activated(profiles->items.items[i], options, d))
			strv_push(active, name);
	}
	for (size_t i = 0; i < named->len; i++) {
		const char *name = named->items[i];
		if (name[0] == '-')
			turn_off(active, name + 1);
		else if (!strv_contains(active, name) && profile_find(document, name))
			strv_push(active, name);
	}
}
