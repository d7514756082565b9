/* One wildcard pattern, compiled: what globs, ignore files and the sources of COPY share. The three write nearly the same language; the
 * dialect says where they differ.
 *
 * Matching simulates all states at once: time is at most pattern times path, whatever the pattern. Works on characters: a valid UTF-8
 * sequence is one, any other byte is one. */
#ifndef SYNC_PATTERN_H
#define SYNC_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum pattern_dialect {
	PATTERN_GLOB, /* skaffold.yaml (doublestar): `**` as a whole element, `[!a]` and `[^a]`; braces are expanded before (sync/glob.h) */
	PATTERN_GO,	/* Go's filepath.Match: one level, no `**` */
	PATTERN_IGNORE, /* moby/patternmatcher: `**` anywhere, a class may take "/" */
};

enum { PATTERN_MAX = 4096 }; /* bytes of one pattern as written */

struct pattern;

/* -EINVAL with words on an unclosed or empty class, a reversed range, a trailing backslash, a pattern longer than PATTERN_MAX; *offset (may be NULL)
 * is then the byte of the mistake. */
int pattern_compile(enum pattern_dialect dialect, const char *text, struct pattern **pattern, size_t *offset,
		    struct error *err);
void pattern_free(struct pattern *pattern);
DEFINE_CLEANUP(struct pattern, pattern_free)

/* The length of the element at text (an escape, a class, else one character), for scanning a pattern without compiling it; 0 on a mistake, with
 * *mistake in words. */
size_t pattern_element(enum pattern_dialect dialect, const char *text, const char **mistake);

/* What a path is to a pattern; several may hold. */
enum pattern_result {
	PATTERN_MATCHES = 1 << 0,	/* the path itself matches */
	PATTERN_MATCHES_ABOVE = 1 << 1, /* a directory above it does */
	PATTERN_MAY_BELOW = 1 << 2,	/* something below it may match */
};
unsigned pattern_test(const struct pattern *pattern, const char *path);

static inline bool pattern_match(const struct pattern *pattern, const char *path)
{
	return pattern_test(pattern, path) & PATTERN_MATCHES;
}

#endif
