/* tests/cases/dockerfile: a Dockerfile, what is known of its surroundings, a context as a list of files, and what it says of them.
 *
 * Sections: Dockerfile · args (NAME=value a line) · target NAME · base NAME (lines: workdir /x, env A=b, onbuild TRIGGER) · context (a file a line) ·
 * asked (paths; without it those of the context) · infer, auto (what it says of each path: "path → destinations", "path: rebuild: reason", "path: no input") ·
 * image (what the map says of the final stage) · missing (the error of copy_map_check_sources) · error (of parsing or evaluating; all of it). */
#include "test.h"

#include <string.h>

#include "base/path.h"
#include "cases.h"
#include "sync/dockerfile.h"

static struct case_list cases;

static void base_image(void *data, const char *name, struct base_image *image)
{
	const struct test_case *test = data;
	for vec_each (section, &test->sections) {
		if (strcmp(section->name, "base") != 0 || strcmp(section->argument, name) != 0)
			continue;
		image->known = true;
		CLEANUP(strv_release) struct strv lines = {0};
		case_lines(str_text(&section->text), &lines);
		for (size_t i = 0; i < lines.len; i++) {
			const char *line = lines.items[i];
			if (str_starts_with(line, "workdir "))
				replace_string(&image->workdir, line + strlen("workdir "));
			else if (str_starts_with(line, "env "))
				strv_push(&image->env, line + strlen("env "));
			else if (str_starts_with(line, "onbuild "))
				strv_push(&image->onbuild, line + strlen("onbuild "));
			else
				fail_msg("%s: what is '%s'?", test->title, line);
		}
	}
}

static enum copy_entry tree_kind(void *data, const char *path)
{
	const struct strv *files = data;
	for (size_t i = 0; i < files->len; i++) {
		const char *rest = path_below(files->items[i], path);
		if (rest)
			return *rest ? COPY_ENTRY_DIRECTORY : COPY_ENTRY_FILE;
	}
	return COPY_ENTRY_NONE;
}

static void tree_list(void *data, const char *directory, struct strv *names)
{
	const struct strv *files = data;
	for (size_t i = 0; i < files->len; i++) {
		const char *rest = path_below(files->items[i], directory);
		if (rest && *rest)
			strv_push_owned(names, xstrndup(rest, strcspn(rest, "/")));
	}
}

static void describe_answers(const struct copy_map *map, enum copy_use use, const struct strv *asked,
			     const struct copy_tree *tree, struct str *out)
{
	for (size_t i = 0; i < asked->len; i++) {
		struct copy_answer answer;
		copy_map_ask(map, use, asked->items[i], tree, &answer);
		str_add(out, asked->items[i]);
		if (!answer.input) {
			str_add(out, ": no input\n");
		} else if (answer.reason) {
			str_addf(out, ": rebuild: %s\n", answer.reason);
		} else {
			_cleanup_free_ char *dests = strv_join(&answer.dests, ", ");
			str_addf(out, " → %s", dests);
			if (answer.chmod >= 0)
				str_addf(out, " mode %04o", (unsigned)answer.chmod);
			if (answer.chown)
				str_addf(out, " owner %s", answer.chown);
			str_add_char(out, '\n');
		}
		copy_answer_release(&answer);
	}
}

static void describe_list(struct str *out, const char *name, const struct strv *list)
{
	if (list->len == 0)
		return;
	_cleanup_free_ char *joined = strv_join(list, " | ");
	str_addf(out, "%s: %s\n", name, joined);
}

static void describe_image(const struct copy_map *map, struct str *out)
{
	if (map->workdir_known)
		str_addf(out, "workdir: %s\n", map->workdir);
	else
		str_addf(out, "workdir: not known, of %s\n", map->unknown_base);
	if (map->scratch)
		str_add(out, "scratch\n");
	if (map->has_run)
		str_add(out, "runs something\n");
	describe_list(out, "bases", &map->bases);
	describe_list(out, "mounts", &map->bind_mounts);
	describe_list(out, "env", &map->env);
	describe_list(out, "entrypoint", &map->entrypoint);
	describe_list(out, "cmd", &map->cmd);
	describe_list(out, "exposed", &map->exposed);
	describe_list(out, "volumes", &map->volumes);
	if (map->user)
		str_addf(out, "user: %s\n", map->user);
	if (map->stop_signal)
		str_addf(out, "stop signal: %s\n", map->stop_signal);
}

static int parse_and_evaluate(const struct test_case *test, struct copy_map *map, struct error *err)
{
	const struct section *text = case_section(test, "Dockerfile"), *target = case_section(test, "target");
	CLEANUP(dockerfile_free_cleanup) struct dockerfile *dockerfile = NULL;
	CLEANUP(strv_release) struct strv args = {0};
	case_lines(case_text(test, "args"), &args);
	int r = dockerfile_parse("Dockerfile", str_text(&text->text), text->text.len, &dockerfile, err);
	if (r < 0)
		return r;
	struct dockerfile_context context = {
		.target = target ? target->argument : NULL,
		.build_args = (const char *const *)args.items,
		.base_image = base_image,
		.data = (void *)test,
	};
	return dockerfile_evaluate(dockerfile, &context, map, err);
}

static bool check_map(const struct test_case *test, const struct copy_map *map)
{
	CLEANUP(strv_release) struct strv files = {0}, asked = {0};
	case_lines(case_text(test, "context"), &files);
	case_lines(case_text(test, case_section(test, "asked") ? "asked" : "context"), &asked);
	struct copy_tree tree = {.kind = tree_kind, .list = tree_list, .data = &files};
	bool ok = true;
	for vec_each (section, &test->sections) {
		CLEANUP(str_release) struct str got = {0};
		if (strcmp(section->name, "infer") == 0) {
			describe_answers(map, COPY_FOR_INFER, &asked, &tree, &got);
		} else if (strcmp(section->name, "auto") == 0) {
			describe_answers(map, COPY_FOR_AUTO, &asked, &tree, &got);
		} else if (strcmp(section->name, "image") == 0) {
			describe_image(map, &got);
		} else if (strcmp(section->name, "missing") == 0) {
			CLEANUP(error_clear) struct error err = {0};
			copy_map_check_sources(map, &tree, &err);
			_cleanup_free_ char *words = error_format(&err);
			str_addf(&got, "%s\n", words);
		} else {
			continue;
		}
		ok = case_equal(test, section->name, str_text(&got), str_text(&section->text)) && ok;
	}
	return ok;
}

static bool run_case(const struct test_case *test)
{
	CLEANUP(error_clear) struct error err = {0};
	struct copy_map map = {0};
	int r = parse_and_evaluate(test, &map, &err);
	const struct section *expected = case_section(test, "error");
	if (r < 0 || expected) {
		_cleanup_free_ char *words = error_format(&err);
		CLEANUP(str_release) struct str line = {0};
		str_addf(&line, "%s\n", words);
		copy_map_release(&map);
		return case_equal(test, "error", str_text(&line), expected ? str_text(&expected->text) : "");
	}
	bool ok = check_map(test, &map);
	copy_map_release(&map);
	return ok;
}

static void cases_hold(void **state)
{
	(void)state;
	size_t failed = 0;
	for vec_each (test, &cases)
		failed += !run_case(test);
	if (failed)
		fail_msg("%zu of %zu cases", failed, cases.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_hold),
	};
	cases_load("dockerfile", &cases);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	cases_release(&cases);
	return r;
}
