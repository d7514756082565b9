/* HTTP responses (net/http.h) and the engine's multiplexed output (client/demux.h): whatever the bytes, every answer must be in bounds, and the
 * same whether they come at once or one by one. */
#include "fuzz.h"

#include <assert.h>
#include <string.h>

#include "client/demux.h"
#include "net/http.h"

struct outcome {
	int last; /* the last event, or the error */
	unsigned status;
	uint64_t body; /* bytes */
	uint64_t body_sum;
	size_t heads;
	size_t left; /* of the input, after the end */
};

static uint64_t touch(const char *data, size_t len, uint64_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum = sum * 31 + (unsigned char)data[i];
	return sum;
}

static struct outcome run(const uint8_t *data, size_t size, size_t step, bool head_request)
{
	struct outcome out = {0};
	struct http_parser parser;
	http_parser_init(&parser, head_request);
	bool going = true;
	for (size_t at = 0; going && at < size; at += step) {
		size_t len = size - at < step ? size - at : step;
		struct bytes input = {(const char *)data + at, len}, body = {0};
		int event;
		while ((event = http_parser_step(&parser, &input, &body, NULL)) > HTTP_NEED_MORE) {
			out.last = event;
			out.heads += event == HTTP_HEAD;
			out.status = parser.response.status;
			if (event == HTTP_BODY) {
				assert(body.len && body.data >= (const char *)data &&
				       body.data + body.len <= (const char *)data + size);
				out.body += body.len;
				out.body_sum = touch(body.data, body.len, out.body_sum);
			}
			if (event == HTTP_END || event == HTTP_UPGRADED) {
				out.left = size - at - len + input.len;
				going = false;
				break;
			}
		}
		if (event < 0) {
			out.last = event;
			going = false;
		}
	}
	if (going && http_parser_eof(&parser, NULL) == HTTP_END)
		out.last = HTTP_END;
	assert(parser.response.headers.len <= HTTP_HEADERS_MAX && parser.line.len <= HTTP_LINE_MAX);
	http_response_has_token(&parser.response, "Connection", "close");
	http_parser_release(&parser);
	return out;
}

static int take(void *data, int stream, const char *bytes, size_t len)
{
	uint64_t *sum = data;
	assert(stream == 1 || stream == 2);
	*sum = touch(bytes, len, *sum + (unsigned)stream);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int head = 0; head < 2; head++) {
		struct outcome whole = run(data, size, size ? size : 1, head), bytewise = run(data, size, 1, head);
		assert(whole.last == bytewise.last && whole.status == bytewise.status && whole.heads == bytewise.heads);
		assert(whole.body == bytewise.body && whole.body_sum == bytewise.body_sum &&
		       whole.left == bytewise.left);
	}
	struct demux demux = {0};
	uint64_t sum = 0;
	demux_feed(&demux, data, size, take, &sum, NULL);
	return 0;
}
