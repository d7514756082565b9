/* What the files of the Docker client share: connections, and one request with the engine's errors understood. */
#ifndef CLIENT_EXCHANGE_H
#define CLIENT_EXCHANGE_H

#include "client/docker.h"
#include "net/connection.h"

enum {
	DOCKER_ANSWER_MAX = 64 << 20, /* bytes of a JSON answer */
	DOCKER_ERROR_MAX = 64 << 10,  /* bytes of an error's body that are kept */
	DOCKER_IDLE_MS = 300000,      /* without a byte, for all that is no stream: an engine that hangs */
};

/* A connection to the engine, with the program behind it where there is one. */
struct line {
	struct http_connection *connection;
	int pid;
	bool fresh; /* not used before */
};

int line_open(struct docker *docker, struct line *line, struct cancel *cancel, struct error *err);
void line_close(struct docker *docker, struct line *line); /* keeps it for another call where that is possible */

/* One request on a line of its own from the pool; path without the version. Successful bodies go to the receiver; an error answer becomes
 * a negative errno with the engine's words. Returns the status. timeout_ms: without a byte, 0: never. */
int docker_exchange(struct docker *docker, const struct http_request *request, const struct http_receiver *receiver,
		    struct cancel *cancel, unsigned timeout_ms, struct error *err);

/* The same on a given line, for an upgrade: 101 leaves the line to http_stream. */
int docker_exchange_on(struct docker *docker, struct line *line, const struct http_request *request,
		       const struct http_receiver *receiver, struct cancel *cancel, unsigned timeout_ms,
		       struct error *err);

#endif
