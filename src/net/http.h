/* HTTP/1.1 responses as a protocol state machine without I/O (RFC 9112): bytes in, events out. The engine's end of the line is
 * hostile: everything is bounded and checked, and what is not clearly right is -EPROTO.
 *
 *     http_parser_init(&parser, false);
 *     for (struct bytes input = {buffer, n}; (event = http_parser_step(&parser, &input, &body, err)) != HTTP_NEED_MORE;)
 *             ... event: HTTP_HEAD, HTTP_BODY, HTTP_END, HTTP_UPGRADED, or negative ... */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "base/vec.h"

enum {
	HTTP_LINE_MAX = 16 << 10,  /* a status line, a header, a chunk's size with its extensions */
	HTTP_HEAD_MAX = 128 << 10, /* all header lines of a response, interim ones and trailers included */
	HTTP_HEADERS_MAX = 200,
	HTTP_INTERIM_MAX = 16, /* 1xx responses before the one that counts */
};

struct bytes { /* borrowed */
	const char *data;
	size_t len;
};

struct http_header {
	char *name; /* as it came; compared without regard to case */
	char *value;
};

struct http_response {
	unsigned status; /* 100 to 599 */
	char *reason;
	VEC(struct http_header) headers;
	bool keep_alive; /* the connection may be used again after HTTP_END */
};

/* The first header of that name, or NULL. */
const char *http_response_header(const struct http_response *response, const char *name);

/* True where the header is a comma-separated list that has the token, without regard to case. All headers of the name count. */
bool http_response_has_token(const struct http_response *response, const char *name, const char *token);

enum http_event {
	HTTP_NEED_MORE, /* the input is used up */
	HTTP_HEAD,	/* status and headers are known: parser->response */
	HTTP_BODY,	/* a piece of the body; it points into the input */
	HTTP_END,	/* the response is complete; what is left of the input belongs to the next one */
	HTTP_UPGRADED, /* after the HTTP_HEAD of a 101: what is left of the input, and all that follows, is the stream */
};

enum http_state {
	HTTP_STATE_STATUS,
	HTTP_STATE_HEADERS,
	HTTP_STATE_LENGTH,
	HTTP_STATE_UNTIL_CLOSE,
	HTTP_STATE_CHUNK_SIZE,
	HTTP_STATE_CHUNK_DATA,
	HTTP_STATE_CHUNK_END,
	HTTP_STATE_TRAILERS,
	HTTP_STATE_FINISHING,
	HTTP_STATE_UPGRADED,
	HTTP_STATE_DONE,
};

struct http_parser {
	struct http_response response;
	enum http_state state;
	bool head_request; /* the answer to HEAD has no body, whatever its headers say */
	unsigned minor;	   /* of HTTP/1.minor */
	unsigned interim;
	size_t head_bytes;
	uint64_t left; /* of the body or the chunk */
	struct str line;
};

/* Ready for one response. Initialise again (after a release) for the next one on the same connection. */
void http_parser_init(struct http_parser *parser, bool head_request);
void http_parser_release(struct http_parser *parser);

/* One step: takes from the front of *input, gives an event (>= 0) or -EPROTO. After HTTP_END or HTTP_UPGRADED it must not be called again. Events other
 * than HTTP_NEED_MORE leave the rest in *input: call again. An empty input is allowed. */
int http_parser_step(struct http_parser *parser, struct bytes *input, struct bytes *body, struct error *err);

/* The other end closed. HTTP_END where that ends a body that lasts until then; else -EPIPE: the response is cut. */
int http_parser_eof(struct http_parser *parser, struct error *err);

#endif
