#include <stdio.h>

#include "cli/cli.h"
#include "dev/dev.h"
#include "ui/terminal.h"

int command_dev(const struct options *options)
{
	struct config *config = NULL;
	struct options quiet = *options;
	quiet.quiet = true; /* the loop tells the configuration's warnings itself */
	int code = cli_load(&quiet, "dev", &config);
	if (code != EXIT_DONE)
		return code;

	struct config_options load;
	cli_config_options(options, "dev", &load);
	CLEANUP(error_clear) struct error err = {0};
	struct event_bus *bus = event_bus_new();
	struct event_sink events;
	if (options->events) {
		if (event_file_sink(options->events, &events, &err) < 0) {
			event_bus_free(bus);
			config_free(config);
			return cli_fail(&err, EXIT_USAGE);
		}
		event_bus_add(bus, events);
	}
	const struct terminal_options terminal = {.out = stderr,
						  .color = terminal_wants_color(options->color, stderr),
						  .verbose = options->verbose,
						  .quiet = options->quiet};
	event_bus_add(bus, terminal_sink(&terminal));

	static const char *const triggers[] = {
		[WATCH_NOTIFY] = "notify", [WATCH_POLL] = "polling", [WATCH_MANUAL] = "manual"};
	struct dev_options dev = {
		.config = &load,
		.runtime = options->runtime,
		.kube_context = options->kube_context,
		.namespace_ = options->namespace_,
		.default_repo = options->default_repo,
		.tag = options->tag,
		.watch = {.poll_ms = (unsigned)options->poll_ms},
		.auto_build = options->auto_build,
		.auto_sync = options->auto_sync,
		.auto_deploy = options->auto_deploy,
		.cleanup = options->cleanup,
		.tail = options->tail,
		.port_forward = options->port_forward,
		.force = options->force,
		.no_agent = options->no_agent,
	};
	for (size_t i = 0; i < ARRAY_LEN(triggers); i++)
		if (str_equal(options->trigger, triggers[i]))
			dev.watch.trigger = (enum watch_trigger)i;

	int signal = 0;
	int r = dev_run(&dev, config, bus, &signal, &err);
	event_bus_free(bus);
	if (r < 0)
		return cli_fail(&err, EXIT_FAILED);
	return signal ? EXIT_INTERRUPTED : EXIT_DONE;
}
