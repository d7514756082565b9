/* .dockerignore: which paths of a context the engine never sees. Format: docs.docker.com/build/concepts/context/#dockerignore-files
 * (moby/patternmatcher): one pattern a line, `#` comments, `!` exceptions, the last match wins, `**`, a match covers what is below; leading
 * and trailing slashes dropped; Go's filepath.Match otherwise. */
#ifndef SYNC_IGNORE_H
#define SYNC_IGNORE_H

#include <stdbool.h>

#include "base/error.h"

struct ignore;

/* name: for places in messages. A bad pattern is -EINVAL with its line. */
int ignore_parse(const char *name, const char *text, size_t len, struct ignore **ignore, struct error *err);
void ignore_free(struct ignore *ignore);
DEFINE_CLEANUP(struct ignore, ignore_free)

/* path: relative to the context, normalised. NULL ignore: nothing is excluded. *line (may be NULL): the deciding line, 0 if none. */
bool ignore_excludes(const struct ignore *ignore, const char *path, unsigned *line);

/* True if nothing below the directory can be included again by an exception: it needs not be entered. */
bool ignore_prunes(const struct ignore *ignore, const char *directory);

/* The file that counts for a Dockerfile: "<Dockerfile>.dockerignore" beside it if it exists, else "<context>/.dockerignore". Loads it; NULL in
 * *ignore where neither exists. *path (may be NULL; owned by the caller, NULL if none) is the file used. dockerfile: its path, NULL for none. */
int ignore_load(const char *context, const char *dockerfile, struct ignore **ignore, char **path, struct error *err);

#endif
