#include "sync/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/inputs-internal.h"
#include "sync/source-internal.h"
#include "sync/walk.h"

enum {
	INPUTS_MAX = 4000000,
	TEXT_CHUNK = 256 << 10, /* bytes; paths are laid one behind the other */
	READ_CHUNK = 128 << 10,
	READ_TRIES = 5,
};

/* A file changed twice within one tick of the kernel's clock keeps its times: one that young is not taken by them next time. */
static const uint64_t YOUNG_NS = 20000000;

struct inputs_text {
	struct inputs_text *next;
	size_t used;
	char bytes[TEXT_CHUNK];
};

static const char *keep_text(struct inputs *inputs, const char *text)
{
	size_t size = strlen(text) + 1;
	struct inputs_text *chunk = inputs->text;
	if (!chunk || chunk->used + size > TEXT_CHUNK) {
		chunk = xmalloc(sizeof(*chunk));
		chunk->next = inputs->text;
		chunk->used = 0;
		inputs->text = chunk;
	}
	char *kept = memcpy(chunk->bytes + chunk->used, text, size);
	chunk->used += size;
	return kept;
}

struct input *inputs_add(struct inputs *inputs, const char *rel)
{
	struct input *input = vec_add(inputs);
	input->rel = keep_text(inputs, rel);
	return input;
}

void inputs_add_copy(struct inputs *inputs, const struct input *input)
{
	struct input *added = inputs_add(inputs, input->rel);
	const char *rel = added->rel;
	*added = *input;
	added->rel = rel;
}

static int compare_inputs(const void *a, const void *b)
{
	const struct input *x = a, *y = b;
	return strcmp(x->rel, y->rel);
}

void inputs_sort(struct inputs *inputs)
{
	bool sorted = true;
	for (size_t i = 1; sorted && i < inputs->len; i++)
		sorted = strcmp(inputs->items[i - 1].rel, inputs->items[i].rel) < 0;
	if (sorted)
		return;
	qsort(inputs->items, inputs->len, sizeof(*inputs->items), compare_inputs);
	size_t kept = 1;
	for (size_t i = 1; i < inputs->len; i++)
		if (strcmp(inputs->items[i].rel, inputs->items[kept - 1].rel) != 0)
			inputs->items[kept++] = inputs->items[i];
	inputs->len = kept;
}

void inputs_finish(struct inputs *inputs)
{
	inputs_sort(inputs);
	if (inputs->len == 0)
		return;
	inputs->items = xreallocarray(inputs->items, inputs->len, sizeof(*inputs->items));
	inputs->cap = inputs->len;
}

const struct input *inputs_find(const struct inputs *inputs, const char *rel)
{
	struct input key = {.rel = rel};
	return inputs->len ? bsearch(&key, inputs->items, inputs->len, sizeof(key), compare_inputs) : NULL;
}

bool inputs_are_below(const struct inputs *inputs, const char *directory)
{
	_cleanup_free_ char *prefix = xasprintf("%s/", directory);
	size_t low = 0, high = inputs->len;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(inputs->items[middle].rel, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < inputs->len && str_starts_with(inputs->items[low].rel, prefix);
}

void inputs_doubt(struct inputs *inputs, const struct inputs *after)
{
	for vec_each (input, inputs) {
		const struct input *now = inputs_find(after, input->rel);
		bool same = now && now->mode == input->mode && now->inode == input->inode &&
			    now->mtime_ns == input->mtime_ns && hash_equal(now->hash, input->hash);
		if (!same)
			input->mode = 0;
	}
}

void inputs_release(struct inputs *inputs)
{
	vec_release(inputs);
	while (inputs->text) {
		struct inputs_text *next = inputs->text->next;
		free(inputs->text);
		inputs->text = next;
	}
}

struct hash inputs_digest(const struct inputs *inputs)
{
	struct hasher *h = hasher_new();
	for vec_each (input, inputs) {
		uint64_t fields[] = {input->mode, input->hash.high, input->hash.low};
		hasher_add_string(h, input->rel);
		hasher_add(h, fields, sizeof(fields));
	}
	return hasher_finish(h);
}

/* Looking at one file. */

void inputs_reader_init(struct inputs_reader *r, const struct sync_source *source, const struct inputs *before,
			struct inputs *inputs)
{
	*r = (struct inputs_reader){.source = source,
				    .before = before,
				    .inputs = inputs,
				    .buffer = xmalloc(READ_CHUNK),
				    .now_ns = realtime_ns()};
}

void inputs_reader_release(struct inputs_reader *r)
{
	free(r->buffer);
	r->buffer = NULL;
}

static uint64_t time_ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void take_stat(struct input *input, const struct stat *st)
{
	input->mode = st->st_mode;
	input->size = (uint64_t)st->st_size;
	input->mtime_ns = time_ns(st->st_mtim);
	input->ctime_ns = time_ns(st->st_ctim);
	input->inode = st->st_ino;
}

static bool same_stat(const struct input *a, const struct input *b)
{
	return a->mode == b->mode && a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
	       a->inode == b->inode;
}

static int hash_content(struct inputs_reader *r, int fd, struct hash *hash, struct error *err)
{
	ssize_t n = pread(fd, r->buffer, READ_CHUNK, 0);
	if (n < 0)
		return error_errno(err, errno, "can't read");
	if (n < READ_CHUNK && pread(fd, r->buffer + n, 1, n) == 0) {
		*hash = hash_bytes(r->buffer, (size_t)n);
		return 0;
	}
	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_errno(err, errno, "can't read");
	return hash_fd(fd, hash, err);
}

/* Between two equal fstats, else again. One that never rests is taken as it is: its next event comes. */
static int read_file(struct inputs_reader *r, int directory, const char *name, struct input *input, struct error *err)
{
	_cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	for (int i = 0; i < READ_TRIES; i++) {
		struct input after = {0};
		take_stat(input, &st);
		int code = hash_content(r, fd, &input->hash, err);
		if (code < 0)
			return code;
		if (fstat(fd, &st) < 0)
			return -errno;
		take_stat(&after, &st);
		if (same_stat(input, &after))
			return 0;
	}
	input->ctime_ns = 0;
	return 0;
}

static int read_link(int directory, const char *name, struct input *input)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(directory, name, target, sizeof(target));
	if (n < 0)
		return -errno;
	input->hash = hash_bytes(target, (size_t)n);
	return 0;
}

static const struct input *find_before(struct inputs_reader *r, const char *rel)
{
	const struct inputs *before = r->before;
	if (!before)
		return NULL;
	if (r->next >= before->len || strcmp(before->items[r->next].rel, rel) != 0) {
		const struct input *found = inputs_find(before, rel);
		if (!found)
			return NULL;
		r->next = (size_t)(found - before->items);
	}
	return &before->items[r->next++];
}

static bool known_before(struct inputs_reader *r, struct input *input)
{
	const struct input *before = find_before(r, input->rel);
	if (!before || before->ctime_ns == 0 || !same_stat(before, input))
		return false;
	input->hash = before->hash;
	return true;
}

int inputs_look(struct inputs_reader *r, const char *path, int directory, const char *name, struct error *err)
{
	struct stat st;
	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : error_errno(err, errno, "can't look at %s", path);
	return inputs_take(r, path, directory, name, &st, err);
}

int inputs_take(struct inputs_reader *r, const char *path, int directory, const char *name, const struct stat *st,
		struct error *err)
{
	if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode) && !S_ISDIR(st->st_mode))
		return 0;
	if (r->inputs->len >= INPUTS_MAX)
		return error_set(err, EFBIG, "%s has more than %d inputs", sync_source_artifact(r->source)->image.value,
				 INPUTS_MAX);
	struct input *input = inputs_add(r->inputs, sync_source_shown(r->source, path));
	take_stat(input, st);
	if (S_ISDIR(st->st_mode) || known_before(r, input))
		return 0;
	int code = S_ISLNK(st->st_mode) ? read_link(directory, name, input) : read_file(r, directory, name, input, err);
	if (code == -ENOENT || code == -ELOOP ||
	    code == -EINVAL) { /* gone, or something else by now: its event comes */
		r->inputs->len--;
		return 0;
	}
	if (code < 0)
		return error_errno(err, -code, "can't read %s", path);
	if (input->ctime_ns + YOUNG_NS > r->now_ns)
		input->ctime_ns = 0;
	return 0;
}

static int visit_input(void *data, const struct walk_entry *entry, struct error *err)
{
	struct inputs_reader *r = data;
	if (S_ISDIR(entry->type)) { /* empty: part of the image where its files would be */
		_cleanup_free_ char *inside = path_join(entry->path, "x");
		if (!sync_source_is_input(r->source, inside))
			return 0;
	} else if (!sync_source_is_input(r->source, entry->path)) {
		return 0;
	}
	return inputs_look(r, entry->path, entry->directory, entry->name, err);
}

static bool enter_inputs(void *data, const char *path)
{
	const struct inputs_reader *r = data;
	_cleanup_free_ char *owned = NULL;
	const char *rel = source_relative(r->source, path, &owned);
	return !source_globs_match(&r->source->ignored, rel, NULL) && source_inputs_below(r->source, path, rel);
}

int sync_source_inputs(const struct sync_source *source, const struct inputs *before, struct inputs *inputs,
		       struct error *err)
{
	struct inputs found = {0};
	struct inputs_reader reader;
	inputs_reader_init(&reader, source, before, &found);
	struct walk walk = {.enter = enter_inputs, .visit = visit_input, .data = &reader};
	CLEANUP(strv_release) struct strv roots = {0};
	sync_source_roots(source, &roots);
	int r = 0;
	for (size_t i = 0; r == 0 && i < roots.len; i++)
		r = i == 0 || file_is_directory(roots.items[i])
			    ? walk_tree(roots.items[i], &walk, err)
			    : inputs_look(&reader, roots.items[i], AT_FDCWD, roots.items[i], err);
	inputs_reader_release(&reader);
	if (r < 0) {
		inputs_release(&found);
		return r;
	}
	inputs_finish(&found);
	*inputs = found;
	return 0;
}

/* The map. */

struct mapper {
	const struct sync_source *source;
	struct sync_map map;
};

static int visit_map(void *data, const struct walk_entry *entry, struct error *err)
{
	(void)err;
	struct mapper *m = data;
	if (S_ISDIR(entry->type))
		return 0;
	CLEANUP(classification_release) struct classification c = {0};
	sync_source_classify(m->source, entry->path, CHANGE_MODIFIED, false, &c);
	if (c.class_ != PATH_DIRECT && c.class_ != PATH_OUTPUT)
		return 0;
	vec_push(&m->map, (struct sync_map_entry){.rel = xstrdup(sync_source_shown(m->source, entry->path)),
						  .dests = c.dests,
						  .generated = c.class_ == PATH_OUTPUT});
	c.dests = (struct strv){0};
	return 0;
}

static bool enter_map(void *data, const char *path)
{
	const struct mapper *m = data;
	return !sync_source_prunes(m->source, path, true);
}

static int compare_entries(const void *a, const void *b)
{
	const struct sync_map_entry *x = a, *y = b;
	return strcmp(x->rel, y->rel);
}

int sync_source_map(const struct sync_source *source, struct sync_map *map, struct error *err)
{
	struct mapper mapper = {.source = source};
	struct walk walk = {.enter = enter_map, .visit = visit_map, .data = &mapper};
	int r = sync_source_artifact(source)->sync.mode == SYNC_MANUAL ? 0 : sync_source_check(source, err);
	CLEANUP(strv_release) struct strv roots = {0};
	sync_source_roots(source, &roots);
	for (size_t i = 0; r == 0 && i < roots.len; i++)
		if (i == 0 || file_is_directory(roots.items[i]))
			r = walk_tree(roots.items[i], &walk, err);
	if (r < 0) {
		sync_map_release(&mapper.map);
		return r;
	}
	if (mapper.map.len > 1)
		qsort(mapper.map.items, mapper.map.len, sizeof(*mapper.map.items), compare_entries);
	*map = mapper.map;
	return 0;
}

void sync_map_release(struct sync_map *map)
{
	for vec_each (entry, map) {
		free(entry->rel);
		strv_release(&entry->dests);
	}
	vec_release(map);
}
