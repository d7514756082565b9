/* skiff map: every file that has a destination now. */
#include <stdio.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/cli.h"

static void print_map(const struct sync_source *source, const struct sync_map *map)
{
	const struct artifact *artifact = sync_source_artifact(source);
	const char *workdir = sync_source_workdir(source, NULL);
	printf("%s: %s sync, WORKDIR %s, %zu %s\n", artifact->image.value, sync_mode_name(artifact->sync.mode),
	       workdir ? workdir : "unknown", map->len, map->len == 1 ? "file" : "files");
	for vec_each (entry, map) {
		_cleanup_free_ char *source_name = str_printable(entry->rel);
		for (size_t i = 0; i < entry->dests.len; i++) {
			_cleanup_free_ char *dest = str_printable(entry->dests.items[i]);
			printf("  %s → %s%s\n", source_name, dest, entry->generated ? "  (generated)" : "");
		}
	}
}

static void warn_of_workdir(const struct sync_source *source)
{
	const char *base = NULL;
	if (sync_source_workdir(source, &base) || !sync_source_needs_workdir(source))
		return;
	fprintf(stderr,
		"skiff: warning: %s: files below its WORKDIR are missing from this map, because the image %s is not at "
		"hand\n",
		sync_source_artifact(source)->image.value, base ? base : "");
}

static int map_one(const struct options *options, const struct sync_source *source, json_t *artifacts,
		   struct error *err)
{
	struct sync_map map = {0};
	int r = sync_source_map(source, &map, err);
	if (r < 0)
		return r;
	warn_of_workdir(source);
	if (sync_source_lacks_image(source))
		fprintf(stderr, "skiff: warning: %s: its rules are not known, because its image is not at hand\n",
			sync_source_artifact(source)->image.value);
	if (options->json)
		json_array_append_new(artifacts, map_json(source, &map));
	else
		print_map(source, &map);
	sync_map_release(&map);
	return 0;
}

static int map_all(const struct options *options, const struct source_set *sources, const char *image)
{
	CLEANUP(error_clear) struct error err = {0};
	json_t *answer = json_object(), *artifacts = json_array();
	int r = 0;
	json_object_set_new(answer, "version", json_integer(1));
	json_object_set_new(answer, "artifacts", artifacts);
	for (size_t i = 0; r == 0 && i < sources->len; i++)
		if (!image || str_equal(image, sync_source_artifact(sources->items[i])->image.value))
			r = map_one(options, sources->items[i], artifacts, &err);
	if (r == 0 && options->json) {
		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
	}
	json_decref(answer);
	return r < 0 ? cli_fail(&err, EXIT_FAILED) : EXIT_DONE;
}

int command_map(const struct options *options)
{
	CLEANUP(config_free_cleanup) struct config *config = NULL;
	CLEANUP(source_set_release) struct source_set sources = {0};
	CLEANUP(error_clear) struct error err = {0};
	if (options->arguments.len > 1) {
		fprintf(stderr, "skiff: map takes one image at most\n");
		return EXIT_USAGE;
	}
	int code = cli_load(options, "map", &config);
	if (code != EXIT_DONE)
		return code;
	const char *image = options->arguments.len ? options->arguments.items[0] : NULL;
	if (image && !config_artifact(config, image)) {
		fprintf(stderr, "skiff: no artifact has the image '%s'\n", image);
		return EXIT_USAGE;
	}
	if (source_set_open(config, &sources, &err) < 0)
		return cli_fail(&err, EXIT_FAILED);
	return map_all(options, &sources, image);
}
