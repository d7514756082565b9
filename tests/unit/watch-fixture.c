#include "watch-fixture.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "io/process.h"

enum { LIMIT_MS = 10000 };

static void on_changed(void *data, struct change_set *changes, bool settled, uint64_t first_event_ns)
{
	struct fixture *f = data;
	assert_true(first_event_ns > 0 && first_event_ns <= monotonic_ns());
	if (f->each)
		for vec_each (c, changes)
			f->each(f, c);
	else
		change_set_append(&f->told, changes);
	f->calls++;
	f->settled += settled;
	if (f->stop_calls ? f->calls >= f->stop_calls : settled)
		loop_stop(f->loop);
}

static void on_notice(void *data, const char *message)
{
	struct fixture *f = data;
	str_addf(&f->notices, "%s\n", message);
	if (f->stop_on_notice)
		loop_stop(f->loop);
}

static bool prune(void *data, const char *path, bool directory)
{
	(void)data;
	(void)directory;
	return strcmp(path_base(path), "pruned") == 0;
}

static void on_limit(void *data)
{
	struct fixture *f = data;
	loop_stop(f->loop);
}

void fixture_init(struct fixture *f, const struct watch_options *options)
{
	static const struct watch_options notify = {.trigger = WATCH_NOTIFY};
	*f = (struct fixture){.loop = loop_new(), .folder = "/tmp/skiff-watch-XXXXXX"};
	assert_non_null(mkdtemp(f->folder));
	struct watch_callbacks callbacks = {.changed = on_changed, .notice = on_notice, .prune = prune, .data = f};
	f->watch = watch_new(f->loop, options ? options : &notify, &callbacks);
	f->limit = timer_new(f->loop, on_limit, f);
}

void fixture_release(struct fixture *f)
{
	watch_free(f->watch);
	timer_free(f->limit);
	loop_free(f->loop);
	assert_int_equal(file_remove_tree(f->folder, NULL), 0);
	change_set_release(&f->told);
	str_release(&f->notices);
}

char *fixture_path(const struct fixture *f, const char *name)
{
	return *name ? path_join(f->folder, name) : xstrdup(f->folder);
}

void fixture_watch(struct fixture *f, const char *name)
{
	CLEANUP(error_clear) struct error err = {0};
	_cleanup_free_ char *path = fixture_path(f, name);
	if (watch_add(f->watch, path, &err) < 0)
		fail_msg("%s", err.message);
}

static void run(struct fixture *f, unsigned ms)
{
	timer_start(f->limit, ms);
	loop_run(f->loop);
}

void fixture_run(struct fixture *f)
{
	f->stop_calls = 0;
	run(f, LIMIT_MS);
	if (!timer_running(f->limit))
		fail_msg("nothing settled; %zu changes told so far", f->told.len);
	timer_stop(f->limit);
}

void fixture_compare(struct fixture *f, const char *told)
{
	CLEANUP(str_release) struct str text = {0};
	change_set_sort(&f->told);
	for vec_each (c, &f->told) {
		const char *below = path_below(c->path, f->folder);
		str_addf(&text, "%c%s%s ", "+~-"[c->kind], below ? below : c->path, c->directory ? "/" : "");
	}
	if (f->settled)
		str_add(&text, "| ");
	if (text.len > 0)
		text.data[text.len - 1] = '\0'; /* the last space */
	assert_string_equal(str_text(&text), told);
	change_set_release(&f->told);
	f->told = (struct change_set){0};
	f->calls = f->settled = 0;
}

bool fixture_told(struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = fixture_path(f, name);
	for vec_each (c, &f->told)
		if (strcmp(c->path, path) == 0)
			return true;
	return false;
}

void fixture_expect(struct fixture *f, const char *told)
{
	fixture_run(f);
	fixture_compare(f, told);
}

void fixture_expect_at_once(struct fixture *f, const char *told)
{
	f->stop_calls = f->calls + 1;
	run(f, LIMIT_MS);
	assert_true(timer_running(f->limit));
	timer_stop(f->limit);
	fixture_compare(f, told);
}

void fixture_expect_silence(struct fixture *f, unsigned ms)
{
	f->stop_calls = 1000;
	run(f, ms);
	fixture_compare(f, "");
}

void fixture_expect_notice(struct fixture *f, const char *part)
{
	f->stop_on_notice = true;
	f->stop_calls = 1000;
	timer_start(f->limit, LIMIT_MS);
	while (!strstr(str_text(&f->notices), part) && timer_running(f->limit))
		loop_run(f->loop);
	if (!timer_running(f->limit))
		fail_msg("no such notice: %s; but: %s", part, str_text(&f->notices));
	timer_stop(f->limit);
	f->stop_on_notice = false;
	str_clear(&f->notices);
}

void put(struct fixture *f, const char *name, const char *text)
{
	_cleanup_free_ char *path = fixture_path(f, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

void sh(struct fixture *f, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *script = xvasprintf(fmt, ap);
	va_end(ap);
	const char *const argv[] = {"sh", "-ec", script, NULL};
	struct process_spec spec = {.argv = argv, .directory = f->folder};
	assert_int_equal(process_run(&spec, NULL), 0);
}
