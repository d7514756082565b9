/* WebSocket (RFC 6455), the client's end, without I/O: bytes in, events out, and frames into a buffer. The other end is hostile: what the RFC forbids
 * is -EPROTO, and nothing is held but a control frame.
 *
 *     struct websocket ws = {0};
 *     while ((event = websocket_step(&ws, &input, &piece, err)) > WEBSOCKET_NEED_MORE)
 *             ... WEBSOCKET_DATA: piece.bytes; WEBSOCKET_PING: answer with websocket_put(…, WEBSOCKET_OP_PONG, …) ... */
#ifndef NET_WEBSOCKET_H
#define NET_WEBSOCKET_H

#include "net/http.h"

enum {
	WEBSOCKET_CONTROL_MAX = 125,   /* bytes in a control frame (5.5) */
	WEBSOCKET_KEY_SIZE = 24 + 1,   /* base64 of 16 bytes */
	WEBSOCKET_ACCEPT_SIZE = 28 + 1 /* base64 of a SHA-1 */
};
#define WEBSOCKET_FRAME_MAX ((uint64_t)1 << 30) /* more in one frame is no answer of a server that is well */

enum websocket_opcode { /* 5.2 */
			WEBSOCKET_OP_CONTINUATION = 0,
			WEBSOCKET_OP_TEXT = 1,
			WEBSOCKET_OP_BINARY = 2,
			WEBSOCKET_OP_CLOSE = 8,
			WEBSOCKET_OP_PING = 9,
			WEBSOCKET_OP_PONG = 10
};

enum websocket_event {
	WEBSOCKET_NEED_MORE, /* the input is used up */
	WEBSOCKET_DATA,	     /* a piece of a message, text or binary alike */
	WEBSOCKET_PING,	     /* the bytes are to be sent back */
	WEBSOCKET_PONG,
	WEBSOCKET_CLOSE, /* nothing comes after it; the bytes are the reason, code is the status or 1005: none (7.1.5) */
};

struct websocket_piece {
	struct bytes
		bytes; /* of data it points into the input; of control frames into struct websocket, until the next step */
	bool first, last; /* of its message; both may be an empty piece */
	unsigned code;	  /* of WEBSOCKET_CLOSE */
};

struct websocket { /* all zero at the beginning */
	unsigned char head[10];
	size_t head_len;
	bool in_frame, in_message; /* in_message: the next data frame is a continuation */
	bool first;		   /* no piece of the message was given yet */
	bool final, closed;
	unsigned opcode; /* of the frame */
	uint64_t left;	 /* of its payload */
	unsigned char control[WEBSOCKET_CONTROL_MAX];
	size_t control_len;
};

/* One step: takes from the front of *input, gives an event, or -EPROTO with words. After an error or WEBSOCKET_CLOSE it gives WEBSOCKET_NEED_MORE. */
int websocket_step(struct websocket *ws, struct bytes *input, struct websocket_piece *piece, struct error *err);

/* Appends one frame, a whole message: prefix (Kubernetes' channel; may be empty) and bytes as its payload. Masked, as a client must (5.3), with bytes
 * of chance. 0, or -EOVERFLOW past out's maximum, and nothing is added. */
int websocket_put(struct str *out, enum websocket_opcode opcode, struct bytes prefix, struct bytes payload);

/* A fresh Sec-WebSocket-Key, and the Sec-WebSocket-Accept that answers it (4.2.2). */
void websocket_key(char key[WEBSOCKET_KEY_SIZE]);
void websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_SIZE]);

#endif
