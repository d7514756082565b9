/* The switch: everything staged gets its hidden name first, then all are renamed in their order, deletes last. */
#include "batch.h"
#include "many.h"
#include "out.h"
#include "stage.h"

enum { EXCHANGE = 2 /* RENAME_EXCHANGE */, PARENT_MODE = 0755 };

static void fail(struct op *op, int code)
{
	batch_fail(op, code, WIRE_REASON_NONE);
}

static void done(struct op *op)
{
	op->state = OP_ENDED;
	batch_report(op);
}

/* Anything but a directory that stands where one must be is in the way, unless the batch deletes it anyway: then it goes now. */
static bool deleted_early(const char *path, size_t len)
{
	for (size_t i = 0; i < batch_count(); i++) {
		struct op *op = batch_op(i);
		struct place place;
		if (op->type != WIRE_DELETE || op->state != OP_READY || strlen(op->path) != len ||
		    memcmp(op->path, path, len) != 0)
			continue;
		if (place_find(op->path, &place) < 0 || !place.exists || place_remove(place.dir, place.name) < 0)
			return false;
		place_forget();
		op->result_flags |= WIRE_ATOMIC;
		done(op);
		return true;
	}
	return false;
}

/* The directories above, each owned as the nearest one that was there. */
static int make_parents(const struct op *op, struct place *place)
{
	char name[WIRE_NAME_MAX + 1];
	while (!place->complete) {
		const char *element = op->path + place->dir_len + 1, *slash = strchr(element, '/');
		size_t len = (size_t)(slash - element);
		memcpy(name, element, len);
		name[len] = '\0';
		int r = sys_mkdir(place->dir, name, PARENT_MODE);
		if (r == -EEXIST) {
			size_t before = place->dir_len;
			place_made();
			r = place_reach(op->path, place);
			if (r == 0 && place->dir_len == before)
				r = deleted_early(op->path, before + 1 + len) ? place_reach(op->path, place) : -ENOTDIR;
			if (r < 0)
				return r;
			continue;
		}
		if (r < 0)
			return r;
		place_made();
		if (place->above.stx_uid != agent_uid || place->above.stx_gid != agent_gid)
			sys_chown(place->dir, name, place->above.stx_uid, place->above.stx_gid, AT_SYMLINK_NOFOLLOW);
		r = place_reach(op->path, place);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The directory above, without a look at the path itself. */
static int reach_or_make(const struct op *op, struct place *place)
{
	int r = place_reach(op->path, place);
	return r < 0 || place->complete ? r : make_parents(op, place);
}

/* A file or link for a directory: in one moment where the file system can, else the directory goes first. */
static int switch_with_directory(struct op *op, const struct place *place, int from, const char *hidden)
{
	int r = sys_rename(from, hidden, place->dir, place->name, EXCHANGE);
	if (r == 0) {
		r = place_remove(from, hidden);
		if (r < 0) /* something is mounted in it: it must not stay under a hidden name */
			sys_rename(from, hidden, place->dir, place->name, EXCHANGE);
		return r;
	}
	op->result_flags &= ~(uint32_t)WIRE_ATOMIC;
	r = place_remove(place->dir, place->name);
	return r < 0 ? r : sys_rename(from, hidden, place->dir, place->name, 0);
}

/* Over a file of the same file system: both change places, and the old one goes. Unlike a plain rename that makes ext4 write nothing out. Not over one that
 * only a lower layer of an overlay has: it would be copied up first. -ENOSYS and the like: by a plain rename. */
static int exchange(struct op *op, const struct place *place, int from, const char *hidden)
{
	int r = op->recent ? sys_rename(from, hidden, place->dir, place->name, EXCHANGE) : -ENOSYS;
	if (r == 0 && sys_unlink(from, hidden, 0) == -EISDIR) { /* somebody made it one meanwhile */
		place_remove(from, hidden);
		place_forget();
	}
	return r;
}

static int rename_hidden(struct op *op, const struct place *place)
{
	char hidden[HIDDEN_SIZE], above[WIRE_PATH_MAX + 1];
	hidden_name(op, hidden);
	_cleanup_fd_ int other = -1;
	int from = place->dir;
	if (op->hidden_len != place->dir_len) { /* staged further up: its directory was not there */
		memcpy(above, op->path, op->hidden_len);
		above[op->hidden_len] = '\0';
		other = sys_openat(AT_FDCWD, op->hidden_len ? above : "/", O_PATH | O_DIRECTORY, 0);
		if (other < 0)
			return other;
		from = other;
	}
	int r = exchange(op, place, from, hidden);
	if (r < 0)
		r = sys_rename(from, hidden, place->dir, place->name, 0);
	bool directory = r == -EISDIR;
	if (directory)
		r = switch_with_directory(op, place, from, hidden);
	if (r == 0)
		op->hidden = false;
	if (directory)
		place_forget();
	return r;
}

/* Before the first switch: what can fail, fails here. A new file that is not seen yet needs one step only, as its switch. */
static void prepare(struct op *op, bool strict)
{
	struct place place;
	bool staged = op->type == WIRE_WRITE || op->type == WIRE_SYMLINK;
	bool one_step = op->type == WIRE_WRITE && op->fresh && !strict;
	if (op->state == OP_RECEIVING) {
		batch_fail(op, -ECANCELED, WIRE_REASON_CANCELLED); /* it never came to its CLOSE */
		return;
	}
	if (op->state != OP_READY || !staged || one_step || op->in_place || op->hidden)
		return;
	int r = place_reach(op->path, &place);
	if (r == 0 && place.complete)
		r = stage_hide(op, &place);
	if (r < 0)
		fail(op, r);
}

static int rename_staged(struct op *op)
{
	struct place place;
	int r = reach_or_make(op, &place);
	if (r < 0)
		return r;
	if (!op->hidden && op->fresh && stage_link(op, &place) == 0)
		return 0;
	if (!op->hidden)
		r = stage_hide(op, &place);
	if (r == 0)
		r = rename_hidden(op, &place);
	if (r == -EXDEV && op->type == WIRE_WRITE) { /* staged on another file system than where its directory is now */
		r = stage_hide(op, &place);
		if (r == 0)
			r = rename_hidden(op, &place);
	}
	return r;
}

static bool may_be_in_place(const struct op *op, int refused)
{
	struct place place;
	return place_find(op->path, &place) == 0 && stage_may_be_in_place(refused, &place);
}

static void switch_staged(struct op *op)
{
	int refused = op->in_place ? 0 : rename_staged(op);
	int r = refused;
	if (op->in_place || (op->type == WIRE_WRITE && r < 0 && may_be_in_place(op, r))) {
		op->in_place = true;
		r = stage_write_in_place(op);
		if (refused && (r == -EACCES || r == -EROFS))
			r = refused;
	}
	if (op->type == WIRE_SYMLINK) /* paths may lead through it now */
		place_forget();
	if (r < 0) {
		fail(op, r);
		return;
	}
	stage_drop(op);
	done(op);
}

/* A directory where something else stands; what stood there goes away in the same moment. */
static int replace_by_directory(struct op *op, const struct place *place)
{
	char hidden[HIDDEN_SIZE];
	hidden_name(op, hidden);
	place_remove(place->dir, hidden);
	int r = sys_mkdir(place->dir, hidden, 0700);
	if (r < 0)
		return r;
	r = stage_dress(op, place, hidden, PARENT_MODE);
	if (r == 0)
		r = sys_rename(place->dir, hidden, place->dir, place->name, EXCHANGE);
	if (r < 0) {
		op->result_flags &= ~(uint32_t)WIRE_ATOMIC;
		r = sys_unlink(place->dir, place->name, 0);
		r = r < 0 ? r : sys_rename(place->dir, hidden, place->dir, place->name, 0);
	}
	int removed = place_remove(place->dir, hidden);
	return r < 0 ? r : removed;
}

static int make_directory(struct op *op)
{
	struct place place;
	struct statx st;
	int r = reach_or_make(op, &place);
	if (r == 0)
		r = place_look_at(&place);
	if (r < 0)
		return r;
	uint32_t asked = op->mode;
	if (agent_uid != 0 && asked != WIRE_MODE_KEEP && (asked & 0300) != 0300) { /* we still write into it */
		op->mode |= 0300;
		op->late_mode = true;
	}
	if (!place.exists) {
		r = sys_mkdir(place.dir, place.name, 0700);
		r = r < 0 ? r : stage_dress(op, &place, place.name, PARENT_MODE);
		place_made();
	} else if (is_directory(&place.old)) {
		r = asked == WIRE_MODE_KEEP && !(op->flags & WIRE_OWNER)
			    ? 0
			    : stage_dress(op, &place, place.name, place.old.stx_mode & 07777);
	} else if (S_ISLNK(place.old.stx_mode) && sys_stat(place.dir, place.name, 0, &st) == 0 && is_directory(&st)) {
		op->late_mode = false; /* a link to a directory is left as it is */
	} else {
		r = replace_by_directory(op, &place);
		place_forget();
	}
	op->mode = asked;
	return r;
}

static int delete (struct op *op)
{
	struct place place;
	int r = place_find(op->path, &place);
	if (r < 0)
		return r == -ELOOP ? 0 : r;
	stage_clear(op->path, &place);
	if (!place.exists)
		return 0;
	r = place_remove(place.dir, place.name);
	if (!is_regular(&place.old))
		place_forget();
	return r;
}

static void carry_out(struct op *op, int (*work)(struct op *op))
{
	int r = work(op);
	if (r < 0)
		fail(op, r);
	else
		done(op);
}

static int change_mode(struct op *op)
{
	return sys_chmod(AT_FDCWD, op->path, op->mode);
}

static void switch_one(struct op *op)
{
	if (op->state != OP_READY)
		return;
	op->result_flags |= WIRE_ATOMIC;
	switch (op->type) {
	case WIRE_WRITE:
	case WIRE_SYMLINK:
		if (op->switched)
			done(op);
		else
			switch_staged(op);
		break;
	case WIRE_MKDIR:
		carry_out(op, make_directory);
		break;
	case WIRE_CHMOD:
		carry_out(op, change_mode);
		break;
	default:
		break;
	}
}

static size_t failures(uint32_t *first)
{
	size_t failed = 0;
	for (size_t i = 0; i < batch_count(); i++) {
		if (batch_op(i)->code && failed++ == 0)
			*first = (uint32_t)batch_op(i)->code;
	}
	return failed;
}

void batch_commit(uint32_t id, bool strict)
{
	uint32_t first = 0;
	size_t count = batch_count();
	bool atomic = true;
	place_forget();
	many_hide(strict);
	for (size_t i = 0; i < count; i++) {
		prepare(batch_op(i), strict);
		out_alive();
	}
	bool cancelled = strict && failures(&first);
	for (size_t i = 0; cancelled && i < count; i++)
		if (batch_op(i)->state == OP_READY)
			batch_fail(batch_op(i), -ECANCELED, WIRE_REASON_CANCELLED);
	many_switch();
	for (size_t i = 0; i < count; i++) {
		switch_one(batch_op(i));
		out_alive();
	}
	for (size_t i = 0; i < count; i++) {
		struct op *op = batch_op(i);
		if (op->type == WIRE_DELETE && op->state == OP_READY) {
			op->result_flags |= WIRE_ATOMIC;
			carry_out(op, delete);
			out_alive();
		}
	}
	for (size_t i = 0; i < count; i++) {
		struct op *op = batch_op(i);
		if (op->late_mode && !op->code)
			change_mode(op);
		atomic = atomic && (op->code ? !op->in_place : !op->type || (op->result_flags & WIRE_ATOMIC));
	}
	size_t failed = failures(&first);
	batch_abort();
	out_message(&(struct wire_message){.type = WIRE_COMMITTED,
					   .id = id,
					   .value = first,
					   .count = (uint32_t)failed,
					   .flags = atomic ? WIRE_ATOMIC : 0});
}
