#include "build/agent-layer.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/ustar.h"
#include "build/engine.h"
#include "client/agent-program.h"

#define REPOSITORY "skiff-agent"

enum { RUN_ID_SHOWN = 12 };

void agent_layer_release(struct agent_layer *layer)
{
	free(layer->image_id);
	free(layer->reference);
	free(layer->note);
	*layer = (struct agent_layer){0};
}

/* What the references of a run begin with. */
static char *reference_start(const char *run_id)
{
	return xasprintf(REPOSITORY ":%.*s-", RUN_ID_SHOWN, run_id);
}

static char *reference_of(const char *run_id, const char *image_id)
{
	_cleanup_free_ char *start = reference_start(run_id), *programs = agent_programs_id();
	struct hasher *hasher = hasher_new();
	char hex[HASH_HEX_SIZE];
	hasher_add_string(hasher, image_id);
	hasher_add_string(hasher, programs);
	hash_to_hex(hasher_finish(hasher), hex);
	return xasprintf("%s%.16s", start, hex);
}

/* The program for the image. NULL: no layer, and *note says why where nobody else will. */
static const struct agent_program *program_for(const json_t *image, char **note)
{
	const json_t *config = json_object_get(image, "Config");
	const char *architecture = json_string_value(json_object_get(image, "Architecture"));
	if (json_array_size(json_object_get(config, "OnBuild")) > 0) {
		*note = xstrdup("its image has ONBUILD triggers, which another layer would run");
		return NULL;
	}
	return architecture ? agent_program_for(architecture) : NULL;
}

static int build_layer(struct docker *docker, const char *image_id, const struct agent_program *program,
		       const char *reference, struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *dockerfile = xasprintf("FROM %s\nCOPY agent %s\n", image_id, AGENT_PATH);
	CLEANUP(str_release) struct str context = {0};
	ustar_add_file(&context, "Dockerfile", 0644, dockerfile, strlen(dockerfile));
	ustar_add_file(&context, "agent", 0755, program->bytes, program->len);
	ustar_finish(&context);
	return docker_build(docker, reference, &context, cancel, err);
}

static int make(struct docker *docker, const char *image_id, struct agent_layer *layer, struct cancel *cancel,
		struct error *err)
{
	int r = engine_image_id(docker, layer->reference, &layer->image_id, cancel, err);
	if (r != -ENOENT)
		return r;
	error_clear(err);
	_cleanup_free_ char *escaped = docker_escape(image_id), *path = xasprintf("/images/%s/json", escaped);
	json_t *image = NULL;
	r = docker_call(docker, "GET", path, NULL, &image, cancel, err);
	const struct agent_program *program = r >= 0 ? program_for(image, &layer->note) : NULL;
	json_decref(image);
	if (program)
		r = build_layer(docker, image_id, program, layer->reference, cancel, err);
	if (r >= 0 && program)
		r = engine_image_id(docker, layer->reference, &layer->image_id, cancel, err);
	return r;
}

int agent_layer_make(struct docker *docker, const char *run_id, const char *image_id, struct agent_layer *layer,
		     struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	*layer = (struct agent_layer){.reference = reference_of(run_id, image_id)};
	int r = make(docker, image_id, layer, cancel, &why);
	if (r < 0 && cancel_requested(cancel))
		return error_set(err, ECANCELED, "cancelled");
	if (r < 0)
		layer->note = error_format(&why);
	return 0;
}

void agent_layer_remove(struct docker *docker, const char *reference, struct cancel *cancel)
{
	/* noprune: the image below it is not ours to remove. */
	_cleanup_free_ char *escaped = docker_escape(reference), *path = xasprintf("/images/%s?noprune=1", escaped);
	(void)docker_call(docker, "DELETE", path, NULL, NULL, cancel, NULL);
}

void agent_layers_remove(struct docker *docker, const char *run_id, struct cancel *cancel)
{
	_cleanup_free_ char *start = reference_start(run_id);
	json_t *filters = json_pack("{s:[o]}", "reference", json_sprintf("%s*", start)), *images = NULL, *image, *tag;
	_cleanup_free_ char *text = filters ? json_dumps(filters, JSON_COMPACT) : NULL;
	json_decref(filters);
	_cleanup_free_ char *escaped = docker_escape(text ? text : "{}");
	_cleanup_free_ char *path = xasprintf("/images/json?filters=%s", escaped);
	if (docker_call(docker, "GET", path, NULL, &images, cancel, NULL) < 0)
		return;
	size_t i, k;
	json_array_foreach(images, i, image) json_array_foreach(json_object_get(image, "RepoTags"), k, tag)
	{
		const char *reference = json_string_value(tag); /* Podman puts "localhost/" in front */
		const char *name = reference && str_starts_with(reference, "localhost/") ? reference + 10 : reference;
		if (name && str_starts_with(name, start))
			agent_layer_remove(docker, reference, cancel);
	}
	json_decref(images);
}
