/* Layouts of the embedded builder: the cases of tests/cases/layout, and what holds for every layout. */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "build/embedded.h"
#include "cases.h"

struct project {
	char *directory, *context;
	struct config config;
	struct artifact artifact;
};

static void write_text(const char *path, const char *text, mode_t mode)
{
	_cleanup_free_ char *above = path_dir(path);
	assert_int_equal(file_make_directories(above, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), mode, NULL), 0);
}

/* One line of a case's context. */
static void make_entry(const char *context, char *line)
{
	char *arrow = strstr(line, " -> ");
	size_t len = strlen(line);
	mode_t mode = 0644;
	if (arrow)
		*arrow = '\0';
	else if (len > 4 && line[len - 4] == ' ') {
		mode = (mode_t)strtoul(line + len - 3, NULL, 8);
		line[len - 4] = '\0';
	}
	_cleanup_free_ char *path = path_join(context, line);
	_cleanup_free_ char *above = path_dir(path);
	if (arrow) {
		assert_int_equal(file_make_directories(above, 0755, NULL), 0);
		assert_int_equal(symlink(arrow + 4, path), 0);
	} else if (line[strlen(line) - 1] == '/')
		assert_int_equal(file_make_directories(path, 0755, NULL), 0);
	else
		write_text(path, line, mode);
}

static void project_open(struct project *p)
{
	char template[] = "/tmp/skiff-layout-XXXXXX";
	*p = (struct project){.directory = xstrdup(mkdtemp(template))};
	p->context = path_join(p->directory, "context");
	_cleanup_free_ char *state = path_join(p->directory, "state");
	setenv("XDG_STATE_HOME", state, 1);
	p->artifact = (struct artifact){
		.image.value = (char *)"app",
		.context = p->context,
		.base_dir = p->context,
		.docker.dockerfile.value = (char *)"Dockerfile",
		.sync.mode = SYNC_AUTO,
	};
	assert_int_equal(file_make_directories(p->context, 0755, NULL), 0);
}

static void project_close(struct project *p)
{
	assert_int_equal(file_remove_tree(p->directory, NULL), 0);
	free(p->directory);
	free(p->context);
}

static void project_write(struct project *p, const char *name, const char *text)
{
	_cleanup_free_ char *path = path_join(p->context, name);
	write_text(path, text, 0644);
}

static int lay_out(struct project *p, char **folder, struct error *err)
{
	CLEANUP(sync_source_free_cleanup) struct sync_source *source = NULL;
	int r = sync_source_new(&p->config, &p->artifact, NULL, NULL, &source, err);
	if (r < 0)
		return r;
	const struct build_request request = {.config = &p->config,
					      .artifact = &p->artifact,
					      .source = source,
					      .embedded = true};
	return build_embedded(&request, folder, err);
}

static int skip_dots(const struct dirent *entry)
{
	return !str_equal(entry->d_name, ".") && !str_equal(entry->d_name, "..");
}

/* What is below a folder, a line each, in the order of names. */
static void list_tree(const char *root, const char *below, struct str *out)
{
	_cleanup_free_ char *directory = path_join(root, below);
	struct dirent **names = NULL;
	int count = scandir(*below ? directory : root, &names, skip_dots, alphasort);
	if (count == 0 && *below)
		str_addf(out, "%s/\n", below);
	for (int i = 0; i < count; i++) {
		_cleanup_free_ char *path = path_join(below, names[i]->d_name);
		_cleanup_free_ char *full = path_join(root, path);
		char target[PATH_MAX];
		struct stat st;
		assert_int_equal(lstat(full, &st), 0);
		ssize_t n = readlink(full, target, sizeof(target));
		_cleanup_free_ char *text = NULL;
		size_t len;
		if (n > 0)
			str_addf(out, "%s -> %.*s\n", path, (int)n, target);
		else if (S_ISDIR(st.st_mode))
			list_tree(root, path, out);
		else if (file_read(full, 4096, &text, &len, NULL) == 0 && (st.st_mode & 07777) != 0644)
			str_addf(out, "%s %o = %s\n", path, st.st_mode & 07777, text);
		else
			str_addf(out, "%s = %s\n", path, text);
		free(names[i]);
	}
	free(names);
}

static bool run_case(const struct test_case *test)
{
	struct project p;
	project_open(&p);
	CLEANUP(strv_release) struct strv lines = {0};
	case_lines(case_text(test, "context"), &lines);
	for (size_t i = 0; i < lines.len; i++)
		make_entry(p.context, lines.items[i]);
	project_write(&p, "Dockerfile", case_text(test, "Dockerfile"));
	if (case_section(test, ".dockerignore"))
		project_write(&p, ".dockerignore", case_text(test, ".dockerignore"));
	CLEANUP(error_clear) struct error err = {0};
	_cleanup_free_ char *folder = NULL;
	const char *expected = case_text(test, "expect");
	struct str got = {0};
	if (lay_out(&p, &folder, &err) == 0) {
		_cleanup_free_ char *root = path_join(folder, "root");
		list_tree(root, "", &got);
	} else { /* only as much of it as the case says */
		_cleanup_free_ char *text = error_format(&err);
		size_t len = strcspn(expected, "\n");
		str_addf(&got, "%.*s\n", (int)len, text);
	}
	CLEANUP(strv_release) struct strv wanted = {0};
	case_lines(expected, &wanted);
	_cleanup_free_ char *joined = strv_join(&wanted, "\n");
	_cleanup_free_ char *whole = xasprintf("%s\n", joined);
	bool equal = case_equal(test, "expect", str_text(&got), whole);
	str_release(&got);
	project_close(&p);
	return equal;
}

static void lays_out_the_cases(void **state)
{
	(void)state;
	struct case_list cases = {0};
	cases_load("layout", &cases);
	size_t failed = 0;
	for (size_t i = 0; i < cases.len; i++)
		failed += !run_case(&cases.items[i]);
	assert_int_equal(failed, 0);
	cases_release(&cases);
}

static void the_same_content_is_the_same_image(void **state)
{
	(void)state;
	struct project p;
	project_open(&p);
	project_write(&p, "Dockerfile", "FROM scratch\nCOPY a /\nCMD [\"/a\"]\n");
	project_write(&p, "a", "1");
	_cleanup_free_ char *first = NULL, *other = NULL, *again = NULL, *command = NULL;
	assert_int_equal(lay_out(&p, &first, NULL), 0);
	project_write(&p, "a", "2");
	assert_int_equal(lay_out(&p, &other, NULL), 0);
	assert_string_not_equal(first, other);
	assert_true(file_is_directory(first));
	project_write(&p, "a", "1");
	assert_int_equal(lay_out(&p, &again, NULL), 0);
	assert_string_equal(first, again);
	project_write(&p, "Dockerfile", "FROM scratch\nCOPY a /\nCMD [\"/b\"]\n");
	assert_int_equal(lay_out(&p, &command, NULL), 0);
	assert_string_not_equal(first, command);
	project_close(&p);
}

static void a_failed_layout_leaves_the_one_before(void **state)
{
	(void)state;
	struct project p;
	project_open(&p);
	project_write(&p, "Dockerfile", "FROM scratch\nCOPY a /a\n");
	project_write(&p, "a", "1");
	_cleanup_free_ char *first = NULL, *second = NULL;
	assert_int_equal(lay_out(&p, &first, NULL), 0);
	project_write(&p, "Dockerfile", "FROM scratch\nCOPY a /a\nCOPY a /a/below\n");
	assert_true(lay_out(&p, &second, NULL) < 0);
	_cleanup_free_ char *file = path_join(first, "root/a");
	assert_true(file_exists(file));
	_cleanup_free_ char *images = path_dir(first);
	_cleanup_free_ char *unfinished = path_join(images, ".new");
	assert_false(file_exists(unfinished));
	project_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lays_out_the_cases),
		cmocka_unit_test(the_same_content_is_the_same_image),
		cmocka_unit_test(a_failed_layout_leaves_the_one_before),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
