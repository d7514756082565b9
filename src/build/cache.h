/* Unchanged inputs are not built again. For each artifact the state directory keeps which digest gave which image (the newest 16), in
 * builds/ARTIFACT.json; beside it is the lock that lets one skiff at a time build a context. */
#ifndef BUILD_CACHE_H
#define BUILD_CACHE_H

#include "base/hash.h"
#include "build/build.h"

/* Waits for the lock of the artifact's context (its real path); says so through request->line where it has to wait. The descriptor to close,
 * or a negative errno (-ECANCELED). */
int build_cache_lock(const struct build_request *request, struct error *err);

/* The image id that this digest gave, or NULL. What can't be read counts as empty: it is only a cache. The caller frees. */
char *build_cache_find(const struct artifact *artifact, struct hash digest);

/* Under the lock. */
int build_cache_save(const struct artifact *artifact, struct hash digest, const char *image_id, struct error *err);

#endif
