/* The agent's frames (wire/wire.h) as either end takes them: the first byte says which end speaks. Whatever the bytes, what comes out is in bounds,
 * the same whether they come at once or one by one, and is encoded again as it was. Also the chunker. */
#include "fuzz.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "wire/chunk.h"
#include "wire/wire.h"

struct outcome {
	int last;
	size_t count;
	uint64_t sum;
};

static void look_at(const struct wire_message *m, unsigned char *again, struct outcome *out)
{
	int len = wire_encode(m, again, WIRE_FRAME_MAX);
	assert(len >= WIRE_HEAD && len <= WIRE_FRAME_MAX);
	assert(m->path.len <= WIRE_PATH_MAX && m->text.len <= WIRE_PATH_MAX && m->data.len <= WIRE_DATA_MAX);
	out->sum = out->sum * 31 + wire_hash64(again, (size_t)len);
	out->count++;
}

static struct outcome run(const uint8_t *data, size_t size, enum wire_side from, size_t step)
{
	_cleanup_free_ unsigned char *buffer = xmalloc(WIRE_FRAME_MAX), *again = xmalloc(WIRE_FRAME_MAX);
	struct wire_message message;
	struct wire_input input;
	struct outcome out = {0};
	wire_input_init(&input, buffer, WIRE_FRAME_MAX, from);
	for (size_t at = 0; at < size && out.last >= 0;) {
		size_t room, take = step < size - at ? step : size - at;
		void *space = wire_input_space(&input, &room);
		assert(room > 0);
		take = take < room ? take : room;
		memcpy(space, data + at, take);
		wire_input_filled(&input, take);
		at += take;
		while ((out.last = wire_input_next(&input, &message)) == 1)
			look_at(&message, again, &out);
	}
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	enum wire_side from = data[0] & 1 ? WIRE_FROM_AGENT : WIRE_FROM_SKIFF;
	struct outcome whole = run(data + 1, size - 1, from, size), bytewise = run(data + 1, size - 1, from, 1);
	assert(whole.last == bytewise.last && whole.count == bytewise.count && whole.sum == bytewise.sum);
	for (size_t at = 0, n; at < size; at += n) {
		n = chunk_cut(data + at, size - at);
		assert(n > 0 && n <= CHUNK_MAX && n <= size - at);
	}
	return 0;
}
