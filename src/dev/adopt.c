#include "dev/adopt.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/path.h"
#include "build/base-image.h"
#include "client/docker.h"
#include "dev/preflight.h"
#include "sync/baseline.h"

/* ---- what is there to adopt ---- */

void adoption_free(struct adoption *adoption)
{
	if (!adoption)
		return;
	struct left_containers one = {.items = xmemdup(&adoption->container, sizeof(adoption->container)), .len = 1};
	left_containers_release(&one);
	journal_state_release(&adoption->state);
	inputs_release(&adoption->baseline);
	free(adoption);
}

static struct left_container *find_left(struct left_containers *left, const char *image)
{
	for vec_each (one, left)
		if (str_equal(one->image, image))
			return one; /* the newest comes first */
	return NULL;
}

/* Why the container can't be adopted; NULL: it can. */
static const char *load(const struct dev *dev, const struct artifact *artifact, const struct left_container *container,
			struct adoption *adoption)
{
	_cleanup_free_ char *name = dev_journal_name(dev, artifact);
	if (dev->options->force)
		return "all is to be built anew";
	if (!str_equal(container->config_digest, dev->config_digest))
		return "it was started with another configuration";
	if (artifact->requires_.len > 0)
		return "it was built upon an image that may be another by now";
	if (!container->base_id || !container->tag || journal_load(name, &adoption->state, NULL) < 0)
		return "what was copied into it is not known";
	if (!str_equal(adoption->state.base_id, container->base_id) &&
	    !str_equal(adoption->state.next_id, container->base_id))
		return "what was copied into it is not known";
	if (inputs_load(container->base_id, &adoption->baseline, NULL) < 0)
		return "what its image was built from is not known any more";
	return NULL;
}

static struct adoption *claim(struct dev *dev, const struct artifact *artifact, struct left_containers *left)
{
	struct left_container *container = find_left(left, artifact->image.value);
	if (!container || (dev->options->once && !container->running))
		return NULL;
	struct adoption *adoption = xcalloc(1, sizeof(*adoption));
	const char *why_not = load(dev, artifact, container, adoption);
	if (why_not) {
		if (dev->options->once)
			replace_string(&dev->once_problem, why_not);
		adoption_free(adoption);
		return NULL;
	}
	adoption->container = *container;
	*container = (struct left_container){0};
	if (adoption->container.running)
		dev->deployer->ops->adopt(dev->deployer, &adoption->container);
	return adoption;
}

/* What `skiff sync` says where there is nothing that it could bring up to date. */
static int refuse_once(const struct dev *dev, struct error *err)
{
	if (dev->once_problem)
		return error_set(
			err, ENOTSUP,
			"what runs can't be brought up to date: %s (`skiff dev` or `skiff run` starts it anew)",
			dev->once_problem);
	return error_set(err, ENOENT, "nothing of this project is running (`skiff dev` or `skiff run` starts it)");
}

int adopt_find(struct dev *dev, struct error *err)
{
	struct left_containers left = {0};
	bool any = false;
	int r = dev->deployer->ops->left(dev->deployer, &left, dev->cancel, err);
	for vec_each (artifact, &dev->config->artifacts) {
		struct adoption *found = r == 0 ? claim(dev, *artifact, &left) : NULL;
		any = any || found;
		vec_push(&dev->adoptions, found);
	}
	left_containers_release(&left);
	if (r == 0 && dev->options->once)
		return any && !dev->once_problem ? 0 : refuse_once(dev, err);
	return r < 0 ? r : dev->deployer->ops->sweep(dev->deployer, dev->cancel, err);
}

/* ---- what changed since ---- */

struct adopt_job {
	struct lane *lane;
	struct adoption *adoption;
	struct sync_source *source;
	struct inputs now;
	struct map others; /* what matters besides inputs, as it is now: path → struct journal_seen */
	struct outputs outputs;
	struct change_set changes;
	struct strv preflight;
	bool wants_map;
	int r;
	struct error err;
};

static const char *context_of(const struct adopt_job *job)
{
	return job->lane->artifact->context;
}

/* How a path was when its last change had been dealt with. False: nothing was there. */
static bool known(const struct adopt_job *job, const char *path, struct journal_seen *out)
{
	const struct journal_seen *seen = map_get(&job->adoption->state.seen, path);
	const char *rel = path_below(path, context_of(job));
	const struct input *input = seen ? NULL : inputs_find(&job->adoption->baseline, rel ? rel : path);
	if (seen)
		*out = *seen;
	else if (input) /* mode 0: it changed while the image was built */
		*out = (struct journal_seen){.mode = input->mode ? input->mode : JOURNAL_UNSETTLED,
					     .hash = input->hash};
	return seen ? seen->mode != 0 : input != NULL;
}

/* Directories are changes of their own: those above that came with the path, or went with it. */
static void add_directories(struct adopt_job *job, const char *path, enum change_kind kind)
{
	_cleanup_free_ char *dir = path_dir(path);
	for (const char *rel; (rel = path_below(dir, context_of(job))) && *rel;) {
		struct journal_seen before;
		bool was_there = inputs_are_below(&job->adoption->baseline, rel) || known(job, dir, &before);
		if (kind == CHANGE_DELETED ? file_exists(dir) : was_there)
			return;
		change_set_add(&job->changes, kind, true, dir);
		char *above = path_dir(dir);
		free(dir);
		dir = above;
	}
}

static void add(struct adopt_job *job, enum change_kind kind, unsigned mode, const char *path)
{
	change_set_add(&job->changes, kind, S_ISDIR(mode), path);
	if (kind != CHANGE_MODIFIED)
		add_directories(job, path, kind);
}

static void compare(struct adopt_job *job, const char *path, struct journal_seen now)
{
	struct journal_seen before;
	if (!known(job, path, &before))
		add(job, CHANGE_ADDED, now.mode, path);
	else if (before.mode != now.mode || !hash_equal(before.hash, now.hash))
		add(job, CHANGE_MODIFIED, now.mode, path);
}

static bool is_looked_at(const struct adopt_job *job, const char *path)
{
	const char *rel = path_below(path, context_of(job));
	return inputs_find(&job->now, rel ? rel : path) || map_has(&job->others, path);
}

/* What was there, or was dealt with, and is no input now: gone; or a directory that is not empty. */
static void consider_rest(struct adopt_job *job, const char *path, unsigned mode)
{
	struct stat st;
	if (is_looked_at(job, path) ||
	    sync_source_class(job->source, path, CHANGE_MODIFIED, S_ISDIR(mode)) == PATH_OUTPUT)
		return;
	bool there = lstat(path, &st) == 0;
	bool was_directory = S_ISDIR(mode), is_directory = there && S_ISDIR(st.st_mode);
	bool unsettled = mode == JOURNAL_UNSETTLED;
	if (!there && mode != 0)
		add(job, CHANGE_DELETED, unsettled ? 0 : mode, path);
	else if (there && is_directory && (mode == 0 || (was_directory && mode != st.st_mode)))
		add(job, mode ? CHANGE_MODIFIED : CHANGE_ADDED, st.st_mode, path);
	else if (there && is_directory != was_directory && mode != 0 && !unsettled)
		add(job, CHANGE_DELETED, mode, path);
	else if (there && unsettled)
		add(job, CHANGE_MODIFIED, st.st_mode, path);
}

static void compare_all(struct adopt_job *job)
{
	for vec_each (input, &job->now) {
		_cleanup_free_ char *path = path_join(context_of(job), input->rel);
		compare(job, path, (struct journal_seen){.mode = input->mode, .hash = input->hash});
	}
	for map_each (entry, &job->others) {
		const char *rel = path_below(entry->key, context_of(job));
		const struct journal_seen *now = entry->value;
		if (now->mode != 0 && !inputs_find(&job->now, rel ? rel : entry->key) &&
		    sync_source_class(job->source, entry->key, CHANGE_MODIFIED, false) != PATH_OUTPUT)
			compare(job, entry->key, *now);
	}
	for vec_each (input, &job->adoption->baseline) {
		_cleanup_free_ char *path = path_join(context_of(job), input->rel);
		if (!map_has(&job->adoption->state.seen, path))
			consider_rest(job, path, input->mode ? input->mode : JOURNAL_UNSETTLED);
	}
	for map_each (entry, &job->adoption->state.seen)
		consider_rest(job, entry->key, ((const struct journal_seen *)entry->value)->mode);
	change_set_sort(&job->changes);
}

static int find_image(const struct adopt_job *job, struct error *err)
{
	_cleanup_free_ char *id = docker_escape(job->adoption->container.base_id),
			    *path = xasprintf("/images/%s/json", id);
	return docker_call(job->lane->dev->docker, "GET", path, NULL, NULL, job->lane->dev->cancel, err);
}

static int look(struct adopt_job *job, struct error *err)
{
	const struct lane *lane = job->lane;
	const struct dev *dev = lane->dev;
	const char *id = job->adoption->container.base_id;
	CLEANUP(base_image_release) struct base_image image = {0};
	int r = job->adoption->container.running ? 0 : find_image(job, err);
	if (r == 0)
		r = sync_source_new(dev->config, lane->artifact, base_image_lookup, dev->docker, &job->source, err);
	if (r == 0)
		r = build_list_dependencies(lane->artifact, job->source, dev->cancel, err);
	if (r < 0)
		return r;
	base_image_lookup(dev->docker, id, &image);
	(void)sync_source_set_image(job->source, &image, NULL); /* its mistakes were told after the build */
	job->wants_map = sync_source_needs_map(job->source);
	r = sync_source_inputs(job->source, &job->adoption->baseline, &job->now, err);
	if (r == 0)
		r = journal_see_others(job->source, &job->others, err);
	if (r == 0)
		r = outputs_of_image(lane, job->source, id, 0, NULL, &job->outputs, err);
	return r;
}

static void adopt_work(void *data)
{
	struct adopt_job *job = data;
	job->r = look(job, &job->err);
	if (job->r < 0)
		return;
	compare_all(job);
	preflight_choose(job->source, &job->now, &job->preflight);
}

/* ---- the lane takes it over ---- */

static void take_owned(struct lane *lane, struct journal_state *state)
{
	for map_each (entry, &state->owned) {
		struct journal_owned *read = entry->value;
		struct owned *owned = xcalloc(1, sizeof(*owned));
		*owned = (struct owned){.kind = read->kind <= CARRY_DELETE ? (enum carry_kind)read->kind : CARRY_FILE,
					.src = steal(&read->src),
					.origin = steal(&read->origin),
					.owner = steal(&read->owner),
					.generated = read->generated,
					.owner_if_new = read->owner_if_new,
					.mode = read->mode,
					.host_mode = read->host_mode,
					.hash = read->hash,
					.number = read->number,
					.replaced = read->replaced};
		if (owned->number > lane->carried)
			lane->carried = owned->number;
		if (owned->origin && owned->src &&
		    !file_exists(owned->src)) { /* the copy is gone: the host's own has to do */
			replace_string(&owned->src, owned->origin);
			owned->unsure = true;
		}
		owned_free(map_set(&lane->owned, entry->key, owned));
	}
}

static void take_seen(struct lane *lane, struct journal_state *state)
{
	for map_each (entry, &state->seen) {
		const struct journal_seen *seen = entry->value;
		if (seen->mode != JOURNAL_UNSETTLED) /* else it is pending */
			free(map_set(&lane->seen, entry->key, xmemdup(seen, sizeof(*seen))));
	}
}

static void take_dirty(struct lane *lane)
{
	for vec_each (input, &lane->baseline) {
		_cleanup_free_ char *path = input->mode == 0 ? path_join(lane->artifact->context, input->rel) : NULL;
		if (path)
			map_set(&lane->dirty, path, NULL);
	}
}

/* True if each of its destinations is known to hold just this. */
static bool is_carried(const struct lane *lane, const char *path, const struct input *output)
{
	CLEANUP(classification_release) struct classification class = {0};
	sync_source_classify(lane->source, path, CHANGE_MODIFIED, S_ISDIR(output->mode), &class);
	bool all = true;
	for (size_t i = 0; class.class_ == PATH_OUTPUT && i < class.dests.len; i++) {
		struct candidate_list list = {0};
		struct candidate *c = candidate_add(&list, path, class.dests.items[i], &class);
		c->item.kind = S_ISLNK(output->mode)   ? CARRY_SYMLINK
			       : S_ISDIR(output->mode) ? CARRY_DIRECTORY
						       : CARRY_FILE;
		c->host_mode = output->mode;
		c->hash = output->hash;
		candidate_look_up(lane, c);
		all = all && candidate_is_there(c);
		candidates_release(&list);
	}
	return all;
}

/* Outputs that somebody else wrote while no skiff was here. */
static void find_outputs(struct lane *lane, struct change_set *changes)
{
	for vec_each (output, &lane->outputs.scan) {
		_cleanup_free_ char *path = path_join(lane->artifact->context, output->rel);
		const struct journal_seen *seen = map_get(&lane->seen, path);
		bool as_seen = seen && seen->mode == output->mode && hash_equal(seen->hash, output->hash);
		if (!as_seen && !is_carried(lane, path, output))
			change_set_add(changes, CHANGE_MODIFIED, S_ISDIR(output->mode), path);
	}
	change_set_sort(changes);
}

static size_t count_files(const struct change_set *changes)
{
	size_t count = 0;
	for vec_each (change, changes)
		count += !change->directory;
	return count;
}

static void take_all(struct lane *lane, struct adopt_job *job)
{
	struct adoption *adoption = job->adoption;
	bool other_roots = sync_source_listing_command(job->source) || !lane->source;
	sync_source_free(lane->source);
	lane->source = steal(&job->source);
	lane->baseline = adoption->baseline;
	adoption->baseline = (struct inputs){0};
	replace_string(&lane->image_id, adoption->container.base_id);
	replace_string(&lane->deployed_id, lane->image_id); /* as far as it is known what it holds */
	replace_string(&lane->tag, adoption->container.tag);
	take_owned(lane, &adoption->state);
	take_seen(lane, &adoption->state);
	take_dirty(lane);
	lane_take_outputs(lane, &job->outputs, false);
	if (!str_equal(adoption->state.base_id, lane->image_id)) { /* killed between the new image and its journal */
		lane_prune_owned(lane);
		lane_prune_seen(lane);
	}
	if (lane->dirty.len > 0)
		inputs_release(&lane->outputs.image); /* what was made of those is not known either */
	lane->wants_map = job->wants_map;
	lane_set_preflight(lane, &job->preflight);
	find_outputs(lane, &job->changes);
	if (other_roots)
		dev_watch_anew(lane->dev);
}

static void adopted(struct lane *lane, struct adopt_job *job)
{
	struct left_container *container = &job->adoption->container;
	take_all(lane, job);
	const struct adopted_told told = {.age_s = time(NULL) - container->created_s,
					  .changed = count_files(&job->changes)};
	change_set_append(&lane->pending, &job->changes);
	change_set_sort(&lane->pending);
	if (lane->pending.len > 0 && lane->first_event_ns == 0)
		lane->first_event_ns = monotonic_ns();
	lane_journal_write(lane);
	if (!container->running) {
		free(steal(&lane->deployed_id));
		replace_string(&lane->build_reason, "its container had stopped");
		lane->state = LANE_BUILT; /* it was, long ago: started anew, and brought up to date */
		return;
	}
	tell_adopted(lane, &told, &container->ports);
	lane_take_ports(lane, &container->ports);
	instances_refresh(lane->dev);
}

static void adopt_done(void *data)
{
	struct adopt_job *job = data;
	struct lane *lane = job->lane;
	struct dev *dev = lane->dev;
	lane->state = LANE_IDLE;
	bool stays = dev->phase != DEV_STOPPING && !dev->reload;
	if (stays && job->r == 0)
		adopted(lane, job);
	else if (stays)
		lane_want_build(lane, "first build"); /* which fails for the same reason, and tells it, or mends it */
	adoption_free(job->adoption);
	sync_source_free(job->source);
	inputs_release(&job->now);
	map_release(&job->others, free);
	inputs_release(&job->outputs.scan);
	inputs_release(&job->outputs.image);
	change_set_release(&job->changes);
	strv_release(&job->preflight);
	error_clear(&job->err);
	free(job);
	dev_step_all(dev);
	dev_job_done(dev);
}

void lane_adopt(struct lane *lane, struct adoption *adoption)
{
	struct adopt_job *job = xcalloc(1, sizeof(*job));
	job->lane = lane;
	job->adoption = adoption;
	lane->state = LANE_ADOPTING;
	dev_job(lane->dev, adopt_work, adopt_done, job);
}
