#include "many.h"

#include "batch.h"
#include "parallel.h"
#include "stage.h"

enum { MANY = 64 /* with fewer a thread's start takes longer than it saves */, EXCHANGE = 2 /* RENAME_EXCHANGE */ };

static unsigned parts;
static bool strict;

/* 0: too few to share. */
static unsigned share(void)
{
	return batch_count() < MANY ? 0 : parallel_count();
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
	parts = share();
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
	parts = share();
	if (parts > 1 && is_plain())
		parallel_do(parts, switch_part);
}
