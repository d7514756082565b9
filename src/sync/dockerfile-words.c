/* The words of an instruction: flags, lists, names and values, JSON, heredoc openers. Each instruction has its own way (buildkit's
 * frontend/dockerfile/parser: line_parsers.go, split_command.go). */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "sync/dockerfile-syntax.h"

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static const char *skip_spaces(const char *text)
{
	while (is_space(*text))
		text++;
	return text;
}

const char *instruction_parse_flags(struct instruction *i, const char *text)
{
	for (;;) {
		text = skip_spaces(text);
		if (text[0] != '-' || text[1] != '-')
			return text;
		struct str word = {0};
		char quote = 0;
		for (; *text && (quote || !is_space(*text)); text++) {
			if (*text == '\\') {
				if (text[1] == '\0')
					continue;
				str_add_char(&word, *++text);
			} else if (quote ? *text == quote : *text == '\'' || *text == '"') {
				quote = quote ? 0 : *text;
			} else {
				str_add_char(&word, *text);
			}
		}
		_cleanup_free_ char *flag = str_steal(&word);
		if (strcmp(flag, "--") == 0)
			return skip_spaces(text);
		strv_push(&i->flags, flag);
	}
}

const char *instruction_flag(const struct instruction *i, const char *name)
{
	size_t len = strlen(name);
	for (size_t f = 0; f < i->flags.len; f++) {
		const char *flag = i->flags.items[f] + 2;
		if (strncmp(flag, name, len) == 0 && (flag[len] == '=' || flag[len] == '\0'))
			return flag[len] ? flag + len + 1 : "";
	}
	return NULL;
}

static void split_words(const char *text, struct strv *out)
{
	for (text = skip_spaces(text); *text; text = skip_spaces(text)) {
		const char *end = text;
		while (*end && !is_space(*end))
			end++;
		strv_push_owned(out, xstrndup(text, (size_t)(end - text)));
		text = end;
	}
}

/* Words in which quotes and escapes hide spaces; all of them are kept for the expansion. */
static void split_quoted(const char *text, char escape, struct strv *out)
{
	for (text = skip_spaces(text); *text; text = skip_spaces(text)) {
		struct str word = {0};
		char quote = 0;
		bool blank = false;
		for (; *text && (quote || !is_space(*text)); text++) {
			if (*text == escape && quote != '\'') {
				if (text[1] == '\0')
					continue;
				str_add_char(&word, *text++);
			} else if (quote) {
				if (*text == quote)
					quote = 0;
			} else if (*text == '\'' || *text == '"') {
				quote = *text;
				blank = true;
			}
			str_add_char(&word, *text);
		}
		if (blank || word.len)
			strv_push_owned(out, str_steal(&word));
		str_release(&word);
	}
}

/* An array of strings. -ENOENT: no JSON array at all, which then is taken as text. */
static int parse_json(const char *text, struct strv *out, const char **mistake)
{
	if (*text != '[')
		return -ENOENT;
	json_t *array = json_loads(text, 0, NULL);
	int r = json_is_array(array) ? 0 : -ENOENT;
	size_t index;
	json_t *item;
	json_array_foreach(array, index, item)
	{
		if (r < 0)
			break;
		if (!json_is_string(item)) {
			*mistake = "a JSON array here must hold strings only";
			r = -EINVAL;
		} else {
			strv_push(out, json_string_value(item));
		}
	}
	json_decref(array);
	return r;
}

/* ENV and LABEL: "NAME=value …", or the old "NAME value". */
static int parse_pairs(struct instruction *i, const char *text, char escape, const char **mistake)
{
	CLEANUP(strv_release) struct strv words = {0};
	split_quoted(text, escape, &words);
	if (words.len == 0) {
		*mistake = "it needs a name and a value";
		return -EINVAL;
	}
	if (!strchr(words.items[0], '=')) {
		const char *end = text;
		while (*end && !is_space(*end))
			end++;
		if (*end == '\0') {
			*mistake = "it needs a name and a value";
			return -EINVAL;
		}
		strv_push_owned(&i->args, xstrndup(text, (size_t)(end - text)));
		strv_push(&i->args, skip_spaces(end));
		return 0;
	}
	for (size_t w = 0; w < words.len; w++) {
		const char *word = words.items[w], *equals = strchr(word, '=');
		if (!equals || equals == word) {
			*mistake = equals ? "a name is missing before '='"
					  : "a word without '=': values with spaces need quotes";
			return -EINVAL;
		}
		strv_push_owned(&i->args, xstrndup(word, (size_t)(equals - word)));
		strv_push(&i->args, equals + 1);
	}
	return 0;
}

enum argument_style { STYLE_WORDS, STYLE_QUOTED, STYLE_PAIRS, STYLE_TEXT, STYLE_JSON_OR_WORDS, STYLE_JSON_OR_TEXT };

static const struct {
	enum argument_style style;
	size_t min, max; /* arguments; max 0: no limit */
	const char *mistake;
} styles[INSTRUCTION_KINDS] = {
	[INSTRUCTION_ADD] = {STYLE_JSON_OR_WORDS, 2, 0, "it needs a source and a destination"},
	[INSTRUCTION_ARG] = {STYLE_QUOTED, 1, 0, "it needs a name"},
	[INSTRUCTION_CMD] = {STYLE_JSON_OR_TEXT, 0, 0, NULL},
	[INSTRUCTION_COPY] = {STYLE_JSON_OR_WORDS, 2, 0, "it needs a source and a destination"},
	[INSTRUCTION_ENTRYPOINT] = {STYLE_JSON_OR_TEXT, 0, 0, NULL},
	[INSTRUCTION_ENV] = {STYLE_PAIRS, 0, 0, NULL},
	[INSTRUCTION_EXPOSE] = {STYLE_WORDS, 1, 0, "it needs a port"},
	[INSTRUCTION_FROM] = {STYLE_WORDS, 1, 3, "it needs an image, and perhaps AS and a name"},
	[INSTRUCTION_HEALTHCHECK] = {STYLE_TEXT, 1, 1, "it needs CMD or NONE"},
	[INSTRUCTION_LABEL] = {STYLE_PAIRS, 0, 0, NULL},
	[INSTRUCTION_MAINTAINER] = {STYLE_TEXT, 1, 1, "it needs a name"},
	[INSTRUCTION_ONBUILD] = {STYLE_TEXT, 1, 1, "it needs an instruction"},
	[INSTRUCTION_RUN] = {STYLE_JSON_OR_TEXT, 0, 0, NULL},
	[INSTRUCTION_SHELL] = {STYLE_JSON_OR_TEXT, 1, 0, "it needs a JSON array"},
	[INSTRUCTION_STOPSIGNAL] = {STYLE_TEXT, 1, 1, "it needs a signal"},
	[INSTRUCTION_USER] = {STYLE_TEXT, 1, 1, "it needs a user"},
	[INSTRUCTION_VOLUME] = {STYLE_JSON_OR_WORDS, 1, 0, "it needs a path"},
	[INSTRUCTION_WORKDIR] = {STYLE_TEXT, 1, 1, "it needs a path"},
};

static int split_arguments(struct instruction *i, const char *text, char escape, const char **mistake)
{
	enum argument_style style = styles[i->kind].style;
	if (style == STYLE_PAIRS)
		return parse_pairs(i, text, escape, mistake);
	if (style == STYLE_JSON_OR_WORDS || style == STYLE_JSON_OR_TEXT) {
		int r = parse_json(text, &i->args, mistake);
		if (r == 0)
			i->json = true;
		if (r != -ENOENT)
			return r;
		style = style == STYLE_JSON_OR_WORDS ? STYLE_WORDS : STYLE_TEXT;
	}
	if (style == STYLE_WORDS)
		split_words(text, &i->args);
	else if (style == STYLE_QUOTED)
		split_quoted(text, escape, &i->args);
	else if (*text)
		strv_push(&i->args, text);
	return 0;
}

int instruction_parse_arguments(struct instruction *i, const char *text, char escape, const char **mistake)
{
	int r = split_arguments(i, text, escape, mistake);
	if (r < 0)
		return r;
	size_t min = styles[i->kind].min, max = styles[i->kind].max;
	if (i->args.len < min || (max && i->args.len > max)) {
		*mistake = styles[i->kind].mistake;
		return -EINVAL;
	}
	return 0;
}

/* The end of one word of a shell line, quotes and ${…} kept together; NULL where they don't end. */
static const char *shell_word_end(const char *text)
{
	char quote = 0;
	for (; *text && (quote || !is_space(*text)); text++) {
		if (*text == '\\' && quote != '\'' && text[1])
			text++;
		else if (quote ? *text == quote : *text == '\'' || *text == '"')
			quote = quote ? 0 : *text;
		else if (quote != '\'' && text[0] == '$' && text[1] == '{' && !(text = strchr(text, '}')))
			return NULL;
	}
	return quote ? NULL : text;
}

bool heredoc_from_word(const char *word, struct heredoc *heredoc)
{
	while (*word >= '0' && *word <= '9')
		word++;
	if (!str_starts_with(word, "<<"))
		return false;
	word += 2;
	bool chomp = *word == '-';
	if (chomp)
		word++;
	if (*word == '\0' || strchr(word, '<'))
		return false;
	struct str name = {0};
	char quote = 0;
	for (; *word; word++) {
		if (*word == '\\' && quote != '\'' && word[1])
			str_add_char(&name, *++word);
		else if (quote ? *word == quote : *word == '\'' || *word == '"')
			quote = quote ? 0 : *word;
		else
			str_add_char(&name, *word);
	}
	if (quote || name.len == 0) {
		str_release(&name);
		return false;
	}
	*heredoc = (struct heredoc){.name = str_steal(&name), .chomp = chomp};
	return true;
}

void heredocs_from_line(const char *line, struct heredoc_list *heredocs)
{
	for (const char *end, *text = skip_spaces(line); *text; text = skip_spaces(end)) {
		end = shell_word_end(text);
		if (!end) { /* the line is no shell words: it opens none */
			heredocs_release(heredocs);
			return;
		}
		_cleanup_free_ char *word = xstrndup(text, (size_t)(end - text));
		struct heredoc heredoc;
		if (heredoc_from_word(word, &heredoc))
			vec_push(heredocs, heredoc);
	}
}

void heredocs_release(struct heredoc_list *heredocs)
{
	for vec_each (heredoc, heredocs)
		free(heredoc->name);
	vec_release(heredocs);
}
