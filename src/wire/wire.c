#include "wire/wire.h"

#include <errno.h>
#include <string.h>

/* The fields of each type, in their order. f flags · m mode · u uid · g gid · v value · c count · r reason · k kind: u32. s size · t mtime: u64.
 * h hash · e expected: two u64, high first. p path · x text: u16 and so many bytes. d data: the rest. V: magic u32, version_min
 * u16, version u16. R: the rest is ignored. */
#define OWNERS (WIRE_OWNER | WIRE_OWNER_IF_NEW)
#define EXPECTS (WIRE_EXPECT | WIRE_EXPECT_NONE)

static const struct shape {
	const char *fields;
	uint32_t flags; /* that it may have */
	uint8_t type;
	uint8_t sides; /* bit 0: skiff sends it; bit 1: the agent */
} shapes[] = {
	{"VfuvgshR", UINT32_MAX, WIRE_HELLO, 3},
	{"pfmugehd", OWNERS | EXPECTS, WIRE_WRITE, 1},
	{"pfmuges", OWNERS | EXPECTS | WIRE_DELTA, WIRE_OPEN, 1},
	{"d", 0, WIRE_DATA, 1},
	{"d", 0, WIRE_CHUNKS, 1},
	{"sh", 0, WIRE_CLOSE, 1},
	{"", 0, WIRE_DROP, 1},
	{"pfmug", OWNERS, WIRE_MKDIR, 1},
	{"pxfuge", OWNERS | EXPECTS, WIRE_SYMLINK, 1},
	{"pfe", WIRE_EXPECT, WIRE_DELETE, 1},
	{"pm", 0, WIRE_CHMOD, 1},
	{"f", WIRE_STRICT, WIRE_COMMIT, 1},
	{"", 0, WIRE_ABORT, 1},
	{"pf", WIRE_NO_CONTENT, WIRE_STAT, 1},
	{"p", 0, WIRE_CHECK, 1},
	{"pv", 0, WIRE_READ, 1},
	{"xfugvcd", WIRE_AS_USER, WIRE_RUN, 1},
	{"v", 0, WIRE_KILL, 1},
	{"fv", WIRE_MAIN, WIRE_SUPERVISE, 1},
	{"", 0, WIRE_PING, 1},
	{"vrfkhmug", WIRE_ATOMIC | WIRE_OWNER_REFUSED, WIRE_RESULT, 2},
	{"d", 0, WIRE_HAVE, 2},
	{"vfc", WIRE_ATOMIC, WIRE_COMMITTED, 2},
	{"vkmugsth", 0, WIRE_STATE, 2},
	{"d", 0, WIRE_CONTENT, 2},
	{"vd", 0, WIRE_OUTPUT, 2},
	{"vc", 0, WIRE_EXIT, 2},
	{"", 0, WIRE_PONG, 2},
	{"vx", 0, WIRE_BYE, 2},
};

static const struct shape *shape_of(uint8_t type)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (shapes[i].type == type)
			return &shapes[i];
	return NULL;
}

static uint32_t *field32(struct wire_message *m, char field)
{
	switch (field) {
	case 'f':
		return &m->flags;
	case 'm':
		return &m->mode;
	case 'u':
		return &m->uid;
	case 'g':
		return &m->gid;
	case 'v':
		return &m->value;
	case 'c':
		return &m->count;
	case 'r':
		return &m->reason;
	case 'k':
		return &m->kind;
	default:
		return NULL;
	}
}

static uint64_t *field64(struct wire_message *m, char field)
{
	return field == 's' ? &m->size : field == 't' ? &m->mtime : NULL;
}

static struct wire_hash *field_hash(struct wire_message *m, char field)
{
	return field == 'h' ? &m->hash : field == 'e' ? &m->expected : NULL;
}

static struct wire_bytes *field_bytes(struct wire_message *m, char field)
{
	return field == 'p' ? &m->path : field == 'x' ? &m->text : NULL;
}

static void put(unsigned char *at, uint64_t number, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (unsigned char)(number >> (8 * i));
}

static uint64_t get(const unsigned char *at, unsigned bytes)
{
	uint64_t number = 0;
	for (unsigned i = 0; i < bytes; i++)
		number |= (uint64_t)at[i] << (8 * i);
	return number;
}

bool wire_path_valid(const char *path, size_t len)
{
	if (len < 2 || len > WIRE_PATH_MAX || path[0] != '/' || memchr(path, '\0', len))
		return false;
	for (size_t at = 0; at < len;) { /* at a slash */
		const char *element = path + at + 1;
		size_t left = len - at - 1;
		const char *slash = memchr(element, '/', left);
		size_t size = slash ? (size_t)(slash - element) : left;
		bool dots = (size == 1 && element[0] == '.') || (size == 2 && element[0] == '.' && element[1] == '.');
		if (size == 0 || size > WIRE_NAME_MAX || dots)
			return false;
		at += size + 1;
	}
	return true;
}

static bool text_valid(struct wire_bytes text)
{
	return text.len <= WIRE_PATH_MAX && (text.len == 0 || !memchr(text.data, '\0', text.len));
}

static bool strings_valid(struct wire_bytes data, uint64_t count)
{
	uint64_t zeros = 0;
	for (size_t i = 0; i < data.len; i++)
		zeros += ((const char *)data.data)[i] == '\0';
	return zeros == count && count <= WIRE_STRINGS_MAX &&
	       (data.len == 0 || ((const char *)data.data)[data.len - 1] == '\0');
}

static bool chunks_valid(struct wire_bytes data)
{
	if (data.len == 0 || data.len % WIRE_CHUNK_SIZE || data.len / WIRE_CHUNK_SIZE > WIRE_CHUNKS_MAX)
		return false;
	for (size_t i = 0; i < data.len / WIRE_CHUNK_SIZE; i++) {
		uint32_t len = wire_chunk_get(data.data, i).len;
		if (len == 0 || len > WIRE_DATA_MAX)
			return false;
	}
	return true;
}

/* What a type's fields must fulfil beyond their form. */
static bool meaning_valid(const struct shape *shape, const struct wire_message *m)
{
	if (m->flags & ~shape->flags)
		return false;
	if (strchr(shape->fields, 'p') && !wire_path_valid(m->path.data, m->path.len))
		return false;
	if (!text_valid(m->text) || m->data.len > WIRE_DATA_MAX)
		return false;
	bool keep = shape->sides == 1 && m->mode == WIRE_MODE_KEEP && m->type != WIRE_CHMOD;
	if (m->mode > 07777 && !keep)
		return false;
	switch (m->type) {
	case WIRE_SYMLINK:
		return m->text.len > 0;
	case WIRE_CHUNKS:
		return chunks_valid(m->data);
	case WIRE_RUN:
		return m->value > 0 && strings_valid(m->data, (uint64_t)m->value + m->count);
	case WIRE_READ:
		return m->value <= WIRE_DATA_MAX;
	case WIRE_KILL:
	case WIRE_SUPERVISE:
		return m->value <= 64;
	case WIRE_HAVE:
		return m->data.len > 0 && m->data.len <= WIRE_CHUNKS_MAX / 8;
	case WIRE_RESULT:
	case WIRE_STATE:
		return m->kind <= WIRE_OTHER && m->reason <= WIRE_REASON_OTHER;
	default:
		return true;
	}
}

struct writer {
	unsigned char *at;
	size_t left;
	bool full;
};

static void add_number(struct writer *w, uint64_t number, unsigned bytes)
{
	if (w->left < bytes) {
		w->full = true;
		return;
	}
	put(w->at, number, bytes);
	w->at += bytes;
	w->left -= bytes;
}

static void add_bytes(struct writer *w, struct wire_bytes bytes)
{
	add_number(w, bytes.len, 2);
	if (w->full || w->left < bytes.len) {
		w->full = true;
		return;
	}
	if (bytes.len)
		memcpy(w->at, bytes.data, bytes.len);
	w->at += bytes.len;
	w->left -= bytes.len;
}

static void add_field(struct writer *w, struct wire_message *m, char field)
{
	if (field == 'V') {
		add_number(w, WIRE_MAGIC, 4);
		add_number(w, m->version_min, 2);
		add_number(w, m->version, 2);
	} else if (field32(m, field)) {
		add_number(w, *field32(m, field), 4);
	} else if (field64(m, field)) {
		add_number(w, *field64(m, field), 8);
	} else if (field_hash(m, field)) {
		add_number(w, field_hash(m, field)->high, 8);
		add_number(w, field_hash(m, field)->low, 8);
	} else if (field_bytes(m, field)) {
		add_bytes(w, *field_bytes(m, field));
	}
}

int wire_encode_head(const struct wire_message *message, void *buffer, size_t cap)
{
	struct wire_message m = *message;
	const struct shape *shape = shape_of(m.type);
	struct writer w = {.at = buffer, .left = cap};
	if (!shape || !meaning_valid(shape, &m) || (m.data.len && !strchr(shape->fields, 'd')))
		return -EINVAL;
	add_number(&w, 0, 4);
	add_number(&w, m.type, 1);
	add_number(&w, m.id, 4);
	for (const char *field = shape->fields; *field; field++)
		add_field(&w, &m, *field);
	if (w.full)
		return -ENOBUFS;
	put(buffer, cap - w.left - 4 + m.data.len, 4);
	return (int)(cap - w.left);
}

int wire_encode(const struct wire_message *message, void *buffer, size_t cap)
{
	int head = wire_encode_head(message, buffer, cap);
	if (head < 0)
		return head;
	if (cap - (size_t)head < message->data.len)
		return -ENOBUFS;
	if (message->data.len)
		memcpy((unsigned char *)buffer + head, message->data.data, message->data.len);
	return head + (int)message->data.len;
}

struct reader {
	const unsigned char *at;
	size_t left;
	bool bad;
};

static uint64_t take_number(struct reader *r, unsigned bytes)
{
	if (r->left < bytes) {
		r->bad = true;
		return 0;
	}
	uint64_t number = get(r->at, bytes);
	r->at += bytes;
	r->left -= bytes;
	return number;
}

static struct wire_bytes take_bytes(struct reader *r, size_t len)
{
	if (r->bad || r->left < len) {
		r->bad = true;
		return (struct wire_bytes){0};
	}
	struct wire_bytes bytes = {r->at, len};
	r->at += len;
	r->left -= len;
	return bytes;
}

static void take_field(struct reader *r, struct wire_message *m, char field)
{
	if (field == 'V') {
		r->bad = r->bad || take_number(r, 4) != WIRE_MAGIC;
		m->version_min = (uint16_t)take_number(r, 2);
		m->version = (uint16_t)take_number(r, 2);
	} else if (field32(m, field)) {
		*field32(m, field) = (uint32_t)take_number(r, 4);
	} else if (field64(m, field)) {
		*field64(m, field) = take_number(r, 8);
	} else if (field_hash(m, field)) {
		field_hash(m, field)->high = take_number(r, 8);
		field_hash(m, field)->low = take_number(r, 8);
	} else if (field_bytes(m, field)) {
		*field_bytes(m, field) = take_bytes(r, (size_t)take_number(r, 2));
	} else { /* d, R */
		struct wire_bytes rest = take_bytes(r, r->left);
		if (field == 'd')
			m->data = rest;
	}
}

static int decode(const unsigned char *frame, size_t len, enum wire_side from, struct wire_message *m)
{
	struct reader r = {.at = frame, .left = len};
	*m = (struct wire_message){.type = (uint8_t)take_number(&r, 1), .id = (uint32_t)take_number(&r, 4)};
	const struct shape *shape = shape_of(m->type);
	if (!shape || !(shape->sides >> from & 1))
		return -EPROTO;
	for (const char *field = shape->fields; *field; field++)
		take_field(&r, m, *field);
	return r.bad || r.left || !meaning_valid(shape, m) ? -EPROTO : 0;
}

void wire_input_init(struct wire_input *input, void *buffer, size_t cap, enum wire_side from)
{
	*input = (struct wire_input){.buffer = buffer, .cap = cap, .from = from};
}

void *wire_input_space(struct wire_input *input, size_t *len)
{
	size_t held = input->end - input->start;
	if (held == 0) {
		input->start = input->end = 0;
	} else if (input->cap - input->start < WIRE_FRAME_MAX) {
		memmove(input->buffer, input->buffer + input->start, held);
		input->start = 0;
		input->end = held;
	}
	*len = input->cap - input->end;
	return input->buffer + input->end;
}

void wire_input_filled(struct wire_input *input, size_t len)
{
	input->end += len;
}

int wire_input_next(struct wire_input *input, struct wire_message *message)
{
	const unsigned char *at = input->buffer + input->start;
	size_t held = input->end - input->start;
	if (held < 4)
		return 0;
	uint64_t len = get(at, 4);
	if (len < WIRE_HEAD - 4 || len > WIRE_FRAME_MAX - 4 || (!input->greeted && len > WIRE_HELLO_MAX))
		return -EPROTO;
	if (held > 4 && (at[4] == WIRE_HELLO) == input->greeted)
		return -EPROTO; /* once, and first */
	if (held < len + 4)
		return 0;
	int r = decode(at + 4, (size_t)len, input->from, message);
	if (r < 0)
		return r;
	if (message->type == WIRE_HELLO) {
		r = wire_agree(message->version_min, message->version);
		if (r < 0)
			return r;
		input->greeted = true;
	}
	input->start += len + 4;
	return 1;
}

int wire_agree(uint16_t version_min, uint16_t version)
{
	int newest = version < WIRE_VERSION ? version : WIRE_VERSION;
	int oldest = version_min > WIRE_VERSION_MIN ? version_min : WIRE_VERSION_MIN;
	return newest >= oldest ? newest : -EPROTONOSUPPORT;
}

void wire_chunk_put(void *data, size_t index, struct wire_chunk chunk)
{
	unsigned char *at = (unsigned char *)data + index * WIRE_CHUNK_SIZE;
	put(at, chunk.hash, 8);
	put(at + 8, chunk.len, 4);
}

struct wire_chunk wire_chunk_get(const void *data, size_t index)
{
	const unsigned char *at = (const unsigned char *)data + index * WIRE_CHUNK_SIZE;
	return (struct wire_chunk){.hash = get(at, 8), .len = (uint32_t)get(at + 8, 4)};
}
