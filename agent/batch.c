#include "batch.h"

#include "large.h"
#include "out.h"
#include "stage.h"

enum { BYTES_FORGET = 1 << 20 }; /* what a larger batch took is given back */

static struct op *ops;
static size_t count;
static char *bytes;
static size_t bytes_used;
static bool ended;

size_t batch_count(void)
{
	return count;
}

struct op *batch_op(size_t index)
{
	return &ops[index];
}

uint32_t batch_number(const struct op *op)
{
	return (uint32_t)(op - ops) + 1;
}

bool batch_is_first(void)
{
	return !ended;
}

struct op *batch_find(uint32_t id)
{
	for (size_t i = count; i-- > 0;)
		if (ops[i].id == id && ops[i].state == OP_RECEIVING)
			return &ops[i];
	return NULL;
}

static char *keep(struct wire_bytes text)
{
	char *kept = bytes + bytes_used;
	memcpy(kept, text.data, text.len);
	kept[text.len] = '\0';
	bytes_used += text.len + 1;
	return kept;
}

static bool fits(const struct wire_message *m)
{
	if (!ops)
		ops = sys_map(sizeof(*ops) * WIRE_BATCH_MAX);
	if (!bytes)
		bytes = sys_map(WIRE_BATCH_BYTES_MAX);
	return ops && bytes && count < WIRE_BATCH_MAX &&
	       bytes_used + m->path.len + m->text.len + 2 <= WIRE_BATCH_BYTES_MAX;
}

struct op *batch_add(const struct wire_message *m)
{
	if (!fits(m)) {
		out_message(&(struct wire_message){
			.type = WIRE_RESULT, .id = m->id, .value = E2BIG, .reason = WIRE_REASON_LIMIT});
		return NULL;
	}
	struct op *op = &ops[count++];
	*op = (struct op){.id = m->id,
			  .type = m->type == WIRE_OPEN ? WIRE_WRITE : m->type,
			  .state = m->type == WIRE_OPEN ? OP_RECEIVING : OP_READY,
			  .flags = m->flags,
			  .mode = m->mode,
			  .uid = m->uid,
			  .gid = m->gid,
			  .path = keep(m->path),
			  .hash = m->hash,
			  .expected = m->expected,
			  .size = m->size,
			  .fd = -1};
	if (m->type == WIRE_SYMLINK) {
		op->text = keep(m->text);
		op->hash = wire_hash_bytes(m->text.data, m->text.len);
	}
	return op;
}

enum wire_reason reason_of(int code)
{
	switch (-code) {
	case 0:
		return WIRE_REASON_NONE;
	case EROFS:
		return WIRE_REASON_READ_ONLY;
	case EBUSY:
		return WIRE_REASON_MOUNT;
	case ETXTBSY:
		return WIRE_REASON_BUSY;
	case EACCES:
	case EPERM:
		return WIRE_REASON_DIRECTORY;
	case ENOSPC:
	case EDQUOT:
		return WIRE_REASON_SPACE;
	case E2BIG:
	case EMFILE:
		return WIRE_REASON_LIMIT;
	case ECANCELED:
		return WIRE_REASON_CANCELLED;
	default:
		return WIRE_REASON_OTHER;
	}
}

void batch_report(struct op *op)
{
	if (op->reported)
		return;
	op->reported = true;
	struct wire_message m = {.type = WIRE_RESULT,
				 .id = op->id,
				 .value = (uint32_t)op->code,
				 .reason = op->reason,
				 .flags = op->result_flags,
				 .kind = op->found.kind,
				 .hash = op->code ? op->found.hash : op->hash};
	if (op->code) {
		m.mode = op->above.stx_mode & 07777;
		m.uid = op->above.stx_uid;
		m.gid = op->above.stx_gid;
	}
	out_message(&m);
}

void batch_fail(struct op *op, int code, enum wire_reason reason)
{
	struct place place;
	large_forget(op);
	stage_drop(op);
	op->state = OP_ENDED;
	op->code = -code;
	op->reason = reason == WIRE_REASON_NONE ? reason_of(code) : reason;
	op->result_flags &= ~(uint32_t)WIRE_ATOMIC;
	if (place_find(op->path, &place) == 0)
		op->above = place.above;
	batch_report(op);
}

bool batch_expected(struct op *op)
{
	if (!(op->flags & (WIRE_EXPECT | WIRE_EXPECT_NONE)))
		return true;
	int r = place_look(op->path, true, &op->found);
	if (r < 0) {
		batch_fail(op, r, WIRE_REASON_NONE);
		return false;
	}
	enum wire_kind wanted = op->type == WIRE_SYMLINK ? WIRE_LINK : WIRE_FILE;
	bool there = op->found.kind == WIRE_FILE || op->found.kind == WIRE_LINK;
	bool already = op->type == WIRE_DELETE ? op->found.kind == WIRE_ABSENT
					       : op->found.kind == wanted && wire_hash_equal(op->found.hash, op->hash);
	bool good = op->flags & WIRE_EXPECT ? there && wire_hash_equal(op->found.hash, op->expected)
					    : op->found.kind == WIRE_ABSENT;
	if (!good && !already)
		batch_fail(op, op->found.kind == WIRE_ABSENT ? -ENOENT : -EEXIST, WIRE_REASON_EXPECTED);
	return good || already;
}

void batch_drop(struct op *op)
{
	large_forget(op);
	stage_drop(op);
	op->state = OP_ENDED;
	op->type = 0;
	op->reported = true;
}

void batch_abort(void)
{
	for (size_t i = 0; i < count; i++)
		batch_drop(&ops[i]);
	if (bytes_used > BYTES_FORGET)
		sys_forget(bytes, bytes_used);
	if (count * sizeof(*ops) > BYTES_FORGET)
		sys_forget(ops, count * sizeof(*ops));
	ended = ended || count > 0;
	count = bytes_used = 0;
	stage_reset();
}
