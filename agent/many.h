/* Many plain files in one batch: staged, named and switched by several threads (parallel.h). What is not plain is left as it is, to be done one after
 * another; so is all that comes after it in a thread, so that requests for one path keep their order. */
#ifndef AGENT_MANY_H
#define AGENT_MANY_H

#include "batch.h"

/* A small file's bytes, copied until many_stage: with the next ones it is quicker. False: it is to be staged now. */
bool many_wait(struct op *op, const void *bytes, size_t len);

/* Stages what waits, and tells what failed. Before anything but many_wait that looks at the batch or ends it, and before the agent sends its answers and sleeps. */
void many_stage(void);

/* Hidden names for what is staged unseen in directories that are there, and replaces something (strict: and for new files). */
void many_hide(bool strict);

/* Switches, and marks what was (op->switched): files over files, and new files. Not in a batch that makes directories or links, through which other paths
 * may lead. */
void many_switch(void);

#endif
