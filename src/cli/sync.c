#include <stdio.h>

#include "cli/cli.h"
#include "dev/dev.h"
#include "ui/terminal.h"

int command_sync(const struct options *options)
{
	struct config *config = NULL;
	struct config_options load;
	CLEANUP(error_clear) struct error err = {0};
	struct options quiet = *options;
	quiet.quiet = true; /* the loop tells the configuration's warnings itself */
	int code = cli_load(&quiet, "dev", &config);
	if (code != EXIT_DONE)
		return code;
	cli_config_options(options, "dev", &load);
	const struct terminal_options terminal = {.out = stderr,
						  .color = terminal_wants_color(options->color, stderr),
						  .verbose = options->verbose,
						  .quiet = options->quiet};
	const struct dev_options dev = {.config = &load,
					.runtime = options->runtime,
					.kube_context = options->kube_context,
					.namespace_ = options->namespace_,
					.default_repo = options->default_repo,
					.tag = options->tag,
					.auto_sync = true,
					.auto_build = true, /* so that what is due is told */
					.port_forward = options->port_forward,
					.no_agent = options->no_agent,
					.once = true};
	struct event_bus *bus = event_bus_new();
	event_bus_add(bus, terminal_sink(&terminal));
	int signal = 0;
	int r = dev_run(&dev, config, bus, &signal, &err);
	event_bus_free(bus);
	if (signal)
		return EXIT_INTERRUPTED;
	if (r < 0 && err.message)
		return cli_fail(&err, EXIT_FAILED);
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}
