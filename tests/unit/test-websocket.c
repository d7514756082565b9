/* WebSocket frames: the RFC's own examples, recorded bytes of a Kubernetes API server, and what a server may not send; whole, and split at every offset. */
#include "test.h"

#include <errno.h>

#include "net/websocket.h"

struct outcome {
	struct str told; /* one word an event */
	int last;
};

static void tell(struct outcome *out, int event, const struct websocket_piece *piece)
{
	static const char *const names[] = {NULL, "data", "ping", "pong", "close"};
	if (event == WEBSOCKET_DATA) { /* pieces of one message are told as one, wherever they were cut */
		if (piece->first)
			str_add(&out->told, "[");
		str_add_bytes(&out->told, piece->bytes.data, piece->bytes.len);
		if (piece->last)
			str_add(&out->told, "]");
		return;
	}
	str_addf(&out->told, "(%s %u %.*s)", names[event], piece->code, (int)piece->bytes.len, piece->bytes.data);
}

static void feed(const char *bytes, size_t len, size_t split, struct outcome *out)
{
	struct websocket ws = {0};
	struct bytes pieces[] = {{bytes, split}, {bytes + split, len - split}};
	for (int i = 0; i < 2; i++) {
		struct websocket_piece piece;
		int event;
		while ((event = websocket_step(&ws, &pieces[i], &piece, NULL)) > WEBSOCKET_NEED_MORE)
			tell(out, event, &piece);
		if (event < 0) {
			out->last = event;
			return;
		}
	}
}

static void reads_frames(void **state)
{
	(void)state;
#define BYTES(text) text, sizeof(text) - 1
	static const struct {
		const char *bytes;
		size_t len;
		int last;
		const char *told;
	} cases[] = {
		/* RFC 6455, 5.7 */
		{BYTES("\x81\x05Hello"), 0, "[Hello]"},
		{BYTES("\x01\x03Hel\x80\x02lo"), 0, "[Hello]"},
		{BYTES("\x89\x05Hello"), 0, "(ping 0 Hello)"},
		{BYTES("\x01\x03Hel\x8a\x01!\x80\x02lo"), 0, "[Hel(pong 0 !)lo]"},
		/* an API server, v5: an output, the status, the end */
		{BYTES("\x82\x04\x01"
		       "hi\n\x82\x11\x03{\"status\":\"S..\"}\x88\x02\x03\xe8"),
		 0, "[\x01hi\n][\x03{\"status\":\"S..\"}](close 1000 )"},
		{BYTES("\x82\x00\x02\x00\x80\x00"), 0, "[][]"},
		{BYTES("\x88\x00"), 0, "(close 1005 )"},
		{BYTES("\x88\x06\x03\xf3"
		       "went\x81\x01x"),
		 0, "(close 1011 went)"},
		/* what may not be */
		{BYTES("\xc1\x01x"), -EPROTO, ""},
		{BYTES("\x81\x81"
		       "abcdx"),
		 -EPROTO, ""},
		{BYTES("\x83\x01x"), -EPROTO, ""},
		{BYTES("\x8b\x01x"), -EPROTO, ""},
		{BYTES("\x80\x01x"), -EPROTO, ""},
		{BYTES("\x01\x01x\x81\x01y"), -EPROTO, "[x"},
		{BYTES("\x09\x01x"), -EPROTO, ""},
		{BYTES("\x89\x7e\x00\x7e"), -EPROTO, ""},
		{BYTES("\x88\x01\x03"), -EPROTO, ""},
		{BYTES("\x82\x7e\x00\x7d"), -EPROTO, ""},
		{BYTES("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"), -EPROTO, ""},
		{BYTES("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), -EPROTO, ""},
	};
#undef BYTES
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t split = 0; split <= cases[i].len; split++) {
			struct outcome out = {0};
			feed(cases[i].bytes, cases[i].len, split, &out);
			assert_int_equal(out.last, cases[i].last);
			assert_string_equal(str_text(&out.told), cases[i].told);
			str_release(&out.told);
		}
	}
}

/* As the server reads it: unmasked. */
static void check_frame(size_t len, size_t head)
{
	CLEANUP(str_release) struct str out = {0}, payload = {0};
	for (size_t i = 0; i < len; i++)
		str_add_char(&payload, (char)(i * 7));
	websocket_put(&out, WEBSOCKET_OP_BINARY, (struct bytes){"\0", 1}, (struct bytes){str_text(&payload), len});
	assert_int_equal(out.len, head + 4 + 1 + len);
	const unsigned char *bytes = (const unsigned char *)out.data, *mask = bytes + head, *masked = mask + 4;
	assert_int_equal(bytes[0], 0x82);
	assert_true(bytes[1] & 0x80);
	uint64_t told = head == 2 ? bytes[1] & 0x7f : 0;
	for (size_t i = 2; i < head; i++)
		told = told << 8 | bytes[i];
	assert_int_equal(told, len + 1);
	assert_int_equal(masked[0] ^ mask[0], 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(masked[1 + i] ^ mask[(1 + i) % 4], (unsigned char)(i * 7));
}

static void writes_frames(void **state)
{
	(void)state;
	check_frame(0, 2);
	check_frame(124, 2);
	check_frame(125, 4);
	check_frame(65534, 4);
	check_frame(65535, 10);
}

static void shakes_hands(void **state)
{
	(void)state;
	char key[WEBSOCKET_KEY_SIZE], other[WEBSOCKET_KEY_SIZE], accept[WEBSOCKET_ACCEPT_SIZE];
	websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept); /* RFC 6455, 1.3 */
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	websocket_key(key);
	websocket_key(other);
	assert_int_equal(strlen(key), 24);
	assert_string_equal(key + 22, "==");
	assert_string_not_equal(key, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_frames),
		cmocka_unit_test(writes_frames),
		cmocka_unit_test(shakes_hands),
	};
	return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
