/* What went wrong, out of what a build printed. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "build/diagnostics.h"
#include "build/generate.h"
#include "build/internal.h"

enum { LAST_LINES_MAX = 3, LINE_MAX = 2000 /* bytes that are looked at */ };

/* Behind an escape sequence (ECMA-48: CSI, OSC, or two bytes), which starts at p. */
static const char *behind_escape(const char *p, const char *end)
{
	if (++p == end)
		return p;
	if (*p == '[') {
		for (p++; p < end && (*p < '@' || *p > '~');)
			p++;
	} else if (*p == ']') {
		for (p++; p < end && *p != '\a' && *p != '\x1b';)
			p++;
		p += p + 1 < end && *p == '\x1b'; /* ended by ESC and a backslash */
	}
	return p < end ? p + 1 : p;
}

/* Without escape sequences, other control bytes but tabs, and spaces at the end. */
static char *clean_line(const char *p, const char *end)
{
	struct str line = {0};
	while (p < end && line.len < LINE_MAX) {
		if (*p == '\x1b') {
			p = behind_escape(p, end);
			continue;
		}
		if ((unsigned char)*p >= ' ' || *p == '\t')
			str_add_char(&line, *p);
		p++;
	}
	while (line.len > 0 && isspace((unsigned char)line.data[line.len - 1]))
		line.data[--line.len] = '\0';
	_cleanup_free_ char *bytes = str_steal(&line);
	return utf8_replace_invalid(bytes, strlen(bytes));
}

static void clean_lines(const char *log, struct strv *lines)
{
	while (*log) {
		const char *end = strchrnul(log, '\n');
		strv_push_owned(lines, clean_line(log, end));
		log = *end ? end + 1 : end;
	}
}

static void last_lines(const struct strv *lines, struct str *out)
{
	size_t from = lines->len, found = 0;
	while (from > 0 && found < LAST_LINES_MAX)
		found += lines->items[--from][0] != '\0';
	for (size_t i = from; i < lines->len; i++) {
		if (lines->items[i][0])
			str_addf(out, "%s%s", out->len > 0 ? "\n" : "", lines->items[i]);
	}
}

/* The first line that reads like a mistake, else the last ones. */
static void add_words(const struct strv *lines, struct str *out)
{
	_cleanup_free_ char *text = strv_join(lines, "\n"), *mistake = build_failure_line(text);
	if (mistake && build_reads_like_error(mistake))
		str_add(out, mistake);
	else
		last_lines(lines, out);
}

/* Paths below the directory are shown relative to it. */
static void shorten_paths(struct str *text, const char *directory)
{
	if (!directory || str_equal(directory, "/"))
		return;
	CLEANUP(str_release) struct str shortened = {0};
	_cleanup_free_ char *prefix = xasprintf("%s/", directory);
	for (const char *p = str_text(text); *p;) {
		bool starts = p == text->data || !(isalnum((unsigned char)p[-1]) || strchr("/._-", p[-1]));
		if (starts && str_starts_with(p, prefix))
			p += strlen(prefix);
		else
			str_add_char(&shortened, *p++);
	}
	str_release(text);
	*text = shortened;
	shortened = (struct str){0};
}

char *build_failure_text(const char *log, const char *context)
{
	CLEANUP(strv_release) struct strv lines = {0};
	CLEANUP(str_release) struct str out = {0};
	clean_lines(log, &lines);
	if (diagnostics_find(&lines, &out) == 0 && !diagnostics_reason(&lines, &out))
		add_words(&lines, &out);
	_cleanup_free_ char *real = realpath(context, NULL); /* Maven shows that */
	shorten_paths(&out, context);
	if (!str_equal(real, context))
		shorten_paths(&out, real);
	return out.len > 0 ? str_steal(&out) : NULL;
}

char *build_command_name(const struct strv *argv)
{
	bool shell = argv->len == 3 && str_equal(argv->items[0], "sh") && str_equal(argv->items[1], "-c");
	if (shell)
		return xstrndup(argv->items[2], strcspn(argv->items[2], " \t\n;|&"));
	return xstrdup(argv->items[0][0] == '/' ? path_base(argv->items[0]) : argv->items[0]);
}

/* By Jib, of what it does not do: who asks for that is worth knowing. */
static bool is_refusal(const char *words)
{
	static const char *const refusals[] = {
		"Jib plugin version is ",
		"Skaffold sync is currently only available for ",
		"Failed to generate a Jib file map for sync",
	};
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		if (strstr(words, refusals[i]))
			return true;
	}
	return false;
}

int build_command_failed(const struct strv *argv, int status, const char *log, const char *context, struct error *err)
{
	_cleanup_free_ char *name = build_command_name(argv), *words = build_failure_text(log, context);
	if (words && is_refusal(words)) {
		_cleanup_free_ char *command = strv_join(argv, " ");
		return error_set(err, EIO, "%s: %s\n(the command was: %s)", name, words, command);
	}
	if (words)
		return error_set(err, EIO, "%s: %s", name, words);
	return error_set(err, EIO, "%s failed (exit %d) without a word", name, status);
}

int build_cannot_start(const struct strv *argv, struct place place, struct error *cause, struct error *err)
{
	static const struct {
		const char *program, *advice;
	} tools[] = {
		{"mvn", "install Maven (Debian: apt-get install maven), or add its wrapper, mvnw, to the context"},
		{"gradle", "install Gradle (gradle.org/install), or add its wrapper, gradlew, to the context"},
	};
	if (cause->code == ECANCELED)
		return error_move(err, cause);
	for (size_t i = 0; cause->code == ENOENT && i < ARRAY_LEN(tools); i++) {
		if (str_equal(argv->items[0], tools[i].program))
			return error_at(err, place, EIO, "there is no '%s' in PATH: %s", tools[i].program,
					tools[i].advice);
	}
	return error_at(err, place, EIO, "%s", cause->message);
}
