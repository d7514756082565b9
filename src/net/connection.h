/* One HTTP/1.1 connection as a client, blocking, over any connected socket (unix, or one end of a socketpair). For jobs: each wait ends when
 * `cancel` is requested (-ECANCELED), or when no byte moved for timeout_ms (-ETIMEDOUT; 0: never). No SIGPIPE. */
#ifndef NET_CONNECTION_H
#define NET_CONNECTION_H

#include <sys/types.h>

#include "io/cancel.h"
#include "net/http.h"

/* Connects to a unix socket. The descriptor (close-on-exec), or a negative errno. */
int socket_connect_unix(const char *path, struct error *err);

struct http_connection;

struct http_connection *http_connection_new(int fd); /* takes the descriptor over */
void http_connection_free(struct http_connection *connection);
DEFINE_CLEANUP(struct http_connection, http_connection_free)

/* True where a further request may be sent: the last answer was read to its end, and the other end has neither closed nor spoken since. */
bool http_connection_idle(const struct http_connection *connection);

struct http_request {
	const char *method;
	const char *target;	    /* "/v1.41/_ping": no spaces, no control bytes, else -EINVAL */
	const char *const *headers; /* "Name: value", ends with NULL; Host and framing are added; may be NULL */
	const void *body;	    /* with Content-Length; NULL: none */
	size_t body_len;
	/* Instead of a body: called for at most cap bytes until it returns 0 (the end), or a negative errno, which aborts the exchange with
	 * it. Sent in chunks. Not called any more once the other end has answered. */
	ssize_t (*produce)(void *data, void *buffer, size_t cap);
	void *produce_data;
};

struct http_receiver { /* a negative return aborts the exchange with it; NULL: not wanted */
	int (*head)(void *data, const struct http_response *response);
	int (*body)(void *data, const void *bytes, size_t len);
	void *data;
};

/* Sends the request and receives the answer, both at once: an answer that comes before the request's end ends the sending. Returns the
 * status (101: the connection is now a stream), or a negative errno: -EPIPE where the other end closed without a whole answer, -EPROTO. */
int http_exchange(struct http_connection *connection, const struct http_request *request,
		  const struct http_receiver *receiver, struct cancel *cancel, unsigned timeout_ms, struct error *err);

/* After a 101: sends what the request has as its body (or makes by its producer; no framing), closes that direction, and hands on what
 * comes until the other end closes. 0, or a negative errno. */
int http_stream(struct http_connection *connection, const struct http_request *input,
		const struct http_receiver *receiver, struct cancel *cancel, unsigned timeout_ms, struct error *err);

/* After a 101, for a stream in both directions: sends from the front of *out what the socket takes, and hands on what came. Waits until one of both
 * happened (out empty: until something came). 0; -EPIPE where the other end closed; or what went wrong. */
int http_stream_turn(struct http_connection *connection, struct bytes *out, const struct http_receiver *receiver,
		     struct cancel *cancel, unsigned timeout_ms, struct error *err);

#endif
