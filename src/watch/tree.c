#include "watch/tree.h"

#include <string.h>

#include "base/file.h"
#include "base/hash.h"

enum { FRESH_NS = 50 * 1000 * 1000 };

static int64_t time_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static size_t bucket_of(const struct tree *t, const struct node *dir, const char *name)
{
	uint64_t h = hash64(name, strlen(name)) ^ ((uintptr_t)dir >> 4) * 0x9e3779b97f4a7c15ULL;
	return (size_t)(h ^ h >> 32) & (t->bucket_count - 1);
}

static void grow(struct tree *t)
{
	struct tree old = *t;
	t->bucket_count = old.bucket_count ? old.bucket_count * 2 : 64;
	t->buckets = xcalloc(t->bucket_count, sizeof(*t->buckets));
	for (size_t i = 0; i < old.bucket_count; i++)
		for (struct node *n = old.buckets[i], *next; n; n = next) {
			next = n->chain;
			size_t b = bucket_of(t, node_parent(n), n->name);
			n->chain = t->buckets[b];
			t->buckets[b] = n;
		}
	free(old.buckets);
}

static void link_node(struct tree *t, struct node *n)
{
	struct node *dir = node_parent(n);
	size_t b = bucket_of(t, dir, n->name);
	n->chain = t->buckets[b];
	t->buckets[b] = n;
	n->previous = n->next = NULL;
	if (!dir)
		return;
	n->next = dir->first;
	if (dir->first)
		dir->first->previous = n;
	dir->first = n;
}

static void unhash_node(struct tree *t, struct node *n)
{
	struct node **p = &t->buckets[bucket_of(t, node_parent(n), n->name)];
	while (*p != n)
		p = &(*p)->chain;
	*p = n->chain;
}

static void unlink_node(struct tree *t, struct node *n)
{
	unhash_node(t, n);
	struct node *dir = node_parent(n);
	if (n->next)
		n->next->previous = n->previous;
	if (n->previous)
		n->previous->next = n->next;
	else if (dir)
		dir->first = n->next;
}

static struct node *new_node(struct node *dir, struct root *root, const char *name)
{
	size_t size = strlen(name) + 1;
	struct node *n = xcalloc(1, sizeof(*n) + size);
	memcpy(n->name, name, size);
	if (dir)
		n->up.parent = dir;
	else
		n->up.root = root;
	n->flags = dir ? 0 : NODE_TOP;
	return n;
}

struct node *tree_add(struct tree *t, struct node *dir, struct root *root, const char *name, mode_t mode)
{
	if (t->nodes >= t->bucket_count)
		grow(t);
	struct node *n = new_node(dir, root, name);
	n->mode = mode;
	n->wd = -1;
	link_node(t, n);
	t->nodes++;
	t->files += !S_ISDIR(mode);
	return n;
}

struct node *tree_find(const struct tree *t, const struct node *dir, const char *name)
{
	if (t->nodes == 0)
		return NULL;
	struct node *n = t->buckets[bucket_of(t, dir, name)];
	while (n && (node_parent(n) != dir || strcmp(n->name, name) != 0))
		n = n->chain;
	return n;
}

struct node *tree_walk(const struct tree *t, struct node *top, const char *below)
{
	struct node *n = top;
	while (n && *below) {
		size_t len = strcspn(below, "/");
		_cleanup_free_ char *name = xstrndup(below, len);
		n = tree_find(t, n, name);
		below += len;
		while (*below == '/')
			below++;
	}
	return n;
}

void tree_remove(struct tree *t, struct node *n)
{
	unlink_node(t, n);
	t->nodes--;
	t->files -= !node_is_directory(n);
	n->flags |= NODE_DEAD;
	n->chain = t->dead;
	t->dead = n;
}

struct node *tree_move(struct tree *t, struct node *n, struct node *dir, struct root *root, const char *name)
{
	struct node *moved = new_node(dir, root, name);
	unlink_node(t, n);
	moved->first = n->first;
	moved->mtime = n->mtime;
	moved->ctime = n->ctime;
	moved->inode = n->inode;
	moved->size = n->size;
	moved->mode = n->mode;
	moved->wd = n->wd;
	moved->flags |= n->flags & ~(NODE_TOP | NODE_SEEN);
	link_node(t, moved);
	for (struct node *child = moved->first; child; child = child->next) {
		unhash_node(t, child);
		child->up.parent = moved;
		size_t b = bucket_of(t, moved, child->name);
		child->chain = t->buckets[b];
		t->buckets[b] = child;
	}
	free(n);
	return moved;
}

void tree_bury(struct tree *t)
{
	for (struct node *n = t->dead, *next; n; n = next) {
		next = n->chain;
		free(n);
	}
	t->dead = NULL;
}

void tree_release(struct tree *t)
{
	tree_bury(t);
	for (size_t i = 0; i < t->bucket_count; i++)
		for (struct node *n = t->buckets[i], *next; n; n = next) {
			next = n->chain;
			free(n);
		}
	free(t->buckets);
	*t = (struct tree){0};
}

void tree_each(const struct tree *t, void (*each)(void *data, struct node *n), void *data)
{
	for (size_t i = 0; i < t->bucket_count; i++)
		for (struct node *n = t->buckets[i]; n; n = n->chain)
			each(data, n);
}

struct root *node_root(const struct node *n)
{
	while (!(n->flags & NODE_TOP))
		n = n->up.parent;
	return n->up.root;
}

void node_path(const struct node *n, struct str *out)
{
	size_t len = 0;
	for (const struct node *i = n; i; i = node_parent(i))
		len += strlen(i->name) + 1;
	str_clear(out);
	char *text = str_reserve(out, len);
	if (!text)
		return;
	char *end = text + len;
	for (const struct node *i = n; i; i = node_parent(i)) {
		size_t size = strlen(i->name);
		*--end = i == n ? '\0' : '/';
		bool slash = size == 1 && i->name[0] == '/' && i != n; /* the root directory brings its own */
		end -= slash ? 0 : size;
		memcpy(end, i->name, slash ? 0 : size);
	}
	out->len = (size_t)(text + len - end) - 1;
	memmove(text, end, out->len + 1);
}

bool stat_is_fresh(const struct stat *st)
{
	return time_ns(st->st_ctim) > (int64_t)realtime_ns() - FRESH_NS;
}

void node_update(struct tree *t, struct node *n, const struct stat *st)
{
	t->files += (size_t)node_is_directory(n) - (size_t)S_ISDIR(st->st_mode);
	n->mode = st->st_mode;
	n->inode = st->st_ino;
	n->size = (uint64_t)st->st_size;
	n->mtime = time_ns(st->st_mtim);
	n->ctime = time_ns(st->st_ctim);
	n->flags = (uint8_t)(stat_is_fresh(st) ? n->flags | NODE_RACY : n->flags & ~NODE_RACY);
}

bool node_differs(const struct node *n, const struct stat *st, bool change_time)
{
	if (n->mode != st->st_mode)
		return true;
	bool replaced = n->inode != st->st_ino, ctime_differs = n->ctime != time_ns(st->st_ctim);
	if (node_is_directory(n)) /* perhaps back to the same permissions after who was told read others */
		return replaced || (change_time && n->flags & NODE_TOLD && ctime_differs);
	return replaced || n->size != (uint64_t)st->st_size || n->mtime != time_ns(st->st_mtim) ||
	       (change_time && ctime_differs);
}

void node_set_told(struct node *n, bool told)
{
	n->flags = (uint8_t)(told && node_is_directory(n) ? n->flags | NODE_TOLD : n->flags & ~NODE_TOLD);
}
