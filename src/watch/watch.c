#include "watch/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "watch/internal.h"

enum { REST_FACTOR = 4 }; /* polling takes at most a fifth of the loop's time, however large the trees are */

void watch_notice(struct watch *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *message = xvasprintf(fmt, ap);
	va_end(ap);
	if (w->callbacks.notice)
		w->callbacks.notice(w->callbacks.data, message);
}

static void compare_polled(struct watch *w)
{
	w->now = monotonic_ns();
	for vec_each (r, &w->roots)
		if ((*r)->polled)
			root_look(*r, TOUCH_ALL_BELOW, false);
	w->compare_ms = (monotonic_ns() - w->now) / MS;
}

static void look_regularly(struct watch *w)
{
	w->look_wanted = git_locked(w);
	if (w->look_wanted) {
		timer_start(w->clock, GIT_LOCK_LOOK_MS);
		return;
	}
	notify_drain(w);
	compare_polled(w);
	report_flush(w, w->fd < 0 &&
				w->unsettled); /* where there are events too, what they hold back keeps its own time */
}

void watch_look(struct watch *w)
{
	w->look_wanted = false;
	notify_drain(w);
	compare_polled(w);
	report_flush(w, true);
}

static void on_clock(void *data)
{
	struct watch *w = data;
	if (w->look_wanted) {
		look_regularly(w);
		return;
	}
	w->now = monotonic_ns();
	notify_drain(w); /* what can be read already came before this moment */
	report_flush(w, false);
}

static void on_poll(void *data)
{
	struct watch *w = data;
	uint64_t rest = w->compare_ms * REST_FACTOR, interval = w->options.poll_ms;
	timer_start(w->poll, rest > interval ? rest : interval);
	look_regularly(w);
}

void watch_start_polling(struct watch *w)
{
	if (w->options.trigger != WATCH_MANUAL && !timer_running(w->poll))
		timer_start(w->poll, w->options.poll_ms);
}

struct watch *watch_new(struct loop *loop, const struct watch_options *options, const struct watch_callbacks *callbacks)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	w->loop = loop;
	w->options = *options;
	w->callbacks = *callbacks;
	w->fd = -1;
	if (w->options.poll_ms == 0)
		w->options.poll_ms = POLL_DEFAULT_MS;
	w->clock = timer_new(loop, on_clock, w);
	w->poll = timer_new(loop, on_poll, w);
	if (w->options.trigger == WATCH_NOTIFY)
		notify_start(w);
	else
		watch_start_polling(w);
	return w;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	notify_stop(w);
	for vec_each (r, &w->roots)
		root_free(*r);
	vec_release(&w->roots);
	tree_release(&w->tree);
	report_release(w);
	strv_release(&w->git_dirs);
	timer_free(w->clock);
	timer_free(w->poll);
	free(w);
}

/* Said at once to the one who asks for a root that can't be watched. */
static int check_root(const char *path, struct error *err)
{
	struct stat st;
	if (stat(path, &st) == 0) {
		if (!scan_is_tracked(st.st_mode))
			return error_set(err, EINVAL, "can't watch %s: neither a file nor a directory", path);
		if (S_ISDIR(st.st_mode) && access(path, R_OK | X_OK) < 0)
			return error_errno(err, errno, "can't watch %s", path);
		return 0;
	}
	int code = errno;
	_cleanup_free_ char *parent = path_dir(path);
	if (code == ENOENT && file_is_directory(parent))
		return 0; /* it may come */
	return error_errno(err, code, "can't watch %s", path);
}

static void find_git(struct watch *w, const struct root *root)
{
	_cleanup_free_ char *directory = git_directory(root->path);
	if (directory && !strv_contains(&w->git_dirs, directory))
		strv_push(&w->git_dirs, directory);
}

int watch_add(struct watch *w, const char *path, struct error *err)
{
	_cleanup_free_ char *absolute = path_absolute(path);
	for vec_each (r, &w->roots)
		if (strcmp((*r)->path, absolute) == 0)
			return 0;
	int code = check_root(absolute, err);
	if (code < 0)
		return code;
	struct root *root = root_new(w, absolute);
	vec_push(&w->roots, root);
	w->now = monotonic_ns();
	root_look(root, 0, true);
	for vec_each (r, &w->roots)
		root_is_covered(*r);
	find_git(w, root);
	tree_bury(&w->tree);
	return 0;
}

static bool loses_cover(struct watch *w, struct root *root, const struct strv *keep)
{
	struct node *node = NULL;
	const struct root *cover = root->covered ? root_covering(w, root, root->path, &node) : NULL;
	return root->covered && (!cover || !strv_contains(keep, cover->path));
}

void watch_keep(struct watch *w, const struct strv *keep)
{
	w->now = monotonic_ns();
	for vec_each (r, &w->roots)
		if (strv_contains(keep, (*r)->path) && loses_cover(w, *r, keep))
			root_uncover(*r);
	size_t kept = 0;
	for (size_t i = 0; i < w->roots.len; i++) {
		struct root *root = w->roots.items[i];
		if (strv_contains(keep, root->path))
			w->roots.items[kept++] = root;
		else
			root_free(root);
	}
	w->roots.len = kept;
	report_forget(w);
	strv_clear(&w->git_dirs);
	for vec_each (r, &w->roots)
		find_git(w, *r);
	tree_bury(&w->tree);
}

size_t watch_file_count(const struct watch *w)
{
	return w->tree.files;
}

bool watch_pending(const struct watch *w)
{
	return report_holds(w);
}
