/* What a person is shown of a failed build: the cases of tests/cases/failure. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "build/generate.h"
#include "build/internal.h"
#include "cases.h"

/* "\e" stands for the escape byte. */
static char *with_escapes(const char *text)
{
	struct str out = {0};
	for (; *text; text++) {
		bool escape = text[0] == '\\' && text[1] == 'e';
		str_add_char(&out, escape ? '\x1b' : *text);
		text += escape;
	}
	return str_steal(&out);
}

static void cases_hold(void **state)
{
	(void)state;
	struct case_list cases = {0};
	bool equal = true;
	cases_load("failure", &cases);
	for vec_each (test, &cases) {
		_cleanup_free_ char *log = with_escapes(case_text(test, "log"));
		_cleanup_free_ char *words = build_failure_text(log, "/p");
		_cleanup_free_ char *got = words ? xasprintf("%s\n", words) : xstrdup("");
		equal = case_equal(test, "text", got, case_text(test, "text")) && equal;
	}
	cases_release(&cases);
	assert_true(equal);
}

static void names_the_command(void **state)
{
	(void)state;
	static const struct {
		const char *argv[4], *log, *message;
	} cases[] = {
		{{"/p/mvnw", "package", NULL}, "error: no", "mvnw: error: no"},
		{{"sh", "-c", "make -s; true", NULL}, "error: no", "make: error: no"},
		{{"./tools/map", NULL}, "", "./tools/map failed (exit 3) without a word"},
		{{"mvn", "a", "b", NULL},
		 "[ERROR] Jib plugin version is 1.0 but is required to be 2.0.0",
		 "mvn: Jib plugin version is 1.0 but is required to be 2.0.0\n(the command was: mvn a b)"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(strv_release) struct strv argv = {0};
		CLEANUP(error_clear) struct error err = {0};
		for (size_t n = 0; cases[i].argv[n]; n++)
			strv_push(&argv, cases[i].argv[n]);
		assert_int_equal(build_command_failed(&argv, 3, cases[i].log, "/p", &err), -EIO);
		assert_string_equal(err.message, cases[i].message);
	}
}

/* Bytes of any kind, lines of any length: nothing but words comes out, and not many. */
static void bounds_what_it_shows(void **state)
{
	(void)state;
	CLEANUP(str_release) struct str log = {0};
	for (unsigned i = 0; i < 60000; i++)
		str_add_char(&log, "a:1(%[ERROR] \x1b[\xff: error: e\n"[i * 7919 % 27]);
	str_add(&log, "\nx.java:1: error: ");
	for (unsigned i = 0; i < 5000; i++)
		str_add(&log, "ä");
	_cleanup_free_ char *words = build_failure_text(str_text(&log), "/p");
	assert_true(utf8_valid(words, strlen(words)));
	assert_null(strchr(words, '\x1b'));
	assert_true(strlen(words) < 16384);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_hold),
		cmocka_unit_test(names_the_command),
		cmocka_unit_test(bounds_what_it_shows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
