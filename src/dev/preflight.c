#include "dev/preflight.h"

#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "dev/lane.h"

enum { KINDS_MAX = 8192 }; /* of files that are classified: those of one directory and ending land together */

static char *kind_of(const char *rel)
{
	const char *name = path_base(rel), *ending = strrchr(name, '.');
	return xasprintf("%.*s%s", (int)(name - rel), rel, ending ? ending : "");
}

/* Directory → one destination in it. */
static void add_destinations(const struct sync_source *source, const char *path, struct map *directories)
{
	CLEANUP(classification_release) struct classification c = {0};
	sync_source_classify(source, path, CHANGE_MODIFIED, false, &c);
	if (c.class_ != PATH_DIRECT && c.class_ != PATH_OUTPUT)
		return;
	for (size_t i = 0; i < c.dests.len; i++) {
		_cleanup_free_ char *above = path_dir(c.dests.items[i]);
		if (!map_has(directories, above))
			map_set(directories, above, xstrdup(c.dests.items[i]));
	}
}

static size_t depth(const char *path)
{
	size_t count = 0;
	for (; *path; path++)
		count += *path == '/';
	return count;
}

static int compare_depth(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	size_t of_x = depth(*x), of_y = depth(*y);
	return of_x != of_y ? (of_x > of_y) - (of_x < of_y) : strcmp(*x, *y);
}

void preflight_choose(const struct sync_source *source, const struct inputs *files, struct strv *dests)
{
	const char *context = sync_source_artifact(source)->context;
	struct map kinds = {0}, directories = {0};
	for vec_each (file, files) {
		_cleanup_free_ char *kind = kind_of(file->rel), *path = path_join(context, file->rel);
		if (kinds.len == KINDS_MAX)
			break;
		if (map_has(&kinds, kind))
			continue;
		map_set(&kinds, kind, NULL);
		add_destinations(source, path, &directories);
	}
	for map_each (entry, &directories)
		strv_push(dests, entry->value);
	if (dests->len > 1)
		qsort(dests->items, dests->len, sizeof(*dests->items), compare_depth);
	while (dests->len > PREFLIGHT_MAX)
		free(dests->items[--dests->len]);
	map_release(&kinds, NULL);
	map_release(&directories, free);
}

void lane_set_preflight(struct lane *lane, struct strv *dests)
{
	strv_release(&lane->preflight);
	lane->preflight = *dests;
	*dests = (struct strv){0};
	for vec_each (instance, &lane->instances)
		(*instance)->checked = false;
}

struct check_job {
	struct lane_instance *instance;
	struct strv dests;
	struct carry_report report;
	int r;
	struct error err;
};

static void check_work(void *data)
{
	struct check_job *job = data;
	struct dev *dev = job->instance->lane->dev;
	job->r = dev->runtime->ops->check(job->instance->session, &job->dests, &job->report, dev->cancel, &job->err);
}

/* The first in the runtime's words, and how many more; only where one of them is news. */
static void tell_unwritable(struct lane *lane, const struct check_job *job)
{
	const char *first = NULL;
	size_t count = 0, news = 0;
	for (size_t i = 0; i < job->report.len; i++) {
		const struct carry_result *result = &job->report.results[i];
		if (!result->code)
			continue;
		count++;
		first = first ? first : result->message;
		if (strv_contains(&lane->unwritable, job->dests.items[i]))
			continue;
		news++;
		strv_push(&lane->unwritable, job->dests.items[i]);
	}
	if (news == 0)
		return;
	_cleanup_free_ char *more =
		xasprintf("; the same for %zu more director%s", count - 1, count == 2 ? "y" : "ies");
	_cleanup_free_ char *message = xasprintf("what is saved can't be copied: %s%s", first, count > 1 ? more : "");
	tell_warning(lane->dev, message);
}

static void check_done(void *data)
{
	struct check_job *job = data;
	struct lane_instance *instance = job->instance;
	struct dev *dev = instance->lane->dev;
	if (dev->phase != DEV_STOPPING && !dev->reload && !instance->gone)
		tell_unwritable(instance->lane, job);
	strv_release(&job->dests);
	carry_report_release(&job->report);
	error_clear(&job->err);
	free(job);
	session_give_back(instance);
	dev_step_all(dev);
	dev_job_done(dev);
}

static void check(struct lane_instance *instance)
{
	struct check_job *job = xcalloc(1, sizeof(*job));
	job->instance = instance;
	strv_extend(&job->dests, &instance->lane->preflight);
	instance->checked = true;
	instance->use = SESSION_CHECKING;
	dev_job(instance->lane->dev, check_work, check_done, job);
}

void preflight_start(struct dev *dev)
{
	for vec_each (lane, &dev->lanes)
		for vec_each (each, &(*lane)->instances) {
			struct lane_instance *instance = *each;
			bool there = instance->session && instance->info.running && !instance->info.paused;
			if (there && !instance->checked && instance->use == SESSION_FREE && !instance->behind &&
			    (*lane)->preflight.len > 0)
				check(instance);
		}
}
