/* Building and deploying: what a lane does when copying is not enough. */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "build/base-image.h"
#include "dev/lane.h"
#include "dev/preflight.h"

bool lane_may_build(const struct lane *lane)
{
	const struct dev *dev = lane->dev;
	unsigned building = 0;
	for vec_each (other, &dev->lanes)
		building += (*other)->state == LANE_BUILDING;
	int limit = dev->config->local.concurrency;
	if (limit > 0 && building >= (unsigned)limit)
		return false;
	for vec_each (need, &lane->artifact->requires_) {
		const struct lane *required = dev->lanes.items[need->artifact];
		if (required->wants_build || required->state == LANE_BUILDING || !required->image_id)
			return false;
	}
	return lane_context_is_free(lane); /* two at work in one context get in each other's way */
}

struct build_job {
	struct lane *lane;
	struct build_request request;
	struct build_result result;
	struct outputs outputs;
	struct strv preflight;
	uint64_t built_ns;	    /* as struct lane has it */
	struct sync_source *source; /* as the Dockerfile is when the build begins */
	bool look_anew;		    /* other folders may count from now on */
	bool listed;		    /* the builder told its inputs, so that `source` knows what matters */
	struct sync_source *
		watched; /* then: the same for the loop thread, which watches by it before the builder reads anything */
	char *image_problem; /* what the built image tells, and can't be used; NULL: all well */
	struct map seen;     /* the first build: journal_see_others */
	bool first;
	bool wants_map; /* the built image wants a sync map that is not known */
	int r;
	struct error err;
};

static void build_line(void *data, int stream, const char *line, size_t len)
{
	struct build_job *job = data;
	line_pipe_put(job->lane->dev->lines, EVENT_PROGRESS, job->lane->artifact->image.value, NULL, stream, line, len);
}

static void note_beginning(void *data)
{
	struct build_job *job = data;
	struct lane *lane = job->lane;
	watch_look(lane->dev->watch); /* what happened until now is told now */
	if (job->watched) { /* also where the build fails: what it lacks may be made where nobody looked before */
		sync_source_free(lane->source);
		lane->source = steal(&job->watched);
		lane->definitions_changed = false;
		dev_watch_anew(lane->dev);
	}
	for vec_each (change, &lane->pending)
		if (change->kind == CHANGE_ADDED)
			change->kind =
				CHANGE_MODIFIED; /* the image gets it: that it is deleted again is then not nothing */
	change_set_append(&lane->before_build, &lane->pending);
}

/* Draws the line between the changes that the baseline holds and those after it. */
static void build_begins(void *data)
{
	struct build_job *job = data;
	dev_call(job->lane->dev, note_beginning, job);
}

/* What only the image itself tells, where no Dockerfile does. */
static void ask_image(struct build_job *job, const char *id)
{
	if (!id)
		return;
	CLEANUP(base_image_release) struct base_image image = {0};
	CLEANUP(error_clear) struct error err = {0};
	base_image_lookup(job->request.docker, id, &image);
	if (sync_source_set_image(job->source, &image, &err) < 0)
		job->image_problem = error_format(&err);
}

/* Only now the base images are surely at hand: their WORKDIR, ENV and ONBUILD. */
static void look_again_at_bases(struct build_job *job)
{
	struct sync_source *better = NULL;
	if (sync_source_new(job->lane->dev->config, job->request.artifact, base_image_lookup, job->request.docker,
			    &better, NULL) < 0)
		return;
	sync_source_free(job->source);
	job->source = better;
}

static void build_work(void *data)
{
	struct build_job *job = data;
	const struct dev *dev = job->lane->dev;
	const struct artifact *artifact = job->request.artifact;
	job->r =
		sync_source_new(dev->config, artifact, base_image_lookup, job->request.docker, &job->source, &job->err);
	if (job->r == 0)
		job->r = build_list_dependencies(artifact, job->source, dev->cancel, &job->err);
	if (job->r < 0)
		return;
	job->listed = true;
	if (job->look_anew)
		(void)sync_source_new(dev->config, artifact, base_image_lookup, job->request.docker, &job->watched,
				      NULL);
	job->request.source = job->source;
	job->r = build_artifact(&job->request, &job->result, &job->err);
	if (job->r < 0) {
		ask_image(job, job->lane->deployed_id); /* that keeps running */
		return;
	}
	job->built_ns = job->result.cached ? 0 : realtime_ns();
	if (!job->result.cached && !sync_source_listing_command(job->source))
		look_again_at_bases(job);
	ask_image(job, job->result.image_id);
	if (job->first && !dev->embedded)
		(void)journal_see_others(job->source, &job->seen, NULL);
	job->wants_map = sync_source_needs_map(job->source); /* reads the build definitions */
	CLEANUP(error_clear) struct error err = {0};
	preflight_choose(job->source, &job->result.baseline, &job->preflight);
	(void)outputs_of_image(job->lane, job->source, job->result.image_id, job->built_ns, NULL, &job->outputs, &err);
}

static void join_pending(struct lane *lane)
{
	change_set_append(&lane->before_build, &lane->pending);
	lane->pending = lane->before_build;
	lane->before_build = (struct change_set){0};
	change_set_sort(&lane->pending);
}

/* What changed while the builder read it: the image may hold either version. */
static void note_dirty(struct lane *lane)
{
	map_release(&lane->dirty, NULL);
	for (size_t i = 0; i < lane->pending.len; i++)
		map_set(&lane->dirty, lane->pending.items[i].path, NULL);
}

/* What the builder told of its inputs holds, although it failed: without that, each file that it wrote would count as one. */
static void take_told(struct lane *lane, struct build_job *job)
{
	bool lists = job->listed && sync_source_listing_command(job->source);
	bool jib = job->listed && lane->artifact->builder == BUILDER_JIB;
	if (!lists && !jib)
		return;
	bool others = lists || !lane->source || sync_source_knows_nothing(lane->source);
	sync_source_free(lane->source);
	lane->source = steal(&job->source);
	if (others)
		dev_watch_anew(lane->dev);
}

/* A source that was saved while the image was built, and compiled by an IDE before the build ended: its class is older than the image, which yet
 * holds another. So then only what is older than the build itself is known. */
static void doubt_outputs(struct lane *lane)
{
	bool read_meanwhile = false;
	for vec_each (change, &lane->pending)
		read_meanwhile = read_meanwhile || sync_source_class(lane->source, change->path, change->kind,
								     change->directory) == PATH_GENERATOR_INPUT;
	if (!read_meanwhile || lane->built_ns == 0)
		return;
	lane->built_ns = realtime_ns() - (monotonic_ns() - lane->build_started_ns);
	lane_doubt_outputs(lane, lane->built_ns);
}

static void build_failed(struct lane *lane, struct build_job *job)
{
	_cleanup_free_ char *message = error_format(&job->err);
	take_told(lane, job);
	lane->build_failed = true;
	lane->state = LANE_IDLE;
	join_pending(lane);
	if (lane->source) /* what the build itself made neither mends it nor is whole */
		lane_drop_outputs(lane, &lane->failed);
	if (cancel_requested(lane->dev->cancel))
		return;
	tell_build_failed(lane, message, &job->result);
	lane_set_error(lane, "build", message);
	/* The next change builds again, whatever it is (step_copy): what failed is in the tree, nothing is forgotten. */
}

/* A lane that builds upon this image gets a new base. */
static void rebuild_dependents(struct lane *lane)
{
	for vec_each (other, &lane->dev->lanes)
		for vec_each (need, &(*other)->artifact->requires_)
			if (need->artifact == lane->index && (*other)->image_id) {
				_cleanup_free_ char *reason =
					xasprintf("%s, which it requires, was rebuilt", lane->artifact->image.value);
				lane_want_build(*other, reason);
			}
}

static void build_succeeded(struct lane *lane, struct build_job *job)
{
	bool new_image = !str_equal(lane->image_id, job->result.image_id);
	sync_source_free(lane->source);
	lane->source = steal(&job->source);
	inputs_release(&lane->baseline);
	lane->baseline = job->result.baseline;
	job->result.baseline = (struct inputs){0};
	note_dirty(lane);
	lane_set_preflight(lane, &job->preflight);
	lane_take_outputs(lane, &job->outputs, job->result.cached);
	lane->built_ns = job->built_ns;
	doubt_outputs(lane); /* pending is now what came while the image was built */
	join_pending(lane);
	lane_owe_unmade(lane);
	map_release(&lane->seen_by_generators, NULL); /* in the baseline now */
	replace_string(&lane->tag, job->result.tag);
	replace_string(&lane->image_id, job->result.image_id);
	lane->built = true;
	lane->build_failed = lane->generate_failed = false;
	lane->force_build = false;
	if (job->first) {
		map_release(&lane->seen, free);
		lane->seen = job->seen;
		job->seen = (struct map){0};
	}
	lane->wants_map = job->wants_map;
	if (!lane_programs_fail(lane))
		lane_set_error(lane, NULL, NULL);
	lane->state = LANE_BUILT;
	tell_build(lane, job->result.cached ? "cached" : "succeeded", elapsed_ms(lane->build_started_ns));
	if (job->image_problem)
		tell_warning(lane->dev, job->image_problem);
	if (new_image)
		rebuild_dependents(lane);
}

static void build_done(void *data)
{
	struct build_job *job = data;
	struct lane *lane = job->lane;
	struct dev *dev = lane->dev;
	if (dev->phase != DEV_STOPPING && !dev->reload)
		watch_look(dev->watch); /* what the build wrote is told now, while it counts as its own */
	if (job->r < 0)
		build_failed(lane, job);
	else
		build_succeeded(lane, job);
	lane->pending_from_run = true;
	build_result_release(&job->result);
	inputs_release(&job->outputs.scan);
	inputs_release(&job->outputs.image);
	strv_release(&job->preflight);
	sync_source_free(job->source);
	sync_source_free(job->watched);
	map_release(&job->seen, free);
	for vec_each (pair, &job->request.required) {
		free(pair->name);
		free(pair->value);
	}
	vec_release(&job->request.required);
	error_clear(&job->err);
	free(job->image_problem);
	free(job);
	dev_step_all(dev);
	dev_job_done(dev);
}

void lane_build(struct lane *lane)
{
	struct dev *dev = lane->dev;
	struct build_job *job = xcalloc(1, sizeof(*job));
	job->lane = lane;
	job->look_anew = lane->definitions_changed;
	job->first = !lane->image_id;
	lane_note_unmade(lane);
	lane_drop_pending(lane); /* the build reads the tree, and what changes from here on comes again */
	change_set_release(&lane->failed);
	job->request = (struct build_request){
		.config = dev->config,
		.artifact = lane->artifact,
		.docker = dev->docker,
		.embedded = dev->embedded,
		.for_dev = true,
		.tag = dev->options->tag,
		.default_repo = dev->options->default_repo,
		.force = lane->force_build,
		.line = build_line,
		.begins = build_begins,
		.data = job,
		.cancel = dev->cancel,
	};
	for vec_each (need, &lane->artifact->requires_)
		vec_push(&job->request.required,
			 (struct pair){.name = xstrdup(need->alias),
				       .value = xstrdup(dev->lanes.items[need->artifact]->tag)});
	lane->wants_build = false;
	lane->state = LANE_BUILDING;
	lane->dev->trimmed = false;
	lane->build_started_ns = monotonic_ns();
	tell_build(lane, "started", -1);
	dev_job(dev, build_work, build_done, job);
}

struct deploy_job {
	struct lane *lane;
	struct deployed_image image;
	struct agent_layer layer;
	struct published_ports ports;
	struct cancel *cancel;
	int r;
	struct error err;
};

static void deploy_work(void *data)
{
	struct deploy_job *job = data;
	const struct lane *lane = job->lane;
	const struct dev *dev = lane->dev;
	if (dev->docker && !dev->embedded && !dev->options->no_agent)
		job->r = agent_layer_make(dev->docker, dev->run_id, job->image.image_id, &job->layer, job->cancel,
					  &job->err);
	job->image.agent_id = job->layer.image_id;
	if (job->r == 0)
		job->r = dev->deployer->ops->deploy(dev->deployer, &job->image, &job->ports, job->cancel, &job->err);
	if (job->r == 0 && lane->layer && !str_equal(lane->layer, job->layer.reference))
		agent_layer_remove(dev->docker, lane->layer, job->cancel);
}

/* Said once. */
static void note_layer(struct lane *lane, const struct agent_layer *layer)
{
	if (layer->note && !str_equal(layer->note, lane->layer_note)) {
		_cleanup_free_ char *words = xasprintf("%s: the agent is put into each container as it starts: %s",
						       lane->artifact->image.value, layer->note);
		tell_warning(lane->dev, words);
	}
	replace_string(&lane->layer_note, layer->note);
}

void lane_take_ports(struct lane *lane, struct published_ports *ports)
{
	struct dev *dev = lane->dev;
	const char *image = lane->artifact->image.value;
	size_t kept = 0;
	for (size_t i = 0; i < dev->ports.len; i++) {
		struct published_port *port = &dev->ports.items[i];
		if (str_equal(port->image, image)) {
			free(port->image);
			free(port->address);
		} else {
			dev->ports.items[kept++] = *port;
		}
	}
	dev->ports.len = kept;
	for vec_each (port, ports)
		vec_push(&dev->ports, *port);
	vec_release(ports);
}

/* The containers are of the image that was built last, whether it had to be deployed for that or not: what is carried from here on is not in it. */
static void settle_build(struct lane *lane)
{
	bool built = lane->built;
	if (built)
		lane_prune_owned(lane);
	lane->built = false;
	change_set_release(&lane->unmade);
	if (!built)
		return;
	lane_prune_seen(lane);
	lane_journal_write(lane);
}

static void tell_unused(const struct lane *lane)
{
	_cleanup_free_ char *words =
		xasprintf("no manifest runs %s: what changes of it goes nowhere", lane->artifact->image.value);
	tell_warning(lane->dev, words);
}

static void deploy_done(void *data)
{
	struct deploy_job *job = data;
	struct lane *lane = job->lane;
	struct dev *dev = lane->dev;
	lane->state = LANE_IDLE;
	if (job->r < 0) {
		_cleanup_free_ char *message = error_format(&job->err);
		lane->build_failed = true;
		if (!cancel_requested(dev->cancel)) {
			tell_deploy(lane, "failed", elapsed_ms(lane->build_started_ns), NULL);
			lane_set_error(lane, "deploy", message);
		}
		published_ports_release(&job->ports);
	} else {
		replace_string(&lane->deployed_id, lane->image_id);
		if (job->r > 0 && !lane->unused)
			tell_unused(lane);
		lane->unused = job->r > 0;
		lane->crashes = 0;
		replace_string(&lane->layer, job->layer.image_id ? job->layer.reference : NULL);
		settle_build(lane);
		tell_deploy(lane, "succeeded", lane->build_started_ns ? elapsed_ms(lane->build_started_ns) : -1,
			    &job->ports);
		lane_take_ports(lane, &job->ports);
	}
	note_layer(lane, &job->layer);
	agent_layer_release(&job->layer);
	error_clear(&job->err);
	free(job);
	instances_refresh(dev);
	dev_step_all(dev);
	dev_job_done(dev);
}

void lane_deploy(struct lane *lane)
{
	struct dev *dev = lane->dev;
	bool unchanged =
		str_equal(lane->deployed_id, lane->image_id) && lane->owned.len == 0 && lane->instances.len > 0;
	if (unchanged || !lane_deploys(lane)) {
		if (unchanged)
			settle_build(lane);
		lane->state = LANE_IDLE;
		return;
	}
	struct deploy_job *job = xcalloc(1, sizeof(*job));
	job->lane = lane;
	job->image = (struct deployed_image){.artifact = lane->artifact,
					     .image = lane->artifact->image.value,
					     .tag = lane->tag,
					     .image_id = lane->image_id};
	job->cancel = dev->cancel;
	lane->none_listed = false;
	lane_journal_next(lane);
	lane->state = LANE_DEPLOYING;
	dev_job(dev, deploy_work, deploy_done, job);
}
