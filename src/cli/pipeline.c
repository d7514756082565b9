/* Building all artifacts in order, for the commands that do it once: build, run. */
#include "cli/pipeline.h"

#include <errno.h>
#include <stdio.h>

#include "base/file.h"
#include "build/base-image.h"
#include "client/docker.h"
#include "runtime/runtime.h"

struct printer {
	const char *image;
	bool verbose;
};

static void print_line(void *data, int stream, const char *line, size_t len)
{
	const struct printer *printer = data;
	(void)stream;
	(void)len;
	if (printer->verbose)
		fprintf(stderr, "[%s] %s\n", printer->image, line);
}

static int build_one(struct pipeline *p, size_t index, struct error *err)
{
	const struct artifact *artifact = p->config->artifacts.items[index];
	struct build_result *result = &p->results[index];
	struct printer printer = {artifact->image.value, !p->options->quiet};
	CLEANUP(sync_source_free_cleanup) struct sync_source *source = NULL;
	int r = sync_source_new(p->config, artifact, base_image_lookup, p->runtime.docker, &source, err);
	if (r < 0)
		return r;
	r = build_list_dependencies(artifact, source, p->cancel, err);
	if (r < 0)
		return error_wrap(err, "%s", artifact->image.value);
	struct build_request request = {.config = p->config,
					.artifact = artifact,
					.source = source,
					.docker = p->runtime.docker,
					.embedded = p->runtime.embedded,
					.tag = p->options->tag,
					.default_repo = p->options->default_repo,
					.force = p->options->force,
					.line = print_line,
					.data = &printer,
					.cancel = p->cancel};
	for vec_each (need, &artifact->requires_)
		vec_push(&request.required,
			 (struct pair){.name = need->alias, .value = p->results[need->artifact].tag});
	uint64_t started = monotonic_ns();
	r = build_artifact(&request, result, err);
	vec_release(&request.required);
	if (r < 0)
		return error_wrap(err, "%s", artifact->image.value);
	if (!p->options->quiet)
		fprintf(stderr, "%s: %s %s in %.1f s\n", artifact->image.value, result->cached ? "unchanged," : "built",
			result->tag, (double)(monotonic_ns() - started) / 1e9);
	p->built[index] = true;
	return 0;
}

/* Builds the artifact and, first, what it requires. */
static int build_with_required(struct pipeline *p, size_t index, struct error *err)
{
	if (p->built[index])
		return 0;
	const struct artifact *artifact = p->config->artifacts.items[index];
	for vec_each (need, &artifact->requires_) {
		int r = build_with_required(p, need->artifact, err); /* no cycles: the configuration was checked */
		if (r < 0)
			return r;
	}
	return build_one(p, index, err);
}

int pipeline_build(struct pipeline *p, struct error *err)
{
	size_t count = p->config->artifacts.len;
	p->results = xcalloc(count, sizeof(*p->results));
	p->built = xcalloc(count, sizeof(*p->built));
	p->count = count;
	for (size_t i = 0; i < count; i++) {
		const char *image = p->config->artifacts.items[i]->image.value;
		if (p->options->arguments.len > 0 && !strv_contains(&p->options->arguments, image))
			continue;
		if (p->leave_attached && config_is_attached(p->config, image))
			continue;
		int r = build_with_required(p, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

void pipeline_release(struct pipeline *p)
{
	for (size_t i = 0; i < p->count; i++)
		build_result_release(&p->results[i]);
	free(p->results);
	free(p->built);
	dev_close_runtime(&p->runtime);
	config_free(p->config);
	cancel_unref(p->cancel);
}

int pipeline_open(struct pipeline *p, const struct options *options, const char *command)
{
	CLEANUP(error_clear) struct error err = {0};
	_cleanup_free_ char *fallback = NULL;
	p->options = options;
	int code = cli_load(options, command, &p->config);
	if (code != EXIT_DONE)
		return code;
	bool only_builds = str_equal(command, "build") && p->config->deploy_kubernetes; /* needs no cluster */
	const struct runtime_options to = {.name = options->runtime || !only_builds ? options->runtime : "docker",
					   .context = options->kube_context,
					   .namespace_ = options->namespace_};
	if (dev_open_runtime(&to, p->config, &p->runtime, &fallback, &err) < 0)
		return cli_fail(&err, EXIT_FAILED);
	if (fallback && !options->quiet)
		fprintf(stderr, "skiff: warning: %s; going on without an engine (--runtime embedded)\n", fallback);
	p->cancel = cli_interruptible();
	return EXIT_DONE;
}

int pipeline_exit(const struct pipeline *p, int r, const struct error *err)
{
	if (r >= 0)
		return EXIT_DONE;
	if (cancel_requested(p->cancel)) {
		fprintf(stderr, "skiff: interrupted\n");
		return EXIT_INTERRUPTED;
	}
	return cli_fail(err, EXIT_FAILED);
}
