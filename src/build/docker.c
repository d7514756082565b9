/* The docker builder: the engine's own command line, so that BuildKit, its cache, credentials and contexts are the person's. */
#include "build/docker.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "build/engine.h"
#include "build/internal.h"
#include "io/process.h"

enum { DOCKERFILE_MAX = 1 << 20, ID_MAX = 256 };

/* *path is the source's. */
static int read_dockerfile(const struct build_request *request, const char **path, char **text, struct error *err)
{
	size_t len;
	*path = request->source ? sync_source_dockerfile(request->source) : NULL;
	if (!*path)
		return error_at(err, request->artifact->place, ENOENT, "there is no Dockerfile for %s",
				request->artifact->image.value);
	return file_read(*path, DOCKERFILE_MAX, text, &len, err);
}

static void add_base_images(const struct build_request *request, struct hasher *hasher)
{
	const struct copy_map *map = sync_source_copy_map(request->source);
	for (size_t i = 0; map && i < map->bases.len; i++) {
		_cleanup_free_ char *id = NULL;
		(void)engine_image_id(request->docker, map->bases.items[i], &id, request->cancel, NULL);
		hasher_add_string(hasher, map->bases.items[i]);
		hasher_add_string(hasher, id);
	}
}

static int docker_describe(const struct build_request *request, struct hasher *hasher, struct error *err)
{
	const char *path = NULL;
	_cleanup_free_ char *text = NULL;
	CLEANUP(strv_release) struct strv argv = {0};
	int r = read_dockerfile(request, &path, &text, err);
	if (r < 0)
		return r;
	const struct docker_build build = {.program = "docker", .dockerfile = path, .dockerfile_text = text};
	r = docker_build_argv(request, &build, &argv, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < argv.len; i++)
		hasher_add_string(hasher, argv.items[i]);
	hasher_add_string(hasher, text);
	add_base_images(request, hasher);
	return 0;
}

static void engine_environment(const struct build_request *request, const char *host, struct strv *env)
{
	if (host)
		strv_pushf(env, "DOCKER_HOST=%s", host);
	if (request->config->local.use_buildkit_set)
		strv_pushf(env, "DOCKER_BUILDKIT=%d", request->config->local.use_buildkit);
	strv_push(env, "BUILDKIT_PROGRESS=plain");
}

/* What to do about a failure that has nothing to do with the Dockerfile. */
static int explain_failure(const struct build_job *job, int status, struct error *err)
{
	if (strstr(str_text(job->log), "buildx component is missing"))
		return error_set(err, ENOENT,
				 "BuildKit is asked for (build.local.useBuildkit or DOCKER_BUILDKIT), but the docker "
				 "command has no buildx "
				 "plugin: docs.docker.com/go/buildx");
	return build_failed(job, "docker build", status, err);
}

static int run_docker(struct build_job *job, const char *id_file, struct error *err)
{
	const struct build_request *request = job->request;
	const char *path = NULL;
	_cleanup_free_ char *program = NULL, *host = NULL, *text = NULL;
	CLEANUP(strv_release) struct strv argv = {0}, env = {0};
	int r = engine_program(request->docker, &program, &host, err);
	if (r == 0)
		r = read_dockerfile(request, &path, &text, err);
	if (r < 0)
		return r;
	const struct docker_build build = {program, path, text, job->tag, id_file};
	r = docker_build_argv(request, &build, &argv, err);
	if (r < 0)
		return r;
	engine_environment(request, host, &env);
	const struct process_spec spec = {
		.argv = (const char *const *)argv.items,
		.directory = request->artifact->base_dir,
		.env = (const char *const *)env.items,
		.line = build_line,
		.data = job,
		.cancel = request->cancel,
	};
	int status = process_run(&spec, err);
	if (status > 0)
		return explain_failure(job, status, err);
	return status;
}

static int docker_run(struct build_job *job, char **image_id, struct error *err)
{
	const struct build_request *request = job->request;
	char directory[] = "/tmp/skiff-build-XXXXXX";
	if (!mkdtemp(directory))
		return error_errno(err, errno, "can't make a temporary directory");
	_cleanup_free_ char *id_file = path_join(directory, "id"), *id = NULL;
	size_t len;
	int r = run_docker(job, id_file, err);
	if (r == 0)
		r = file_read(id_file, ID_MAX, &id, &len, err);
	if (r == 0) {
		id[strcspn(id, " \r\n")] = '\0';
		r = engine_image_id(request->docker, id, image_id, request->cancel, err);
	}
	(void)file_remove_tree(directory, NULL);
	return r;
}

const struct builder builder_docker = {BUILDER_DOCKER, docker_describe, docker_run, engine_reuse};
