#include "cases.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"

static void add_section(struct test_case *test, const char *line)
{
	size_t len = strcspn(line, " ");
	struct section *section = vec_add(&test->sections);
	section->name = xstrndup(line, len);
	section->argument = xstrdup(line[len] ? line + len + 1 : "");
}

static void read_cases(const char *file, const char *text, struct case_list *cases)
{
	bool in_case = false;
	for (unsigned line = 1; *text; line++) {
		size_t len = strcspn(text, "\n");
		_cleanup_free_ char *content = xstrndup(text, len);
		text += len + (text[len] == '\n');
		if (str_starts_with(content, "=== ")) {
			vec_add(cases)->title = xasprintf("%s:%u: %s", file, line, content + 4);
			in_case = true;
		} else if (in_case && str_starts_with(content, "--- ")) {
			add_section(&cases->items[cases->len - 1], content + 4);
		} else if (in_case && cases->items[cases->len - 1].sections.len) {
			struct test_case *test = &cases->items[cases->len - 1];
			str_addf(&test->sections.items[test->sections.len - 1].text, "%s\n",
				 content + (*content == '\\'));
		}
	}
}

void cases_load(const char *module, struct case_list *cases)
{
	_cleanup_free_ char *directory = path_join(CASES_DIR, module);
	struct dirent **names;
	int count = scandir(directory, &names, NULL, alphasort);
	if (count < 0) {
		perror(directory);
		exit(1);
	}
	for (int i = 0; i < count; i++) {
		if (str_ends_with(names[i]->d_name, ".txt")) {
			_cleanup_free_ char *path = path_join(directory, names[i]->d_name), *text = NULL;
			size_t len = 0;
			if (file_read(path, 1 << 20, &text, &len, NULL) < 0) {
				fprintf(stderr, "can't read %s\n", path);
				exit(1);
			}
			read_cases(names[i]->d_name, text, cases);
		}
		free(names[i]);
	}
	free(names);
}

void cases_release(struct case_list *cases)
{
	for vec_each (test, cases) {
		free(test->title);
		for vec_each (section, &test->sections) {
			free(section->name);
			free(section->argument);
			str_release(&section->text);
		}
		vec_release(&test->sections);
	}
	vec_release(cases);
}

const struct section *case_section(const struct test_case *test, const char *name)
{
	for vec_each (section, &test->sections)
		if (strcmp(section->name, name) == 0)
			return section;
	return NULL;
}

const char *case_text(const struct test_case *test, const char *name)
{
	const struct section *section = case_section(test, name);
	return section ? str_text(&section->text) : "";
}

void case_lines(const char *text, struct strv *lines)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		if (len)
			strv_push_owned(lines, xstrndup(text, len));
		text += len + (text[len] == '\n');
	}
}

bool case_equal(const struct test_case *test, const char *section, const char *got, const char *expected)
{
	CLEANUP(strv_release) struct strv a = {0}, b = {0};
	case_lines(got, &a);
	case_lines(expected, &b);
	bool same = a.len == b.len;
	for (size_t i = 0; same && i < a.len; i++)
		same = strcmp(a.items[i], b.items[i]) == 0;
	if (!same)
		fprintf(stderr, "%s\n  %s: expected\n%s  got\n%s", test->title, section, expected, got);
	return same;
}
