#include "build/diagnostics.h"

#include <ctype.h>
#include <string.h>

#include "base/map.h"

enum { CARET_LINES_MAX = 4, FOLLOWING_MAX = 4 };

/* What comes after the line with the place. */
enum follows {
	NOTHING,
	INDENTED, /* javac's "  symbol: …", as Maven passes it on */
	CARET,	  /* the source's line and a caret below it; then as INDENTED */
	PLACE,	  /* the place itself */
};

/* How tools write mistakes. Behind % : p the path, l the line, c the column, m the message. */
static const struct form {
	const char *pattern;
	const char *says; /* in front of the message, as the tool has it */
	enum follows follows;
} forms[] = {
	{"[ERROR] %p:[%l,%c] %m", "", INDENTED},		   /* javac and kotlinc by Maven */
	{"[ERROR] %p: (%l, %c) %m", "", NOTHING},		   /* kotlinc by Maven, older */
	{"e: file://%p:%l:%c: %m", "", NOTHING},		   /* kotlinc by Gradle: build scripts */
	{"e: file://%p:%l:%c %m", "", NOTHING},			   /* sources */
	{"e: %p: (%l, %c): %m", "", NOTHING},			   /* older */
	{"[ERROR] %p: %l: %m @ line %l, column %c.", "", NOTHING}, /* groovyc by Maven */
	{"%p.groovy: %l: %m @ line %l, column %c.", "", CARET},	   /* by Gradle */
	{"%p:%l: error: %m", "error: ", CARET},			   /* javac */
	{"%p:%l:%c: error: %m", "error: ", NOTHING},
	{"%p:%l:%c: fatal error: %m", "fatal error: ", NOTHING},
	{"%p(%l,%c): error %m", "error ", NOTHING}, /* tsc */
	{"%p.go:%l:%c: %m", "", NOTHING},
	{"✘ [ERROR] %m", "", PLACE}, /* esbuild: a blank line, then "    src/a.ts:5:3:" */
	{"X [ERROR] %m", "", PLACE},
};

struct piece {
	const char *text;
	size_t len;
};

struct match {
	struct piece path, line, column, message;
};

static bool is_path(struct piece piece)
{
	if (piece.len == 0 || isspace((unsigned char)piece.text[0]) ||
	    isspace((unsigned char)piece.text[piece.len - 1]))
		return false;
	bool telling = false;
	for (size_t i = 0; i < piece.len; i++)
		telling = telling || piece.text[i] == '/' || piece.text[i] == '.' ||
			  isalpha((unsigned char)piece.text[i]);
	return telling && piece.text[0] != '[' && piece.text[0] != '(';
}

static bool match_at(const char *pattern, const char *text, struct match *match);

/* The shortest beginning of text behind which the rest of the pattern matches. */
static bool match_words(const char *rest, const char *text, struct piece *piece, struct match *match)
{
	for (size_t len = 1, all = strlen(text); len <= all; len++) {
		if (match_at(rest, text + len, match)) {
			*piece = (struct piece){text, len};
			return true;
		}
	}
	return false;
}

static bool match_number(const char *rest, const char *text, struct piece *piece, struct match *match)
{
	size_t len = strspn(text, "0123456789");
	*piece = (struct piece){text, len};
	return len > 0 && len < 9 && match_at(rest, text + len, match);
}

static bool match_at(const char *pattern, const char *text, struct match *match)
{
	for (; *pattern && *pattern != '%'; pattern++, text++) {
		if (*pattern != *text)
			return false;
	}
	switch (*pattern ? pattern[1] : '\0') {
	case '\0':
		return true;
	case 'p':
		return match_words(pattern + 2, text, &match->path, match) && is_path(match->path);
	case 'l':
		return match_number(pattern + 2, text, &match->line, match);
	case 'c':
		return match_number(pattern + 2, text, &match->column, match);
	default:
		if (pattern[2])
			return match_words(pattern + 2, text, &match->message, match);
		match->message = (struct piece){text, strlen(text)};
		return match->message.len > 0;
	}
}

static const struct form *find_form(const char *line, struct match *match)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		*match = (struct match){0};
		if (match_at(forms[i].pattern, line, match))
			return &forms[i];
	}
	return NULL;
}

static const char *without_label(const char *line)
{
	while (str_starts_with(line, "[ERROR] "))
		line += strlen("[ERROR] ");
	return line;
}

static void add_piece(struct str *out, const char *before, struct piece piece)
{
	str_add(out, before);
	str_add_bytes(out, piece.text, piece.len);
}

static char *head_of(const struct form *form, const struct match *match)
{
	struct str head = {0};
	add_piece(&head, "", match->path);
	if (str_starts_with(form->pattern, "%p.")) /* the extension tells the form */
		str_add_bytes(&head, form->pattern + 2, strcspn(form->pattern + 2, ":"));
	add_piece(&head, ":", match->line);
	if (match->column.len > 0)
		add_piece(&head, ":", match->column);
	str_addf(&head, ": %s", form->says);
	add_piece(&head, "", match->message);
	return str_steal(&head);
}

/* The mistakes that were found so far. */
struct findings {
	const struct strv *lines;
	struct str *out;
	struct map heads; /* each mistake is told once: Maven prints all of them twice */
};

static void add_line(struct str *out, const char *line)
{
	size_t len = strlen(line), max = DIAGNOSTIC_LINE_MAX;
	while (len > max && max > 0 && ((unsigned char)line[max] & 0xc0) == 0x80) /* not within a character */
		max--;
	str_add(out, out->len > 0 ? "\n" : "");
	str_add_bytes(out, line, len > max ? max : len);
	if (len > max)
		str_add(out, "…");
}

/* True where the mistake is to be shown. */
static bool add_head(struct findings *f, const char *head)
{
	if (map_has(&f->heads, head))
		return false;
	map_set(&f->heads, head, NULL);
	if (f->heads.len > DIAGNOSTICS_MAX)
		return false;
	add_line(f->out, head);
	return true;
}

static void add_indented(struct findings *f, size_t i, bool shown)
{
	for (size_t end = i + FOLLOWING_MAX; i < end && i < f->lines->len; i++) {
		const char *line = without_label(f->lines->items[i]);
		if (line[0] != ' ' || !shown)
			return;
		add_line(f->out, line);
	}
}

static bool is_caret(const char *line)
{
	return strcmp(line + strspn(line, " \t"), "^") == 0;
}

static void add_caret(struct findings *f, size_t i, bool shown)
{
	size_t caret = i;
	while (caret < f->lines->len && caret < i + CARET_LINES_MAX && !is_caret(f->lines->items[caret]))
		caret++;
	if (!shown || caret == f->lines->len || !is_caret(f->lines->items[caret]))
		return;
	for (; i <= caret; i++)
		add_line(f->out, f->lines->items[i]);
	add_indented(f, i, shown);
}

/* "    src/a.ts:5:3:", at most two lines below. */
static bool find_place(const struct strv *lines, size_t i, struct match *match)
{
	for (size_t end = i + 2; i < end && i < lines->len; i++) {
		const char *line = lines->items[i];
		if (match_at("%p:%l:%c:", line + strspn(line, " "), match))
			return true;
	}
	return false;
}

static void add_mistake(struct findings *f, size_t i, const struct form *form, struct match *match)
{
	if (form->follows == PLACE && !find_place(f->lines, i + 1, match))
		return;
	_cleanup_free_ char *head = head_of(form, match);
	bool shown = add_head(f, head);
	if (form->follows == INDENTED)
		add_indented(f, i + 1, shown);
	else if (form->follows == CARET)
		add_caret(f, i + 1, shown);
}

/* Maven of a pom.xml that it can't read: "The project … (/p/pom.xml) has 1 error", then each as "MESSAGE @ line 2, column 52" or "MESSAGE @2:52".
 * path: that of the last such project. */
static void add_pom(struct findings *f, const char *line, char **path)
{
	static const char *const places[] = {"%m @ line %l, column %c", "%m @%l:%c"};
	if (!str_starts_with(line, "[ERROR]   "))
		return;
	const char *text = line + strlen("[ERROR]");
	text += strspn(text, " ");
	const char *open = strrchr(text, '('), *close = strstr(text, ") has ");
	if (str_starts_with(text, "The project ") && open && close && open < close) {
		free(*path);
		*path = xstrndup(open + 1, (size_t)(close - open - 1));
		return;
	}
	for (size_t i = 0; *path && i < ARRAY_LEN(places); i++) {
		struct match match = {0};
		if (!match_at(places[i], text, &match))
			continue;
		_cleanup_free_ char *prefix = xasprintf("Non-readable POM %s: ", *path);
		size_t skip = str_starts_with(text, prefix) ? strlen(prefix) : 0;
		_cleanup_free_ char *head = xasprintf("%s:%.*s:%.*s: %.*s", *path, (int)match.line.len, match.line.text,
						      (int)match.column.len, match.column.text,
						      (int)(match.message.len - skip), match.message.text + skip);
		add_head(f, head);
		return;
	}
}

size_t diagnostics_find(const struct strv *lines, struct str *out)
{
	struct findings f = {.lines = lines, .out = out};
	_cleanup_free_ char *pom = NULL;
	for (size_t i = 0; i < lines->len; i++) {
		struct match match;
		const struct form *form = find_form(lines->items[i], &match);
		if (form)
			add_mistake(&f, i, form, &match);
		else
			add_pom(&f, lines->items[i], &pom);
	}
	size_t found = f.heads.len;
	map_release(&f.heads, NULL);
	if (found > DIAGNOSTICS_MAX)
		str_addf(out, "\n… and %zu more", found - DIAGNOSTICS_MAX);
	return found;
}

/* "Failed to execute goal GROUP:PLUGIN:VERSION:GOAL (ID) on project NAME: MESSAGE -> [Help 1]" → "MESSAGE (PLUGIN:GOAL of NAME)" */
static char *maven_reason(const char *line)
{
	static const char failed[] = "Failed to execute goal ";
	const char *help = strstr(line, " -> [Help ");
	_cleanup_free_ char *text = xstrndup(line, help ? (size_t)(help - line) : strlen(line));
	const char *on = strstr(text, "on project "), *message = on ? strstr(on, ": ") : NULL;
	if (!str_starts_with(text, failed) || !message)
		return steal(&text);
	const char *name = on + strlen("on project ");
	CLEANUP(strv_release) struct strv goal = {0};
	_cleanup_free_ char *coordinates =
		xstrndup(text + strlen(failed), strcspn(text + strlen(failed), " ")); /* "on": no goal is named */
	str_split(coordinates, ':', &goal);
	if (goal.len < 4 || str_equal(goal.items[1], "jib-maven-plugin"))
		return xstrdup(message + 2);
	return xasprintf("%s (%s:%s of %.*s)", message + 2, goal.items[1], goal.items[3], (int)(message - name), name);
}

static bool maven_reasons(const struct strv *lines, struct str *out)
{
	CLEANUP(strv_release) struct strv told = {0};
	for (size_t i = 0; i < lines->len && told.len < DIAGNOSTICS_MAX; i++) {
		const char *line = without_label(lines->items[i]);
		bool labelled = line != lines->items[i];
		if (labelled && str_starts_with(line, "To see the full stack trace"))
			break;
		if (!labelled || !line[strspn(line, " ")] || str_starts_with(line, "-> [Help "))
			continue;
		_cleanup_free_ char *reason = maven_reason(line);
		if (!reason[0] || strv_contains(&told, reason) || str_starts_with(reason, "COMPILATION ERROR"))
			continue;
		add_line(out, reason);
		strv_push(&told, reason);
	}
	return told.len > 0;
}

/* The lines between "* HEADING:" and the next blank one. */
static void gradle_section(const struct strv *lines, const char *heading, struct strv *section)
{
	size_t i = 0;
	while (i < lines->len && !str_equal(lines->items[i], heading))
		i++;
	for (i++; i < lines->len && lines->items[i][0] && section->len < DIAGNOSTICS_MAX; i++)
		strv_push(section, lines->items[i]);
}

/* "* Where:" has "Build file '/p/build.gradle' line: 12", "* What went wrong:" the words. */
static bool gradle_reasons(const struct strv *lines, struct str *out)
{
	CLEANUP(strv_release) struct strv where = {0}, wrong = {0};
	gradle_section(lines, "* Where:", &where);
	gradle_section(lines, "* What went wrong:", &wrong);
	if (wrong.len == 0)
		return false;
	const char *file = where.len > 0 ? strchr(where.items[0], '\'') : NULL,
		   *end = file ? strchr(file + 1, '\'') : NULL, *line = end ? strstr(end, "line: ") : NULL;
	_cleanup_free_ char *first = line ? xasprintf("%.*s:%s: %s", (int)(end - file - 1), file + 1,
						      line + strlen("line: "), wrong.items[0])
					  : xstrdup(wrong.items[0]);
	add_line(out, first);
	for (size_t i = 1; i < wrong.len; i++)
		add_line(out, wrong.items[i]);
	return true;
}

bool diagnostics_reason(const struct strv *lines, struct str *out)
{
	return gradle_reasons(lines, out) || maven_reasons(lines, out);
}
