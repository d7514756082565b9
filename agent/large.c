#include "large.h"

#include "out.h"
#include "stage.h"
#include "wire/chunk.h"

enum {
	SLOTS_MIN = 1 << 10,
	SLOTS_MAX = 1 << 20, /* 24 bytes each; of a file with more chunks the rest is not known, and travels */
};

struct piece { /* of the file that is there */
	uint64_t hash, at;
	uint32_t len; /* 0: a free slot */
};

struct wanted { /* of the CHUNKS that was asked last */
	uint64_t at;
	uint32_t len;
	bool have;
};

static struct large {
	struct wire_hasher hasher;
	uint64_t size;
	uint32_t id;
	int old; /* the file that is there; -1: none, or not to be read */
	bool used;
	struct piece *pieces;
	size_t slots;
	struct wanted *wanted; /* WIRE_CHUNKS_MAX */
	size_t wanted_count, wanted_next;
} larges[WIRE_OPEN_MAX];

static struct large *find(uint32_t id)
{
	for (size_t i = 0; i < WIRE_OPEN_MAX; i++)
		if (larges[i].used && larges[i].id == id)
			return &larges[i];
	return NULL;
}

static struct large *find_free(void)
{
	for (size_t i = 0; i < WIRE_OPEN_MAX; i++)
		if (!larges[i].used)
			return &larges[i];
	return NULL;
}

void large_forget(const struct op *op)
{
	struct large *l = op->state == OP_RECEIVING ? find(op->id) : NULL;
	if (!l)
		return;
	if (l->old >= 0)
		sys_close(l->old);
	if (l->pieces)
		sys_unmap(l->pieces, l->slots * sizeof(*l->pieces));
	if (l->wanted)
		sys_unmap(l->wanted, WIRE_CHUNKS_MAX * sizeof(*l->wanted));
	l->used = false;
}

static void remember(struct large *l, struct piece piece, size_t *count)
{
	size_t slot = piece.hash & (l->slots - 1);
	if (*count > l->slots / 4 * 3)
		return;
	while (l->pieces[slot].len && l->pieces[slot].hash != piece.hash)
		slot = (slot + 1) & (l->slots - 1);
	*count += !l->pieces[slot].len;
	l->pieces[slot] = piece;
}

static const struct piece *recall(const struct large *l, struct wire_chunk chunk)
{
	if (!l->pieces || l->old < 0)
		return NULL;
	size_t slot = chunk.hash & (l->slots - 1);
	for (; l->pieces[slot].len; slot = (slot + 1) & (l->slots - 1))
		if (l->pieces[slot].hash == chunk.hash)
			return l->pieces[slot].len == chunk.len ? &l->pieces[slot] : NULL;
	return NULL;
}

/* Cuts the old file into chunks. What can't be read is not known: no failure. */
static void index_old(struct large *l, uint64_t size)
{
	size_t held = 0, count = 0;
	uint64_t at = 0, read_at = 0;
	l->slots = SLOTS_MIN;
	while (l->slots < SLOTS_MAX && l->slots < size / (CHUNK_AVERAGE / 2))
		l->slots *= 2;
	l->pieces = sys_map(l->slots * sizeof(*l->pieces));
	l->wanted = sys_map(WIRE_CHUNKS_MAX * sizeof(*l->wanted));
	for (bool more = l->pieces && l->wanted; more || held;) {
		long n = more ? sys_pread(l->old, scratch + held, sizeof(scratch) - held, read_at) : 0;
		more = n > 0;
		out_alive();
		held += n > 0 ? (size_t)n : 0;
		read_at += n > 0 ? (uint64_t)n : 0;
		size_t done = 0;
		while (done < held && (held - done >= CHUNK_MAX || !more)) {
			size_t len = chunk_cut(scratch + done, held - done);
			struct piece piece = {wire_hash64(scratch + done, len), at, (uint32_t)len};
			remember(l, piece, &count);
			done += len;
			at += len;
		}
		held -= done;
		memmove(scratch, scratch + done, held);
	}
}

static void open_old(struct large *l, const struct op *op)
{
	struct statx st;
	if (op->direct) /* it is being written over */
		return;
	l->old = sys_openat(AT_FDCWD, op->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (l->old >= 0 && sys_stat(l->old, "", AT_EMPTY_PATH, &st) == 0 && is_regular(&st))
		index_old(l, st.stx_size);
}

void large_open(const struct wire_message *m)
{
	struct op *op = batch_add(m);
	if (!op)
		return;
	struct large *l = find_free();
	if (!l || find(m->id)) {
		op->state = OP_READY; /* not the other one's */
		batch_fail(op, -EMFILE, WIRE_REASON_LIMIT);
		return;
	}
	l->used = true;
	l->id = m->id;
	l->size = 0;
	l->old = -1;
	l->pieces = NULL;
	l->wanted = NULL;
	l->wanted_count = l->wanted_next = 0;
	wire_hasher_init(&l->hasher);
	struct place place;
	int r = place_find(op->path, &place);
	if (r == 0)
		r = stage_open(op, &place);
	if (r < 0)
		batch_fail(op, r, WIRE_REASON_NONE);
	else if (m->flags & WIRE_DELTA)
		open_old(l, op);
}

/* False: the request failed. */
static bool add(struct large *l, struct op *op, const void *bytes, size_t len)
{
	int r = stage_write(op, bytes, len);
	if (r < 0) {
		batch_fail(op, r, WIRE_REASON_NONE);
		return false;
	}
	wire_hasher_add(&l->hasher, bytes, len);
	l->size += len;
	return true;
}

/* Copies chunks that are there, up to the next that must travel. */
static void copy_known(struct large *l, struct op *op)
{
	while (l->wanted_next < l->wanted_count && l->wanted[l->wanted_next].have) {
		size_t run = 0;
		uint64_t at = l->wanted[l->wanted_next].at;
		while (l->wanted_next < l->wanted_count && l->wanted[l->wanted_next].have &&
		       l->wanted[l->wanted_next].at == at + run &&
		       run + l->wanted[l->wanted_next].len <= sizeof(scratch))
			run += l->wanted[l->wanted_next++].len;
		long n = sys_pread(l->old, scratch, run, at);
		if (n != (long)run) { /* it changed meanwhile */
			batch_fail(op, n < 0 ? (int)n : -EBADMSG, WIRE_REASON_DAMAGED);
			return;
		}
		if (!add(l, op, scratch, run))
			return;
		out_alive();
	}
}

void large_chunks(const struct wire_message *m)
{
	struct large *l = find(m->id);
	struct op *op = batch_find(m->id);
	size_t count = m->data.len / WIRE_CHUNK_SIZE;
	unsigned char bits[WIRE_CHUNKS_MAX / 8] = {0};
	if (!l || !op)
		return; /* it failed, and that was told */
	if (l->wanted_next < l->wanted_count || !(op->flags & WIRE_DELTA)) {
		batch_fail(op, -EPROTO, WIRE_REASON_OTHER);
		return;
	}
	if (!l->wanted)
		l->wanted = sys_map(WIRE_CHUNKS_MAX * sizeof(*l->wanted));
	if (!l->wanted) {
		batch_fail(op, -ENOMEM, WIRE_REASON_LIMIT);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct wire_chunk chunk = wire_chunk_get(m->data.data, i);
		const struct piece *piece = recall(l, chunk);
		l->wanted[i] = (struct wanted){.at = piece ? piece->at : 0, .len = chunk.len, .have = piece};
		if (piece)
			bits[i / 8] |= (unsigned char)(1 << (i % 8));
	}
	l->wanted_count = count;
	l->wanted_next = 0;
	out_message(&(struct wire_message){.type = WIRE_HAVE, .id = m->id, .data = {bits, (count + 7) / 8}});
	out_flush(); /* the missing ones may come while the others are copied */
	copy_known(l, op);
}

void large_data(const struct wire_message *m)
{
	struct large *l = find(m->id);
	struct op *op = batch_find(m->id);
	if (!l || !op)
		return;
	if (l->wanted_next < l->wanted_count) {
		if (m->data.len != l->wanted[l->wanted_next].len) {
			batch_fail(op, -EPROTO, WIRE_REASON_OTHER);
			return;
		}
		l->wanted_next++;
	}
	if (add(l, op, m->data.data, m->data.len))
		copy_known(l, op);
}

void large_close(const struct wire_message *m)
{
	struct large *l = find(m->id);
	struct op *op = batch_find(m->id);
	if (!l || !op)
		return;
	struct wire_hash hash = wire_hasher_value(&l->hasher);
	if (l->size != m->size || !wire_hash_equal(hash, m->hash)) {
		op->found = (struct found){.kind = WIRE_FILE, .hash = hash};
		batch_fail(op, -EBADMSG, WIRE_REASON_DAMAGED);
		return;
	}
	op->hash = m->hash;
	op->size = m->size;
	large_forget(op);
	op->state = OP_READY;
	struct place place;
	int r = place_find(op->path, &place);
	if (r == 0)
		r = stage_settle(op, &place);
	if (r < 0)
		batch_fail(op, r, WIRE_REASON_NONE);
	else
		batch_expected(op);
}
