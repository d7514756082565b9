#include <stdio.h>

#include "cli/cli.h"

int command_config(const struct options *options)
{
	struct config_options load;
	CLEANUP(str_release) struct str yaml = {0}, report = {0};
	cli_config_options(options, "config", &load);
	int r = config_print(&load, &yaml, &report);
	fputs(str_text(&report), stderr); /* errors, or the warnings of a good one */
	if (r < 0)
		return EXIT_USAGE;
	fputs(str_text(&yaml), stdout);
	return EXIT_DONE;
}

int command_schema(const struct options *options)
{
	const char *which = options->arguments.len > 0 ? options->arguments.items[0] : "skaffold";
	if (!str_equal(which, "skaffold") && !str_equal(which, "skiff")) {
		fprintf(stderr, "skiff: schema takes skaffold or skiff, not '%s'\n", which);
		return EXIT_USAGE;
	}
	_cleanup_free_ char *schema = config_schema(str_equal(which, "skiff"));
	puts(schema);
	return EXIT_DONE;
}
