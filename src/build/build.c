#include "build/build.h"

#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "build/cache.h"
#include "build/embedded.h"
#include "build/engine.h"
#include "build/generate.h"
#include "build/internal.h"
#include "build/prepare.h"
#include "build/reference.h"
#include "build/tag.h"
#include "sync/baseline.h"

enum { GENERATE_TRIES = 8 }; /* sources may be saved while a generator reads them */

/* The builder of the embedded runtime, in the shape of the others. */
static int embedded_describe(const struct build_request *request, struct hasher *hasher, struct error *err)
{
	hasher_add_string(hasher, "embedded");
	return request->artifact->builder == BUILDER_DOCKER ? builder_docker.describe(request, hasher, err) : 0;
}

static int embedded_run(struct build_job *job, char **image_id, struct error *err)
{
	return build_embedded(job->request, image_id, err);
}

static int embedded_reuse(const struct build_request *request, const char *image_id, const char *tag, struct error *err)
{
	(void)request, (void)tag, (void)err;
	return image_id[0] == '/' && file_is_directory(image_id);
}

static const struct builder builder_embedded = {BUILDER_DOCKER, embedded_describe, embedded_run, embedded_reuse};

static const struct builder *const builders[] = {&builder_docker, &builder_custom, &builder_jib, &builder_ko,
						 &builder_buildpacks};

static int find_builder(const struct build_request *request, const struct builder **builder, struct error *err)
{
	if (request->embedded) {
		*builder = &builder_embedded;
		return 0;
	}
	const struct artifact *artifact = request->artifact;
	for (size_t i = 0; i < ARRAY_LEN(builders); i++) {
		if (builders[i]->kind == artifact->builder) {
			*builder = builders[i];
			return 0;
		}
	}
	return error_at(
		err, artifact->place, ENOTSUP,
		"%s is built by '%s', which skiff does not carry out yet (it builds with: docker, jib, custom, ko, "
		"buildpacks)",
		artifact->image.value, builder_kind_name(artifact->builder));
}

/* One build: what is found out on the way. */
struct build {
	const struct build_request *request;
	const struct builder *builder;
	struct hash digest; /* of the inputs and all that the builder adds */
	struct build_job job;
	struct build_result result;
};

static void add_command(struct hasher *hasher, const struct hook_list *hooks)
{
	for vec_each (hook, hooks) {
		for (size_t i = 0; i < hook->command.len; i++)
			hasher_add_string(hasher, hook->command.items[i]);
	}
}

static int find_digest(struct build *build, struct error *err)
{
	const struct build_request *request = build->request;
	const struct artifact *artifact = request->artifact;
	char inputs[HASH_HEX_SIZE];
	hash_to_hex(inputs_digest(&build->result.baseline), inputs);
	struct hasher *hasher = hasher_new();
	hasher_add_string(hasher, "skiff build 1");
	hasher_add_string(hasher, inputs);
	hasher_add_string(hasher, artifact->image.value);
	hasher_add_string(hasher, builder_kind_name(artifact->builder));
	hasher_add_string(hasher, request->for_dev ? "dev" : "build");
	for (size_t i = 0; i < artifact->platforms.len; i++)
		hasher_add_string(hasher, artifact->platforms.items[i]);
	for vec_each (required, &request->required) { /* by what it is, not only by its name */
		_cleanup_free_ char *id = NULL;
		(void)engine_image_id(request->docker, required->value, &id, request->cancel, NULL);
		hasher_add_string(hasher, required->name);
		hasher_add_string(hasher, required->value);
		hasher_add_string(hasher, id);
	}
	add_command(hasher, &artifact->before);
	add_command(hasher, &artifact->after);
	int r = build->builder->describe(request, hasher, err);
	build->digest = hasher_finish(hasher);
	return r;
}

static void draw_line(const struct build *build)
{
	if (build->request->source && build->request->begins)
		build->request->begins(build->request->data);
}

/* What an earlier skiff read, for the first look of this one. */
static void load_earlier(const struct build *build, struct inputs *earlier)
{
	CLEANUP(error_clear) struct error why = {0};
	_cleanup_free_ char *id = build_cache_newest(build->request->artifact);
	if (id)
		(void)inputs_load(id, earlier, &why); /* without it all is read */
}

/* The inputs as they are now, in the place of what is known; files that look the same are not read again. */
static int take_inputs(struct build *build, struct error *err)
{
	if (!build->request->source)
		return 0;
	CLEANUP(inputs_release) struct inputs earlier = {0};
	struct inputs now = {0};
	bool first = build->result.baseline.len == 0;
	if (first)
		load_earlier(build, &earlier);
	int r = sync_source_inputs(build->request->source, first ? &earlier : &build->result.baseline, &now, err);
	if (r < 0)
		return r;
	inputs_release(&build->result.baseline);
	build->result.baseline = now;
	return 0;
}

/* 1: what was built earlier serves. */
static int try_cache(struct build *build, struct error *err)
{
	const struct build_request *request = build->request;
	if (request->force || !request->source)
		return 0;
	_cleanup_free_ char *id = build_cache_find(request->artifact, build->digest);
	if (!id)
		return 0;
	int r = build->builder->reuse(request, id, build->result.tag, err);
	if (r > 0) {
		build->result.image_id = steal(&id);
		build->result.cached = true;
	}
	return r;
}

/* skaffold.dev/docs/lifecycle-hooks */
static int hook_environment(const struct build *build, struct strv *env, struct error *err)
{
	const struct build_request *request = build->request;
	CLEANUP(reference_release) struct reference reference = {0};
	int r = reference_parse(build->result.tag, &reference, err);
	if (r < 0)
		return r;
	const struct config *config = request->config;
	strv_pushf(env, "SKAFFOLD_IMAGE=%s", build->result.tag);
	strv_pushf(env, "SKAFFOLD_PUSH_IMAGE=%s", config->local.push_set && config->local.push ? "true" : "false");
	strv_pushf(env, "SKAFFOLD_IMAGE_REPO=%s", reference.name);
	strv_pushf(env, "SKAFFOLD_IMAGE_TAG=%s", reference.tag ? reference.tag : "");
	strv_pushf(env, "SKAFFOLD_BUILD_CONTEXT=%s", request->artifact->context);
	strv_pushf(env, "SKAFFOLD_DEFAULT_REPO=%s", request->default_repo ? request->default_repo : "");
	strv_pushf(env, "SKAFFOLD_WORK_DIR=%s", request->artifact->base_dir);
	return 0;
}

static int run_hooks(struct build *build, const struct hook_list *hooks, const char *phase, struct error *err)
{
	if (hooks->len == 0)
		return 0;
	CLEANUP(strv_release) struct strv env = {0};
	int r = hook_environment(build, &env, err);
	if (r < 0)
		return r;
	r = hooks_run_host(hooks, build->request->artifact->base_dir, (const char *const *)env.items, build_line,
			   &build->job, build->request->cancel, err);
	return r < 0 && r != -ECANCELED
		       ? error_wrap(err, "%s building %s", phase, build->request->artifact->image.value)
		       : r;
}

/* On disk without what changed meanwhile; the caller knows of that by itself. */
static int save_baseline(struct build *build, const struct inputs *after, struct error *err)
{
	CLEANUP(inputs_release) struct inputs sure = {0};
	for vec_each (input, &build->result.baseline)
		inputs_add_copy(&sure, input);
	inputs_doubt(&sure, after);
	return inputs_save(build->result.image_id, &sure, err);
}

/* What the image was built from is only known if nothing changed while the builder read it. */
static int remember(struct build *build, struct error *err)
{
	const struct build_request *request = build->request;
	if (!request->source)
		return 0;
	CLEANUP(inputs_release) struct inputs after = {0};
	int r = sync_source_inputs(request->source, &build->result.baseline, &after, err);
	if (r < 0)
		return r;
	bool changed = !hash_equal(inputs_digest(&after), inputs_digest(&build->result.baseline));
	r = save_baseline(build, &after, err);
	if (r < 0 || changed)
		return r;
	return build_cache_save(request->artifact, build->digest, build->result.image_id, err);
}

/* The tag: of the inputs as they are known now. */
static int name_image(struct build *build, struct error *err)
{
	const struct build_request *request = build->request;
	char hex[HASH_HEX_SIZE];
	hash_to_hex(build->digest, hex);
	free(steal(&build->result.tag));
	int r = tag_make(request, request->source ? hex : NULL, &build->result.tag, err);
	build->job = (struct build_job){.request = request, .tag = build->result.tag, .log = &build->result.log};
	return r;
}

/* What the image copies and generators make, made of the sources as they are at the line that is drawn last. */
static int make_outputs(struct build *build, bool *generated, struct error *err)
{
	bool needed = false;
	for (int i = 0; i < GENERATE_TRIES; i++) {
		int r = build_needs_outputs(build->request, i > 0, &needed, err);
		if (r < 0)
			return r;
		if (!needed)
			return i > 0 ? build_keep_outputs(build->request, err) : 0;
		r = build_make_outputs(build->request, i > 0, err);
		build->result.explained = r < 0;
		if (r < 0)
			return r;
		*generated = true;
		draw_line(build);
	}
	return error_set(err, EAGAIN, "%s: what its generators read changes all the time",
			 build->request->artifact->image.value);
}

static int run_builder(struct build *build, struct error *err)
{
	const struct artifact *artifact = build->request->artifact;
	int r = run_hooks(build, &artifact->before, "before", err);
	if (artifact->before.len > 0)
		draw_line(build);
	bool generated = false;
	if (r == 0)
		r = make_outputs(build, &generated, err);
	if (r == 0 && (generated || artifact->before.len > 0))
		r = take_inputs(build, err);
	if (r == 0 && (generated || artifact->before.len > 0))
		r = find_digest(build, err);
	if (r == 0 && generated) {
		r = name_image(build, err);
		r = r < 0 ? r : try_cache(build, err);
	}
	if (r != 0) /* what the generators made is what an earlier image holds */
		return r < 0 ? r : 0;
	r = build->builder->run(&build->job, &build->result.image_id, err);
	build->result.explained = r < 0 && artifact->builder == BUILDER_JIB;
	if (r == 0)
		r = run_hooks(build, &artifact->after, "after", err);
	return r < 0 ? r : remember(build, err);
}

static int run(struct build *build, struct error *err)
{
	const struct build_request *request = build->request;
	_cleanup_close_ int lock =
		build_lock_context(request->artifact, request->line, request->data, request->cancel, err);
	if (lock < 0)
		return lock;
	draw_line(build);
	bool needed = false;
	int r = build_needs_outputs(request, false, &needed, err);
	if (r == 0)
		r = take_inputs(build, err);
	if (r == 0)
		r = find_digest(build, err);
	if (r == 0)
		r = name_image(build, err);
	if (r == 0 && !needed)
		r = try_cache(build, err);
	return r == 0 ? run_builder(build, err) : r < 0 ? r : 0;
}

int build_artifact(const struct build_request *request, struct build_result *result, struct error *err)
{
	struct build build = {.request = request};
	int r = find_builder(request, &build.builder, err);
	if (r == 0)
		r = run(&build, err);
	if (cancel_requested(request->cancel) && r < 0)
		r = error_set(err, ECANCELED, "canceled");
	*result = build.result;
	return r;
}

void build_result_release(struct build_result *result)
{
	free(result->tag);
	free(result->image_id);
	inputs_release(&result->baseline);
	str_release(&result->log);
	*result = (struct build_result){0};
}
