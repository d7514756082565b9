/* The custom builder: a command of the person's, told what to build by its environment (skaffold.dev/docs/builders/builder-types/custom). */
#include <errno.h>

#include "build/engine.h"
#include "build/expand.h"
#include "build/internal.h"
#include "build/reference.h"
#include "client/docker.h"
#include "io/process.h"

static int custom_command(const struct build_request *request, char **command, struct error *err)
{
	const struct text *text = &request->artifact->custom.build_command;
	return build_expand(request, text->value ? text->value : "", text->place, command, err);
}

static int custom_describe(const struct build_request *request, struct hasher *hasher, struct error *err)
{
	_cleanup_free_ char *command = NULL;
	int r = custom_command(request, &command, err);
	if (r == 0)
		hasher_add_string(hasher, command);
	return r;
}

static int custom_environment(const struct build_request *request, const char *tag, struct strv *env, struct error *err)
{
	CLEANUP(reference_release) struct reference reference = {0};
	int r = reference_parse(tag, &reference, err);
	if (r < 0)
		return r;
	const struct config *config = request->config;
	_cleanup_free_ char *platforms = strv_join(&request->artifact->platforms, ",");
	strv_pushf(env, "IMAGE=%s", tag);
	strv_pushf(env, "PUSH_IMAGE=%s", config->local.push_set && config->local.push ? "true" : "false");
	strv_pushf(env, "BUILD_CONTEXT=%s", request->artifact->context);
	strv_pushf(env, "PLATFORMS=%s", platforms);
	strv_pushf(env, "SKIP_TEST=%s", request->for_dev ? "true" : "false");
	strv_pushf(env, "IMAGE_REPO=%s", reference.name);
	strv_pushf(env, "IMAGE_TAG=%s", reference.tag ? reference.tag : "");
	for vec_each (required, &request->required)
		strv_pushf(env, "%s=%s", required->name, required->value);
	return 0;
}

static int custom_run(struct build_job *job, char **image_id, struct error *err)
{
	const struct build_request *request = job->request;
	_cleanup_free_ char *command = NULL;
	CLEANUP(strv_release) struct strv env = {0};
	int r = custom_command(request, &command, err);
	if (r == 0)
		r = custom_environment(request, job->tag, &env, err);
	if (r < 0)
		return r;
	const struct process_spec spec = {
		.argv = (const char *const[]){"sh", "-c", command, NULL},
		.directory = request->artifact->context,
		.env = (const char *const *)env.items,
		.line = build_line,
		.data = job,
		.cancel = request->cancel,
	};
	int status = process_run(&spec, err);
	if (status < 0)
		return status == -ECANCELED
			       ? status
			       : error_wrap(err, "the build command of %s", request->artifact->image.value);
	if (status > 0)
		return build_failed(job, "the build command", status, err);
	CLEANUP(error_clear) struct error missing = {0};
	r = engine_image_id(request->docker, job->tag, image_id, request->cancel, &missing);
	if (r == -ENOENT)
		return error_at(
			err, request->artifact->custom.build_command.place, ENOENT,
			"the build command ended well, but %s has no image %s: it must build the name in $IMAGE",
			docker_host(request->docker), job->tag);
	return r < 0 ? error_move(err, &missing) : 0;
}

const struct builder builder_custom = {BUILDER_CUSTOM, custom_describe, custom_run, engine_reuse};
