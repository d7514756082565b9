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
	for
		map_each (e, tree)
			if (!str_equal(e->value, map_get(model, e->key)))
				fail_msg("%s is %s, known as %s", e->key, (char *)e->value,
					 (char *)map_get(model, e->key));
	for
		map_each (e, model)
			if (!map_has(tree, e->key))
				fail_msg("%s is not there any more", e->key);
}

/* Takes over the fixture. */
static void stress(struct fixture *f, unsigned seed, unsigned pace)
{
	struct map model = {0}, tree = {0};
	struct worker w = {.folder = f->folder, .seed = seed, .pace = pace, .loop = f->loop};
	for (unsigned i = 0; i < 200; i++)
		operate(&w);
	fixture_watch(f, "");
	read_tree(&model, f->folder);
	_cleanup_free_ char *last = fixture_path(f, "z");
	f->each = apply;
	f->data = &model;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, work, &w), 0);
	while (!atomic_load(&w.done))
		fixture_run(f);
	pthread_join(thread, NULL);
	put(f, "z", "the last event");
	while (!map_has(&model, last) || watch_pending(f->watch))
		fixture_run(f);
	read_tree(&tree, f->folder);
	compare(&model, &tree);
	size_t files = 0;
	for
		map_each (e, &tree)
			files += strncmp(e->value, "40", 2) != 0;
	assert_int_equal(watch_file_count(f->watch), files);
	map_release(&model, free);
	map_release(&tree, free);
	fixture_release(f);
}

static void events_tell_all(void **state)
{
	(void)state;
	static const struct watch_options notify = {.trigger = WATCH_NOTIFY};
	for (unsigned seed = 1; seed <= 6; seed++) {
		struct fixture f;
		fixture_init(&f, &notify);
		stress(&f, seed, 1 + seed * seed * 4);
	}
}

static void polling_tells_all(void **state)
{
	(void)state;
	static const struct watch_options poll = {.trigger = WATCH_POLL, .poll_ms = 5};
	for (unsigned seed = 11; seed <= 13; seed++) {
		struct fixture f;
		fixture_init(&f, &poll);
		stress(&f, seed, 40);
	}
}

static const char queue_limit[] = "/proc/sys/fs/inotify/max_queued_events";

static bool set_queue_limit(const char *number)
{
	_cleanup_close_ int fd = open(queue_limit, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write_all(fd, number, strlen(number)) == 0;
}

/* A watcher whose queue holds a dozen events: the kernel's limit is taken over when the queue is made. Skips where that can't be had. */
static void make_small_queue(struct fixture *f)
{
	static const struct watch_options notify = {.trigger = WATCH_NOTIFY};
	char before[32] = "";
	_cleanup_close_ int fd = open(queue_limit, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, before, sizeof(before) - 1) <= 0 || !set_queue_limit("12"))
		skip();
	fixture_init(f, &notify);
	assert_true(set_queue_limit(before));
}

static void overflow_loses_nothing(void **state)
{
	(void)state;
	struct fixture f;
	make_small_queue(&f);
	fixture_watch(&f, "");
	for (unsigned i = 0; i < 40; i++) {
		char name[16];
		snprintf(name, sizeof(name), "n%u", i);
		put(&f, name, "");
	}
	fixture_expect_notice(&f, "more changes at once than the kernel can report");
	fixture_run(&f);
	assert_true(fixture_told(&f, "n39"));
	fixture_release(&f);
	for (unsigned seed = 21; seed <= 23; seed++) {
		make_small_queue(&f);
		stress(&f, seed, 100);
	}
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
