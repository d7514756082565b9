/* The command line: one table of commands, one table of options. Parsing, --help, completion and the check that the man page names
 * everything come from the same two tables. A command's function only turns options into library calls and results into text. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "base/change.h"
#include "config/config.h"

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

struct options { /* zero-initialised, then the defaults of options_init */
	const char *file;
	struct strv profiles, modules;
	const char *default_repo, *tag;
	const char *runtime;
	const char *kube_context, *namespace_;
	const char *events;
	const char *trigger;
	const char *color;
	const char *schema;
	uint64_t poll_ms;
	bool auto_build, auto_sync, auto_deploy;
	bool cleanup, tail, port_forward, no_agent;
	bool json, cached, force, verbose, quiet, help;
	struct change_set changes; /* explain: --added and so on, in the order given; paths as written */
	struct strv arguments;	   /* what is not an option */
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_LIST, OPTION_DURATION, OPTION_CHOICE, OPTION_CHANGE };

struct option_def {
	const char *name;
	char letter; /* 0: none */
	enum option_kind kind;
	const char *argument;	 /* shown in help; NULL for flags */
	size_t offset;		 /* in struct options */
	const char *choices;	 /* OPTION_CHOICE: "a|b|c" */
	enum change_kind change; /* OPTION_CHANGE */
	const char *commands;	 /* space-separated names, "*" for all */
	const char *help;
};
extern const struct option_def cli_options[]; /* ends with name NULL */

struct command {
	const char *name;
	const char *arguments;			   /* shown in usage */
	const char *summary;			   /* one line */
	const char *details;			   /* paragraphs for --help; may be NULL */
	int (*run)(const struct options *options); /* returns the exit code */
};
extern const struct command cli_commands[]; /* ends with name NULL */

bool option_applies(const struct option_def *option, const char *command);

/* Parses argv behind the command's name. 0, or -EINVAL with one clear message. options->help is set by --help, and the rest is then not read. */
int options_parse(const struct command *command, const char *const *argv, struct options *options, struct error *err);
void options_release(struct options *options);

/* Loads the configuration for a command, printing warnings and errors to stderr. 0, or the exit code to end with. */
int cli_load(const struct options *options, const char *command, struct config **config);
void cli_config_options(const struct options *options, const char *command, struct config_options *out);

/* "skiff: message" to stderr, and the exit code back. */
int cli_fail(const struct error *err, enum exit_code code);

/* A token that SIGINT, SIGTERM and SIGHUP request; a second signal ends the process at once. The caller unrefs. */
struct cancel;
struct cancel *cli_interruptible(void);

void cli_print_usage(const struct command *command); /* NULL: of skiff itself; to stdout */

int command_build(const struct options *options);
int command_completion(const struct options *options);
int command_config(const struct options *options);
int command_delete(const struct options *options);
int command_dev(const struct options *options);
int command_doctor(const struct options *options);
int command_explain(const struct options *options);
int command_init(const struct options *options);
int command_map(const struct options *options);
int command_run(const struct options *options);
int command_sync(const struct options *options);
int command_schema(const struct options *options);
int command_version(const struct options *options);

#endif
