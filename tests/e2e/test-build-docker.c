/* The builders docker and custom on a real engine. */
#include "engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "build/base-image.h"
#include "build/build.h"

struct build_test {
	struct project project;
	struct sync_source *source;
	struct build_request request;
	struct str lines;
	char image[80]; /* a name of its own */
};

static void hear(void *data, int stream, const char *line, size_t len)
{
	(void)stream;
	str_add_bytes(data, line, len);
	str_add_char(data, '\n');
}

/* Reads the configuration (where %s is the image's name and then the context) and the Dockerfile again. */
static void configure(struct build_test *t, const char *artifact)
{
	struct str yaml = {0};
	str_addf(&yaml,
		 "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  local: {useBuildkit: false}\n  artifacts:\n"
		 "  - image: %s\n    context: %s\n%s",
		 t->image, t->project.folder, artifact);
	project_write(&t->project, "skaffold.yaml", str_text(&yaml));
	str_release(&yaml);
	sync_source_free(t->source);
	t->source = NULL;
	project_load(&t->project);
	CLEANUP(error_clear) struct error err = {0};
	const struct artifact *first = t->project.config->artifacts.items[0];
	if (sync_source_new(t->project.config, first, base_image_lookup, t->project.docker, &t->source, &err) < 0)
		fail_msg("%s", err.message);
	t->request = (struct build_request){
		.config = t->project.config,
		.artifact = first,
		.source = t->source,
		.docker = t->project.docker,
		.for_dev = true,
		.line = hear,
		.data = &t->lines,
	};
}

static void test_init(struct build_test *t)
{
	*t = (struct build_test){0};
	project_init(&t->project);
	snprintf(t->image, sizeof(t->image), "skiff-test/build-%s", strrchr(t->project.folder, '-') + 1);
	for (char *p = t->image; *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	project_write(&t->project, ".dockerignore", "skaffold.yaml\nstate\nnotes\n");
	project_write(&t->project, "file", "one");
	project_write(&t->project, "Dockerfile",
		      "FROM " BASE_IMAGE "\nARG WORD=none\nENV WORD=$WORD\nWORKDIR /srv\nCOPY file .\n");
}

/* Removes all tags of the image. */
static void test_release(struct build_test *t)
{
	_cleanup_free_ char *filter = xasprintf("{\"reference\":[\"%s\"]}", t->image), *escaped = docker_escape(filter);
	_cleanup_free_ char *path = xasprintf("/images/json?filters=%s", escaped);
	for (char *id; (id = ENGINE_TEXT(&t->project, path, "#0", "Id")); free(id))
		engine_forget_image(&t->project, id);
	sync_source_free(t->source);
	str_release(&t->lines);
	project_release(&t->project);
}

/* Builds; tells by *cached, and gives the image's id. */
static char *built(struct build_test *t, bool *cached)
{
	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(build_result_release) struct build_result result = {0};
	if (build_artifact(&t->request, &result, &err) < 0)
		fail_msg("%s\n%s", err.message, str_text(&result.log));
	*cached = result.cached;
	_cleanup_free_ char *escaped = docker_escape(result.tag), *path = xasprintf("/images/%s/json", escaped);
	_cleanup_free_ char *id = ENGINE_TEXT(&t->project, path, "Id");
	assert_string_equal(id, result.image_id);
	assert_true(str_starts_with(result.tag, t->image));
	assert_non_null(inputs_find(&result.baseline, "file"));
	return steal(&result.image_id);
}

static void assert_built(struct build_test *t, bool expected_cached)
{
	bool cached;
	_cleanup_free_ char *id = built(t, &cached);
	assert_int_equal(cached, expected_cached);
}

static void builds_what_changed_and_nothing_else(void **state)
{
	(void)state;
	struct build_test t;
	test_init(&t);
	configure(&t, "");
	bool cached;
	_cleanup_free_ char *first = built(&t, &cached);
	assert_false(cached);
	assert_non_null(strstr(str_text(&t.lines), "COPY file"));
	_cleanup_free_ char *again = built(&t, &cached);
	assert_true(cached);
	assert_string_equal(first, again);
	project_write(&t.project, "notes", "ignored");
	assert_built(&t, true);
	project_write(&t.project, "file", "two");
	_cleanup_free_ char *second = built(&t, &cached);
	assert_false(cached);
	assert_string_not_equal(first, second);
	project_write(&t.project, "file", "one");
	_cleanup_free_ char *back = built(&t, &cached);
	assert_true(cached);
	assert_string_equal(back, first);
	t.request.force = true;
	assert_built(&t, false);
	t.request.force = false;
	engine_forget_image(&t.project, first);
	assert_built(&t, false); /* the engine has it no more */
	test_release(&t);
}

static void builds_again_where_the_configuration_changed(void **state)
{
	(void)state;
	struct build_test t;
	test_init(&t);
	setenv("SKIFF_TEST_VALUE", "env", 1);
	configure(&t, "    docker: {buildArgs: {WORD: 'a {{.SKIFF_TEST_VALUE}}'}}\n");
	bool cached;
	_cleanup_free_ char *id = built(&t, &cached);
	_cleanup_free_ char *path = xasprintf("/images/%s/json", id),
			    *word = ENGINE_TEXT(&t.project, path, "Config", "Env", "#1");
	assert_string_equal(word, "WORD=a env");
	setenv("SKIFF_TEST_VALUE", "changed", 1);
	assert_built(&t, false);
	assert_built(&t, true);
	configure(&t, "");
	assert_built(&t, false);
	t.request.tag = "fixed";
	assert_built(&t, true); /* the same image under another name */
	test_release(&t);
}

static void says_what_failed_in_the_builders_words(void **state)
{
	(void)state;
	struct build_test t;
	test_init(&t);
	project_write(&t.project, "Dockerfile",
		      "FROM " BASE_IMAGE "\nCOPY file /\nRUN echo \"file:3:4: error: no such word\" >&2; exit 4\n");
	configure(&t, "");
	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(build_result_release) struct build_result result = {0};
	assert_int_equal(build_artifact(&t.request, &result, &err), -EIO);
	assert_non_null(strstr(err.message, "file:3:4: error: no such word"));
	assert_non_null(strstr(str_text(&result.log), "exit 4"));
	test_release(&t);
}

static void builds_with_a_command(void **state)
{
	(void)state;
	struct build_test t;
	test_init(&t);
	configure(&t, "    custom:\n      buildCommand: 'echo seen $PUSH_IMAGE $IMAGE_REPO:$IMAGE_TAG $SKIP_TEST "
		      "{{.IMAGE_NAME}} && cd \"$BUILD_CONTEXT\" && docker build -q -t \"$IMAGE\" .'\n"
		      "      dependencies: {paths: [file, Dockerfile]}\n");
	assert_built(&t, false);
	_cleanup_free_ char *expected = xasprintf("seen false %s:", t.image), *end = xasprintf(" true %s\n", t.image);
	assert_non_null(strstr(str_text(&t.lines), expected));
	assert_non_null(strstr(str_text(&t.lines), end));
	assert_built(&t, true);
	project_write(&t.project, "file", "two");
	assert_built(&t, false);

	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(build_result_release) struct build_result result = {0}, missing = {0};
	configure(
		&t,
		"    custom: {buildCommand: 'echo ./tool is not there >&2; exit 9', dependencies: {paths: [file]}}\n");
	assert_int_equal(build_artifact(&t.request, &result, &err), -EIO);
	assert_non_null(strstr(err.message, "(exit 9): ./tool is not there"));
	configure(&t, "    custom: {buildCommand: 'true', dependencies: {paths: [file]}}\n");
	assert_int_equal(build_artifact(&t.request, &missing, &err), -ENOENT);
	assert_non_null(strstr(err.message, "$IMAGE"));
	assert_true(strstr(err.where, "skaffold.yaml:") != NULL);
	test_release(&t);
}

static void lists_dependencies_by_a_command(void **state)
{
	(void)state;
	struct build_test t;
	test_init(&t);
	configure(&t, "    custom:\n      buildCommand: 'docker build -q -t \"$IMAGE\" \"$BUILD_CONTEXT\"'\n"
		      "      dependencies: {command: 'echo [\\\"file\\\"]'}\n");
	CLEANUP(error_clear) struct error err = {0};
	if (build_list_dependencies(t.request.artifact, t.source, NULL, &err) < 0)
		fail_msg("%s", err.message);
	assert_built(&t, false);
	project_write(&t.project, "elsewhere", "x");
	assert_built(&t, true);
	project_write(&t.project, "file", "two");
	assert_built(&t, false);
	test_release(&t);
}

static void runs_hooks_around_a_build(void **state)
{
	(void)state;
	struct build_test t;
	test_init(&t);
	configure(&t, "    hooks:\n      before: [{command: [sh, -c, 'echo made >\"$SKAFFOLD_BUILD_CONTEXT/file\"; "
		      "echo before $SKAFFOLD_IMAGE_REPO']}]\n"
		      "      after: [{command: [sh, -c, 'docker image inspect \"$SKAFFOLD_IMAGE\" >/dev/null && echo "
		      "after']}]\n");
	assert_built(&t, false);
	_cleanup_free_ char *before = xasprintf("before %s\n", t.image);
	assert_non_null(strstr(str_text(&t.lines), before));
	assert_non_null(strstr(str_text(&t.lines), "\nafter\n"));
	str_clear(&t.lines);
	assert_built(&t, true); /* with what the hook made */
	assert_string_equal(str_text(&t.lines), "");
	test_release(&t);
}

static void names_builders_that_are_not_there_yet(void **state)
{
	(void)state;
	struct build_test t;
	test_init(&t);
	configure(&t, "    bazel: {target: \"//:app.tar\"}\n");
	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(build_result_release) struct build_result result = {0};
	assert_int_equal(build_artifact(&t.request, &result, &err), -ENOTSUP);
	assert_non_null(strstr(err.message, "'bazel'"));
	assert_non_null(strstr(err.where, "skaffold.yaml:6:"));
	test_release(&t);
}

static void *cancel_soon(void *data)
{
	struct build_test *t = data;
	cancel_request(t->request.cancel);
	return NULL;
}

static void cancel_on_output(void *data, int stream, const char *line, size_t len)
{
	(void)stream, (void)line, (void)len;
	cancel_soon(data);
}

static void ends_a_build_that_is_cancelled(void **state)
{
	(void)state;
	struct build_test t;
	test_init(&t);
	project_write(&t.project, "Dockerfile", "FROM " BASE_IMAGE "\nCOPY file /\nRUN sleep 1000\n");
	configure(&t, "");
	t.request.cancel = cancel_new();
	t.request.line = cancel_on_output;
	t.request.data = &t;
	CLEANUP(build_result_release) struct build_result result = {0};
	assert_int_equal(build_artifact(&t.request, &result, NULL), -ECANCELED);
	cancel_unref(t.request.cancel);
	test_release(&t);
}

struct twin {
	struct build_test *test;
	bool cached;
	char *id;
};

static void *build_twin(void *data)
{
	struct twin *twin = data;
	struct build_request request = twin->test->request;
	request.line = NULL;
	CLEANUP(build_result_release) struct build_result result = {0};
	if (build_artifact(&request, &result, NULL) == 0)
		twin->id = steal(&result.image_id);
	twin->cached = result.cached;
	return NULL;
}

/* The lock is a file's: two builds of one process hold it as apart as two processes. */
static void builds_once_where_two_ask_at_once(void **state)
{
	(void)state;
	struct build_test t;
	test_init(&t);
	configure(&t, "");
	struct twin twins[2] = {{.test = &t}, {.test = &t}};
	pthread_t threads[2];
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, build_twin, &twins[i]), 0);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_non_null(twins[0].id);
	assert_non_null(twins[1].id);
	assert_string_equal(twins[0].id, twins[1].id);
	assert_int_equal(twins[0].cached + twins[1].cached, 1);
	free(twins[0].id);
	free(twins[1].id);
	test_release(&t);
}

static void knows_base_images(void **state)
{
	(void)state;
	struct project p;
	project_init(&p);
	struct base_image image = {0};
	base_image_lookup(p.docker, BASE_IMAGE, &image);
	assert_true(image.known);
	assert_true(strv_contains(&image.env, "PATH=/bin"));
	base_image_release(&image);
	base_image_lookup(p.docker, "skiff-test/none", &image);
	assert_false(image.known);
	base_image_lookup(NULL, BASE_IMAGE, &image);
	assert_false(image.known);
	project_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builds_what_changed_and_nothing_else),
		cmocka_unit_test(builds_again_where_the_configuration_changed),
		cmocka_unit_test(says_what_failed_in_the_builders_words),
		cmocka_unit_test(builds_with_a_command),
		cmocka_unit_test(lists_dependencies_by_a_command),
		cmocka_unit_test(runs_hooks_around_a_build),
		cmocka_unit_test(names_builders_that_are_not_there_yet),
		cmocka_unit_test(ends_a_build_that_is_cancelled),
		cmocka_unit_test(builds_once_where_two_ask_at_once),
		cmocka_unit_test(knows_base_images),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
