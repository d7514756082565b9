#include "sync/glob.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "sync/pattern.h"

enum {
	ALTERNATIVES_MAX = 1000, /* after expansion */
	BRACES_MAX = 64,
};

/* The alternatives of the pattern without their braces: the path matches if one of them does. */
struct glob {
	VEC(struct pattern *) alternatives;
};

static size_t element(const char *text)
{
	const char *mistake;
	return pattern_element(PATTERN_GLOB, text, &mistake);
}

static int mistake_at(size_t at, size_t *offset, struct error *err, const char *words)
{
	if (offset)
		*offset = at;
	return error_set(err, EINVAL, "%s", words);
}

/* All mistakes are found here, where offsets are those of the pattern as written; what follows can rely on a well-formed one. */
static int check(const char *pattern, size_t *offset, struct error *err)
{
	size_t open[BRACES_MAX], depth = 0, braces = 0;
	if (strnlen(pattern, PATTERN_MAX + 1) > PATTERN_MAX)
		return mistake_at(0, offset, err, "the pattern is longer than 4096 bytes");
	for (size_t i = 0, len; pattern[i]; i += len) {
		const char *mistake = NULL;
		len = pattern_element(PATTERN_GLOB, pattern + i, &mistake);
		if (len == 0)
			return mistake_at(i, offset, err, mistake);
		if (pattern[i] == '{') {
			if (++braces > BRACES_MAX)
				return mistake_at(i, offset, err, "more than 64 pairs of braces");
			open[depth++] = i;
		} else if (pattern[i] == '}' && depth > 0) {
			depth--;
		}
	}
	return depth ? mistake_at(open[depth - 1], offset, err, "'{' without its '}'") : 0;
}

/* Replaces the first pair of braces by each of its alternatives, and goes on with each result. False: too many of them. */
static bool expand(const char *pattern, struct strv *out)
{
	size_t open = 0;
	while (pattern[open] && pattern[open] != '{')
		open += element(pattern + open);
	if (pattern[open] == '\0') {
		strv_push(out, pattern);
		return out->len <= ALTERNATIVES_MAX;
	}
	struct {
		size_t start, end;
	} piece = {open + 1, 0};
	VEC(__typeof__(piece)) pieces = {0};
	size_t depth = 1, i = open + 1;
	for (;; i += element(pattern + i)) {
		if (pattern[i] == '{')
			depth++;
		else if (pattern[i] == '}')
			depth--;
		if (depth == 0 || (depth == 1 && pattern[i] == ',')) {
			piece.end = i;
			vec_push(&pieces, piece);
			piece.start = i + 1;
		}
		if (depth == 0)
			break;
	}
	bool ok = true;
	for (size_t p = 0; ok && p < pieces.len; p++) {
		_cleanup_free_ char *one =
			xasprintf("%.*s%.*s%s", (int)open, pattern, (int)(pieces.items[p].end - pieces.items[p].start),
				  pattern + pieces.items[p].start, pattern + i + 1);
		ok = expand(one, out);
	}
	vec_release(&pieces);
	return ok;
}

int glob_compile(const char *pattern, struct glob **glob, size_t *offset, struct error *err)
{
	int r = check(pattern, offset, err);
	if (r < 0)
		return r;
	CLEANUP(strv_release) struct strv alternatives = {0};
	if (!expand(pattern, &alternatives))
		return mistake_at(0, offset, err, "the braces give more than 1000 alternatives");
	CLEANUP(glob_free_cleanup) struct glob *g = xcalloc(1, sizeof(*g));
	for (size_t i = 0; i < alternatives.len; i++) {
		struct pattern *p = NULL;
		r = pattern_compile(PATTERN_GLOB, alternatives.items[i], &p, NULL, err);
		if (r < 0)
			return r;
		vec_push(&g->alternatives, p);
	}
	*glob = steal(&g);
	return 0;
}

void glob_free(struct glob *glob)
{
	if (!glob)
		return;
	for vec_each (p, &glob->alternatives)
		pattern_free(*p);
	vec_release(&glob->alternatives);
	free(glob);
}

static bool test_any(const struct glob *glob, const char *path, unsigned wanted)
{
	for vec_each (p, &glob->alternatives)
		if (pattern_test(*p, path) & wanted)
			return true;
	return false;
}

bool glob_match(const struct glob *glob, const char *path)
{
	return test_any(glob, path, PATTERN_MATCHES);
}

bool glob_match_prefix(const struct glob *glob, const char *path)
{
	return test_any(glob, path, PATTERN_MATCHES | PATTERN_MATCHES_ABOVE);
}

bool glob_may_match_below(const struct glob *glob, const char *directory)
{
	return test_any(glob, directory, PATTERN_MAY_BELOW);
}
