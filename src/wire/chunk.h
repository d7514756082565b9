/* Content-defined chunks: a file is cut where its bytes say so, not at fixed places, so that a change, or bytes inserted at the front, move only the
 * cuts nearby. A gear hash over a sliding window with normalised chunk sizes (Xia et al., "FastCDC", USENIX ATC 2016). Both ends must cut
 * alike: the sizes, the masks and the table are part of the protocol (WIRE_VERSION). */
#ifndef WIRE_CHUNK_H
#define WIRE_CHUNK_H

#include <stddef.h>
#include <stdint.h>

enum {
	CHUNK_MIN = 8 << 10, /* no chunk is shorter, except a file's last */
	CHUNK_AVERAGE = 32 << 10,
	CHUNK_MAX = 128 << 10,
};

/* The length of the chunk that begins at `bytes`: give at least CHUNK_MAX bytes, or all that is left of the file. 0 only for len 0. */
size_t chunk_cut(const void *bytes, size_t len);

#endif
