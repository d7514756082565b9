/* Text → instructions and stages: parser directives, comments, continuation lines, heredocs (buildkit's frontend/dockerfile/parser/parser.go). */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "sync/dockerfile-syntax.h"

/* Sorted as enum instruction_kind. */
static const char *const names[] = {"ADD",	  "ARG",	 "CMD",	   "COPY",	 "ENTRYPOINT", "ENV", "EXPOSE",
				    "FROM",	  "HEALTHCHECK", "LABEL",  "MAINTAINER", "ONBUILD",    "RUN", "SHELL",
				    "STOPSIGNAL", "USER",	 "VOLUME", "WORKDIR",	 NULL};

struct reader {
	const char *name;
	const char *at, *end;
	unsigned line; /* of what was read last */
	char escape;
	bool directives; /* still possible: nothing else was seen */
	bool seen_escape, seen_syntax, seen_check;
};

/* The next line without its end, in *line (its memory is the text's); false at the end. */
static bool next_line(struct reader *r, const char **line, size_t *len)
{
	if (r->at >= r->end)
		return false;
	const char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
	*line = r->at;
	*len = (size_t)((newline ? newline : r->end) - r->at);
	r->at = newline ? newline + 1 : r->end;
	r->line++;
	while (*len > 0 && (*line)[*len - 1] == '\r')
		(*len)--;
	return true;
}

static void trim_left(const char **line, size_t *len)
{
	while (*len > 0 && isspace((unsigned char)**line))
		(*line)++, (*len)--;
}

static bool is_comment(const char *line, size_t len)
{
	trim_left(&line, &len);
	return len > 0 && *line == '#';
}

static int at_line(const struct reader *r, unsigned line, struct error *err, const char *words)
{
	return error_at(err, (struct place){.file = r->name, .line = line}, EINVAL, "%s", words);
}

/* "# name = value" on the first lines. */
static int read_directive(struct reader *r, const char *line, size_t len, struct error *err)
{
	r->directives = r->directives && len > 0 && *line == '#';
	if (!r->directives)
		return 0;
	_cleanup_free_ char *text = xstrndup(line + 1, len - 1);
	char *name = text + strspn(text, " \t");
	size_t name_len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
	char *value = name + name_len + strspn(name + name_len, " \t");
	r->directives = name_len > 0 && *value == '=';
	if (!r->directives)
		return 0;
	value += 1 + strspn(value + 1, " \t");
	size_t value_len = strlen(value);
	while (value_len > 0 && isspace((unsigned char)value[value_len - 1]))
		value[--value_len] = '\0';
	name[name_len] = '\0';
	bool *seen = strcasecmp(name, "escape") == 0   ? &r->seen_escape
		     : strcasecmp(name, "syntax") == 0 ? &r->seen_syntax
		     : strcasecmp(name, "check") == 0  ? &r->seen_check
						       : NULL;
	r->directives = seen && value_len > 0;
	if (!r->directives)
		return 0;
	if (*seen)
		return at_line(r, r->line, err, "only one parser directive of a name");
	*seen = true;
	if (seen != &r->seen_escape)
		return 0;
	if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0)
		return at_line(r, r->line, err, "the escape directive takes \\ or `");
	r->escape = *value;
	return 0;
}

/* Takes a continuation mark from the end of a line; false if there is none. An escaped escape is none. */
static bool take_continuation(const struct reader *r, const char *line, size_t *len)
{
	size_t n = *len;
	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	if (n == 0 || line[n - 1] != r->escape || (n > 1 && line[n - 2] == r->escape))
		return false;
	*len = n - 1;
	return true;
}

/* The next logical line, "" at the end of the file; *first is its first line. */
static int read_logical_line(struct reader *r, struct str *out, unsigned *first, struct error *err)
{
	const char *line;
	size_t len;
	str_clear(out);
	while (out->len == 0 && next_line(r, &line, &len)) {
		trim_left(&line, &len);
		int result = read_directive(r, line, len, err);
		if (result < 0)
			return result;
		if (len == 0 || *line == '#')
			continue;
		*first = r->line;
		bool more = take_continuation(r, line, &len);
		str_add_bytes(out, line, len);
		while (more && next_line(r, &line, &len)) {
			const char *blank = line;
			size_t blank_len = len;
			trim_left(&blank, &blank_len);
			if (is_comment(line, len) || blank_len == 0)
				continue;
			more = take_continuation(r, line, &len);
			str_add_bytes(out, line, len);
		}
	}
	return 0;
}

/* Skips the texts of the heredocs that the line opened. */
static int read_heredocs(struct reader *r, struct instruction *i, const char *text, unsigned first, struct error *err)
{
	const struct instruction *inner = i->trigger ? i->trigger : i;
	if ((inner->kind != INSTRUCTION_ADD && inner->kind != INSTRUCTION_COPY && inner->kind != INSTRUCTION_RUN) ||
	    inner->json || !strstr(text, "<<"))
		return 0;
	CLEANUP(heredocs_release) struct heredoc_list heredocs = {0};
	heredocs_from_line(text, &heredocs);
	for vec_each (heredoc, &heredocs) {
		const char *line;
		size_t len;
		bool closed = false;
		while (!closed && next_line(r, &line, &len)) {
			while (heredoc->chomp && len > 0 && *line == '\t')
				line++, len--;
			closed = len == strlen(heredoc->name) && memcmp(line, heredoc->name, len) == 0;
		}
		if (!closed) {
			_cleanup_free_ char *words = xasprintf("the heredoc %s does not end", heredoc->name);
			return at_line(r, first, err, words);
		}
	}
	return 0;
}

/* COPY and ADD: heredocs among the sources are files made in place, not sources. */
static int separate_heredocs(struct instruction *i, struct place place, struct error *err)
{
	size_t kept = 0;
	for (size_t a = 0; a < i->args.len; a++) {
		struct heredoc heredoc;
		if (!heredoc_from_word(i->args.items[a], &heredoc)) {
			i->args.items[kept++] = i->args.items[a];
			continue;
		}
		strv_push_owned(&i->heredocs, heredoc.name);
		bool last = a + 1 == i->args.len;
		free(i->args.items[a]);
		if (last) {
			i->args.len = kept;
			return error_at(err, place, EINVAL, "%s: a heredoc can't be a destination", names[i->kind]);
		}
	}
	i->args.len = kept;
	i->args.items[kept] = NULL;
	return 0;
}

int instruction_parse(struct instruction *i, const char *line, char escape, struct place place, struct error *err)
{
	line += strspn(line, " \t\r\v\f");
	size_t len = strcspn(line, " \t\r\v\f\n");
	_cleanup_free_ char *word = xstrndup(line, len);
	size_t kind = 0;
	while (names[kind] && strcasecmp(names[kind], word) != 0)
		kind++;
	if (!names[kind]) {
		_cleanup_free_ char *shown = str_printable(word);
		const char *nearest = str_nearest(word, names);
		return error_at(err, place, EINVAL, "unknown instruction '%.40s'%s%s%s", shown,
				nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
	}
	*i = (struct instruction){.kind = (enum instruction_kind)kind, .line = place.line};
	_cleanup_free_ char *rest = xstrdup(instruction_parse_flags(i, line + len));
	for (size_t n = strlen(rest); n > 0 && isspace((unsigned char)rest[n - 1]); n--)
		rest[n - 1] = '\0';
	const char *mistake = NULL;
	if (instruction_parse_arguments(i, rest, escape, &mistake) < 0)
		return error_at(err, place, EINVAL, "%s: %s", names[kind], mistake);
	if ((kind == INSTRUCTION_COPY || kind == INSTRUCTION_ADD) && !i->json)
		return separate_heredocs(i, place, err);
	if (kind != INSTRUCTION_ONBUILD)
		return 0;
	i->trigger = xcalloc(1, sizeof(*i->trigger));
	_cleanup_free_ char *upper = xstrndup(i->args.items[0], strcspn(i->args.items[0], " \t"));
	if (strcasecmp(upper, "ONBUILD") == 0 || strcasecmp(upper, "FROM") == 0 || strcasecmp(upper, "MAINTAINER") == 0)
		return error_at(err, place, EINVAL, "ONBUILD can't trigger %s", upper);
	return instruction_parse(i->trigger, i->args.items[0], escape, place, err);
}

void instruction_release(struct instruction *i)
{
	strv_release(&i->flags);
	strv_release(&i->args);
	strv_release(&i->heredocs);
	if (i->trigger) {
		instruction_release(i->trigger);
		free(i->trigger);
	}
}

static int add_stage(struct dockerfile *d, const struct instruction *i, struct error *err)
{
	struct place place = {.file = d->name, .line = i->line};
	if (i->args.len == 2 || (i->args.len == 3 && strcasecmp(i->args.items[1], "as") != 0))
		return error_at(err, place, EINVAL, "FROM: it needs an image, and perhaps AS and a name");
	if (d->stages.len)
		d->stages.items[d->stages.len - 1].end = d->instructions.len - 1;
	struct stage *stage = vec_add(&d->stages);
	*stage = (struct stage){.from = d->instructions.len - 1, .base = xstrdup(i->args.items[0])};
	if (i->args.len == 1)
		return 0;
	stage->name = xstrdup(i->args.items[2]);
	for (char *c = stage->name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (!islower((unsigned char)*stage->name) ||
	    stage->name[strspn(stage->name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")])
		return error_at(
			err, place, EINVAL,
			"FROM: a stage's name starts with a letter and holds letters, digits, '-', '_' and '.'");
	return 0;
}

static int read_instructions(struct reader *r, struct dockerfile *d, struct error *err)
{
	CLEANUP(str_release) struct str text = {0};
	for (;;) {
		unsigned first = 0;
		int result = read_logical_line(r, &text, &first, err);
		if (result < 0 || text.len == 0)
			return result;
		if (d->instructions.len == DOCKERFILE_INSTRUCTIONS_MAX)
			return at_line(r, first, err, "more than 65536 instructions");
		struct instruction *i = vec_add(&d->instructions);
		result = instruction_parse(i, str_text(&text), r->escape,
					   (struct place){.file = r->name, .line = first}, err);
		if (result == 0)
			result = read_heredocs(r, i, str_text(&text), first, err);
		if (result == 0 && i->kind == INSTRUCTION_FROM)
			result = add_stage(d, i, err);
		else if (result == 0 && d->stages.len == 0 && i->kind != INSTRUCTION_ARG)
			result = at_line(r, first, err, "only ARG may stand before the first FROM");
		if (result < 0)
			return result;
	}
}

int dockerfile_parse(const char *name, const char *text, size_t len, struct dockerfile **dockerfile, struct error *err)
{
	struct reader r = {.name = name, .at = text, .end = text + len, .escape = '\\', .directives = true};
	if (len > DOCKERFILE_SIZE_MAX)
		return at_line(&r, 0, err, "larger than 1 MiB");
	if (len > 0 && memchr(text, '\0', len))
		return at_line(&r, 0, err, "it holds a NUL byte");
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.at += 3;
	CLEANUP(dockerfile_free_cleanup) struct dockerfile *d = xcalloc(1, sizeof(*d));
	d->name = xstrdup(name);
	int result = read_instructions(&r, d, err);
	if (result < 0)
		return result;
	if (d->stages.len == 0)
		return at_line(&r, 0, err, "no FROM: a Dockerfile needs at least one");
	d->stages.items[d->stages.len - 1].end = d->instructions.len;
	d->escape = r.escape;
	*dockerfile = steal(&d);
	return 0;
}

void dockerfile_free(struct dockerfile *d)
{
	if (!d)
		return;
	for vec_each (i, &d->instructions)
		instruction_release(i);
	vec_release(&d->instructions);
	for vec_each (stage, &d->stages) {
		free(stage->name);
		free(stage->base);
	}
	vec_release(&d->stages);
	free(d->name);
	free(d);
}
