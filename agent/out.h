/* What the agent says: gathered, and written before it waits. */
#ifndef AGENT_OUT_H
#define AGENT_OUT_H

#include "wire/wire.h"

void out_message(const struct wire_message *message);
void out_flush(void);
bool out_broken(void); /* nobody listens any more */

/* To be called in what may take long: where nothing was sent for a second, a PONG that nobody asked for says that work goes on. */
void out_alive(void);

#endif
