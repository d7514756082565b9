#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

bool option_applies(const struct option_def *option, const char *command)
{
	if (strcmp(option->commands, "*") == 0)
		return true;
	size_t len = strlen(command);
	for (const char *p = option->commands; (p = strstr(p, command)); p += len)
		if ((p == option->commands || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
			return true;
	return false;
}

static const struct option_def *find_long(const char *command, const char *name, size_t len)
{
	for (const struct option_def *o = cli_options; o->name; o++)
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0 && option_applies(o, command))
			return o;
	return NULL;
}

static const struct option_def *find_letter(const char *command, char letter)
{
	for (const struct option_def *o = cli_options; o->name; o++)
		if (o->letter == letter && option_applies(o, command))
			return o;
	return NULL;
}

static int unknown_option(const char *command, const char *text, struct error *err)
{
	const char *names[64];
	size_t n = 0;
	for (const struct option_def *o = cli_options; o->name && n < ARRAY_LEN(names) - 1; o++)
		if (option_applies(o, command))
			names[n++] = o->name;
	names[n] = NULL;
	_cleanup_free_ char *name = xstrndup(text + 2, strcspn(text + 2, "="));
	const char *near = str_starts_with(text, "--") ? str_nearest(name, names) : NULL;
	if (near)
		return error_set(err, EINVAL, "%s: unknown option %s (did you mean --%s?)", command, text, near);
	return error_set(err, EINVAL, "%s: unknown option %s (skiff %s --help lists them)", command, text, command);
}

/* "1500", "1500ms", "2s", "1m" → milliseconds. */
static int parse_duration(const char *text, uint64_t *ms)
{
	static const struct {
		const char *suffix;
		uint64_t factor;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"", 1}};
	size_t digits = strspn(text, "0123456789");
	_cleanup_free_ char *number = xstrndup(text, digits);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(text + digits, units[i].suffix) != 0)
			continue;
		int r = parse_uint(number, 86400000 / units[i].factor, ms);
		*ms *= r == 0 ? units[i].factor : 0;
		return r;
	}
	return -EINVAL;
}

static bool choice_allowed(const char *choices, const char *value)
{
	CLEANUP(strv_release) struct strv list = {0};
	str_split(choices, '|', &list);
	return strv_contains(&list, value);
}

static int set_option(const struct option_def *o, const char *value, struct options *options, struct error *err)
{
	void *field = (char *)options + o->offset;
	switch (o->kind) {
	case OPTION_FLAG:
		if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return error_set(err, EINVAL, "--%s takes true or false, not '%s'", o->name, value);
		*(bool *)field = !value || strcmp(value, "true") == 0;
		return 0;
	case OPTION_TEXT:
		*(const char **)field = value;
		return 0;
	case OPTION_LIST:
		str_split(value, ',', field);
		return 0;
	case OPTION_DURATION:
		if (parse_duration(value, field) < 0)
			return error_set(err, EINVAL, "--%s takes a time such as 500, 500ms or 2s, not '%s'", o->name,
					 value);
		return 0;
	case OPTION_CHOICE:
		if (!choice_allowed(o->choices, value))
			return error_set(err, EINVAL, "--%s takes %s, not '%s'", o->name, o->choices, value);
		*(const char **)field = value;
		return 0;
	case OPTION_CHANGE:
		change_set_add(field, o->change, false, value);
		return 0;
	}
	return 0;
}

/* One "-x", "-xVALUE", "-x VALUE". *argv stands on it and is left on the last word used. */
static int parse_short(const struct command *command, const char *const **argv, struct options *options,
		       struct error *err)
{
	const char *word = **argv;
	const struct option_def *o = find_letter(command->name, word[1]);
	if (!o)
		return unknown_option(command->name, word, err);
	if (o->kind == OPTION_FLAG) {
		if (word[2])
			return error_set(err, EINVAL, "-%c takes no value", o->letter);
		return set_option(o, NULL, options, err);
	}
	const char *value = word[2] ? word + 2 : *++*argv;
	if (!value)
		return error_set(err, EINVAL, "-%c wants %s", o->letter, o->argument);
	return set_option(o, value, options, err);
}

static int parse_long(const struct command *command, const char *const **argv, struct options *options,
		      struct error *err)
{
	const char *word = **argv;
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
	const struct option_def *o = find_long(command->name, word + 2, len);
	if (!o)
		return unknown_option(command->name, word, err);
	const char *value = equals ? equals + 1 : NULL;
	if (!value && o->kind != OPTION_FLAG && !(value = *++*argv))
		return error_set(err, EINVAL, "--%s wants %s", o->name, o->argument);
	return set_option(o, value, options, err);
}

int options_parse(const struct command *command, const char *const *argv, struct options *options, struct error *err)
{
	options->auto_build = options->auto_sync = options->auto_deploy = true;
	options->cleanup = options->port_forward = options->tail = true;
	for (; *argv && !options->help; argv++) {
		int r = 0;
		if (strcmp(*argv, "--") == 0) {
			while (*++argv)
				strv_push(&options->arguments, *argv);
			break;
		}
		if (str_starts_with(*argv, "--"))
			r = parse_long(command, &argv, options, err);
		else if ((*argv)[0] == '-' && (*argv)[1])
			r = parse_short(command, &argv, options, err);
		else
			strv_push(&options->arguments, *argv);
		if (r < 0)
			return r;
	}
	if (options->arguments.len > 0 && !*command->arguments && !options->help)
		return error_set(err, EINVAL, "%s takes no arguments, but was given '%s'", command->name,
				 options->arguments.items[0]);
	return 0;
}

void options_release(struct options *options)
{
	strv_release(&options->profiles);
	strv_release(&options->modules);
	strv_release(&options->arguments);
	change_set_release(&options->changes);
}

static void print_options(const char *command)
{
	for (const struct option_def *o = cli_options; o->name; o++) {
		if (!option_applies(o, command))
			continue;
		_cleanup_free_ char *left =
			xasprintf("%c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
				  o->letter ? ", " : "  ", o->name, o->argument ? " " : "",
				  !o->argument ? ""
				  : o->choices ? o->choices
					       : o->argument);
		printf("  %-38s %s\n", left, o->help);
	}
}

void cli_print_usage(const struct command *command)
{
	if (command) {
		printf("Usage: skiff %s [OPTION...]%s%s\n\n%s.\n", command->name, *command->arguments ? " " : "",
		       command->arguments, command->summary);
		if (command->details)
			printf("%s\n", command->details);
		printf("\nOptions:\n");
		print_options(command->name);
		return;
	}
	printf("Usage: skiff COMMAND [OPTION...]\n\n"
	       "skiff carries a saved file into running containers at once. It reads the skaffold.yaml of a "
	       "project.\n\nCommands:\n");
	for (const struct command *c = cli_commands; c->name; c++)
		printf("  %-12s %s\n", c->name, c->summary);
	printf("\nskiff COMMAND --help tells more.\n");
}
