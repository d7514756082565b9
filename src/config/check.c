#include "config/check.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "format/template.h"

/* What a person should have written, by type. */
static const char *const expected[FIELD_TYPE_COUNT] = {
	[FIELD_STRING] = "a text",
	[FIELD_TEXT] = "a text",
	[FIELD_BOOL] = "true or false",
	[FIELD_INT] = "a number",
	[FIELD_PORT] = "a number or a name",
	[FIELD_STRINGS] = "a list of texts",
	[FIELD_TEXTS] = "a list of texts",
	[FIELD_COMMAND] = "a command (a text, or a list of texts)",
	[FIELD_PAIRS] = "a mapping of texts",
	[FIELD_OBJECT] = "a mapping",
	[FIELD_OBJECTS] = "a list of mappings",
	[FIELD_OBJECT_MAP] = "a mapping of mappings",
	[FIELD_AUTO] = "true, false or a mapping",
	[FIELD_ANY] = "anything",
};

static void wrong_type(const struct checker *c, const struct field *field, const struct yaml_node *node,
		       const char *what)
{
	diagnostics_error(c->d, node->place, "'%s' takes %s, and this is %s", field->name, what, yaml_kind_name(node));
}

/* The place of a byte of a text; where that can't be told from what it became, the place of the text. */
static struct place place_inside(const struct yaml_node *node, size_t offset)
{
	struct place place = node->place;
	if (!node->verbatim)
		return place;
	place.column += node->in_quotes ? 1 : 0;
	for (size_t i = 0; i < offset && node->text[i]; i++)
		place.column += ((unsigned char)node->text[i] & 0xc0) != 0x80;
	return place;
}

static void check_words(const struct checker *c, const struct field *field, const struct yaml_node *node)
{
	CLEANUP(error_clear) struct error err = {0};
	size_t offset = 0;
	if (field->flags & FIELD_GLOBS && c->options->check_glob &&
	    c->options->check_glob(node->text, &offset, &err) < 0)
		diagnostics_error(c->d, place_inside(node, offset), "bad pattern '%s': %s", node->text, err.message);
	if (field->flags & FIELD_TEMPLATE && template_check(node->text, &offset, &err) < 0)
		diagnostics_error(c->d, place_inside(node, offset), "bad template: %s", err.message);
	if (!field->values)
		return;
	for (const char *const *value = field->values; *value; value++)
		if (strcmp(*value, node->text) == 0)
			return;
	_cleanup_free_ char *hint = suggestion(node->text, field->values);
	diagnostics_error(c->d, node->place, "'%s' can't be '%s'%s", field->name, node->text, hint);
}

static void check_text(const struct checker *c, const struct field *field, const struct yaml_node *node,
		       const char *what)
{
	if (yaml_text(node))
		check_words(c, field, node);
	else
		wrong_type(c, field, node, what);
}

static void check_texts(const struct checker *c, const struct field *field, const struct yaml_node *node)
{
	if (node->kind != YAML_SEQUENCE) {
		wrong_type(c, field, node, expected[field->type]);
		return;
	}
	for vec_each (item, &node->items)
		check_text(c, field, *item, expected[field->type]);
}

static void check_pairs(const struct checker *c, const struct field *field, const struct yaml_node *node)
{
	if (node->kind != YAML_MAPPING) {
		wrong_type(c, field, node, expected[field->type]);
		return;
	}
	for vec_each (pair, &node->pairs)
		if (!yaml_is_null(pair->value))
			check_text(c, field, pair->value, expected[field->type]);
}

static void check_number(const struct checker *c, const struct field *field, const struct yaml_node *node)
{
	int64_t number = 0;
	if (!yaml_int(node, &number))
		wrong_type(c, field, node, expected[field->type]);
	else if (field->at && (number < 0 || number > INT_MAX))
		diagnostics_error(c->d, node->place, "'%s' can't be %s", field->name, node->text);
}

static void check_objects(const struct checker *c, const struct field *field, const struct yaml_node *node)
{
	if (node->kind != YAML_SEQUENCE) {
		wrong_type(c, field, node, expected[field->type]);
		return;
	}
	for vec_each (item, &node->items) {
		if ((*item)->kind == YAML_MAPPING)
			check_section(c, field->section, *item);
		else
			wrong_type(c, field, *item, expected[field->type]);
	}
}

static void check_object_map(const struct checker *c, const struct field *field, const struct yaml_node *node)
{
	if (node->kind != YAML_MAPPING) {
		wrong_type(c, field, node, expected[field->type]);
		return;
	}
	for vec_each (pair, &node->pairs) {
		if (pair->value->kind == YAML_MAPPING)
			check_section(c, field->section, pair->value);
		else if (!yaml_is_null(pair->value))
			wrong_type(c, field, pair->value, expected[field->type]);
	}
}

static void check_value(const struct checker *c, const struct field *field, const struct yaml_node *node)
{
	bool flag = false;
	switch (field->type) {
	case FIELD_STRING:
	case FIELD_TEXT:
	case FIELD_PORT:
		check_text(c, field, node, expected[field->type]);
		break;
	case FIELD_BOOL:
		if (!yaml_bool(node, &flag))
			wrong_type(c, field, node, expected[field->type]);
		break;
	case FIELD_INT:
		check_number(c, field, node);
		break;
	case FIELD_COMMAND:
		if (node->kind == YAML_SCALAR)
			check_text(c, field, node, expected[field->type]);
		else
			check_texts(c, field, node);
		if (node->kind == YAML_SEQUENCE && node->items.len == 0)
			diagnostics_error(c->d, node->place, "'%s' is empty", field->name);
		break;
	case FIELD_STRINGS:
	case FIELD_TEXTS:
		check_texts(c, field, node);
		break;
	case FIELD_PAIRS:
		check_pairs(c, field, node);
		break;
	case FIELD_AUTO:
		if (yaml_bool(node, &flag))
			break;
		/* fall through */
	case FIELD_OBJECT:
		if (node->kind == YAML_MAPPING)
			check_section(c, field->section, node);
		else
			wrong_type(c, field, node, expected[field->type]);
		break;
	case FIELD_OBJECTS:
		check_objects(c, field, node);
		break;
	case FIELD_OBJECT_MAP:
		check_object_map(c, field, node);
		break;
	default:
		break;
	}
}

static void unknown_field(const struct checker *c, const struct section *section, const struct yaml_node *key)
{
	const struct field *old = section_field(section, key->text);
	if (old) {
		diagnostics_error(c->d, key->place, "the field '%s' is no more since v4beta1 (`skaffold fix` moves it)",
				  key->text);
		return;
	}
	const char **names = section_names(section);
	_cleanup_free_ char *hint = suggestion(key->text, names);
	diagnostics_error(c->d, key->place, "unknown field '%s'%s", key->text, hint);
	free(names);
}

static void check_missing(const struct checker *c, const struct section *section, const struct yaml_node *node)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct field *field = &section->fields[i];
		bool needed = field->flags & FIELD_REQUIRED;
		if (needed && !yaml_get(node, field->name))
			diagnostics_error(c->d, node->place, "the field '%s' is missing", field->name);
	}
}

static void check_group(const struct checker *c, const struct section *section, const struct yaml_node *node,
			size_t index)
{
	const struct yaml_pair *pair = &node->pairs.items[index];
	const struct field *field = section_field(section, pair->key->text);
	if (!field || !field->group)
		return;
	for (size_t i = 0; i < index; i++) {
		const struct field *earlier = section_field(section, node->pairs.items[i].key->text);
		if (!earlier || !earlier->group || strcmp(earlier->group, field->group) != 0)
			continue;
		diagnostics_error(c->d, pair->key->place, "'%s' and '%s' exclude each other: choose one %s",
				  earlier->name, field->name, field->group);
		return;
	}
}

void check_section(const struct checker *c, const struct section *section, const struct yaml_node *node)
{
	for (size_t i = 0; i < node->pairs.len; i++) {
		const struct yaml_pair *pair = &node->pairs.items[i];
		const struct field *field = section_field(section, pair->key->text);
		if (section->dot_keys && pair->key->text[0] == '.')
			continue;
		if (!field || (field->flags & FIELD_OLD && !c->old)) {
			unknown_field(c, section, pair->key);
			continue;
		}
		if (!yaml_is_null(pair->value))
			check_value(c, field, pair->value);
		check_group(c, section, node, i);
	}
	check_missing(c, section, node);
}

/* "skaffold/v4beta14" → 4, "beta". */
static bool parse_version(const char *text, unsigned *major, bool *beta)
{
	static const char prefix[] = "skaffold/v";
	const char *stage = text + sizeof(prefix);
	if (!str_starts_with(text, prefix) || !isdigit((unsigned char)stage[-1]))
		return false;
	*major = (unsigned)(stage[-1] - '0');
	*beta = str_starts_with(stage, "beta");
	if (*stage == '\0')
		return true;
	if (!*beta && !str_starts_with(stage, "alpha"))
		return false;
	const char *number = stage + (*beta ? 4 : 5);
	return *number && number[strspn(number, "0123456789")] == '\0';
}

bool check_version(struct diagnostics *d, const struct yaml_node *document, bool *old)
{
	const struct yaml_node *version = yaml_get(document, "apiVersion");
	const char *text = yaml_text(version);
	unsigned major = 0;
	bool beta = false;
	if (document->kind != YAML_MAPPING) {
		diagnostics_error(d, document->place, "a skaffold.yaml is a mapping, and this is %s",
				  yaml_kind_name(document));
		return false;
	}
	if (!text)
		return true; /* told as a missing field */
	if (!parse_version(text, &major, &beta)) {
		diagnostics_error(d, version->place, "'%s' is no version of a skaffold.yaml (skaffold/v4beta14)", text);
		return false;
	}
	bool old_beta = major == 2 && beta;
	if (major != 3 && !(major == 4 && beta) && !old_beta) {
		diagnostics_error(d, version->place, "the version %s can't be read, only v3alpha1 to v4beta14%s", text,
				  major < 3 ? " (`skaffold fix` upgrades a file)" : "");
		return false;
	}
	if (old_beta)
		diagnostics_warning(d, version->place, "%s is an old version (`skaffold fix` upgrades the file)", text);
	*old = major < 4;
	return true;
}
