/* Completion scripts, made from the same tables as the parser. */
#include <stdio.h>

#include "cli/cli.h"

static void bash_words(const char *command)
{
	for (const struct option_def *o = cli_options; o->name; o++)
		if (option_applies(o, command))
			printf("--%s ", o->name);
}

static void print_bash(void)
{
	printf("_skiff() {\n\tlocal word=${COMP_WORDS[COMP_CWORD]}\n\tif [ \"$COMP_CWORD\" = 1 ]; "
	       "then\n\t\tCOMPREPLY=($(compgen -W '");
	for (const struct command *c = cli_commands; c->name; c++)
		printf("%s ", c->name);
	printf("' -- \"$word\"))\n\t\treturn\n\tfi\n\tcase $word in\n\t-*) "
	       ";;\n\t*)\n\t\tCOMPREPLY=()\n\t\treturn\n\t\t;;\n\tesac\n"
	       "\tcase ${COMP_WORDS[1]} in\n");
	for (const struct command *c = cli_commands; c->name; c++) {
		printf("\t%s) COMPREPLY=($(compgen -W '", c->name);
		bash_words(c->name);
		printf("' -- \"$word\")) ;;\n");
	}
	printf("\tesac\n}\ncomplete -o default -F _skiff skiff\n");
}

static void print_zsh(void)
{
	printf("#compdef skiff\nif (( CURRENT == 2 )); then\n\tlocal -a commands=(\n");
	for (const struct command *c = cli_commands; c->name; c++)
		printf("\t\t'%s:%s'\n", c->name, c->summary);
	printf("\t)\n\t_describe command commands\n\treturn\nfi\nlocal -a options\ncase ${words[2]} in\n");
	for (const struct command *c = cli_commands; c->name; c++) {
		printf("%s) options=(", c->name);
		bash_words(c->name);
		printf(") ;;\n");
	}
	printf("esac\ncompadd -- $options\n_files\n");
}

static void print_fish(void)
{
	for (const struct command *c = cli_commands; c->name; c++)
		printf("complete -c skiff -n __fish_use_subcommand -f -a %s -d '%s'\n", c->name, c->summary);
	for (const struct command *c = cli_commands; c->name; c++)
		for (const struct option_def *o = cli_options; o->name; o++) {
			if (!option_applies(o, c->name))
				continue;
			printf("complete -c skiff -n '__fish_seen_subcommand_from %s' -l %s -d '%s'", c->name, o->name,
			       o->help);
			if (o->letter)
				printf(" -s %c", o->letter);
			printf("%s\n", o->kind == OPTION_FLAG ? "" : " -r");
		}
}

int command_completion(const struct options *options)
{
	static const struct {
		const char *shell;
		void (*print)(void);
	} shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
	for (size_t i = 0; i < ARRAY_LEN(shells); i++)
		if (options->arguments.len == 1 && str_equal(options->arguments.items[0], shells[i].shell)) {
			shells[i].print();
			return EXIT_DONE;
		}
	fprintf(stderr, "skiff: completion takes bash, zsh or fish\n");
	return EXIT_USAGE;
}
