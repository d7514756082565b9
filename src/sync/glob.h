/* Globs as skaffold.yaml means them: `*` within one level (not "/"), `**` as a whole element: any number of levels, none too; `?` one
 * character but "/"; `[a-z]`, `[!a-z]`, `[^a-z]`; `{a,b}` (may nest, may hold "/"); `\` quotes. Works on bytes; `?` and classes take a whole
 * UTF-8 character where there is one. Matching takes time linear in pattern times path, whatever the pattern (no exponential backtracking). */
#ifndef SYNC_GLOB_H
#define SYNC_GLOB_H

#include <stdbool.h>

#include "base/error.h"

struct glob;

/* Compiles. *offset: the byte of the pattern where a mistake is (may be NULL). -EINVAL with words on a bad one (unclosed class or brace,
 * reversed range, trailing backslash, too many alternatives: at most 1000 after expansion). */
int glob_compile(const char *pattern, struct glob **glob, size_t *offset, struct error *err);
void glob_free(struct glob *glob);
DEFINE_CLEANUP(struct glob, glob_free)

bool glob_match(const struct glob *glob, const char *path);

/* True if the glob matches the path or a directory above it ("a directory covers what is below"). */
bool glob_match_prefix(const struct glob *glob, const char *path);

/* True if the glob may match something below the directory. */
bool glob_may_match_below(const struct glob *glob, const char *directory);

#endif
