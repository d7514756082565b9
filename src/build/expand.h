/* Templates of the configuration, expanded where they are used. */
#ifndef BUILD_EXPAND_H
#define BUILD_EXPAND_H

#include "build/build.h"

/* Expands with IMAGE_NAME, the required images by alias, and the environment. The error has the place. */
int build_expand(const struct build_request *request, const char *text, struct place place, char **out,
		 struct error *err);

/* "KEY=value" of the build arguments as docker gets them, sorted by name: the configured ones expanded (a name alone takes the environment's
 * value, as docker does), SKAFFOLD_RUN_MODE and required images (by alias) where `declared` (the Dockerfile's ARG names) has them. */
int build_args_expand(const struct build_request *request, const struct strv *declared, struct strv *out,
		      struct error *err);

/* The names of a Dockerfile's ARG instructions. */
void build_args_declared(const char *dockerfile_text, struct strv *names);

#endif
