/* Tests of the builder and the deployer against a real engine: a project in a folder of its own. */
#ifndef TESTS_E2E_ENGINE_H
#define TESTS_E2E_ENGINE_H

#include "../unit/test.h"

#include "client/docker.h"
#include "config/config.h"

#define BASE_IMAGE "skiff-test/busybox:latest" /* tests/e2e/base-image makes it */

struct project {
	char folder[64];
	struct docker *docker;
	struct config *config;
};

/* Skips the test where no engine answers; fails it where the base image can't be made. The state directory is in the folder. */
void project_init(struct project *p);
void project_release(struct project *p);
void project_write(const struct project *p, const char *name, const char *text);
/* Loads skaffold.yaml (and skiff.yaml) of the folder; again after a change. */
void project_load(struct project *p);

/* The string at a path of keys in what the engine answers to GET path ("#0" is an index); NULL where there is none. The caller frees. */
char *engine_text(const struct project *p, const char *path, const char *const *keys);
#define ENGINE_TEXT(p, path, ...) engine_text(p, path, (const char *const[]){__VA_ARGS__, NULL})

void engine_forget_image(const struct project *p, const char *reference);

#endif
