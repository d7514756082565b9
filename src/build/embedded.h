/* The builder of the embedded runtime: the Dockerfile's own mapping, carried out on disk instead of by an engine. For artifacts
 * that are FROM scratch without RUN: everything in such an image is a file of the context. */
#ifndef BUILD_EMBEDDED_H
#define BUILD_EMBEDDED_H

#include "build/build.h"

/* Lays the image of request->artifact out in a folder of skiff's state directory (root/ and image.json; client/embedded.h) and
 * gives the folder's absolute path (the caller frees): it is the image's id, and the same for the same content. Written
 * beside, then switched: a layout that fails leaves the one before as it was. Ends where request->cancel says so.
 * -ENOTSUP where an engine is needed, with the line that needs it. */
int build_embedded(const struct build_request *request, char **folder, struct error *err);

#endif
