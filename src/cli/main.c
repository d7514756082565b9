#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct command *find_command(const char *name)
{
	for (const struct command *c = cli_commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *names[32];
	size_t n = 0;
	for (const struct command *c = cli_commands; c->name && n < ARRAY_LEN(names) - 1; c++)
		names[n++] = c->name;
	names[n] = NULL;
	const char *near = str_nearest(name, names);
	_cleanup_free_ char *shown = str_printable(name);
	if (near)
		fprintf(stderr, "skiff: unknown command '%s' (did you mean '%s'?)\n", shown, near);
	else
		fprintf(stderr, "skiff: unknown command '%s' (skiff --help lists them)\n", shown);
	return EXIT_USAGE;
}

/* Started with one of 0, 1, 2 closed: what is opened later must not be taken for it. */
static void fill_standard_streams(void)
{
	int fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	(void)argc;
	fill_standard_streams();
	setlocale(LC_CTYPE, "C.UTF-8"); /* libarchive refuses UTF-8 names under pax otherwise */
	signal(SIGPIPE, SIG_IGN);	/* a closed socket is an error of the call that writes */
	const char *name = argv[1];
	if (!name || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		const struct command *topic = name && argv[2] ? find_command(argv[2]) : NULL;
		if (name && argv[2] && !topic)
			return unknown_command(argv[2]);
		cli_print_usage(topic);
		return name ? EXIT_DONE : EXIT_USAGE;
	}
	if (strcmp(name, "--version") == 0)
		name = "version";
	const struct command *command = find_command(name);
	if (!command)
		return unknown_command(name);

	CLEANUP(options_release) struct options options = {0};
	CLEANUP(error_clear) struct error err = {0};
	if (options_parse(command, (const char *const *)argv + 2, &options, &err) < 0)
		return cli_fail(&err, EXIT_USAGE);
	if (options.help) {
		cli_print_usage(command);
		return EXIT_DONE;
	}
	int code = command->run(&options);
	if (fflush(stdout) != 0 && code == EXIT_DONE) {
		fprintf(stderr, "skiff: can't write to standard output\n");
		return EXIT_FAILED;
	}
	return code;
}
