#include "config/config.h"

#include <jansson.h>
#include <string.h>

#include "base/map.h"
#include "config/schema.h"

/* Makes the definition of a section once, and refers to it. */
static json_t *reference(const struct section *section, json_t *definitions, struct map *known);

static json_t *of_type(const char *type)
{
	return json_pack("{s:s}", "type", type);
}

static json_t *list_of(json_t *items)
{
	return json_pack("{s:s,s:o}", "type", "array", "items", items);
}

static json_t *map_of(json_t *values)
{
	return json_pack("{s:s,s:o}", "type", "object", "additionalProperties", values);
}

static json_t *text_schema(const struct field *field)
{
	if (!field->values)
		return json_pack("{s:[s,s,s]}", "type", "string", "number", "boolean");
	json_t *values = json_array();
	for (const char *const *value = field->values; *value; value++)
		json_array_append_new(values, json_string(*value));
	return json_pack("{s:o}", "enum", values);
}

static json_t *field_schema(const struct field *field, json_t *definitions, struct map *known)
{
	switch (field->type) {
	case FIELD_STRING:
	case FIELD_TEXT:
		return text_schema(field);
	case FIELD_BOOL:
		return of_type("boolean");
	case FIELD_INT:
		return of_type("integer");
	case FIELD_PORT:
		return json_pack("{s:[s,s]}", "type", "integer", "string");
	case FIELD_STRINGS:
	case FIELD_TEXTS:
		return list_of(text_schema(field));
	case FIELD_COMMAND:
		return json_pack("{s:[o,o]}", "oneOf", of_type("string"), list_of(of_type("string")));
	case FIELD_PAIRS:
		return map_of(json_pack("{s:[s,s,s,s]}", "type", "string", "number", "boolean", "null"));
	case FIELD_OBJECT:
		return reference(field->section, definitions, known);
	case FIELD_OBJECTS:
		return list_of(reference(field->section, definitions, known));
	case FIELD_OBJECT_MAP:
		return map_of(reference(field->section, definitions, known));
	case FIELD_AUTO:
		return json_pack("{s:[o,o]}", "oneOf", of_type("boolean"),
				 reference(field->section, definitions, known));
	default:
		return json_object();
	}
}

/* At most one field of each group: none of its pairs together. */
static void add_groups(const struct section *section, json_t *schema)
{
	json_t *rules = json_array();
	for (size_t i = 0; i < section->count; i++)
		for (size_t k = i + 1; k < section->count; k++) {
			const struct field *a = &section->fields[i], *b = &section->fields[k];
			if (a->group && b->group && strcmp(a->group, b->group) == 0)
				json_array_append_new(rules,
						      json_pack("{s:{s:[s,s]}}", "not", "required", a->name, b->name));
		}
	if (json_array_size(rules) > 0)
		json_object_set(schema, "allOf", rules);
	json_decref(rules);
}

static void fill(const struct section *section, json_t *schema, json_t *definitions, struct map *known)
{
	json_t *properties = json_object(), *required = json_array();
	for (size_t i = 0; i < section->count; i++) {
		const struct field *field = &section->fields[i];
		if (field->flags & (FIELD_OLD | FIELD_GONE))
			continue;
		json_object_set_new(properties, field->name, field_schema(field, definitions, known));
		if (field->flags & FIELD_REQUIRED)
			json_array_append_new(required, json_string(field->name));
	}
	json_object_set_new(schema, "type", json_string("object"));
	json_object_set_new(schema, "properties", properties);
	json_object_set_new(schema, "additionalProperties", json_false());
	if (section->dot_keys)
		json_object_set_new(schema, "patternProperties", json_pack("{s:{}}", "^\\."));
	if (json_array_size(required) > 0)
		json_object_set(schema, "required", required);
	json_decref(required);
	add_groups(section, schema);
}

static json_t *reference(const struct section *section, json_t *definitions, struct map *known)
{
	if (!map_has(known, section->name)) {
		json_t *schema = json_object();
		map_set(known, section->name, schema);
		json_object_set_new(definitions, section->name, schema);
		fill(section, schema, definitions, known);
	}
	return json_pack("{s:o}", "$ref", json_sprintf("#/$defs/%s", section->name));
}

char *config_schema(bool skiff_yaml)
{
	const struct section *root = skiff_yaml ? &section_skiff : &section_config;
	struct map known = {0};
	json_t *definitions = json_object(), *schema = json_object();
	json_object_set_new(schema, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
	json_object_set_new(schema, "title",
			    json_string(skiff_yaml ? "skiff.yaml" : "skaffold.yaml, with what skiff adds"));
	fill(root, schema, definitions, &known);
	json_object_set_new(schema, "$defs", definitions);
	map_release(&known, NULL);
	char *text = json_dumps(schema, JSON_INDENT(2));
	json_decref(schema);
	char *copy = xasprintf("%s\n", text ? text : "{}");
	free(text);
	return copy;
}
