/* What builders ask of the engine: images by reference, and its command line. */
#ifndef BUILD_ENGINE_H
#define BUILD_ENGINE_H

#include "build/build.h"

/* The id ("sha256:…") of an image, by reference or id. -ENOENT where the engine has none, -ENOTCONN where docker is NULL. */
int engine_image_id(struct docker *docker, const char *reference, char **id, struct cancel *cancel, struct error *err);

/* Gives the image another reference ("name:tag"). */
int engine_tag(struct docker *docker, const char *id, const char *reference, struct cancel *cancel, struct error *err);

/* The environment of a program that speaks with the same engine. */
void engine_address(struct docker *docker, struct strv *env);

/* builder.reuse for images: still there, and tagged. */
int engine_reuse(const struct build_request *request, const char *image_id, const char *tag, struct error *err);

/* The engine's command line program: docker, or podman where only that is installed and the engine is Podman's. -ENOENT with what to
 * install. *host is NULL, or what DOCKER_HOST must be so that it speaks with the same engine (the caller frees both). */
int engine_program(struct docker *docker, char **program, char **host, struct error *err);

#endif
