#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/agent-line.h"
#include "runtime/source.h"
#include "wire/chunk.h"

enum {
	PIECE = 128 << 10,    /* of a file that travels whole */
	WINDOW = 1 << 20,     /* that is cut into chunks at once */
	DELTA_MIN = 64 << 10, /* a smaller file that is there is not worth asking about */
	ROUNDS = 3,	      /* for files that changed between two readings */
};

_Static_assert(WINDOW >= 2 * CHUNK_MAX, "a chunk always fits");

struct carrying {
	struct agent *agent;
	const struct carry *carry;
	struct agent_item *items;
	uint64_t *bytes;
	bool whole;		   /* chunks did not come out right: no more of them */
	bool committed;		   /* COMMITTED came */
	struct wire_message state; /* the last STATE */
	bool state_came;
	unsigned char have[WIRE_CHUNKS_MAX / 8];
	bool have_came;
	struct error unread; /* a source could not be read to its end */
};

static void take_answer(void *data, size_t index, const struct wire_message *m)
{
	struct carrying *c = data;
	bool of_item = index < c->carry->len; /* else of the COMMIT */
	if (m->type == WIRE_RESULT && of_item) {
		agent_take_result(&c->items[index], m);
	} else if (m->type == WIRE_HAVE) {
		memcpy(c->have, m->data.data, m->data.len);
		c->have_came = true;
	} else if (m->type == WIRE_STATE) {
		c->state = *m;
		c->state_came = true;
	} else if (m->type == WIRE_COMMITTED && !of_item) {
		c->committed = true;
	}
}

static struct wire_hash to_wire(struct hash hash)
{
	return (struct wire_hash){hash.high, hash.low};
}

static struct wire_message message_for(const struct carrying *c, size_t index, enum wire_type type)
{
	const struct carry_item *item = &c->carry->items[index];
	const struct agent_item *owner = &c->items[index];
	struct wire_message m = {.type = (uint8_t)type,
				 .id = c->agent->base + (uint32_t)index,
				 .path = agent_path(item->dest)};
	static const struct hash none = {0};
	bool content = type == WIRE_WRITE || type == WIRE_OPEN || type == WIRE_SYMLINK;
	if (content && item->expects && !owner->ours) {
		m.flags = hash_equal(item->expected, none) ? WIRE_EXPECT_NONE : WIRE_EXPECT;
		m.expected = to_wire(item->expected);
	}
	if (type == WIRE_DELETE || !owner->owner)
		return m;
	m.flags |= WIRE_OWNER | (owner->owner_if_new ? WIRE_OWNER_IF_NEW : 0);
	m.uid = owner->uid;
	m.gid = owner->gid;
	return m;
}

static uint32_t wire_mode(const struct carry_item *item, const struct source *source)
{
	return item->mode == MODE_KEEP ? WIRE_MODE_KEEP : source_mode(item, source, 0);
}

static void failed_here(struct agent_item *item, int code, struct error *why)
{
	item->code = code;
	item->settled = true;
	item->words = steal(&why->message);
}

static int say_data(struct agent *agent, uint32_t id, const void *bytes, size_t len)
{
	return agent_say(agent, &(struct wire_message){.type = WIRE_DATA, .id = id, .data = {bytes, len}});
}

/* What is at the destination, by one question: only a file of some size is worth chunks. */
static int worth_chunks(struct carrying *c, const struct wire_message *open, bool *worth)
{
	struct agent *agent = c->agent;
	c->state_came = false;
	int r = agent_say(agent, &(struct wire_message){.type = WIRE_STAT,
							.id = open->id,
							.path = open->path,
							.flags = WIRE_NO_CONTENT});
	if (r >= 0)
		r = agent_wait(agent, &c->state_came, NULL);
	*worth = !c->whole && c->state.kind == WIRE_FILE && c->state.size >= DELTA_MIN;
	return r;
}

struct chunk_list {
	VEC(uint32_t) lengths;
	VEC(uint64_t) hashes;
};

/* First reading: the whole file's hash, and its chunks. */
static int list_chunks(struct carrying *c, struct source *source, struct chunk_list *list)
{
	_cleanup_free_ unsigned char *window = xmalloc(WINDOW);
	size_t held = 0;
	for (bool more = true; more || held;) {
		ssize_t n = more ? source_read(source, window + held, WINDOW - held, &c->unread) : 0;
		if (n < 0)
			return (int)n;
		more = n > 0;
		held += (size_t)n;
		size_t done = 0;
		while (done < held && (held - done >= CHUNK_MAX || !more)) {
			size_t len = chunk_cut(window + done, held - done);
			vec_push(&list->lengths, (uint32_t)len);
			vec_push(&list->hashes, wire_hash64(window + done, len));
			done += len;
		}
		held -= done;
		memmove(window, window + done, held);
	}
	return 0;
}

/* Asks about the next chunks, and sends those that the agent lacks. */
static int send_window(struct carrying *c, uint32_t id, struct source *source, const struct chunk_list *list,
		       size_t first, size_t count, uint64_t *at)
{
	struct agent *agent = c->agent;
	const struct agent_item *item = &c->items[id - agent->base];
	_cleanup_free_ unsigned char *asked = xmalloc(count * WIRE_CHUNK_SIZE), *piece = xmalloc(CHUNK_MAX);
	for (size_t i = 0; i < count; i++)
		wire_chunk_put(asked, i,
			       (struct wire_chunk){list->hashes.items[first + i], list->lengths.items[first + i]});
	c->have_came = false;
	int r = agent_say(agent, &(struct wire_message){.type = WIRE_CHUNKS,
							.id = id,
							.data = {asked, count * WIRE_CHUNK_SIZE}});
	if (r >= 0)
		r = agent_wait(agent, &c->have_came, &item->settled);
	for (size_t i = 0; r >= 0 && !item->settled && i < count; i++) {
		size_t len = list->lengths.items[first + i];
		if (!wire_bit(c->have, i)) {
			ssize_t n = pread(source->fd, piece, len, (off_t)*at);
			if (n != (ssize_t)len) /* shorter by now: the whole's hash will say so */
				memset(piece, 0, len);
			r = say_data(agent, id, piece, len);
		}
		*at += len;
	}
	return r;
}

static int send_chunks(struct carrying *c, uint32_t id, struct source *source)
{
	struct chunk_list list = {0};
	uint64_t at = 0;
	int r = list_chunks(c, source, &list);
	for (size_t first = 0; r >= 0 && first < list.lengths.len && !c->items[id - c->agent->base].settled;) {
		size_t count = list.lengths.len - first;
		count = count < WIRE_CHUNKS_MAX ? count : WIRE_CHUNKS_MAX;
		r = send_window(c, id, source, &list, first, count, &at);
		first += count;
	}
	vec_release(&list.lengths);
	vec_release(&list.hashes);
	return r;
}

static int send_pieces(struct carrying *c, uint32_t id, struct source *source)
{
	const struct agent_item *item = &c->items[id - c->agent->base];
	int r = 0;
	for (size_t at = 0; source->bytes && r >= 0 && at < source->size; at += PIECE) {
		size_t len = source->size - at < PIECE ? source->size - at : PIECE;
		r = say_data(c->agent, id, source->bytes + at, len);
	}
	if (source->bytes)
		return r;
	_cleanup_free_ char *piece = xmalloc(PIECE);
	ssize_t n = 0;
	while (r >= 0 && !item->settled && (n = source_read(source, piece, PIECE, &c->unread)) > 0)
		r = say_data(c->agent, id, piece, (size_t)n);
	return n < 0 ? (int)n : r;
}

/* A file that is too large for one frame. 1: it changed meanwhile, once more. */
static int send_large(struct carrying *c, size_t index, struct source *source)
{
	struct wire_message open = message_for(c, index, WIRE_OPEN);
	struct agent_item *item = &c->items[index];
	bool chunks = false;
	open.mode = wire_mode(&c->carry->items[index], source);
	open.size = source->size;
	int r = source->bytes ? 0 : worth_chunks(c, &open, &chunks);
	open.flags |= chunks ? WIRE_DELTA : 0;
	if (r >= 0)
		r = agent_say(c->agent, &open);
	if (r >= 0 && chunks)
		r = agent_flush(c->agent); /* the agent looks at its file while we look at ours */
	if (r >= 0)
		r = chunks ? send_chunks(c, open.id, source) : send_pieces(c, open.id, source);
	if (c->unread.code) {
		failed_here(item, c->unread.code, &c->unread);
		error_clear(&c->unread);
		return agent_say(c->agent, &(struct wire_message){.type = WIRE_DROP, .id = open.id});
	}
	if (r < 0 || item->settled)
		return r;
	bool settled = source_settled(source);
	item->hash = source->hash;
	if (!settled) {
		r = agent_say(c->agent, &(struct wire_message){.type = WIRE_DROP, .id = open.id});
		return r < 0 ? r : 1;
	}
	*c->bytes += source->size;
	return agent_say(c->agent, &(struct wire_message){.type = WIRE_CLOSE,
							  .id = open.id,
							  .size = source->size,
							  .hash = to_wire(source->hash)});
}

static int send_source(struct carrying *c, size_t index, struct source *source)
{
	const struct carry_item *item = &c->carry->items[index];
	if (source->kind == CARRY_FILE && (!source->bytes || source->size > WIRE_DATA_MAX))
		return send_large(c, index, source);
	struct wire_message m = message_for(c, index,
					    source->kind == CARRY_FILE	      ? WIRE_WRITE
					    : source->kind == CARRY_DIRECTORY ? WIRE_MKDIR
									      : WIRE_SYMLINK);
	c->items[index].hash = source->hash;
	if (source->kind == CARRY_SYMLINK) {
		m.text = (struct wire_bytes){source->target, strlen(source->target)};
	} else {
		m.mode = wire_mode(item, source);
	}
	if (source->kind == CARRY_FILE) {
		m.hash = to_wire(source->hash);
		m.data = (struct wire_bytes){source->bytes, source->size};
		*c->bytes += source->size;
	}
	return agent_say(c->agent, &m);
}

static int send_item(struct carrying *c, size_t index)
{
	const struct carry_item *item = &c->carry->items[index];
	if (!wire_path_valid(item->dest, strlen(item->dest))) {
		CLEANUP(error_clear) struct error why = {0};
		error_set(&why, ENAMETOOLONG, "its path, or a name in it, is too long");
		failed_here(&c->items[index], ENAMETOOLONG, &why);
		return 0;
	}
	if (item->kind == CARRY_DELETE) {
		struct wire_message m = message_for(c, index, WIRE_DELETE);
		return agent_say(c->agent, &m);
	}
	int r = 1;
	for (int attempt = 0; r == 1 && attempt < SOURCE_TRIES; attempt++) {
		CLEANUP(source_release) struct source source = {.fd = -1};
		CLEANUP(error_clear) struct error why = {0};
		r = source_open(item, &source, &why);
		if (r == -ENOENT) {
			c->items[index].skipped = c->items[index].settled = true;
			return 0;
		}
		if (r < 0) {
			failed_here(&c->items[index], -r, &why);
			return 0;
		}
		r = send_source(c, index, &source);
	}
	if (r != 1)
		return r;
	CLEANUP(error_clear) struct error why = {0};
	error_set(&why, EAGAIN, "it changes all the time");
	failed_here(&c->items[index], EAGAIN, &why);
	return 0;
}

/* At most so much of an agent's room for paths and targets. */
static size_t item_bytes(const struct carry_item *item)
{
	return strlen(item->dest) + 2 + (item->kind == CARRY_SYMLINK ? WIRE_PATH_MAX : 0);
}

static int commit(struct carrying *c)
{
	struct agent *agent = c->agent;
	c->committed = false;
	int r = agent_say(agent,
			  &(struct wire_message){.type = WIRE_COMMIT, .id = agent->base + (uint32_t)c->carry->len});
	return r < 0 ? r : agent_wait(agent, &c->committed, NULL);
}

/* All that is not settled, as one batch; as several where the agent could not hold it. */
static int carry_round(struct carrying *c, struct cancel *cancel, struct error *err)
{
	size_t count = 0, bytes = 0;
	int r = 0;
	agent_begin(c->agent, c->carry->len + 1, take_answer, c, cancel, err);
	for (size_t i = 0; r >= 0 && i < c->carry->len; i++) {
		if (c->items[i].settled || c->items[i].leave)
			continue;
		bytes += item_bytes(&c->carry->items[i]);
		if (++count > WIRE_BATCH_MAX || bytes > WIRE_BATCH_BYTES_MAX) {
			r = commit(c);
			count = 1;
			bytes = item_bytes(&c->carry->items[i]);
		}
		if (cancel_requested(cancel))
			r = error_set(err, ECANCELED, "cancelled");
		if (r >= 0)
			r = send_item(c, i);
	}
	if (r >= 0)
		r = commit(c);
	agent_end(c->agent);
	return r;
}

/* To be carried again: what arrived damaged has changed between two readings, here or there; and what is not expected, but was sent by ourselves before
 * a line broke, and has changed here since. */
static bool again(struct carrying *c)
{
	static const struct hash none = {0};
	bool found = false;
	for (size_t i = 0; i < c->carry->len; i++) {
		struct agent_item *item = &c->items[i];
		bool damaged = item->code && item->reason == WIRE_REASON_DAMAGED;
		item->ours = item->code && item->reason == WIRE_REASON_EXPECTED && !hash_equal(item->before, none) &&
			     hash_equal(item->found, item->before);
		if (!damaged && !item->ours)
			continue;
		item->settled = false;
		item->code = 0;
		c->whole = c->whole || damaged;
		found = true;
	}
	return found;
}

/* What an earlier carrying over a line that broke has left. */
static void reset(struct agent_item *item)
{
	if (item->leave)
		return;
	free(item->words);
	*item = (struct agent_item){.owner = item->owner,
				    .owner_if_new = item->owner_if_new,
				    .uid = item->uid,
				    .gid = item->gid,
				    .before = item->hash};
}

int agent_carry(struct agent *agent, const struct carry *carry, struct agent_item *items, uint64_t *bytes,
		struct cancel *cancel, struct error *err)
{
	struct carrying c = {.agent = agent, .carry = carry, .items = items, .bytes = bytes};
	int r = 0;
	*bytes = 0;
	for (size_t i = 0; i < carry->len; i++)
		reset(&items[i]);
	for (int round = 0; round < ROUNDS; round++) {
		r = carry_round(&c, cancel, err);
		if (r < 0 || round + 1 == ROUNDS || !again(&c))
			break;
	}
	for (size_t i = 0; r >= 0 && i < carry->len; i++)
		if (!items[i].settled && !items[i].leave)
			r = error_set(err, EPROTO, "the agent has not answered for %s", carry->items[i].dest);
	return r;
}
