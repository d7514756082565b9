/* Unchanged inputs are not built again. For each artifact the state directory keeps which digest gave which image (the newest 16), in
 * builds/ARTIFACT.json. */
#ifndef BUILD_CACHE_H
#define BUILD_CACHE_H

#include "base/hash.h"
#include "build/build.h"

/* The image id that this digest gave, or NULL. What can't be read counts as empty: it is only a cache. The caller frees. */
char *build_cache_find(const struct artifact *artifact, struct hash digest);

/* The image id that was saved last, or NULL. The caller frees. */
char *build_cache_newest(const struct artifact *artifact);

/* Under build_lock_context. */
int build_cache_save(const struct artifact *artifact, struct hash digest, const char *image_id, struct error *err);

/* The same for generators, in builds/ARTIFACT.generated: were these inputs those of the last good run? */
bool build_cache_is_generated(const struct artifact *artifact, struct hash generator, struct hash inputs);
int build_cache_generated(const struct artifact *artifact, struct hash generator, struct hash inputs,
			  struct error *err);

#endif
