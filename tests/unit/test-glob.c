/* tests/cases/glob: a case is a glob (its title is the pattern, in backquotes); sections: match, no (paths, one a line), above (paths that it
 * covers only through a directory above them), error (the offset and the words). */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cases.h"
#include "sync/glob.h"
#include "sync/pattern.h"

static struct case_list cases;

static char *title_pattern(const struct test_case *test)
{
	const char *start = strchr(test->title, '`'), *end = strrchr(test->title, '`');
	assert_true(start && end > start);
	return xstrndup(start + 1, (size_t)(end - start - 1));
}

static size_t check_paths(const struct test_case *test, const struct glob *glob, const char *section, bool match,
			  bool prefix)
{
	CLEANUP(strv_release) struct strv paths = {0};
	size_t failed = 0;
	case_lines(case_text(test, section), &paths);
	for (size_t i = 0; i < paths.len; i++) {
		if (glob_match(glob, paths.items[i]) == match && glob_match_prefix(glob, paths.items[i]) == prefix)
			continue;
		failed++;
		fprintf(stderr, "%s: %s: %s\n", test->title, section, paths.items[i]);
	}
	return failed;
}

static size_t run_case(const struct test_case *test)
{
	_cleanup_free_ char *pattern = title_pattern(test);
	CLEANUP(glob_free_cleanup) struct glob *glob = NULL;
	CLEANUP(error_clear) struct error err = {0};
	size_t offset = 0;
	int r = glob_compile(pattern, &glob, &offset, &err);
	if (r < 0 || case_section(test, "error")) {
		_cleanup_free_ char *got = r < 0 ? xasprintf("%zu: %s\n", offset, err.message) : xstrdup("no error");
		return !case_equal(test, "error", got, case_text(test, "error"));
	}
	return check_paths(test, glob, "match", true, true) + check_paths(test, glob, "no", false, false) +
	       check_paths(test, glob, "above", false, true);
}

static void cases_hold(void **state)
{
	(void)state;
	size_t failed = 0;
	for vec_each (test, &cases)
		failed += run_case(test);
	if (failed)
		fail_msg("%zu differ", failed);
}

/* What costs others exponential or cubic time. The limit is generous: a slow machine under sanitizers passes, a wrong algorithm never ends. */
static void hostile_patterns_take_linear_time(void **state)
{
	(void)state;
	static const char *const hostile[] = {"*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "**/**/**/**/**/**/**/**/**/**/b",
					      "{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}*b",
					      "?*?*?*?*?*?*?*?*?*?*?*?*?*?b"};
	struct str path = {0};
	for (size_t i = 0; i < 2000; i++)
		str_add(&path, "a/");
	for (size_t i = 0; i < 2000; i++)
		str_add(&path, "a");
	uint64_t start = monotonic_ns();
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		CLEANUP(glob_free_cleanup) struct glob *glob = NULL;
		assert_int_equal(glob_compile(hostile[i], &glob, NULL, NULL), 0);
		assert_false(glob_match(glob, str_text(&path)));
	}
	assert_true(monotonic_ns() - start < (uint64_t)20000000000);
	str_release(&path);
}

static void too_much_is_refused(void **state)
{
	(void)state;
	struct str pattern = {0};
	for (size_t i = 0; i < 10; i++)
		str_add(&pattern, "{a,b}");
	CLEANUP(glob_free_cleanup) struct glob *glob = NULL;
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(glob_compile(str_text(&pattern), &glob, NULL, &err), -EINVAL);
	assert_string_equal(err.message, "the braces give more than 1000 alternatives");
	for (size_t i = 0; i < 5000; i++)
		str_add(&pattern, "x");
	assert_int_equal(glob_compile(str_text(&pattern), &glob, NULL, &err), -EINVAL);
	assert_string_equal(err.message, "the pattern is longer than 4096 bytes");
	str_release(&pattern);
	assert_null(glob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_hold),
		cmocka_unit_test(hostile_patterns_take_linear_time),
		cmocka_unit_test(too_much_is_refused),
	};
	cases_load("glob", &cases);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	cases_release(&cases);
	return r;
}
