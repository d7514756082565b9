#include "net/websocket.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { FINAL = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f, LENGTH_16 = 126, LENGTH_64 = 127 };
enum { CLOSE_NO_STATUS = 1005 };

static int bad(struct websocket *ws, const char *what, struct error *err)
{
	ws->closed = true;
	return error_set(err, EPROTO, "the server breaks the WebSocket protocol: %s", what);
}

/* How long the head is, by what is there of it. */
static size_t head_size(const struct websocket *ws)
{
	unsigned length = ws->head_len > 1 ? ws->head[1] & LENGTH : 0;
	return 2 + (length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0);
}

static bool take_head(struct websocket *ws, struct bytes *input)
{
	while (input->len && (ws->head_len < 2 || ws->head_len < head_size(ws))) {
		ws->head[ws->head_len++] = (unsigned char)*input->data++;
		input->len--;
	}
	return ws->head_len >= 2 && ws->head_len == head_size(ws);
}

static int begin_control(struct websocket *ws, struct error *err)
{
	if (ws->opcode > WEBSOCKET_OP_PONG)
		return bad(ws, "a frame of an unknown kind", err);
	if (!ws->final || ws->left > WEBSOCKET_CONTROL_MAX)
		return bad(ws, "a control frame that is cut or too long", err);
	if (ws->opcode == WEBSOCKET_OP_CLOSE && ws->left == 1)
		return bad(ws, "half a status in its close frame", err);
	ws->control_len = 0;
	return 0;
}

static int begin_data(struct websocket *ws, struct error *err)
{
	if (ws->opcode > WEBSOCKET_OP_BINARY)
		return bad(ws, "a frame of an unknown kind", err);
	if ((ws->opcode == WEBSOCKET_OP_CONTINUATION) != ws->in_message)
		return bad(ws, ws->in_message ? "a message within another" : "a continuation of nothing", err);
	if (ws->left > WEBSOCKET_FRAME_MAX)
		return bad(ws, "a frame that is too long", err);
	ws->first = !ws->in_message || ws->first;
	ws->in_message = true;
	return 0;
}

static int begin_frame(struct websocket *ws, struct error *err)
{
	size_t size = ws->head_len;
	ws->head_len = 0;
	ws->in_frame = true;
	ws->final = ws->head[0] & FINAL;
	ws->opcode = ws->head[0] & OPCODE;
	ws->left = size == 2 ? ws->head[1] & LENGTH : 0;
	for (size_t i = 2; i < size; i++)
		ws->left = ws->left << 8 | ws->head[i];
	if (ws->head[0] & RESERVED)
		return bad(ws, "bits of an extension that nobody asked for", err);
	if (ws->head[1] & MASKED)
		return bad(ws, "a masked frame", err);
	if ((size == 4 && ws->left < LENGTH_16) || (size == 10 && ws->left <= UINT16_MAX))
		return bad(ws, "a length in more bytes than it needs", err);
	return ws->opcode >= WEBSOCKET_OP_CLOSE ? begin_control(ws, err) : begin_data(ws, err);
}

static int end_control(struct websocket *ws, struct websocket_piece *piece)
{
	bool close = ws->opcode == WEBSOCKET_OP_CLOSE, told = close && ws->control_len >= 2;
	size_t skip = told ? 2 : 0;
	*piece = (struct websocket_piece){.bytes = {(const char *)ws->control + skip, ws->control_len - skip}};
	if (close)
		piece->code = told ? (unsigned)ws->control[0] << 8 | ws->control[1] : CLOSE_NO_STATUS;
	ws->in_frame = false;
	ws->closed = close;
	return close ? WEBSOCKET_CLOSE : ws->opcode == WEBSOCKET_OP_PING ? WEBSOCKET_PING : WEBSOCKET_PONG;
}

static int step_data(struct websocket *ws, struct bytes *input, struct websocket_piece *piece)
{
	size_t take = ws->left < input->len ? (size_t)ws->left : input->len;
	if (take == 0 && ws->left > 0)
		return WEBSOCKET_NEED_MORE;
	*piece = (struct websocket_piece){.bytes = {input->data, take}, .first = ws->first};
	input->data += take;
	input->len -= take;
	ws->left -= take;
	ws->first = false;
	ws->in_frame = ws->left > 0;
	piece->last = !ws->in_frame && ws->final;
	ws->in_message = !piece->last;
	return WEBSOCKET_DATA;
}

int websocket_step(struct websocket *ws, struct bytes *input, struct websocket_piece *piece, struct error *err)
{
	if (ws->closed)
		return WEBSOCKET_NEED_MORE;
	if (!ws->in_frame) {
		if (!take_head(ws, input))
			return WEBSOCKET_NEED_MORE;
		int r = begin_frame(ws, err);
		if (r < 0)
			return r;
	}
	if (ws->opcode < WEBSOCKET_OP_CLOSE)
		return step_data(ws, input, piece);
	size_t take = ws->left < input->len ? (size_t)ws->left : input->len;
	memcpy(ws->control + ws->control_len, input->data, take);
	ws->control_len += take;
	ws->left -= take;
	input->data += take;
	input->len -= take;
	return ws->left > 0 ? WEBSOCKET_NEED_MORE : end_control(ws, piece);
}

static void chance(void *bytes, size_t len)
{
	if (getrandom(bytes, len, GRND_NONBLOCK) != (ssize_t)len)
		memset(bytes, 0x5a, len); /* right after booting: nothing that is done here depends on it */
}

static void put_masked(char *at, struct bytes bytes, const unsigned char mask[4], size_t offset)
{
	for (size_t i = 0; i < bytes.len; i++)
		at[i] = (char)((unsigned char)bytes.data[i] ^ mask[(offset + i) & 3]);
}

int websocket_put(struct str *out, enum websocket_opcode opcode, struct bytes prefix, struct bytes payload)
{
	unsigned char head[14] = {(unsigned char)(FINAL | opcode)}, *mask;
	uint64_t len = (uint64_t)prefix.len + payload.len;
	size_t size = 2;
	int more = len < LENGTH_16 ? 0 : len <= UINT16_MAX ? 2 : 8;
	head[1] = (unsigned char)(MASKED | (more == 0 ? len : more == 2 ? LENGTH_16 : LENGTH_64));
	while (more-- > 0)
		head[size++] = (unsigned char)(len >> (8 * more));
	mask = head + size;
	chance(mask, 4);
	char *at = str_reserve(out, size + 4 + (size_t)len);
	if (!at)
		return -EOVERFLOW;
	memcpy(at, head, size + 4);
	at += size + 4;
	put_masked(at, prefix, mask, 0);
	put_masked(at + prefix.len, payload, mask, prefix.len);
	out->len += size + 4 + (size_t)len;
	out->data[out->len] = '\0';
	return 0;
}

/* FIPS 180-4, for the handshake alone: no secret rests on it. */
static uint32_t rotate(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t state[5], const unsigned char *block)
{
	static const uint32_t constants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
	uint32_t w[80], v[5];
	for (int t = 0; t < 16; t++)
		w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
		       (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
	for (int t = 16; t < 80; t++)
		w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	memcpy(v, state, sizeof(v));
	for (int t = 0; t < 80; t++) {
		uint32_t choose = (v[1] & v[2]) | (~v[1] & v[3]), parity = v[1] ^ v[2] ^ v[3];
		uint32_t majority = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
		uint32_t f = t < 20 ? choose : t >= 40 && t < 60 ? majority : parity;
		uint32_t next = rotate(v[0], 5) + f + v[4] + constants[t / 20] + w[t];
		v[4] = v[3];
		v[3] = v[2];
		v[2] = rotate(v[1], 30);
		v[1] = v[0];
		v[0] = next;
	}
	for (int i = 0; i < 5; i++)
		state[i] += v[i];
}

enum { SHA1_BLOCK = 64, SHA1_SIZE = 20, HANDSHAKE_MAX = 2 * SHA1_BLOCK - 9 };

/* Of at most HANDSHAKE_MAX bytes. */
static void sha1(const char *text, size_t len, unsigned char digest[SHA1_SIZE])
{
	uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	unsigned char padded[2 * SHA1_BLOCK] = {0};
	size_t size = len + 9 <= SHA1_BLOCK ? SHA1_BLOCK : 2 * SHA1_BLOCK;
	memcpy(padded, text, len);
	padded[len] = 0x80;
	padded[size - 2] = (unsigned char)(len * 8 >> 8);
	padded[size - 1] = (unsigned char)(len * 8);
	for (size_t at = 0; at < size; at += SHA1_BLOCK)
		sha1_block(state, padded + at);
	for (size_t i = 0; i < SHA1_SIZE; i++)
		digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
}

/* RFC 4648, 4; with its NUL. */
static void base64(const unsigned char *bytes, size_t len, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < len; i += 3) {
		uint32_t three = (uint32_t)bytes[i] << 16;
		three |= i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0;
		three |= i + 2 < len ? bytes[i + 2] : 0;
		*out++ = digits[three >> 18];
		*out++ = digits[three >> 12 & 63];
		*out++ = i + 1 < len ? digits[three >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[three & 63] : '=';
	}
	*out = '\0';
}

void websocket_key(char key[WEBSOCKET_KEY_SIZE])
{
	unsigned char bytes[16];
	chance(bytes, sizeof(bytes));
	base64(bytes, sizeof(bytes), key);
}

void websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_SIZE])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* 1.3 */
	char text[HANDSHAKE_MAX];
	unsigned char digest[SHA1_SIZE];
	int len = snprintf(text, sizeof(text), "%.64s%s", key, guid);
	sha1(text, (size_t)len, digest);
	base64(digest, sizeof(digest), accept);
}
