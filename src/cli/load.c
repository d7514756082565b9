#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "cli/cli.h"
#include "io/cancel.h"
#include "sync/glob.h"

int cli_fail(const struct error *err, enum exit_code code)
{
	_cleanup_free_ char *text = error_format(err);
	fprintf(stderr, err->where ? "%s\n" : "skiff: %s\n", text);
	return code;
}

static int check_glob(const char *pattern, size_t *offset, struct error *err)
{
	struct glob *glob = NULL;
	int r = glob_compile(pattern, &glob, offset, err);
	glob_free(glob);
	return r;
}

void cli_config_options(const struct options *options, const char *command, struct config_options *out)
{
	*out = (struct config_options){.file = options->file,
				       .kube_context = options->kube_context,
				       .profiles = options->profiles,
				       .modules = options->modules,
				       .command = command,
				       .check_glob = check_glob};
}

int cli_load(const struct options *options, const char *command, struct config **config)
{
	struct config_options load;
	CLEANUP(str_release) struct str report = {0};
	cli_config_options(options, command, &load);
	if (config_load(&load, config, &report) < 0) {
		fputs(str_text(&report), stderr);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < (*config)->warnings.len && !options->quiet; i++)
		fprintf(stderr, "%s\n", (*config)->warnings.items[i]);
	return EXIT_DONE;
}

static struct cancel *interrupted;

static void on_interrupt(int signal)
{
	(void)signal;
	cancel_request(interrupted);
}

struct cancel *cli_interruptible(void)
{
	const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
	interrupted = cancel_new();
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	return interrupted;
}
