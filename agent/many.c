#include "many.h"

#include "out.h"
#include "parallel.h"
#include "stage.h"

enum {
	MANY = 64,	     /* with fewer a thread's start takes longer than it saves */
	WAITING_MAX = 256,   /* files, */
	BYTES_MAX = 1 << 20, /* and their bytes */
	SMALL = 32 << 10,
	EXCHANGE = 2, /* RENAME_EXCHANGE */
};

static unsigned parts;
static bool strict;
static struct {
	struct op *op;
	size_t at, len;
} waiting[WAITING_MAX];
static size_t waiting_count, bytes_used;
static unsigned char *held;

/* 1: too few to share. */
static unsigned share(size_t count)
{
	return count < MANY ? 1 : parallel_count();
}

/* A directory is one thread's: two would only wait for each other, and a path's requests keep their order. All else of a request is its thread's alone. */
static bool is_of(const struct op *op, size_t parent, unsigned part)
{
	return wire_hash64(op->path, parent) % parts == part;
}

static size_t parent_length(const char *path)
{
	size_t len = strlen(path);
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len > 0 ? len - 1 : 0;
}

static bool is_staged_file(const struct op *op)
{
	return op->type == WIRE_WRITE && op->state == OP_READY && !op->in_place && op->fd >= 0;
}

bool many_wait(struct op *op, const void *bytes, size_t len)
{
	if (len > SMALL || parallel_count() == 1 || (!held && !(held = sys_map(BYTES_MAX))))
		return false;
	if (waiting_count == WAITING_MAX || len > BYTES_MAX - bytes_used)
		many_stage();
	memcpy(held + bytes_used, bytes, len);
	waiting[waiting_count].op = op;
	waiting[waiting_count].at = bytes_used;
	waiting[waiting_count++].len = len;
	bytes_used += len;
	return true;
}

/* The directory of op, open as place_reach would have it. One that is not there, or no directory, is not for here. */
static int reach(const struct op *op, size_t parent, struct place *place)
{
	char path[WIRE_PATH_MAX + 1];
	memcpy(path, op->path, parent);
	path[parent] = '\0';
	int fd = sys_openat(AT_FDCWD, parent ? path : "/", O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	*place = (struct place){.dir = fd, .dir_len = parent, .complete = true};
	int r = sys_stat(fd, "", AT_EMPTY_PATH, &place->above);
	if (r < 0)
		sys_close(fd);
	return r;
}

static void stage_part(unsigned part)
{
	const struct op *last = NULL; /* place is that of its directory */
	struct place place;
	int r = 0;
	for (size_t i = 0; r == 0 && i < waiting_count; i++) {
		struct op *op = waiting[i].op;
		size_t parent = parent_length(op->path);
		if (!is_of(op, parent, part))
			continue;
		if (!last || parent != place.dir_len || memcmp(last->path, op->path, parent) != 0) {
			if (last)
				sys_close(place.dir);
			last = NULL;
			r = reach(op, parent, &place);
			if (r < 0)
				return;
			last = op;
		}
		place.name = op->path + parent + 1;
		r = place_look_at(&place);
		if (r == 0)
			r = stage_unseen(op, &place, held + waiting[i].at, waiting[i].len);
	}
	if (last)
		sys_close(place.dir);
}

void many_stage(void)
{
	size_t count = waiting_count;
	parts = stage_has_room(count) ? share(count) : 1;
	if (parts > 1)
		parallel_do(parts, stage_part);
	for (size_t i = 0; i < count; i++) {
		struct op *op = waiting[i].op;
		if (op->fd >= 0)
			stage_counts(op);
		else
			stage_file(op, held + waiting[i].at, waiting[i].len);
		out_alive();
	}
	waiting_count = bytes_used = 0;
}

static void hidden_path(const struct op *op, size_t parent, char path[WIRE_PATH_MAX + HIDDEN_SIZE + 1])
{
	memcpy(path, op->path, parent);
	path[parent] = '/';
	hidden_name(op, path + parent + 1);
}

static int hide(struct op *op, size_t parent)
{
	char hidden[WIRE_PATH_MAX + HIDDEN_SIZE + 1];
	hidden_path(op, parent, hidden);
	int r = stage_name(op, AT_FDCWD, hidden);
	if (r < 0)
		return r;
	op->hidden = true;
	op->hidden_len = parent;
	return 0;
}

static void hide_part(unsigned part)
{
	for (size_t i = 0; i < batch_count(); i++) {
		struct op *op = batch_op(i);
		size_t parent = parent_length(op->path);
		if (is_of(op, parent, part) && is_staged_file(op) && !op->hidden && (strict || !op->fresh) &&
		    hide(op, parent) < 0)
			return;
	}
}

void many_hide(bool wants_all)
{
	parts = share(batch_count());
	strict = wants_all;
	if (parts > 1)
		parallel_do(parts, hide_part);
}

/* As commit.c's rename_hidden has it. */
static int switch_file(struct op *op, size_t parent)
{
	char hidden[WIRE_PATH_MAX + HIDDEN_SIZE + 1];
	if (!op->hidden)
		return op->fresh ? stage_name(op, AT_FDCWD, op->path) : -EOPNOTSUPP;
	if (op->hidden_len != parent)
		return -EOPNOTSUPP;
	hidden_path(op, parent, hidden);
	int r = op->recent ? sys_rename(AT_FDCWD, hidden, AT_FDCWD, op->path, EXCHANGE) : -ENOSYS;
	if (r == 0) {
		r = sys_unlink(AT_FDCWD, hidden, 0);
		if (r < 0) /* a directory by now */
			sys_rename(AT_FDCWD, hidden, AT_FDCWD, op->path, EXCHANGE);
	} else {
		r = sys_rename(AT_FDCWD, hidden, AT_FDCWD, op->path, 0);
	}
	op->hidden = r < 0;
	return r;
}

static void switch_part(unsigned part)
{
	for (size_t i = 0; i < batch_count(); i++) {
		struct op *op = batch_op(i);
		size_t parent = parent_length(op->path);
		if (!is_of(op, parent, part) || !is_staged_file(op))
			continue;
		if (switch_file(op, parent) < 0)
			return;
		op->switched = true;
		stage_close(op);
	}
}

static bool is_plain(void)
{
	for (size_t i = 0; i < batch_count(); i++)
		if (batch_op(i)->type == WIRE_MKDIR || batch_op(i)->type == WIRE_SYMLINK)
			return false;
	return true;
}

void many_switch(void)
{
	parts = share(batch_count());
	if (parts > 1 && is_plain())
		parallel_do(parts, switch_part);
}
