#include "format/yaml.h"

#include <string.h>

#define INDENT 2

/* True for a text that means itself when written plain, in block and flow context, whatever follows it. */
static bool is_plain(const char *text)
{
	static const char unsafe[] = "-?:,[]{}#&*!|>'\"%@`= ";
	if (!*text || strchr(unsafe, *text) || text[strlen(text) - 1] == ' ' || text[strlen(text) - 1] == ':')
		return *text == '-' && text[1] && strchr(" -\t:", text[1]) == NULL && is_plain(text + 1);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f || *p >= 0x80 || (*p == ':' && p[1] == ' ') || (*p == '#' && p[-1] == ' '))
			return false;
	return strcmp(text, "<<") != 0;
}

/* True where a plain scalar would be read as something else than text. */
static bool looks_special(const char *text)
{
	struct yaml_node node = {.kind = YAML_SCALAR, .text = (char *)text};
	bool flag = false;
	return yaml_is_null(&node) || yaml_bool(&node, &flag) || strchr("+-.0123456789", *text) != NULL;
}

/* True for a text of several lines that can stand below a "|" as it is. */
static bool is_block(const char *text)
{
	size_t len = strlen(text);
	if (!strchr(text, '\n') || strchr(" \n\t", *text) || str_ends_with(text, "\n\n"))
		return false;
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)text[i] < 0x20 && text[i] != '\n' && text[i] != '\t') ||
		    (unsigned char)text[i] >= 0x7f || (text[i] == '\n' && i > 0 && strchr(" \t", text[i - 1])))
			return false;
	return true;
}

static void emit_block(const char *text, unsigned indent, struct str *out)
{
	str_add(out, str_ends_with(text, "\n") ? "|" : "|-");
	while (*text) {
		size_t len = strcspn(text, "\n");
		str_addf(out, "\n%*s%.*s", len ? (int)indent : 0, "", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void emit_double_quoted(const char *text, struct str *out)
{
	str_add_char(out, '"');
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '"' || *p == '\\')
			str_addf(out, "\\%c", *p);
		else if (*p == '\n')
			str_add(out, "\\n");
		else if (*p == '\t')
			str_add(out, "\\t");
		else if (*p < 0x20 || *p == 0x7f)
			str_addf(out, "\\x%02x", *p);
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			str_addf(out, "\\x%02x", *++p);
		else if (p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
			str_addf(out, "\\u20%02x", p[2] - 0x80), p += 2;
		else
			str_add_char(out, (char)*p);
	}
	str_add_char(out, '"');
}

/* indent: where the lines of a block would begin; 0: no block here. */
static void emit_scalar(const struct yaml_node *node, unsigned indent, struct str *out)
{
	if (!node->quoted && yaml_is_null(node))
		str_add(out, "null");
	else if (is_plain(node->text) && !(node->quoted && looks_special(node->text)))
		str_add(out, node->text);
	else if (indent > 0 && is_block(node->text))
		emit_block(node->text, indent, out);
	else
		emit_double_quoted(node->text, out);
}

static void emit(const struct yaml_node *node, unsigned indent, struct str *out);

static void new_line(unsigned indent, struct str *out)
{
	str_addf(out, "%*s", (int)indent, "");
}

/* The value of a key or list item, from just behind its ":" or "-". */
static void emit_child(const struct yaml_node *node, unsigned indent, bool in_list, struct str *out)
{
	bool collection = node->items.len > 0 || node->pairs.len > 0;
	if (!collection || in_list) {
		str_add_char(out, ' ');
		emit(node, indent, out);
		return;
	}
	str_add_char(out, '\n');
	new_line(indent, out);
	emit(node, indent, out);
}

static void emit(const struct yaml_node *node, unsigned indent, struct str *out)
{
	if (node->kind == YAML_SCALAR || (node->items.len == 0 && node->pairs.len == 0)) {
		if (node->kind == YAML_SCALAR)
			emit_scalar(node, indent, out);
		else
			str_add(out, node->kind == YAML_MAPPING ? "{}" : "[]");
		str_add_char(out, '\n');
		return;
	}
	bool first = true;
	for vec_each (item, &node->items) {
		if (!first)
			new_line(indent, out);
		first = false;
		str_add_char(out, '-');
		emit_child(*item, indent + INDENT, true, out);
	}
	for vec_each (pair, &node->pairs) {
		if (!first)
			new_line(indent, out);
		first = false;
		emit_scalar(pair->key, 0, out);
		str_add_char(out, ':');
		emit_child(pair->value, pair->value->kind == YAML_SEQUENCE ? indent : indent + INDENT, false, out);
	}
}

void yaml_emit(const struct yaml_node *node, struct str *out)
{
	emit(node, 0, out);
}
