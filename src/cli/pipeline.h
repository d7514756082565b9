/* What build, run and delete share: the configuration, the runtime, and building everything once in order. */
#ifndef CLI_PIPELINE_H
#define CLI_PIPELINE_H

#include "build/build.h"
#include "cli/cli.h"
#include "dev/dev.h"

struct pipeline { /* zero-initialised */
	const struct options *options;
	struct config *config;
	struct dev_runtime runtime;
	struct cancel *cancel;	      /* requested by SIGINT, SIGTERM, SIGHUP */
	struct build_result *results; /* an artifact each; empty where it was not built */
	bool *built;
	size_t count;
	bool leave_attached; /* what another tool builds and runs (deploy.attach) is not built */
};

/* Loads the configuration and opens the runtime; says what is wrong. 0 or the exit code. pipeline_release is due either way. */
int pipeline_open(struct pipeline *p, const struct options *options, const char *command);

/* Builds the images named as arguments (none named: all), each after those it requires. */
int pipeline_build(struct pipeline *p, struct error *err);

/* The exit code for a result, with the error told. */
int pipeline_exit(const struct pipeline *p, int r, const struct error *err);
void pipeline_release(struct pipeline *p);

#endif
