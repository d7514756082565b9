/* The answers of explain and map as values, before they are printed: what tests look at. */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include <jansson.h>

#include "cli/source-set.h"

/* The contract of --json on explain (design.md, "Commands"). decisions: one an artifact. Arrays are empty where the decision is none or rebuild:
 * nothing is carried then. "deciding" is null where no path given concerns the artifact; its "where" is null where nothing written decided. The
 * caller drops the reference. */
json_t *explain_json(const struct config *config, const struct source_set *sources, const struct decision *decisions);

/* One artifact's element of --json on map. Paths that are not UTF-8 have U+FFFD for each wrong byte, and the bytes in base 64 beside: src_b64. */
json_t *map_json(const struct sync_source *source, const struct sync_map *map);

/* Paths as given (relative to the working directory) to a sorted change set: those of `changes`, and bare ones, which are modified if they
 * exist, else deleted. */
void explain_changes(const struct change_set *changes, const struct strv *bare, struct change_set *out);

/* Text as JSON, whatever its bytes. Never NULL. */
json_t *json_text(const char *text);

/* object[key] = path; where it is not UTF-8 also object[key_b64]. */
void json_set_path(json_t *object, const char *key, const char *path);

#endif
