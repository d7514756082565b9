/* Random work on a tree while it is watched: what was told, applied to a model, must equal the tree in the end. */
#include "watch-fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/path.h"

enum { NAMES = 6, DEPTH = 4, OPERATIONS = 4000 };

struct worker {
	const char *folder;
	unsigned seed;
	unsigned pace; /* a pause after so many operations, so that reports fall between them */
	atomic_bool done;
	struct loop *loop;
};

static unsigned below(struct worker *w, unsigned limit)
{
	w->seed = w->seed * 1103515245U + 12345U;
	return (w->seed >> 16) % limit;
}

/* Any path of the small space of names, which may or may not exist. */
static char *random_path(struct worker *w)
{
	struct str path = {0};
	str_add(&path, w->folder);
	for (unsigned depth = 1 + below(w, DEPTH); depth > 0; depth--)
		str_addf(&path, "/%c", (char)('a' + below(w, NAMES)));
	return str_steal(&path);
}

static void write_file(struct worker *w, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | (below(w, 2) ? O_TRUNC : O_APPEND) | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	for (unsigned i = below(w, 4); i > 0; i--)
		write_all(fd, "0123456789", 1 + below(w, 10));
	close(fd);
}

static void operate(struct worker *w)
{
	_cleanup_free_ char *a = random_path(w), *b = random_path(w);
	switch (below(w, 12)) {
	case 0:
	case 1:
	case 2:
	case 3:
		write_file(w, a);
		break;
	case 4:
	case 5:
		mkdir(a, 0755);
		break;
	case 6:
		unlink(a);
		break;
	case 7:
	case 8:
		rename(a, b);
		break;
	case 9:
		if (symlink(b, a) < 0)
			link(a, b);
		break;
	case 10:
		chmod(a, below(w, 2) ? 0755 : 0700);
		break;
	default:
		if (below(w, 8) == 0)
			file_remove_tree(a, NULL);
		else
			rmdir(a);
	}
}

/* The last report may have come before the end of the work. */
static void stop_waiting(void *data)
{
	loop_stop(data);
}

static void *work(void *data)
{
	struct worker *w = data;
	for (unsigned i = 0; i < OPERATIONS; i++) {
		operate(w);
		if (i % w->pace == 0)
			usleep(below(w, 3000));
	}
	atomic_store(&w->done, true);
	loop_post(w->loop, stop_waiting, NULL, w->loop);
	return NULL;
}

/* What an entry is, as one text: kind, permissions, and the file's bytes or the link's target. */
static char *describe(const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return NULL;
	struct str text = {0};
	str_addf(&text, "%o ", (unsigned)st.st_mode);
	if (S_ISLNK(st.st_mode)) {
		char target[4096];
		ssize_t n = readlink(path, target, sizeof(target));
		if (n > 0)
			str_add_bytes(&text, target, (size_t)n);
	} else if (S_ISREG(st.st_mode)) {
		_cleanup_free_ char *bytes = NULL;
		size_t len = 0;
		if (file_read(path, 1 << 20, &bytes, &len, NULL) == 0)
			str_add_bytes(&text, bytes, len);
	}
	return str_steal(&text);
}

static void learn(struct map *model, const char *path)
{
	char *now = describe(path);
	free(now ? map_set(model, path, now) : map_remove(model, path));
}

/* As a consumer does it: what was added or modified is read when it is told. */
static void apply(struct fixture *f, const struct change *c)
{
	struct map *model = f->data;
	if (c->kind == CHANGE_DELETED)
		free(map_remove(model, c->path));
	else
		learn(model, c->path);
}

static void read_tree(struct map *model, const char *folder)
{
	DIR *stream = opendir(folder);
	assert_non_null(stream);
	for (struct dirent *e; (e = readdir(stream));) {
		if (e->d_name[0] == '.')
			continue;
		_cleanup_free_ char *path = path_join(folder, e->d_name);
		learn(model, path);
		if (e->d_type == DT_DIR)
			read_tree(model, path);
	}
	closedir(stream);
}

static void compare(const struct map *model, const struct map *tree)
{
	for map_each (e, tree)
		if (!str_equal(e->value, map_get(model, e->key)))
			fail_msg("%s is %s, known as %s", e->key, (char *)e->value, (char *)map_get(model, e->key));
	for map_each (e, model)
		if (!map_has(tree, e->key))
			fail_msg("%s is not there any more", e->key);
}

/* A small tree that is watched and known to the model. */
static struct worker begin(struct fixture *f, unsigned seed, struct map *model)
{
	struct worker w = {.folder = f->folder, .seed = seed, .loop = f->loop};
	for (unsigned i = 0; i < 200; i++)
		operate(&w);
	fixture_watch(f, "");
	read_tree(model, f->folder);
	f->each = apply;
	f->data = model;
	return w;
}

/* Waits until all was told, compares, and releases both. */
static void end(struct fixture *f, struct map *model)
{
	struct map tree = {0};
	_cleanup_free_ char *last = fixture_path(f, "z");
	put(f, "z", "the last event");
	while (!map_has(model, last) || watch_pending(f->watch))
		fixture_run(f);
	read_tree(&tree, f->folder);
	compare(model, &tree);
	size_t files = 0;
	for map_each (e, &tree) {
		files += strncmp(e->value, "40", 2) != 0;
	}
	assert_int_equal(watch_file_count(f->watch), files);
	map_release(model, free);
	map_release(&tree, free);
	fixture_release(f);
}

static void stress(const struct watch_options *options, unsigned seed, unsigned pace)
{
	struct fixture f;
	struct map model = {0};
	fixture_init(&f, options);
	struct worker w = begin(&f, seed, &model);
	w.pace = pace;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, work, &w), 0);
	while (!atomic_load(&w.done))
		fixture_run(&f);
	pthread_join(thread, NULL);
	end(&f, &model);
}

static void events_tell_all(void **state)
{
	(void)state;
	static const struct watch_options notify = {.trigger = WATCH_NOTIFY};
	for (unsigned seed = 1; seed <= 6; seed++)
		stress(&notify, seed, 1 + seed * seed * 4);
}

static void polling_tells_all(void **state)
{
	(void)state;
	static const struct watch_options poll = {.trigger = WATCH_POLL, .poll_ms = 5};
	for (unsigned seed = 11; seed <= 13; seed++)
		stress(&poll, seed, 40);
}

/* As many operations as make sure that the kernel drops events: nothing is read meanwhile. 0: too many for a test. */
static unsigned operations_to_overflow(void)
{
	_cleanup_close_ int fd = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY | O_CLOEXEC);
	char text[32] = "";
	uint64_t limit = 0;
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return parse_uint(text, 100000, &limit) < 0 ? 0 : (unsigned)limit;
}

static void overflow_loses_nothing(void **state)
{
	(void)state;
	unsigned operations = operations_to_overflow();
	if (operations == 0)
		skip();
	struct fixture f;
	struct map model = {0};
	fixture_init(&f, NULL);
	struct worker w = begin(&f, 21, &model);
	for (unsigned i = 0; i < operations; i++) {
		operate(&w);
		put(&f, i % 2 ? "y" : "x", "makes events that the kernel can't merge");
	}
	fixture_expect_notice(&f, "more changes at once than the kernel can report");
	end(&f, &model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_tell_all),
		cmocka_unit_test(polling_tells_all),
		cmocka_unit_test(overflow_loses_nothing),
	};
	return cmocka_run_group_tests_name("watch-stress", tests, NULL, NULL);
}
