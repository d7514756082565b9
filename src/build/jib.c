/* The Jib builder: Maven or Gradle with Jib's plugin, which brings the image into the local engine through the engine's own command line. */
#include <errno.h>
#include <string.h>

#include "build/engine.h"
#include "build/internal.h"
#include "io/process.h"
#include "sync/jib.h"

/* jib.fromImage, or what a required artifact of that name was built as. */
static char *from_image(const struct build_request *request)
{
	const char *from = request->artifact->jib.from_image;
	if (!from || !from[0])
		return NULL;
	for vec_each (required, &request->required) {
		if (str_equal(required->name, from))
			return xasprintf("docker://%s", required->value);
	}
	return xstrdup(from);
}

static int image_command(const struct build_request *request, const char *tag, struct strv *argv, struct error *err)
{
	_cleanup_free_ char *from = from_image(request);
	const struct jib_image image = {
		.tag = tag,
		.from_image = from,
		.skip_tests = request->for_dev,
		.platforms = &request->artifact->platforms,
	};
	return jib_image_command(request->artifact, &image, argv, err);
}

/* The base image is an input, too, where it is one of the engine's. */
static void add_base(const struct build_request *request, const struct strv *argv, struct hasher *hasher)
{
	static const char option[] = "-Djib.from.image=docker://";
	for (size_t i = 0; i < argv->len; i++) {
		_cleanup_free_ char *id = NULL;
		if (!str_starts_with(argv->items[i], option))
			continue;
		(void)engine_image_id(request->docker, argv->items[i] + strlen(option), &id, request->cancel, NULL);
		hasher_add_string(hasher, id);
	}
}

static int jib_describe(const struct build_request *request, struct hasher *hasher, struct error *err)
{
	static const char *const variables[] = {"JAVA_HOME", "MAVEN_OPTS", "MAVEN_ARGS", "GRADLE_OPTS"};
	CLEANUP(strv_release) struct strv argv = {0};
	int r = image_command(request, "", &argv, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < argv.len; i++)
		hasher_add_string(hasher, argv.items[i]);
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		hasher_add_string(hasher, getenv(variables[i]));
	add_base(request, &argv, hasher);
	return 0;
}

/* The engine as its own command line program would find it; Jib runs `docker` unless it is told of another. */
static int add_engine(const struct build_request *request, struct strv *argv, struct strv *env, struct error *err)
{
	_cleanup_free_ char *program = NULL, *host = NULL;
	int r = engine_program(request->docker, &program, &host, err);
	if (r < 0)
		return r;
	if (!str_ends_with(program, "/docker"))
		strv_pushf(argv, "-Djib.dockerClient.executable=%s", program);
	if (host)
		strv_pushf(env, "DOCKER_HOST=%s", host);
	return 0;
}

static int run_tool(struct build_job *job, const struct strv *argv, const struct strv *env, struct error *err)
{
	const struct build_request *request = job->request;
	CLEANUP(error_clear) struct error cause = {0};
	const struct process_spec spec = {
		.argv = (const char *const *)argv->items,
		.directory = request->artifact->context,
		.env = (const char *const *)env->items,
		.line = build_line,
		.data = job,
		.cancel = request->cancel,
	};
	int status = process_run(&spec, &cause);
	if (status < 0)
		return build_cannot_start(argv, request->artifact->place, &cause, err);
	return status == 0 ? 0
			   : build_command_failed(argv, status, str_text(job->log), request->artifact->context, err);
}

static int jib_run(struct build_job *job, char **image_id, struct error *err)
{
	const struct build_request *request = job->request;
	CLEANUP(strv_release) struct strv argv = {0}, env = {0};
	int r = image_command(request, job->tag, &argv, err);
	if (r == 0)
		r = add_engine(request, &argv, &env, err);
	if (r == 0)
		r = run_tool(job, &argv, &env, err);
	if (r < 0)
		return r;
	r = engine_image_id(request->docker, job->tag, image_id, request->cancel, err);
	if (r == -ENOENT) {
		_cleanup_free_ char *command = strv_join(&argv, " ");
		return error_at(err, request->artifact->place, ENOENT,
				"Jib ended well, but the engine has no image %s (does jib.args or the build definition "
				"name another? the command was: %s)",
				job->tag, command);
	}
	return r;
}

const struct builder builder_jib = {BUILDER_JIB, jib_describe, jib_run, engine_reuse};
