#include "config/decode.h"

#include <limits.h>
#include <string.h>

/* What every VEC looks like. */
struct any_list {
	char *items;
	size_t len;
	size_t cap;
};

static void *list_add(struct any_list *list, size_t size)
{
	if (list->len == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 4;
		list->items = xreallocarray(list->items, list->cap, size);
	}
	char *item = list->items + list->len++ * size;
	memset(item, 0, size);
	return item;
}

void decode_strings(const struct yaml_node *value, struct strv *out)
{
	for vec_each (item, &value->items) {
		const char *text = yaml_text(*item);
		if (text)
			strv_push(out, text);
	}
}

void decode_texts(const struct yaml_node *value, struct text_list *out)
{
	for vec_each (item, &value->items) {
		const char *text = yaml_text(*item);
		if (text)
			vec_push(out, (struct text){.value = xstrdup(text), .place = (*item)->place});
	}
}

static void decode_pairs(const struct yaml_node *value, struct pair_list *out)
{
	for vec_each (pair, &value->pairs)
		vec_push(out, (struct pair){.name = xstrdup(pair->key->text),
					    .value = xstrdup_or_null(yaml_text(pair->value)),
					    .place = pair->key->place});
}

static void decode_command(const struct yaml_node *value, struct strv *out)
{
	if (value->kind == YAML_SEQUENCE) {
		decode_strings(value, out);
		return;
	}
	strv_push(out, "sh");
	strv_push(out, "-c");
	strv_push(out, yaml_text(value));
}

static void decode_text(const struct yaml_node *value, struct text *out)
{
	replace_string(&out->value, yaml_text(value));
	out->place = value->place;
}

static void decode_int(const struct yaml_node *value, int *out)
{
	int64_t number = 0;
	if (yaml_int(value, &number) && number >= 0 && number <= INT_MAX)
		*out = (int)number;
}

static void decode_objects(struct decoder *d, const struct section *section, const struct yaml_node *value,
			   void *target)
{
	for vec_each (item, &value->items)
		decode_section(d, section, *item, list_add(target, section->size));
}

static void decode_field(struct decoder *d, const struct field *field, const struct yaml_node *value, void *target)
{
	void *at = field->at ? (char *)target + field->at - 1 : NULL;
	if (field->decode) {
		field->decode(d, value, target);
		return;
	}
	if (field->type == FIELD_OBJECT) {
		decode_section(d, field->section, value, at ? at : target);
		return;
	}
	if (!at)
		return;
	switch (field->type) {
	case FIELD_STRING:
		replace_string(at, yaml_text(value));
		break;
	case FIELD_TEXT:
		decode_text(value, at);
		break;
	case FIELD_BOOL:
		yaml_bool(value, at);
		break;
	case FIELD_INT:
		decode_int(value, at);
		break;
	case FIELD_STRINGS:
		strv_clear(at);
		decode_strings(value, at);
		break;
	case FIELD_TEXTS:
		decode_texts(value, at);
		break;
	case FIELD_COMMAND:
		decode_command(value, at);
		break;
	case FIELD_PAIRS:
		decode_pairs(value, at);
		break;
	case FIELD_OBJECTS:
		decode_objects(d, field->section, value, at);
		break;
	default:
		break;
	}
}

/* Once, however many documents and artifacts say it; what is turned off is no loss. */
static void warn_of_later(struct decoder *d, const struct field *field, const struct yaml_pair *pair)
{
	bool on = true;
	if (field->type == FIELD_BOOL && yaml_bool(pair->value, &on) && !on)
		return;
	_cleanup_free_ char *message = xasprintf("'%s' is not carried out by skiff yet%s%s", field->name,
						 field->instead ? ": " : "", field->instead ? field->instead : "");
	for vec_each (item, &d->d->items)
		if (strcmp(item->message, message) == 0)
			return;
	diagnostics_warning(d->d, pair->key->place, "%s", message);
}

void decode_section(struct decoder *d, const struct section *section, const struct yaml_node *node, void *target)
{
	if (section->place_at && node)
		*(struct place *)((char *)target + section->place_at - 1) = node->place;
	for (size_t i = 0; node && i < node->pairs.len; i++) {
		const struct yaml_pair *pair = &node->pairs.items[i];
		const struct field *field = section_field(section, pair->key->text);
		if (!field || yaml_is_null(pair->value))
			continue;
		if (field->flags & FIELD_LATER)
			warn_of_later(d, field, pair);
		decode_field(d, field, pair->value, target);
	}
	if (section->finish)
		section->finish(d, node, target);
}
