/* YAML trees, their places and what the emitter writes; templates. Mistakes in a configuration's text: test-config.c. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "format/template.h"
#include "format/yaml.h"

struct tree {
	struct sources sources;
	struct yaml_pool pool;
	struct diagnostics d;
	struct yaml_documents documents;
};

static int tree_read(struct tree *t, const char *text)
{
	t->d.sources = &t->sources;
	const struct source *source = sources_add(&t->sources, "a.yaml", "/a.yaml", xstrdup(text), strlen(text));
	return yaml_parse(&t->pool, source, &t->d, &t->documents);
}

static void tree_release(struct tree *t)
{
	vec_release(&t->documents);
	yaml_pool_release(&t->pool);
	diagnostics_release(&t->d);
	sources_release(&t->sources);
}

static void assert_place(const struct yaml_node *node, unsigned line, unsigned column)
{
	assert_non_null(node);
	assert_string_equal(node->place.file, "a.yaml");
	assert_int_equal(node->place.line, line);
	assert_int_equal(node->place.column, column);
}

static void nodes_know_their_places(void **state)
{
	(void)state;
	CLEANUP(tree_release) struct tree t = {0};
	assert_int_equal(tree_read(&t, "a: 1\nb:\n- x\n- 'y'\n- \"z\"\né: {k: v}\nnothing:\n"), 0);
	const struct yaml_node *root = t.documents.items[0], *b = yaml_get(root, "b");
	assert_place(yaml_get(root, "a"), 1, 4);
	assert_place(b->items.items[0], 3, 3);
	assert_place(b->items.items[1], 4, 3);
	assert_place(b->items.items[2], 5, 3);
	assert_place(yaml_get(root, "é"), 6, 4);
	assert_place(yaml_get(yaml_get(root, "é"), "k"), 6, 8);
	assert_null(yaml_get(root, "nothing"));
	assert_non_null(yaml_pair(root, "nothing"));
}

static void scalars_say_what_they_are(void **state)
{
	(void)state;
	static const struct {
		const char *text, *kind;
	} cases[] = {
		{"[1]", "a list"},	{"{a: b}", "a mapping"},   {"12", "a number"},	     {"-12", "a number"},
		{"\"12\"", "a text"},	{"true", "true or false"}, {"off", "true or false"}, {"\"true\"", "a text"},
		{"!!str 12", "a text"}, {"1.5", "a text"},	   {"hello", "a text"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(tree_release) struct tree t = {0};
		assert_int_equal(tree_read(&t, cases[i].text), 0);
		assert_string_equal(yaml_kind_name(t.documents.items[0]), cases[i].kind);
	}
}

static void documents_are_apart(void **state)
{
	(void)state;
	CLEANUP(tree_release) struct tree t = {0};
	assert_int_equal(tree_read(&t, "--- {a: &x 1}\n---\n# nothing\n---\n- b\n...\n"), 0);
	assert_int_equal(t.documents.len, 2);
	CLEANUP(tree_release) struct tree apart = {0};
	assert_int_equal(tree_read(&apart, "--- {a: &x 1}\n--- {b: *x}\n"), -EINVAL);
}

static void all_duplicates_are_told(void **state)
{
	(void)state;
	CLEANUP(tree_release) struct tree t = {0};
	struct str report = {0};
	assert_int_equal(tree_read(&t, "a: 1\na: 2\nb: {c: 1, c: 2}\n"), -EINVAL);
	diagnostics_format(&t.d, SEVERITY_ERROR, &report);
	assert_string_equal(str_text(&report),
			    "a.yaml:2:1: error: the key 'a' stands here twice (first at a.yaml:1:1)\n"
			    "a: 2\n^\n"
			    "a.yaml:3:11: error: the key 'c' stands here twice (first at a.yaml:3:5)\n"
			    "b: {c: 1, c: 2}\n          ^\n");
	str_release(&report);
}

static void a_terminal_is_not_steered(void **state)
{
	(void)state;
	CLEANUP(tree_release) struct tree t = {0};
	struct str report = {0};
	assert_int_equal(tree_read(&t, "\"\\e]0;x\\a\": 1\n\"\\e]0;x\\a\": 2\n"), -EINVAL);
	diagnostics_format(&t.d, SEVERITY_ERROR, &report);
	assert_null(strchr(str_text(&report), '\x1b'));
	str_release(&report);
}

static void what_is_emitted_reads_back(void **state)
{
	(void)state;
	static const char *const cases[] = {
		"a: 1\nb:\n- x\n- y: z\n  w: []\n- - 1\n  - 2\n",
		"\"no\": \"1\"\nkey: {}\n",
		"text: |\n  one\n   two\n\n  three\nlast: |-\n  a\n  b\n",
		"odd: \" lead\"\ntail: \"x \"\ncomment: \"a #b\"\ndash: \"- a\"\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(tree_release) struct tree t = {0};
		struct str out = {0};
		assert_int_equal(tree_read(&t, cases[i]), 0);
		yaml_emit(t.documents.items[0], &out);
		assert_string_equal(str_text(&out), cases[i]);
		str_release(&out);
	}
}

/* Templates. */

static const char *look_up(void *data, const char *name)
{
	(void)data;
	return strcmp(name, "NAME") == 0 ? "value" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static const struct template_variables variables = {.lookup = look_up};

static void templates_expand(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"plain", "plain"},
		{"", ""},
		{"{{.NAME}}", "value"},
		{"a{{ .NAME }}b{{.NAME}}c", "avaluebvaluec"},
		{"{{.NAME | default \"y\"}}", "value"},
		{"{{.NONE | default \"y\"}}", "y"},
		{"{{.EMPTY | default `y`}}", "y"},
		{"{{default \"y\" .NONE}}", "y"},
		{"{{default \"y\" .NAME}}", "value"},
		{"{{default .NAME .NONE}}", "value"},
		{"{{.NONE | default .EMPTY | default \"z\"}}", "z"},
		{"a {{- .NAME -}} b", "avalueb"},
		{"{{\"a\\n\\\"b\\\"\"}}", "a\n\"b\""},
		{"a{{/* words */}}b", "ab"},
		{"}} {", "}} {"},
		{"{{.EMPTY}}", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(error_clear) struct error err = {0};
		_cleanup_free_ char *out = NULL;
		if (template_expand(cases[i][0], &variables, &out, &err) < 0)
			fail_msg("%s: %s", cases[i][0], err.message);
		assert_string_equal(out, cases[i][1]);
		assert_int_equal(template_check(cases[i][0], NULL, NULL), 0);
	}
}

static void templates_refuse(void **state)
{
	(void)state;
	static const struct {
		const char *text, *words;
		size_t offset; /* where the check sees it; 0: it sees nothing wrong */
	} cases[] = {
		{"{{cmd \"id\"}}", "'cmd' would run a program", 2},
		{"a{{if .A}}", "'if'", 3},
		{"{{.NAME", "'{{' without '}}'", 7},
		{"{{}}", "no name here", 2},
		{"{{.A.B}}", "no such name", 4},
		{"{{.NAME | upper}}", "only default can follow", 10},
		{"{{.NAME .NAME}}", "unexpected text", 8},
		{"{{\"a}}", "quoted text without its end", 6},
		{"{{.NONE}}", "no variable NONE", 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(error_clear) struct error err = {0};
		char *out = NULL;
		size_t offset = 0;
		assert_int_equal(template_expand(cases[i].text, &variables, &out, &err), -EINVAL);
		assert_null(out);
		if (!strstr(err.message, cases[i].words))
			fail_msg("%s: %s", cases[i].text, err.message);
		assert_int_equal(template_check(cases[i].text, &offset, NULL), cases[i].offset ? -EINVAL : 0);
		assert_int_equal(offset, cases[i].offset);
	}
}

static void templates_stay_bounded(void **state)
{
	(void)state;
	struct str text = {0};
	_cleanup_free_ char *long_text = xmalloc(1000), *out = NULL;
	memset(long_text, 'x', 999);
	long_text[999] = '\0';
	for (int i = 0; i < 2000; i++)
		str_addf(&text, "%s{{.NAME}}", long_text);
	assert_int_equal(template_expand(str_text(&text), &variables, &out, NULL), -E2BIG);
	str_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_know_their_places),   cmocka_unit_test(scalars_say_what_they_are),
		cmocka_unit_test(documents_are_apart),	     cmocka_unit_test(all_duplicates_are_told),
		cmocka_unit_test(a_terminal_is_not_steered), cmocka_unit_test(what_is_emitted_reads_back),
		cmocka_unit_test(templates_expand),	     cmocka_unit_test(templates_refuse),
		cmocka_unit_test(templates_stay_bounded),
	};
	return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
