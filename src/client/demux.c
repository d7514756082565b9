#include "client/demux.h"

#include <errno.h>

static int take_head(struct demux *demux, struct error *err)
{
	const unsigned char *h = demux->head;
	if (h[0] > 3 || h[1] || h[2] || h[3])
		return error_set(err, EPROTO, "the engine's output stream is malformed");
	demux->stream = h[0] >= 2 ? 2 : 1;
	demux->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
	demux->size = demux->left;
	demux->have = 0;
	return 0;
}

int demux_feed(struct demux *demux, const void *bytes, size_t len,
	       int (*out)(void *data, int stream, const char *bytes, size_t len), void *data, struct error *err)
{
	const char *at = bytes;
	while (len) {
		int r = 0;
		size_t take = 1;
		if (demux->left) {
			take = len < demux->left ? len : demux->left;
			demux->left -= (uint32_t)take;
			r = out(data, demux->stream, at, take);
		} else {
			demux->head[demux->have++] = (unsigned char)*at;
			if (demux->have == sizeof(demux->head))
				r = take_head(demux, err);
		}
		if (r < 0)
			return r;
		at += take;
		len -= take;
	}
	return 0;
}
