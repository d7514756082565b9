#include "sync/ignore.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "base/vec.h"
#include "sync/pattern.h"

enum {
	RULES_MAX = 10000,
	FILE_MAX = 1 << 20, /* bytes */
};

struct rule {
	struct pattern *pattern;
	bool exception; /* written with "!" */
	unsigned line;
};

struct ignore {
	VEC(struct rule) rules;
	bool exceptions;
};

/* One line without its end → its pattern, cleaned as moby's ignorefile and patternmatcher do it; NULL: the line says nothing. */
static char *clean_line(const char *line, size_t len, bool *exception)
{
	*exception = false;
	if (len > 0 && line[0] == '#')
		return NULL;
	for (int pass = 0; pass < 2; pass++) {
		while (len > 0 && isspace((unsigned char)*line))
			line++, len--;
		while (len > 0 && isspace((unsigned char)line[len - 1]))
			len--;
		if (pass == 0 && len > 0 && *line == '!') {
			*exception = true;
			line++, len--;
		}
	}
	if (len == 0)
		return *exception ? xstrdup("") : NULL;
	_cleanup_free_ char *text = xstrndup(line, len);
	_cleanup_free_ char *clean = path_normalize(text);
	return xstrdup(clean[0] == '/' && clean[1] ? clean + 1 : clean);
}

static int add_line(struct ignore *ignore, struct place place, const char *line, size_t len, struct error *err)
{
	bool exception;
	_cleanup_free_ char *text = clean_line(line, len, &exception);
	if (!text)
		return 0;
	if (*text == '\0')
		return error_at(err, place, EINVAL, "'!' without a pattern");
	if (ignore->rules.len == RULES_MAX)
		return error_at(err, place, EINVAL, "more than %d patterns", RULES_MAX);
	struct pattern *pattern = NULL;
	CLEANUP(error_clear) struct error why = {0};
	if (pattern_compile(PATTERN_IGNORE, text, &pattern, NULL, &why) < 0)
		return error_at(err, place, EINVAL, "bad pattern '%s': %s", text, why.message);
	vec_push(&ignore->rules, (struct rule){.pattern = pattern, .exception = exception, .line = place.line});
	ignore->exceptions |= exception;
	return 0;
}

int ignore_parse(const char *name, const char *text, size_t len, struct ignore **ignore, struct error *err)
{
	CLEANUP(ignore_free_cleanup) struct ignore *result = xcalloc(1, sizeof(*result));
	const char *end = text + len;
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	if (memchr(text, '\0', (size_t)(end - text)))
		return error_at(err, (struct place){.file = name}, EINVAL, "it holds a NUL byte");
	for (unsigned line = 1; text < end; line++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t line_len = (size_t)((newline ? newline : end) - text);
		int r = add_line(result, (struct place){name, line, 0}, text, line_len, err);
		if (r < 0)
			return r;
		text += line_len + (newline ? 1 : 0);
	}
	*ignore = steal(&result);
	return 0;
}

void ignore_free(struct ignore *ignore)
{
	if (!ignore)
		return;
	for vec_each (rule, &ignore->rules)
		pattern_free(rule->pattern);
	vec_release(&ignore->rules);
	free(ignore);
}

bool ignore_excludes(const struct ignore *ignore, const char *path, unsigned *line)
{
	bool excluded = false;
	unsigned deciding = 0;
	if (ignore && strcmp(path, ".") != 0) {
		for vec_each (rule, &ignore->rules) {
			if (rule->exception != excluded ||
			    !(pattern_test(rule->pattern, path) & (PATTERN_MATCHES | PATTERN_MATCHES_ABOVE)))
				continue;
			excluded = !rule->exception;
			deciding = rule->line;
		}
	}
	if (line)
		*line = deciding;
	return excluded;
}

bool ignore_prunes(const struct ignore *ignore, const char *directory)
{
	if (!ignore || !ignore_excludes(ignore, directory, NULL))
		return false;
	if (!ignore->exceptions)
		return true;
	for vec_each (rule, &ignore->rules)
		if (rule->exception && pattern_test(rule->pattern, directory))
			return false;
	return true;
}

static int load(const char *path, struct ignore **ignore, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = file_read(path, FILE_MAX, &text, &len, err);
	return r < 0 ? r : ignore_parse(path, text, len, ignore, err);
}

int ignore_load(const char *context, const char *dockerfile, struct ignore **ignore, char **path, struct error *err)
{
	_cleanup_free_ char *beside = dockerfile ? xasprintf("%s.dockerignore", dockerfile) : NULL;
	_cleanup_free_ char *general = path_join(context, ".dockerignore");
	char **candidates[] = {&beside, &general};
	struct ignore *loaded = NULL;
	char *used = NULL;
	for (size_t i = 0; i < ARRAY_LEN(candidates) && !used; i++) {
		if (!*candidates[i] || !file_exists(*candidates[i]))
			continue;
		int r = load(*candidates[i], &loaded, err);
		if (r < 0)
			return r;
		used = steal(candidates[i]);
	}
	*ignore = loaded;
	if (path)
		*path = steal(&used);
	free(used);
	return 0;
}
