/* What the engine knows of the images that Dockerfiles start from. */
#ifndef BUILD_BASE_IMAGE_H
#define BUILD_BASE_IMAGE_H

#include "sync/dockerfile.h"

/* The callback that sync_source_new and dockerfile_evaluate take. data: the struct docker, NULL where there is none. Asks for the local image,
 * pulls nothing, says nothing: unknown where the engine does not answer or has no such image. */
void base_image_lookup(void *docker, const char *name, struct base_image *image);

#endif
