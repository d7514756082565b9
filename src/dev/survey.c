/* What an attached container holds, compared with what it must: the direct files of the sync map. What differs becomes owned, and is carried like anything
 * that an instance missed. Deletes are not guessed: what the map does not name may be the image's own. */
#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/path.h"
#include "dev/attach.h"
#include "dev/verify.h"

struct expected_list {
	unsigned users;
	struct candidate_list files;
};

void expected_list_unref(struct expected_list *list)
{
	if (!list || --list->users > 0)
		return;
	candidates_release(&list->files);
	free(list);
}

/* The hash is the baseline's where that has it: the file was read just now. */
static void look_at(struct candidate *c, const struct inputs *baseline, const char *rel)
{
	const struct input *input = inputs_find(baseline, rel);
	if (!input) {
		candidate_prepare(c, NULL, NULL);
		return;
	}
	c->host_mode = input->mode;
	c->hash = input->hash;
	c->item.kind = S_ISLNK(input->mode) ? CARRY_SYMLINK : S_ISDIR(input->mode) ? CARRY_DIRECTORY : CARRY_FILE;
}

int expected_list_new(const struct lane *lane, const struct sync_source *source, const struct inputs *baseline,
		      struct expected_list **list, struct error *err)
{
	struct sync_map map = {0};
	int r = sync_source_map(source, &map, err);
	if (r < 0)
		return r;
	*list = xcalloc(1, sizeof(**list));
	(*list)->users = 1;
	for vec_each (entry, &map) {
		CLEANUP(classification_release) struct classification c = {0};
		_cleanup_free_ char *path = path_join(lane->artifact->context, entry->rel);
		if (entry->generated && !lane->mapped)
			continue; /* what lies there may be older than what the image made */
		sync_source_classify(source, path, CHANGE_MODIFIED, false, &c);
		bool counts = c.class_ == PATH_DIRECT || (entry->generated && c.class_ == PATH_OUTPUT);
		for (size_t i = 0; counts && i < c.dests.len; i++)
			look_at(candidate_add(&(*list)->files, path, c.dests.items[i], &c), baseline, entry->rel);
	}
	sync_map_release(&map);
	return 0;
}

/* ---- one container ---- */

struct survey {
	struct lane_instance *instance;
	struct expected_list *list;
	VEC(const struct candidate *) files; /* of the list: those that are not owned */
	struct strv dests;		     /* theirs */
	struct instance_file *found;
	int r;
	struct error err;
};

static void survey_work(void *data)
{
	struct survey *survey = data;
	const struct dev *dev = survey->instance->lane->dev;
	survey->r = dev->runtime->ops->look(survey->instance->session, &survey->dests, NULL, survey->found, dev->cancel,
					    &survey->err);
}

/* Everything, where nobody could look. */
static void own_what_differs(struct lane *lane, const struct survey *survey)
{
	for (size_t i = 0; i < survey->files.len; i++) {
		const struct candidate *c = survey->files.items[i];
		bool unknown, looked = survey->r == 0;
		if (c->skip || (looked && verify_holds(&c->item, c->hash, c->host_mode, &survey->found[i], &unknown)))
			continue;
		if (!map_has(&lane->owned, c->item.dest)) /* a change that came meanwhile is newer */
			lane_own(lane, c);
		survey->instance->behind = true;
	}
}

static void survey_free(struct survey *survey)
{
	expected_list_unref(survey->list);
	vec_release(&survey->files);
	strv_release(&survey->dests);
	free(survey->found);
	error_clear(&survey->err);
	free(survey);
}

/* The line may come back, or the container be another by then. */
static void survey_failed(struct lane_instance *instance, const struct error *err)
{
	struct lane *lane = instance->lane;
	lane->dev->runtime->ops->close(steal(&instance->session));
	if (lane_retry_later(lane))
		return;
	_cleanup_free_ char *message = error_format(err);
	instance->stuck = true;
	lane_set_error(lane, "session", message);
}

static void survey_done(void *data)
{
	struct survey *survey = data;
	struct lane_instance *instance = survey->instance;
	struct lane *lane = instance->lane;
	struct dev *dev = lane->dev;
	bool ending = dev->phase == DEV_STOPPING || dev->reload || instance->gone;
	if (!ending && survey->r < 0 && survey->r != -ENOTSUP) {
		survey_failed(instance, &survey->err);
	} else if (!ending && lane->state != LANE_GENERATING) { /* whose job reads owned: then again after it */
		own_what_differs(lane, survey);
		instance->surveyed = survey->list == lane->expected && !instance->stale;
		lane_set_well(lane);
	}
	survey_free(survey);
	session_give_back(instance);
	dev_step_all(dev);
	dev_job_done(dev);
}

static void survey_instance(struct lane_instance *instance)
{
	struct lane *lane = instance->lane;
	struct survey *survey = xcalloc(1, sizeof(*survey));
	survey->instance = instance;
	survey->list = lane->expected;
	survey->list->users++;
	for vec_each (c, &survey->list->files) {
		if (map_has(&lane->owned, c->item.dest))
			continue; /* catching up compares these */
		vec_push(&survey->files, c);
		strv_push(&survey->dests, c->item.dest);
	}
	survey->found = xcalloc(survey->dests.len + 1, sizeof(*survey->found));
	instance->use = SESSION_LOOKING;
	dev_job(lane->dev, survey_work, survey_done, survey);
}

void lane_survey(struct lane *lane)
{
	bool may = lane->attached && lane->expected && lane->state != LANE_GENERATING;
	for (size_t i = 0; may && i < lane->instances.len; i++) {
		struct lane_instance *instance = lane->instances.items[i];
		if (!instance->surveyed && instance->session && instance->use == SESSION_FREE && !instance->stuck &&
		    instance_is_live(instance))
			survey_instance(instance);
	}
}
