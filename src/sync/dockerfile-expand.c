/* Variables of a stage, and the expansion of words (buildkit's frontend/dockerfile/shell/lex.go). */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "sync/dockerfile-syntax.h"

enum {
	RESULT_MAX = 64 << 10,
	DEPTH_MAX = 32, /* ${a:-${b:-…}} */
	TRIM_MAX = 512, /* bytes of a value and of a pattern in ${a#…}, ${a%…}, ${a/…/…} */
};

const struct variable *variables_get(const struct variables *v, const char *name)
{
	for vec_each (variable, v)
		if (strcmp(variable->name, name) == 0)
			return variable;
	return NULL;
}

void variables_set(struct variables *v, const char *name, const char *value, bool uncertain)
{
	struct variable *variable = (struct variable *)variables_get(v, name);
	if (!variable) {
		variable = vec_add(v);
		variable->name = xstrdup(name);
	}
	replace_string(&variable->value, value);
	variable->uncertain = uncertain;
}

void variables_copy(struct variables *to, const struct variables *from)
{
	for vec_each (variable, from)
		variables_set(to, variable->name, variable->value, variable->uncertain);
}

void variables_release(struct variables *v)
{
	for vec_each (variable, v) {
		free(variable->name);
		free(variable->value);
	}
	vec_release(v);
}

struct scan {
	struct expander *e;
	const char *at;
	unsigned depth;
	char *mistake; /* owned; set once */
};

static int fail(struct scan *s, char *mistake)
{
	if (s->mistake)
		free(mistake);
	else
		s->mistake = mistake;
	return -EINVAL;
}

/* NULL: not defined. */
static const char *lookup(struct scan *s, const char *name)
{
	const struct variable *v = variables_get(s->e->env, name);
	if (!v && s->e->args)
		v = variables_get(s->e->args, name);
	if (v ? v->uncertain : s->e->base_unknown)
		s->e->uncertain = true;
	return v ? v->value : NULL;
}

static char *scan_name(struct scan *s)
{
	const char *start = s->at;
	if (isdigit((unsigned char)*s->at)) {
		while (isdigit((unsigned char)*s->at))
			s->at++;
	} else if (*s->at && strchr("@*#?-$!", *s->at)) {
		s->at++;
	} else {
		while (isalnum((unsigned char)*s->at) || *s->at == '_')
			s->at++;
	}
	return xstrndup(start, (size_t)(s->at - start));
}

/* Shell wildcards on a whole text, "/" being nothing special. */
static bool wildcard_match(const char *pattern, const char *text, size_t len)
{
	const char *end = text + len, *star = NULL, *retry = NULL;
	while (text < end) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
			continue;
		}
		const char *literal = *pattern == '\\' && pattern[1] ? pattern + 1 : pattern;
		if ((*pattern == '?' && literal == pattern) || (*literal && *literal == *text)) {
			pattern = literal + 1;
			text++;
		} else if (star) {
			pattern = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

/* ${name#pattern}, ##, %, %%: without the shortest (longest) beginning or end that matches. */
static char *trim_value(const char *value, const char *pattern, char op)
{
	bool longest = *pattern == op;
	pattern += longest;
	size_t len = strlen(value);
	for (size_t i = 0; i <= len; i++) {
		size_t taken = longest ? len - i : i;
		if (op == '#' && wildcard_match(pattern, value, taken))
			return xstrdup(value + taken);
		if (op == '%' && wildcard_match(pattern, value + len - taken, taken))
			return xstrndup(value, len - taken);
	}
	return xstrdup(value);
}

/* ${name/pattern/text}, ${name//pattern/text}: the first (each) longest match. */
static char *replace_value(const char *value, const char *pattern, const char *text, bool all)
{
	struct str out = {.max = RESULT_MAX};
	size_t len = strlen(value);
	for (size_t i = 0; i < len;) {
		size_t n = len - i;
		while (n > 0 && !wildcard_match(pattern, value + i, n))
			n--;
		if (n == 0) {
			str_add_char(&out, value[i++]);
			continue;
		}
		str_add(&out, text);
		i += n;
		if (!all) {
			str_add(&out, value + i);
			break;
		}
	}
	return str_steal(&out);
}

static int scan_until(struct scan *s, char stop, bool raw_escapes, struct str *out);

static int scan_operand(struct scan *s, char stop, bool raw_escapes, char **operand)
{
	struct str text = {.max = RESULT_MAX};
	int r = scan_until(s, stop, raw_escapes, &text);
	*operand = str_steal(&text);
	return r;
}

static int check_trim_size(struct scan *s, const char *value, const char *pattern)
{
	return strlen(value) > TRIM_MAX || strlen(pattern) > TRIM_MAX
		       ? fail(s, xstrdup("a value too long for #, % or / in ${…}"))
		       : 0;
}

static int expand_replacement(struct scan *s, const char *value, struct str *out)
{
	bool all = *s->at == '/';
	s->at += all;
	_cleanup_free_ char *pattern = NULL, *text = NULL;
	if (scan_operand(s, '/', true, &pattern) < 0 || scan_operand(s, '}', true, &text) < 0 ||
	    check_trim_size(s, value ? value : "", pattern) < 0)
		return -EINVAL;
	_cleanup_free_ char *replaced = replace_value(value ? value : "", pattern, text, all);
	str_add(out, replaced);
	return 0;
}

/* What follows "${name". */
static int expand_modifier(struct scan *s, const char *name, const char *value, struct str *out)
{
	char op = *s->at;
	if (op == '\0')
		return fail(s, xstrdup("'${' without its '}'"));
	s->at++;
	if (op == '}') {
		str_add(out, value ? value : "");
		return 0;
	}
	if (op == '/')
		return expand_replacement(s, value, out);
	bool null_is_unset = op == ':';
	if (null_is_unset)
		op = *s->at ? *s->at++ : '\0';
	if (op == '\0' || !strchr("+-?#%", op))
		return fail(s, xasprintf("a modifier that is not known in ${%s…}", name));
	_cleanup_free_ char *operand = NULL;
	if (scan_operand(s, '}', op == '#' || op == '%', &operand) < 0)
		return -EINVAL;
	bool set = value && !(null_is_unset && *value == '\0');
	if (op == '-') {
		str_add(out, set ? value : operand);
	} else if (op == '+') {
		str_add(out, set ? operand : "");
	} else if (op == '?') {
		if (!set)
			return fail(s, xasprintf("%s: %s", name, *operand ? operand : "is not allowed to be unset"));
		str_add(out, value);
	} else {
		if (check_trim_size(s, value ? value : "", operand) < 0)
			return -EINVAL;
		_cleanup_free_ char *trimmed = trim_value(value ? value : "", operand, op);
		str_add(out, trimmed);
	}
	return 0;
}

/* At a "$". */
static int expand_dollar(struct scan *s, struct str *out)
{
	s->at++;
	bool braces = *s->at == '{';
	s->at += braces;
	if (braces && (*s->at == '\0' || strchr("{}:", *s->at)))
		return fail(s, xstrdup(*s->at ? "a bad substitution after '${'" : "'${' without its '}'"));
	_cleanup_free_ char *name = scan_name(s);
	if (braces)
		return expand_modifier(s, name, lookup(s, name), out);
	if (*name == '\0') {
		str_add_char(out, '$');
	} else {
		const char *value = lookup(s, name);
		str_add(out, value ? value : "");
	}
	return 0;
}

static int single_quoted(struct scan *s, struct str *out)
{
	const char *end = strchr(++s->at, '\'');
	if (!end)
		return fail(s, xstrdup("a single quote without its end"));
	str_add_bytes(out, s->at, (size_t)(end - s->at));
	s->at = end + 1;
	return 0;
}

static int double_quoted(struct scan *s, struct str *out)
{
	s->at++;
	while (*s->at != '"') {
		if (*s->at == '\0')
			return fail(s, xstrdup("a double quote without its end"));
		if (*s->at == '$') {
			if (expand_dollar(s, out) < 0)
				return -EINVAL;
			continue;
		}
		/* Only these can be escaped here; before anything else the escape stands for itself. */
		if (*s->at == s->e->escape && s->at[1] &&
		    (s->at[1] == '"' || s->at[1] == '$' || s->at[1] == s->e->escape))
			s->at++;
		str_add_char(out, *s->at++);
	}
	s->at++;
	return 0;
}

/* Up to `stop`, which is taken; up to the end where it is NUL. */
static int scan_until(struct scan *s, char stop, bool raw_escapes, struct str *out)
{
	int r = ++s->depth > DEPTH_MAX ? fail(s, xstrdup("'${' nested too deep")) : 0;
	while (r == 0 && *s->at != stop) {
		if (*s->at == '\0') {
			r = fail(s, xasprintf("'${' without its '%c'", stop));
		} else if (*s->at == '$') {
			r = expand_dollar(s, out);
		} else if (!s->e->keep_quotes && *s->at == '\'') {
			r = single_quoted(s, out);
		} else if (!s->e->keep_quotes && *s->at == '"') {
			r = double_quoted(s, out);
		} else if (*s->at == s->e->escape) {
			if (raw_escapes)
				str_add_char(out, *s->at);
			if (*++s->at)
				str_add_char(out, *s->at++);
		} else {
			str_add_char(out, *s->at++);
		}
	}
	if (r == 0 && stop)
		s->at++;
	s->depth--;
	return r;
}

int expand_word(struct expander *e, const char *word, char **result, char **mistake)
{
	struct scan s = {.e = e, .at = word};
	struct str out = {.max = RESULT_MAX};
	int r = scan_until(&s, '\0', false, &out);
	if (r == 0 && out.overflow)
		r = fail(&s, xstrdup("longer than 64 KiB after expansion"));
	*result = str_steal(&out);
	*mistake = s.mistake;
	if (r < 0) {
		free(*result);
		*result = NULL;
	}
	return r;
}
