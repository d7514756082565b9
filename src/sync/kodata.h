/* Where ko looks: the folder of its command, its static data, and what defines the build (ko.build/features/static-assets). */
#ifndef SYNC_KODATA_H
#define SYNC_KODATA_H

#include "config/config.h"

#define KODATA_ROOT "/var/run/ko" /* the KO_DATA_PATH of every image that ko builds */

enum { KODATA_MODE = 0555 }; /* what ko gives every file of kodata, whatever the host's bits */

/* <context>/<dir>: where ko and go run. Absolute, normalised. */
char *ko_directory(const struct artifact *artifact) RETURNS_OWNED;

/* <context>/<dir>/<main>/kodata, absolute and normalised, whether it is there or not. main: a folder, a .go file in it, or the import path of a package
 * of the module (its go.mod is read). NULL where that can't be told: a pattern (./...), a package of another module. The caller frees. */
char *kodata_directory(const struct artifact *artifact);

/* go.mod and the like, in <dir> or above it in the context. path: absolute. */
bool ko_is_definition(const struct artifact *artifact, const char *path);

#endif
