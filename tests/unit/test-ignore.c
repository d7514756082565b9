/* tests/cases/ignore: a .dockerignore and what it makes of paths. Sections: file · excluded ("path line") · included (paths) · pruned, entered
 * (directories that are excluded: whether anything below could come back) · error. */
#include "test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "cases.h"
#include "sync/ignore.h"

static struct case_list cases;

static void describe(const struct test_case *test, const struct ignore *ignore, const char *section, struct str *out)
{
	CLEANUP(strv_release) struct strv lines = {0};
	case_lines(case_text(test, section), &lines);
	for (size_t i = 0; i < lines.len; i++) {
		unsigned line = 0;
		_cleanup_free_ char *path = xstrndup(lines.items[i], strcspn(lines.items[i], " "));
		if (strcmp(section, "excluded") == 0 && ignore_excludes(ignore, path, &line))
			str_addf(out, "%s %u\n", path, line);
		else if (strcmp(section, "included") == 0 && !ignore_excludes(ignore, path, &line))
			str_addf(out, "%s\n", path);
		else if (strcmp(section, "pruned") == 0 && ignore_prunes(ignore, path))
			str_addf(out, "%s\n", path);
		else if (strcmp(section, "entered") == 0 && !ignore_prunes(ignore, path))
			str_addf(out, "%s\n", path);
	}
}

static size_t run_case(const struct test_case *test)
{
	static const char *const sections[] = {"excluded", "included", "pruned", "entered"};
	CLEANUP(ignore_free_cleanup) struct ignore *ignore = NULL;
	CLEANUP(error_clear) struct error err = {0};
	const struct section *file = case_section(test, "file");
	int r = ignore_parse(".dockerignore", str_text(&file->text), file->text.len, &ignore, &err);
	if (r < 0 || case_section(test, "error")) {
		_cleanup_free_ char *words = error_format(&err), *got = xasprintf("%s\n", words);
		return !case_equal(test, "error", got, case_text(test, "error"));
	}
	size_t failed = 0;
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		CLEANUP(str_release) struct str got = {0};
		describe(test, ignore, sections[i], &got);
		failed += !case_equal(test, sections[i], str_text(&got), case_text(test, sections[i]));
	}
	return failed;
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

static void write_file(const char *directory, const char *name, const char *text)
{
	_cleanup_free_ char *path = path_join(directory, name);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void finds_the_file_that_counts(void **state)
{
	(void)state;
	char directory[] = "/tmp/skiff-ignore-XXXXXX";
	assert_non_null(mkdtemp(directory));
	_cleanup_free_ char *dockerfile = path_join(directory, "Dockerfile");
	struct ignore *ignore = NULL;
	char *path = NULL;
	assert_int_equal(ignore_load(directory, dockerfile, &ignore, &path, NULL), 0);
	assert_null(ignore);
	assert_null(path);
	assert_false(ignore_excludes(ignore, "a", NULL));
	assert_false(ignore_prunes(ignore, "a"));

	write_file(directory, ".dockerignore", "a\n");
	assert_int_equal(ignore_load(directory, dockerfile, &ignore, &path, NULL), 0);
	assert_true(ignore_excludes(ignore, "a", NULL));
	assert_string_equal(path_base(path), ".dockerignore");
	ignore_free(ignore);
	free(path);

	write_file(directory, "Dockerfile.dockerignore", "b\n");
	assert_int_equal(ignore_load(directory, dockerfile, &ignore, &path, NULL), 0);
	assert_false(ignore_excludes(ignore, "a", NULL));
	assert_true(ignore_excludes(ignore, "b", NULL));
	assert_string_equal(path_base(path), "Dockerfile.dockerignore");
	ignore_free(ignore);
	free(path);
	assert_int_equal(file_remove_tree(directory, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_hold),
		cmocka_unit_test(finds_the_file_that_counts),
	};
	cases_load("ignore", &cases);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	cases_release(&cases);
	return r;
}
