/* How processes of one container find each other: sockets without a file (abstract names), made of what the container's root is. */
#ifndef AGENT_MEET_H
#define AGENT_MEET_H

#include "sys.h"

/* Listens under the name of `what` ("agent", "supervise") in this container. The descriptor, or a negative errno (-EADDRINUSE). */
int meet_listen(const char *what);

/* Connects to who listens; it must be root or this user, else -EACCES. */
int meet_connect(const char *what, int *pid);

/* This process becomes the container's only agent: one that is there is ended. The descriptor that says so, or a negative errno. */
int meet_alone(void);

#endif
