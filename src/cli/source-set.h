/* The sync sources of a configuration, for commands that only ask: an engine is asked for base images if one answers at once. */
#ifndef CLI_SOURCE_SET_H
#define CLI_SOURCE_SET_H

#include "sync/plan.h"

struct source_set {
	struct sync_source **items; /* in the order of config->artifacts */
	size_t len;
};

/* All sources; on an error none. */
int source_set_open(const struct config *config, struct source_set *sources, struct error *err);

/* -ENODATA, with the command to run, if what the source must know of its builder was never told. */
int source_set_known(const struct sync_source *source, struct error *err);

void source_set_release(struct source_set *sources);

#endif
