/* Questions that change nothing, except that a look removes what an agent that was killed left beside the path (stage.h). */
#ifndef AGENT_LOOK_H
#define AGENT_LOOK_H

#include "wire/wire.h"

void look_stat(const struct wire_message *message);
void look_check(const struct wire_message *message);
void look_read(const struct wire_message *message);

/* The request's path with a zero at its end; valid until the next call. */
const char *look_path(const struct wire_message *message);

#endif
