/* The sync sources of a configuration, for commands that only ask: an engine is asked for base images if one answers at once. */
#ifndef CLI_SOURCES_H
#define CLI_SOURCES_H

#include "sync/plan.h"

struct sources {
	struct sync_source **items; /* in the order of config->artifacts */
	size_t len;
};

/* All sources; on an error none. */
int sources_open(const struct config *config, struct sources *sources, struct error *err);
void sources_release(struct sources *sources);

#endif
