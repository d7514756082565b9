/* RUN: programs in the container, their output told as it comes. */
#ifndef AGENT_RUN_H
#define AGENT_RUN_H

#include "sys.h"
#include "wire/wire.h"

enum { RUN_POLL_MAX = 2 * WIRE_RUN_MAX };

void run_start(const struct wire_message *message);
void run_kill(const struct wire_message *message);

/* Adds what is to be polled; run_ready then looks at all of them. */
unsigned run_poll(struct pollfd *fds);
void run_ready(void);

/* Programs that ended are reaped, and told of. */
void run_reap(void);

/* The session ends: SIGTERM to all. */
void run_end(void);

#endif
