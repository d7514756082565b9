#include "format/yaml.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

struct yaml_node *yaml_new(struct yaml_pool *pool, enum yaml_kind kind, struct place place)
{
	struct yaml_node *node = xcalloc(1, sizeof(*node));
	node->kind = kind;
	node->place = place;
	node->weight = 1;
	vec_push(&pool->nodes, node);
	return node;
}

struct yaml_node *yaml_new_text(struct yaml_pool *pool, const char *text, struct place place)
{
	struct yaml_node *node = yaml_new(pool, YAML_SCALAR, place);
	node->text = xstrdup(text);
	return node;
}

struct yaml_node *yaml_copy(struct yaml_pool *pool, const struct yaml_node *node)
{
	struct yaml_node *copy = yaml_new(pool, node->kind, node->place);
	copy->quoted = node->quoted;
	copy->verbatim = node->verbatim;
	copy->in_quotes = node->in_quotes;
	copy->weight = node->weight;
	copy->text = xstrdup_or_null(node->text);
	for vec_each (item, &node->items)
		vec_push(&copy->items, *item);
	for vec_each (pair, &node->pairs)
		vec_push(&copy->pairs, *pair);
	return copy;
}

void yaml_pool_release(struct yaml_pool *pool)
{
	for vec_each (item, &pool->nodes) {
		struct yaml_node *node = *item;
		free(node->text);
		vec_release(&node->items);
		vec_release(&node->pairs);
		free(node);
	}
	vec_release(&pool->nodes);
}

const struct yaml_pair *yaml_pair(const struct yaml_node *mapping, const char *key)
{
	if (!mapping)
		return NULL;
	for vec_each (pair, &mapping->pairs)
		if (strcmp(pair->key->text, key) == 0)
			return pair;
	return NULL;
}

struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
	const struct yaml_pair *pair = yaml_pair(mapping, key);
	return pair && !yaml_is_null(pair->value) ? pair->value : NULL;
}

void yaml_set(struct yaml_node *mapping, struct yaml_node *key, struct yaml_node *value)
{
	for vec_each (pair, &mapping->pairs)
		if (strcmp(pair->key->text, key->text) == 0) {
			*pair = (struct yaml_pair){.key = key, .value = value};
			return;
		}
	vec_push(&mapping->pairs, (struct yaml_pair){.key = key, .value = value});
}

void yaml_remove(struct yaml_node *mapping, const char *key)
{
	size_t kept = 0;
	for (size_t i = 0; i < mapping->pairs.len; i++)
		if (strcmp(mapping->pairs.items[i].key->text, key) != 0)
			mapping->pairs.items[kept++] = mapping->pairs.items[i];
	mapping->pairs.len = kept;
}

static bool is_one_of(const struct yaml_node *node, const char *const *words)
{
	if (node->kind != YAML_SCALAR || node->quoted)
		return false;
	for (; *words; words++)
		if (strcmp(node->text, *words) == 0)
			return true;
	return false;
}

bool yaml_is_null(const struct yaml_node *node)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
	return is_one_of(node, words);
}

bool yaml_bool(const struct yaml_node *node, bool *value)
{
	static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES",
					  "on",	  "On",	  "ON",	  "y",	 "Y",	NULL};
	static const char *const no[] = {"false", "False", "FALSE", "no", "No", "NO",
					 "off",	  "Off",   "OFF",   "n",  "N",	NULL};
	*value = is_one_of(node, yes);
	return *value || is_one_of(node, no);
}

bool yaml_int(const struct yaml_node *node, int64_t *value)
{
	if (node->kind != YAML_SCALAR || node->quoted)
		return false;
	bool negative = node->text[0] == '-';
	uint64_t magnitude = 0;
	if (parse_uint(node->text + (negative || node->text[0] == '+'), INT64_MAX, &magnitude) < 0)
		return false;
	*value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	return true;
}

const char *yaml_text(const struct yaml_node *node)
{
	return node && node->kind == YAML_SCALAR && !yaml_is_null(node) ? node->text : NULL;
}

const char *yaml_kind_name(const struct yaml_node *node)
{
	bool flag = false;
	int64_t number = 0;
	if (node->kind == YAML_SEQUENCE)
		return "a list";
	if (node->kind == YAML_MAPPING)
		return "a mapping";
	if (yaml_is_null(node))
		return "nothing";
	if (yaml_int(node, &number))
		return "a number";
	if (strlen(node->text) > 1 && yaml_bool(node, &flag))
		return "true or false";
	return "a text";
}
