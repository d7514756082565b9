/* Files between OPEN and CLOSE, whole or by chunks of what is there. */
#ifndef AGENT_LARGE_H
#define AGENT_LARGE_H

#include "batch.h"

void large_open(const struct wire_message *message);
void large_data(const struct wire_message *message);
void large_chunks(const struct wire_message *message);
void large_close(const struct wire_message *message);

/* Whatever is held for the request goes. */
void large_forget(const struct op *op);

#endif
