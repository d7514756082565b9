/* The engine's stream of stdout and stderr in one (docs.docker.com/reference/api/engine, "attach": a header of 8 bytes, stream number,
 * three zeros, length big-endian, before each piece), without I/O. */
#ifndef CLIENT_DEMUX_H
#define CLIENT_DEMUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct demux {
	unsigned char head[8];
	unsigned have; /* bytes of the head */
	uint32_t size; /* of the frame */
	uint32_t left; /* of it, after the piece that is being handed out */
	int stream;    /* 1 stdout, 2 stderr */
};

/* Zero-initialised is ready. Hands each piece (borrowed, as it comes: a frame may be given in several) to out; its negative return ends the call
 * and is returned. -EPROTO on a header that can't be one. */
int demux_feed(struct demux *demux, const void *bytes, size_t len,
	       int (*out)(void *data, int stream, const char *bytes, size_t len), void *data, struct error *err);

/* For out: is this piece, of len bytes, the first of its frame? */
static inline bool demux_at_start(const struct demux *demux, size_t len)
{
	return demux->left + len == demux->size;
}

#endif
