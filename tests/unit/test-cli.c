#include "test.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"

static const struct command *command_named(const char *name)
{
	for (const struct command *c = cli_commands; c->name; c++)
		if (str_equal(c->name, name))
			return c;
	return NULL;
}

static int parse(const char *command, const char *const *words, struct options *options, struct error *err)
{
	*options = (struct options){0};
	return options_parse(command_named(command), words, options, err);
}

static void reads_options_of_all_kinds(void **state)
{
	(void)state;
	struct options o;
	const char *words[] = {"-f",
			       "dir/x.yaml",
			       "-pdev,-prod",
			       "--profile=fast",
			       "--events",
			       "-",
			       "--cleanup=false",
			       "--watch-poll-interval",
			       "2s",
			       "--trigger=polling",
			       NULL};
	assert_int_equal(parse("dev", words, &o, NULL), 0);
	assert_string_equal(o.file, "dir/x.yaml");
	assert_int_equal(o.profiles.len, 3);
	assert_string_equal(o.profiles.items[1], "-prod");
	assert_string_equal(o.events, "-");
	assert_false(o.cleanup);
	assert_true(o.tail);
	assert_int_equal(o.poll_ms, 2000);
	assert_string_equal(o.trigger, "polling");
	options_release(&o);
}

static void keeps_changes_and_arguments_in_order(void **state)
{
	(void)state;
	struct options o;
	const char *words[] = {"--deleted", "b", "a", "--added=c", "--", "--json", NULL};
	assert_int_equal(parse("explain", words, &o, NULL), 0);
	assert_int_equal(o.changes.len, 2);
	assert_string_equal(o.changes.items[0].path, "b");
	assert_int_equal(o.changes.items[0].kind, CHANGE_DELETED);
	assert_int_equal(o.arguments.len, 2);
	assert_string_equal(o.arguments.items[1], "--json");
	assert_false(o.json);
	options_release(&o);
}

static void refuses_with_a_way_out(void **state)
{
	(void)state;
	static const struct {
		const char *command;
		const char *word;
		const char *message;
	} cases[] = {
		{"dev", "--event", "dev: unknown option --event (did you mean --events?)"},
		{"dev", "--json", "dev: unknown option --json (skiff dev --help lists them)"},
		{"dev", "-z", "dev: unknown option -z (skiff dev --help lists them)"},
		{"dev", "--trigger=never", "--trigger takes notify|polling|manual, not 'never'"},
		{"dev", "--cleanup=no", "--cleanup takes true or false, not 'no'"},
		{"dev", "--events", "--events wants FILE"},
		{"dev", "-i9x", "--watch-poll-interval takes a time such as 500, 500ms or 2s, not '9x'"},
		{"version", "x", "version takes no arguments, but was given 'x'"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct options o;
		struct error err = {0};
		const char *words[] = {cases[i].word, NULL};
		assert_int_equal(parse(cases[i].command, words, &o, &err), -EINVAL);
		assert_string_equal(err.message, cases[i].message);
		error_clear(&err);
		options_release(&o);
	}
}

static void names_each_option_once_a_command(void **state)
{
	(void)state;
	for (const struct command *c = cli_commands; c->name; c++)
		for (const struct option_def *a = cli_options; a->name; a++)
			for (const struct option_def *b = a + 1; b->name; b++)
				if (option_applies(a, c->name) && option_applies(b, c->name)) {
					assert_string_not_equal(a->name, b->name);
					assert_true(!a->letter || a->letter != b->letter);
				}
}

/* The manual page names each command and each option, with its letter and what it takes. */
static void manual_names_everything(void **state)
{
	(void)state;
	_cleanup_free_ char *text = NULL;
	size_t len;
	assert_int_equal(file_read(MANUAL, 1 << 20, &text, &len, NULL), 0);
	for (const struct command *c = cli_commands; c->name; c++) {
		_cleanup_free_ char *entry = xasprintf("\n*%s*", c->name);
		if (!strstr(text, entry))
			fail_msg("the manual does not name the command %s", c->name);
	}
	for (const struct option_def *o = cli_options; o->name; o++) {
		const char *argument = o->argument && !o->choices ? o->argument : "";
		_cleanup_free_ char *letter = o->letter ? xasprintf("*-%c*", o->letter) : xstrdup("");
		_cleanup_free_ char *name =
			xasprintf("*--%s*%s%s%s", o->name, *argument ? " _" : "", argument, *argument ? "_" : "");
		if (!strstr(text, name) || !strstr(text, letter))
			fail_msg("the manual does not name the option %s %s", letter, name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_options_of_all_kinds), cmocka_unit_test(keeps_changes_and_arguments_in_order),
		cmocka_unit_test(refuses_with_a_way_out),     cmocka_unit_test(names_each_option_once_a_command),
		cmocka_unit_test(manual_names_everything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
