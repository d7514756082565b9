/* Jib's commands: the cases of tests/cases/jib. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "cases.h"
#include "sync/jib.h"

struct project {
	char directory[64];
	char *context, *programs;
	struct artifact artifact;
	struct jib_image image;
	struct strv words; /* what the artifact's strings point to */
	struct strv platforms;
};

static void add_entry(const char *directory, const char *name, mode_t mode)
{
	_cleanup_free_ char *path = path_join(directory, name);
	if (str_ends_with(name, "/"))
		assert_int_equal(file_make_directories(path, 0755, NULL), 0);
	else
		assert_int_equal(file_write_atomic(path, "", 0, mode, NULL), 0);
}

static void add_entries(const char *directory, const char *names, mode_t mode)
{
	CLEANUP(strv_release) struct strv list = {0};
	str_split(names, ' ', &list);
	for (size_t i = 0; i < list.len; i++) {
		if (list.items[i][0])
			add_entry(directory, list.items[i], mode);
	}
}

static void project_init(struct project *p)
{
	*p = (struct project){.directory = "/tmp/skiff-test-jib-XXXXXX"};
	assert_non_null(mkdtemp(p->directory));
	p->context = path_join(p->directory, "context");
	p->programs = path_join(p->directory, "bin");
	assert_int_equal(file_make_directories(p->context, 0755, NULL), 0);
	assert_int_equal(file_make_directories(p->programs, 0755, NULL), 0);
	p->artifact.context = p->context;
	p->artifact.place = (struct place){"skaffold.yaml", 4, 5};
	p->image.platforms = &p->platforms;
	setenv("PATH", p->programs, 1);
}

static void project_release(struct project *p)
{
	file_remove_tree(p->directory, NULL);
	strv_release(&p->artifact.jib.args);
	strv_release(&p->platforms);
	strv_release(&p->words);
	free(p->context);
	free(p->programs);
}

/* Keeps the value as long as the project. */
static char *keep(struct project *p, const char *value)
{
	strv_push(&p->words, value);
	return p->words.items[p->words.len - 1];
}

static void apply(struct project *p, const char *line)
{
	_cleanup_free_ char *name = xstrndup(line, strcspn(line, " "));
	const char *value = line + strlen(name);
	value += *value == ' ';
	if (str_equal(name, "has"))
		add_entries(p->context, value, 0644);
	else if (str_equal(name, "path"))
		add_entries(p->programs, value, 0755);
	else if (str_equal(name, "project"))
		p->artifact.jib.project = keep(p, value);
	else if (str_equal(name, "type"))
		p->artifact.jib.type = keep(p, value);
	else if (str_equal(name, "args"))
		str_split(value, ' ', &p->artifact.jib.args);
	else if (str_equal(name, "platforms"))
		str_split(value, ',', &p->platforms);
	else if (str_equal(name, "from"))
		p->image.from_image = keep(p, value);
	else if (str_equal(name, "tag"))
		p->image.tag = keep(p, value);
	else if (str_equal(name, "push"))
		p->image.push = true;
	else if (str_equal(name, "skip-tests"))
		p->image.skip_tests = true;
	else
		fail_msg("no such line: %s", line);
}

/* The words in a line, the context as C. */
static char *shown(const struct project *p, const struct strv *argv)
{
	_cleanup_free_ char *line = strv_join(argv, " ");
	const char *rest = path_below(line, p->context);
	return rest ? xasprintf("C/%s\n", rest) : xasprintf("%s\n", line);
}

static bool command_holds(const struct test_case *test, const char *section, const struct project *p)
{
	CLEANUP(strv_release) struct strv argv = {0};
	int r = section[0] == 'f'   ? jib_files_command(&p->artifact, &argv, NULL)
		: section[0] == 'm' ? jib_map_command(&p->artifact, &argv, NULL)
				    : jib_image_command(&p->artifact, &p->image, &argv, NULL);
	assert_int_equal(r, 0);
	_cleanup_free_ char *got = shown(p, &argv);
	return case_equal(test, section, got, case_text(test, section));
}

static bool commands_hold(const struct test_case *test)
{
	struct project p;
	CLEANUP(strv_release) struct strv lines = {0};
	project_init(&p);
	case_lines(case_text(test, "artifact"), &lines);
	for (size_t i = 0; i < lines.len; i++)
		apply(&p, lines.items[i]);
	bool equal = command_holds(test, "files", &p);
	equal = command_holds(test, "map", &p) && equal;
	equal = command_holds(test, "image", &p) && equal;
	project_release(&p);
	return equal;
}

static bool tool_holds(const struct test_case *test, const char *line)
{
	struct project p;
	CLEANUP(error_clear) struct error err = {0};
	enum jib_tool tool;
	const char *expected = strrchr(line, ' ') + 1;
	_cleanup_free_ char *names = xstrndup(line, (size_t)(expected - line));
	project_init(&p);
	add_entries(p.context, names, 0644);
	int r = jib_tool(&p.artifact, &tool, &err);
	const char *got = r < 0 ? "neither" : tool == JIB_MAVEN ? "maven" : "gradle";
	if (r < 0) {
		assert_int_equal(r, -EINVAL);
		assert_string_equal(err.where, "skaffold.yaml:4:5");
		assert_non_null(strstr(err.message, p.context));
	}
	project_release(&p);
	return case_equal(test, names, got, expected);
}

static void cases_hold(void **state)
{
	(void)state;
	struct case_list cases = {0};
	bool equal = true;
	cases_load("jib", &cases);
	for vec_each (test, &cases) {
		if (case_section(test, "artifact"))
			equal = commands_hold(test) && equal;
		CLEANUP(strv_release) struct strv tools = {0};
		case_lines(case_text(test, "tools"), &tools);
		for (size_t i = 0; i < tools.len; i++)
			equal = tool_holds(test, tools.items[i]) && equal;
	}
	cases_release(&cases);
	assert_true(equal);
}

/* A word of args stays one, whatever it holds. */
static void keeps_words_whole(void **state)
{
	(void)state;
	struct project p;
	CLEANUP(strv_release) struct strv argv = {0};
	project_init(&p);
	add_entry(p.context, "pom.xml", 0644);
	strv_push(&p.artifact.jib.args, "-Dname=a b");
	p.artifact.jib.project = keep(&p, "");
	assert_int_equal(jib_map_command(&p.artifact, &argv, NULL), 0);
	assert_string_equal(argv.items[4], "-Dname=a b");
	assert_string_equal(argv.items[5], "--non-recursive");
	project_release(&p);
}

static void knows_build_definitions(void **state)
{
	(void)state;
	static const char *const definitions[] = {"pom.xml",
						  "server/pom.xml",
						  "build.gradle",
						  "a/b/build.gradle",
						  "settings.gradle.kts",
						  "gradle.properties",
						  ".mvn/extensions.xml",
						  "gradle/libs.versions.toml",
						  "buildSrc/src/A.java"};
	static const char *const others[] = {"src/main/java/A.java", "pom.xml.bak", "target/classes/A.class",
					     "README.md"};
	for (size_t i = 0; i < ARRAY_LEN(definitions); i++)
		assert_true(jib_is_definition(definitions[i]));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(jib_is_definition(others[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_hold),
		cmocka_unit_test(keeps_words_whole),
		cmocka_unit_test(knows_build_definitions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
