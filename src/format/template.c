#include "format/template.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define NAME_MAX_BYTES 255

struct expansion {
	const char *text;
	const char *at;
	const struct template_variables *variables; /* NULL: only the syntax is looked at */
	struct str *out;
	struct error *err;
};

static const char *from_environment(void *data, const char *name)
{
	(void)data;
	return getenv(name);
}

const struct template_variables template_environment = {.lookup = from_environment};

struct operand {
	char *text; /* a literal, or a variable's value; NULL: a variable without value */
	char *name; /* of a variable */
};

static void operand_release(struct operand *o)
{
	free(o->text);
	free(o->name);
}

static void skip_space(struct expansion *e)
{
	while (*e->at && strchr(" \t\r\n", *e->at))
		e->at++;
}

static bool is_name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static int refuse(struct expansion *e, const char *what)
{
	return error_set(e->err, EINVAL,
			 "%s: only {{.NAME}}, {{.NAME | default \"x\"}} and {{default \"x\" .NAME}} are known here",
			 what);
}

static int read_literal(struct expansion *e, struct operand *o)
{
	char quote = *e->at++;
	struct str text = {0};
	while (*e->at && *e->at != quote) {
		if (*e->at == '\n' && quote == '"')
			break;
		if (*e->at == '\\' && quote == '"') {
			static const char from[] = "nt\"\\'", to[] = "\n\t\"\\'";
			const char *escape = e->at[1] ? strchr(from, e->at[1]) : NULL;
			if (!escape) {
				str_release(&text);
				return refuse(e, "unknown escape in a quoted text");
			}
			str_add_char(&text, to[escape - from]);
			e->at += 2;
			continue;
		}
		str_add_char(&text, *e->at++);
	}
	o->text = str_steal(&text);
	if (*e->at != quote)
		return refuse(e, "quoted text without its end");
	e->at++;
	return 0;
}

/* ".NAME" or a quoted text. */
static int read_operand(struct expansion *e, struct operand *o)
{
	skip_space(e);
	if (*e->at == '"' || *e->at == '`')
		return read_literal(e, o);
	if (*e->at != '.' || !is_name_byte(e->at[1]) || isdigit((unsigned char)e->at[1])) {
		size_t len = 0;
		while (is_name_byte(e->at[len]))
			len++;
		_cleanup_free_ char *word = xasprintf("'%.*s'", (int)(len > 40 ? 40 : len), e->at);
		return refuse(e, strcmp(word, "'cmd'") == 0 ? "'cmd' would run a program"
				 : len			    ? word
							    : "no name here");
	}
	const char *start = ++e->at;
	while (is_name_byte(*e->at))
		e->at++;
	if (e->at - start > NAME_MAX_BYTES || *e->at == '.')
		return refuse(e, "no such name");
	o->name = xstrndup(start, (size_t)(e->at - start));
	if (e->variables)
		o->text = xstrdup_or_null(e->variables->lookup(e->variables->data, o->name));
	return 0;
}

/* Takes the word `default` if it is next. */
static bool take_default(struct expansion *e)
{
	skip_space(e);
	static const char word[] = "default";
	if (!str_starts_with(e->at, word) || is_name_byte(e->at[sizeof(word) - 1]))
		return false;
	e->at += sizeof(word) - 1;
	return true;
}

/* The value, or the fallback where the value is missing or empty (as the function of that name does). */
static void apply_default(struct operand *value, struct operand *fallback)
{
	if (value->text && *value->text)
		return;
	struct operand swap = *value;
	*value = *fallback;
	*fallback = swap;
}

static int read_pipeline(struct expansion *e, struct operand *value)
{
	CLEANUP(operand_release) struct operand fallback = {0};
	bool prefix = take_default(e);
	int r = prefix ? read_operand(e, &fallback) : 0;
	if (r < 0 || (r = read_operand(e, value)) < 0)
		return r;
	if (prefix)
		apply_default(value, &fallback);
	for (skip_space(e); *e->at == '|'; skip_space(e)) {
		CLEANUP(operand_release) struct operand next = {0};
		e->at++;
		if (!take_default(e)) {
			skip_space(e);
			return refuse(e, "after '|' only default can follow");
		}
		if ((r = read_operand(e, &next)) < 0)
			return r;
		apply_default(value, &next);
	}
	return 0;
}

static void trim_end(struct str *out)
{
	while (out->len > 0 && strchr(" \t\r\n", out->data[out->len - 1]))
		out->data[--out->len] = '\0';
}

/* From behind "{{" to behind "}}". */
static int expand_action(struct expansion *e)
{
	CLEANUP(operand_release) struct operand value = {0};
	if (e->at[0] == '-' && e->at[1] && strchr(" \t\r\n", e->at[1])) {
		trim_end(e->out);
		e->at++;
	}
	skip_space(e);
	bool comment = str_starts_with(e->at, "/*");
	if (comment) {
		const char *end = strstr(e->at + 2, "*/");
		if (!end)
			return refuse(e, "comment without its end");
		e->at = end + 2;
	} else {
		int r = read_pipeline(e, &value);
		if (r < 0)
			return r;
	}
	skip_space(e);
	bool trim = str_starts_with(e->at, "-}}");
	e->at += trim;
	if (!str_starts_with(e->at, "}}"))
		return refuse(e, *e->at ? "unexpected text" : "'{{' without '}}'");
	e->at += 2;
	if (trim)
		skip_space(e);
	if (!comment && !value.text && e->variables)
		return error_set(e->err, EINVAL, "there is no variable %s, and no default", value.name);
	str_add(e->out, value.text ? value.text : "");
	return 0;
}

static int expand(struct expansion *e)
{
	const char *open;
	while ((open = strstr(e->at, "{{"))) {
		str_add_bytes(e->out, e->at, (size_t)(open - e->at));
		e->at = open + 2;
		int r = expand_action(e);
		if (r < 0)
			return r;
	}
	str_add(e->out, e->at);
	return e->out->overflow ? error_set(e->err, E2BIG, "the expanded text is too long") : 0;
}

int template_expand(const char *text, const struct template_variables *variables, char **out, struct error *err)
{
	struct str result = {.max = TEMPLATE_MAX_BYTES};
	struct expansion e = {.text = text, .at = text, .variables = variables, .out = &result, .err = err};
	int r = expand(&e);
	if (r < 0)
		str_release(&result);
	else
		*out = str_steal(&result);
	return r;
}

int template_check(const char *text, size_t *offset, struct error *err)
{
	struct str result = {.max = TEMPLATE_MAX_BYTES};
	struct expansion e = {.text = text, .at = text, .out = &result, .err = err};
	int r = expand(&e);
	if (r < 0 && offset)
		*offset = (size_t)(e.at - text);
	str_release(&result);
	return r;
}
