/* The buildpacks builder: the `pack` program (buildpacks.io/docs/for-platform-operators/how-to/integrate-ci/pack). */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "build/engine.h"
#include "build/expand.h"
#include "build/internal.h"
#include "build/reference.h"
#include "io/process.h"

#define INSTALL_PACK "buildpacks.io/docs/for-platform-operators/how-to/integrate-ci/pack"

/* builder and runImage may name a required artifact. */
static const char *resolve(const struct build_request *request, const char *image)
{
	for vec_each (required, &request->required)
		if (str_equal(required->name, image))
			return required->value;
	return image;
}

static void add_option(struct strv *argv, const char *option, const char *value)
{
	if (!value || !value[0])
		return;
	strv_push(argv, option);
	strv_push(argv, value);
}

static void add_options(struct strv *argv, const char *option, const struct strv *values)
{
	for (size_t i = 0; i < values->len; i++)
		add_option(argv, option, values->items[i]);
}

static int add_environment(const struct build_request *request, struct strv *argv, struct error *err)
{
	const struct artifact *artifact = request->artifact;
	if (request->for_dev) /* buildpacks that know it build for syncing, and say so in the label */
		add_option(argv, "--env", "GOOGLE_DEVMODE=1");
	for (size_t i = 0; i < artifact->buildpacks.env.len; i++) {
		_cleanup_free_ char *value = NULL;
		int r = build_expand(request, artifact->buildpacks.env.items[i], artifact->place, &value, err);
		if (r < 0)
			return r;
		add_option(argv, "--env", value);
	}
	return 0;
}

/* name: what pack builds. */
static int pack_argv(const struct build_request *request, const char *name, struct strv *argv, struct error *err)
{
	const struct artifact *artifact = request->artifact;
	const struct buildpacks_config *config = &artifact->buildpacks;
	_cleanup_free_ char *descriptor = path_join(artifact->context, config->project_descriptor);
	strv_push(argv, "pack");
	strv_push(argv, "build");
	strv_push(argv, name);
	strv_push(argv, "--no-color");
	add_option(argv, "--path", artifact->context);
	add_option(argv, "--builder", resolve(request, config->builder));
	add_option(argv, "--run-image", resolve(request, config->run_image));
	add_option(argv, "--pull-policy", "if-not-present");
	if (config->trust_builder)
		strv_push(argv, "--trust-builder");
	if (config->clear_cache)
		strv_push(argv, "--clear-cache");
	if (file_exists(descriptor))
		add_option(argv, "--descriptor", descriptor);
	add_options(argv, "--buildpack", &config->buildpacks);
	add_options(argv, "--volume", &config->volumes);
	if (artifact->platforms.len == 1)
		add_option(argv, "--platform", artifact->platforms.items[0]);
	return add_environment(request, argv, err);
}

static int pack_describe(const struct build_request *request, struct hasher *hasher, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	int r = pack_argv(request, request->artifact->image.value, &argv, err);
	for (size_t i = 0; r == 0 && i < argv.len; i++)
		hasher_add_string(hasher, argv.items[i]);
	return r;
}

static int run_pack(struct build_job *job, const char *name, struct error *err)
{
	const struct build_request *request = job->request;
	_cleanup_free_ char *program = process_find("pack");
	CLEANUP(strv_release) struct strv argv = {0}, env = {0};
	if (!program)
		return error_at(err, request->artifact->place, ENOENT,
				"building %s needs pack, and there is no 'pack' in PATH (" INSTALL_PACK ")",
				request->artifact->image.value);
	int r = pack_argv(request, name, &argv, err);
	if (r < 0)
		return r;
	engine_address(request->docker, &env);
	const struct process_spec spec = {
		.argv = (const char *const *)argv.items,
		.directory = request->artifact->base_dir,
		.env = (const char *const *)env.items,
		.line = build_line,
		.data = job,
		.cancel = request->cancel,
	};
	int status = process_run(&spec, err);
	return status > 0 ? build_failed(job, "pack build", status, err) : status;
}

/* pack finds the layers of the build before by the image's name: it is always NAME:latest, and gets its own tag afterwards. */
static int pack_run(struct build_job *job, char **image_id, struct error *err)
{
	const struct build_request *request = job->request;
	CLEANUP(reference_release) struct reference reference = {0};
	int r = reference_parse(job->tag, &reference, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *latest = xasprintf("%s:latest", reference.name);
	r = run_pack(job, latest, err);
	if (r < 0)
		return r;
	r = engine_image_id(request->docker, latest, image_id, request->cancel, err);
	return r < 0 ? error_wrap(err, "pack ended well, but its image is not in the engine")
		     : engine_tag(request->docker, *image_id, job->tag, request->cancel, err);
}

const struct builder builder_buildpacks = {BUILDER_BUILDPACKS, pack_describe, pack_run, engine_reuse};
