/* WebSocket frames (net/websocket.h): whatever the bytes, the same events come whether they arrive at once or one by one, and all in bounds. */
#include "fuzz.h"

#include <assert.h>

#include "net/websocket.h"

struct outcome {
	int last; /* the last event, or the error */
	unsigned code;
	uint64_t bytes, sum, messages, controls;
};

static struct outcome run(const uint8_t *data, size_t size, size_t step)
{
	struct outcome out = {0};
	struct websocket ws = {0};
	for (size_t at = 0; at < size && out.last >= 0; at += step) {
		struct bytes input = {(const char *)data + at, size - at < step ? size - at : step};
		struct websocket_piece piece;
		int event;
		while ((event = websocket_step(&ws, &input, &piece, NULL)) > WEBSOCKET_NEED_MORE) {
			out.last = event;
			out.messages += event == WEBSOCKET_DATA && piece.last;
			out.controls += event != WEBSOCKET_DATA;
			out.code = event == WEBSOCKET_CLOSE ? piece.code : out.code;
			assert(event == WEBSOCKET_DATA || piece.bytes.len <= WEBSOCKET_CONTROL_MAX);
			for (size_t i = 0; i < piece.bytes.len; i++)
				out.sum = out.sum * 31 + (unsigned char)piece.bytes.data[i];
			out.bytes += piece.bytes.len;
		}
		out.last = event < 0 ? event : out.last;
	}
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole = run(data, size, size ? size : 1), bytewise = run(data, size, 1);
	assert(whole.last == bytewise.last && whole.code == bytewise.code && whole.sum == bytewise.sum);
	assert(whole.bytes == bytewise.bytes && whole.messages == bytewise.messages &&
	       whole.controls == bytewise.controls);
	return 0;
}
