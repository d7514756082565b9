/* The docker builder's command line, apart for tests. */
#ifndef BUILD_DOCKER_H
#define BUILD_DOCKER_H

#include "build/build.h"

struct docker_build {
	const char *program;
	const char *dockerfile; /* its path */
	const char *dockerfile_text;
	const char *tag;
	const char *id_file; /* where the builder writes the image's id */
};

/* program build CONTEXT --file … : the options in Skaffold's order. Templates are expanded. */
int docker_build_argv(const struct build_request *request, const struct docker_build *build, struct strv *argv,
		      struct error *err);

#endif
