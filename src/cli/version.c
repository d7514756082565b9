#include <stdio.h>

#include "cli/cli.h"

int command_version(const struct options *options)
{
	printf(options->json ? "{\"version\":\"%s\"}\n" : "skiff %s\n", SKIFF_VERSION);
	return EXIT_DONE;
}
