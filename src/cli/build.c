#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "cli/pipeline.h"

static int check_images(const struct pipeline *p)
{
	for (size_t i = 0; i < p->options->arguments.len; i++)
		if (!config_artifact(p->config, p->options->arguments.items[i])) {
			fprintf(stderr, "skiff: no artifact has the image '%s'\n", p->options->arguments.items[i]);
			return EXIT_USAGE;
		}
	return EXIT_DONE;
}

/* The form that `skaffold build -o` has, so that scripts can go on: {"builds":[{"imageName","tag"}]}. */
static void print_builds(const struct pipeline *p)
{
	json_t *builds = json_array();
	for (size_t i = 0; i < p->count; i++)
		if (p->built[i])
			json_array_append_new(builds, json_pack("{s:s, s:s, s:s}", "imageName",
								p->config->artifacts.items[i]->image.value, "tag",
								p->results[i].tag, "id", p->results[i].image_id));
	json_t *all = json_pack("{s:o}", "builds", builds);
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
}

int command_build(const struct options *options)
{
	CLEANUP(pipeline_release) struct pipeline p = {0};
	CLEANUP(error_clear) struct error err = {0};
	int code = pipeline_open(&p, options, "build");
	if (code == EXIT_DONE)
		code = check_images(&p);
	if (code != EXIT_DONE)
		return code;
	code = pipeline_exit(&p, pipeline_build(&p, &err), &err);
	if (code != EXIT_DONE)
		return code;
	if (options->json) {
		print_builds(&p);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < p.count; i++)
		if (p.built[i])
			printf("%s\n", p.results[i].tag);
	return EXIT_DONE;
}
