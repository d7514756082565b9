/* What the agent says: gathered, and written before it waits. */
#ifndef AGENT_OUT_H
#define AGENT_OUT_H

#include "wire/wire.h"

void out_message(const struct wire_message *message);
void out_flush(void);
bool out_broken(void); /* nobody listens any more */

#endif
