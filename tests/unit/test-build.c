#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "build/cache.h"
#include "build/docker.h"
#include "build/expand.h"
#include "build/generate.h"
#include "build/go-time.h"
#include "build/internal.h"
#include "build/reference.h"
#include "build/tag.h"

static void parses_references(void **state)
{
	(void)state;
	static const struct {
		const char *text, *name, *tag, *digest;
	} cases[] = {
		{"web", "web", NULL, NULL},
		{"web:v1", "web", "v1", NULL},
		{"localhost:5000/team/web", "localhost:5000/team/web", NULL, NULL},
		{"localhost:5000/web:v1", "localhost:5000/web", "v1", NULL},
		{"web:v1@sha256:ab", "web", "v1", "sha256:ab"},
		{"web@sha256:ab", "web", NULL, "sha256:ab"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(reference_release) struct reference reference = {0};
		assert_int_equal(reference_parse(cases[i].text, &reference, NULL), 0);
		assert_string_equal(reference.name, cases[i].name);
		assert_true(str_equal(reference.tag, cases[i].tag));
		assert_true(str_equal(reference.digest, cases[i].digest));
	}
	static const char *const bad[] = {"", "!!web!!", "-web", "web:", "web:a b", "a//b", "web/", "web@md5:1"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct reference reference;
		assert_int_equal(reference_parse(bad[i], &reference, NULL), -EINVAL);
	}
}

/* As skaffold.dev/docs/environment/image-registries tells it. */
static void places_images_in_the_default_repo(void **state)
{
	(void)state;
	static const char *const cases[][3] = {
		{"", "gcr.io/some/registry", "gcr.io/some/registry"},
		{"gcr.io/default", "gcr.io/some/registry", "gcr.io/default/gcr.io/some/registry"},
		{"gcr.io/default", "gcr.io/default/registry", "gcr.io/default/registry"},
		{"eu.gcr.io/project", "eu.gcr.io/project/registry", "eu.gcr.io/project/registry"},
		{"gcr.io/default/repository", "gcr.io/default/example/registry",
		 "gcr.io/default/repository/example/registry"},
		{"gcr.io/default", "img:tag", "gcr.io/default/img:tag"},
		{"gcr.io/default", "img:tag@sha256:ab", "gcr.io/default/img:tag@sha256:ab"},
		{"us-docker.pkg.dev/p/r", "web", "us-docker.pkg.dev/p/r/web"},
		{"1234.dkr.ecr.eu.amazonaws.com", "gcr.io/some/registry",
		 "1234.dkr.ecr.eu.amazonaws.com/gcr_io_some_registry"},
		{"localhost:5000", "team/web:v1", "localhost:5000/team_web:v1"},
		{"localhost:5000/", "web", "localhost:5000/web"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *placed = NULL;
		assert_int_equal(reference_place(cases[i][0], cases[i][1], &placed, NULL), 0);
		assert_string_equal(placed, cases[i][2]);
	}
	char longest[300];
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	_cleanup_free_ char *cut = NULL;
	assert_int_equal(reference_place("localhost:5000", longest, &cut, NULL), 0);
	assert_int_equal(strlen(cut), 255);
}

static void makes_tags_of_text(void **state)
{
	(void)state;
	static const char *const cases[][2] = {{"v1.2", "v1.2"},
					       {"feature/x", "feature_x"},
					       {"--x", "__x"},
					       {".-a.-b", "__a.-b"}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *tag = reference_tag_from(cases[i][0]);
		assert_string_equal(tag, cases[i][1]);
		assert_true(reference_tag_valid(tag));
	}
	assert_false(reference_tag_valid("a b"));
	assert_false(reference_tag_valid(""));
	assert_false(reference_tag_valid("-a"));
}

static void formats_times_as_go_does(void **state)
{
	(void)state;
	/* 2021-02-03 16:05:06.070000000 +0530 */
	const struct go_time time = {.seconds = 1612348506,
				     .nanoseconds = 70000000,
				     .offset = 5 * 3600 + 30 * 60,
				     .zone = "IST"};
	static const char *const cases[][2] = {
		{"2006-01-02_15-04-05.999_MST", "2021-02-03_16-05-06.07_IST"},
		{"2006-01-02_15-04-05.000", "2021-02-03_16-05-06.070"},
		{"02_2006", "03_2021"},
		{"Jan _2 06 3:04PM", "Feb  3 21 4:05PM"},
		{"Monday, January 2", "Wednesday, February 3"},
		{"Mon 002 __2 -0700 -07:00 Z07:00", "Wed 034  34 +0530 +05:30 +05:30"},
		{"Month 1", "Month 2"},
		{"20060102150405", "20210203160506"},
		{"v.9", "v"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(str_release) struct str out = {0};
		go_time_format(&time, cases[i][0], &out);
		assert_string_equal(str_text(&out), cases[i][1]);
	}
	const struct go_time whole = {.seconds = 0, .zone = "UTC"};
	CLEANUP(str_release) struct str out = {0};
	go_time_format(&whole, "15:04:05.999Z07:00", &out);
	assert_string_equal(str_text(&out), "00:00:00Z");
}

static void finds_the_words_of_a_failure(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"Step 1/2 : FROM scratch\n ---> abc\nsrc/a.c:1:2: error: expected ';'\nmake: *** [all] Error 1\n",
		 "src/a.c:1:2: error: expected ';'"},
		{"#5 [2/2] RUN make\n#5 0.312 src/a.c:1:2: error: no\n#5 ERROR: process did not complete\n",
		 "src/a.c:1:2: error: no"},
		{"#5 [3/3] RUN echo 'x: error: y'; false\n#5 0.652 x: error: y\n", "x: error: y"},
		{"Step 3/3 : RUN echo 'x: error: y'; false\n ---> Running in ab\nfailed\n", "failed"},
		{"one\n  two  \n\n", "two"},
		{"#7 plain issue number\n", "plain issue number"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *words = build_failure_line(cases[i][0]);
		assert_string_equal(words, cases[i][1]);
	}
	assert_null(build_failure_line("\n \n"));
}

static void keeps_the_tail_of_the_output(void **state)
{
	(void)state;
	struct str log = {0};
	const struct build_request request = {0};
	struct build_job job = {.request = &request, .log = &log};
	char line[64];
	for (int i = 0; i < 20000; i++) {
		int len = snprintf(line, sizeof(line), "line %d", i);
		build_line(&job, 1, line, (size_t)len);
	}
	assert_true(log.len <= BUILD_LOG_MAX);
	assert_true(log.len > BUILD_LOG_MAX / 2);
	assert_int_equal(strncmp(log.data, "line ", 5), 0); /* whole lines */
	assert_true(str_ends_with(str_text(&log), "line 19999\n"));
	str_release(&log);
}

/* An artifact in a folder of its own, and the request to build it. */
struct fixture {
	char folder[64];
	struct config config;
	struct artifact artifact;
	struct build_request request;
};

static void fixture_init(struct fixture *f)
{
	*f = (struct fixture){.folder = "/tmp/skiff-test-XXXXXX"};
	assert_non_null(mkdtemp(f->folder));
	f->artifact.image.value = (char *)"team/web";
	f->artifact.context = f->artifact.base_dir = f->folder;
	f->request = (struct build_request){.config = &f->config, .artifact = &f->artifact};
}

static void fixture_release(struct fixture *f)
{
	assert_int_equal(file_remove_tree(f->folder, NULL), 0);
}

static void lists_the_arguments_a_dockerfile_declares(void **state)
{
	(void)state;
	CLEANUP(strv_release) struct strv names = {0};
	build_args_declared("ARG A\nFROM x\n  arg B=1 C=\"2\"\n# ARG D\nARGUMENT E\nRUN ARG\n", &names);
	_cleanup_free_ char *joined = strv_join(&names, " ");
	assert_string_equal(joined, "A B C");
}

static void builds_the_command_line(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f);
	setenv("SKIFF_TEST_VALUE", "from env", 1);
	unsetenv("SKIFF_TEST_UNSET");
	struct docker_config *docker = &f.artifact.docker;
	vec_push(&docker->build_args, (struct pair){.name = (char *)"Z", .value = (char *)"{{.SKIFF_TEST_VALUE}}"});
	vec_push(&docker->build_args, (struct pair){.name = (char *)"NAME", .value = (char *)"{{.IMAGE_NAME}}"});
	vec_push(&docker->build_args, (struct pair){.name = (char *)"SKIFF_TEST_VALUE"});
	vec_push(&docker->build_args, (struct pair){.name = (char *)"SKIFF_TEST_UNSET"});
	vec_push(&f.request.required, (struct pair){.name = (char *)"BASE", .value = (char *)"base:abc"});
	vec_push(&f.request.required, (struct pair){.name = (char *)"UNUSED", .value = (char *)"other:abc"});
	strv_push(&docker->add_host, "h:1.2.3.4");
	strv_push(&docker->cache_from, "web:cache");
	strv_push(&docker->cli_flags, "--label=a=b");
	strv_push(&f.artifact.platforms, "linux/amd64");
	docker->target = (char *)"dev";
	docker->network = (char *)"Host";
	docker->ssh = (char *)"default";
	docker->pull_parent = docker->no_cache = docker->squash = true;
	f.request.for_dev = true;
	const struct docker_build build = {"docker", "/w/Dockerfile", "ARG SKAFFOLD_RUN_MODE\nARG BASE\nFROM $BASE\n",
					   "team/web:t", "/t/id"};
	CLEANUP(strv_release) struct strv argv = {0};
	assert_int_equal(docker_build_argv(&f.request, &build, &argv, NULL), 0);
	strv_push(&argv, "");
	_cleanup_free_ char *joined = strv_join(&argv, "|"),
			    *expected = xasprintf("docker|build|%s|--file|/w/Dockerfile|--tag|team/web:t|--iidfile|/t/"
						  "id|--force-rm|--build-arg|BASE=base:abc|--build-arg|NAME=team/web|"
						  "--build-arg|SKAFFOLD_RUN_MODE=dev|--build-arg|SKIFF_TEST_UNSET|--"
						  "build-arg|SKIFF_TEST_VALUE=from env|--build-arg|Z=from env|"
						  "--add-host|h:1.2.3.4|--cache-from|web:cache|--label=a=b|--target|"
						  "dev|--network|host|--no-cache|--squash|--pull|--ssh|default|"
						  "--platform|linux/amd64|",
						  f.folder);
	assert_string_equal(joined, expected);
	vec_release(&docker->build_args);
	vec_release(&f.request.required);
	strv_release(&docker->add_host);
	strv_release(&docker->cache_from);
	strv_release(&docker->cli_flags);
	strv_release(&f.artifact.platforms);
	fixture_release(&f);
}

static void refuses_a_template_without_value(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f);
	CLEANUP(error_clear) struct error err = {0};
	char *out = NULL;
	unsetenv("SKIFF_TEST_UNSET");
	assert_int_equal(build_expand(&f.request, "{{.SKIFF_TEST_UNSET}}", (struct place){"skaffold.yaml", 3, 4}, &out,
				      &err),
			 -EINVAL);
	assert_string_equal(err.where, "skaffold.yaml:3:4");
	fixture_release(&f);
}

static char *tag_of(struct fixture *f, const char *digest)
{
	char *tag = NULL;
	CLEANUP(error_clear) struct error err = {0};
	int r = tag_make(&f->request, digest, &tag, &err);
	if (r < 0)
		print_message("%s\n", err.message);
	assert_int_equal(r, 0);
	return tag;
}

static void assert_tag(struct fixture *f, const char *expected)
{
	_cleanup_free_ char *tag = tag_of(f, "0123");
	assert_string_equal(tag, expected);
}

static void tags_by_policy(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f);
	setenv("SKIFF_TEST_VALUE", "v7", 1);
	assert_tag(&f, "team/web:0123");
	f.config.tag.policy = TAG_SHA256;
	assert_tag(&f, "team/web:latest");
	f.config.tag.policy = TAG_ENV_TEMPLATE;
	f.config.tag.template = (char *)"{{.SKIFF_TEST_VALUE}}-x";
	assert_tag(&f, "team/web:v7-x");
	f.config.tag.template = (char *)"{{.IMAGE_NAME}}:{{.SKIFF_TEST_VALUE}}";
	assert_tag(&f, "team/web:v7");
	f.config.tag.policy = TAG_DATE_TIME;
	f.config.tag.template = (char *)"at-MST";
	f.config.tag.timezone = (char *)"UTC";
	assert_tag(&f, "team/web:at-UTC");
	f.config.tag.policy = TAG_CUSTOM_TEMPLATE;
	f.config.tag.template = (char *)"x-{{.SHA}}";
	assert_tag(&f, "team/web:x-latest");
	struct tag_rule components[] = {
		{.name = (char *)"SHA", .policy = TAG_INPUT_DIGEST},
		{.name = (char *)"STAGE", .policy = TAG_ENV_TEMPLATE, .template = (char *)"{{.SKIFF_TEST_VALUE}}!"},
		{.name = (char *)"AT", .policy = TAG_DATE_TIME, .template = (char *)"d-MST", .timezone = (char *)"UTC"},
	};
	f.config.tag_components.items = components;
	f.config.tag_components.len = ARRAY_LEN(components);
	f.config.tag.template = (char *)"{{.SHA}}-{{.AT}}-{{.SKIFF_TEST_VALUE}}";
	assert_tag(&f, "team/web:0123-d-UTC-v7");
	components[1].template = (char *)"{{.SKIFF_TEST_UNSET}}";
	char *unset = NULL;
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(tag_make(&f.request, NULL, &unset, &err), -EINVAL);
	_cleanup_free_ char *message = error_format(&err);
	assert_non_null(strstr(message, "the component STAGE of the tag of team/web"));
	f.config.tag_components.items = NULL;
	f.config.tag_components.len = 0;
	f.config.tag.template = (char *)"x-{{.SHA}}";
	f.request.default_repo = "localhost:5000";
	assert_tag(&f, "localhost:5000/team_web:x-latest");
	f.request.tag = "fixed";
	assert_tag(&f, "localhost:5000/team_web:fixed");
	f.request.tag = "not a tag";
	char *none = NULL;
	assert_int_equal(tag_make(&f.request, NULL, &none, NULL), -EINVAL);
	f.request.tag = f.request.default_repo = NULL;
	f.artifact.image.value = (char *)"team/web:written";
	assert_tag(&f, "team/web:written");
	fixture_release(&f);
}

static void run(const char *folder, const char *command)
{
	_cleanup_free_ char *line = xasprintf("cd %s && (%s) >/dev/null 2>&1", folder, command);
	assert_int_equal(system(line), 0);
}

static void tags_by_git(void **state)
{
	(void)state;
	if (system("git --version >/dev/null 2>&1") != 0)
		skip();
	struct fixture f;
	fixture_init(&f);
	f.config.tag.policy = TAG_GIT_COMMIT;
	setenv("GIT_CEILING_DIRECTORIES", "/tmp", 1);
	assert_tag(&f, "team/web:latest"); /* no repository */
	run(f.folder, "git init -q . && git config user.email a@b && git config user.name n && mkdir sub && echo 1 "
		      ">sub/a && git add . && "
		      "git commit -qm 1 && git tag rel/1");
	assert_tag(&f, "team/web:rel_1");
	f.config.tag.git_prefix = (char *)"p-";
	run(f.folder, "echo 2 >sub/a");
	assert_tag(&f, "team/web:p-rel_1-dirty");
	f.config.tag.git_ignore_changes = true;
	f.config.tag.git_prefix = NULL;
	assert_tag(&f, "team/web:rel_1");
	static const struct {
		const char *variant;
		size_t len;
	} variants[] = {{"CommitSha", 40}, {"TreeSha", 40}, {"AbbrevCommitSha", 7}, {"abbrevtreesha", 7}};
	_cleanup_free_ char *sub = path_join(f.folder, "sub");
	f.artifact.context = sub;
	for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
		f.config.tag.git_variant = (char *)variants[i].variant;
		_cleanup_free_ char *tag = tag_of(&f, NULL);
		assert_int_equal(strlen(tag), strlen("team/web:") + variants[i].len);
	}
	f.config.tag.git_variant = (char *)"Nonsense";
	char *none = NULL;
	assert_int_equal(tag_make(&f.request, NULL, &none, NULL), -EINVAL);
	fixture_release(&f);
}

static void remembers_what_a_digest_gave(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f);
	setenv("XDG_STATE_HOME", f.folder, 1);
	assert_null(build_cache_find(&f.artifact, (struct hash){1, 2}));
	char id[32];
	for (uint64_t i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "sha256:%d", (int)i);
		assert_int_equal(build_cache_save(&f.artifact, (struct hash){1, i}, id, NULL), 0);
	}
	assert_int_equal(build_cache_save(&f.artifact, (struct hash){1, 19}, "sha256:again", NULL), 0);
	_cleanup_free_ char *found = build_cache_find(&f.artifact, (struct hash){1, 19});
	assert_string_equal(found, "sha256:again");
	_cleanup_free_ char *newest = build_cache_newest(&f.artifact);
	assert_string_equal(newest, "sha256:again");
	_cleanup_free_ char *older = build_cache_find(&f.artifact, (struct hash){1, 5});
	assert_string_equal(older, "sha256:5");
	assert_null(build_cache_find(&f.artifact, (struct hash){1, 0})); /* only the newest are kept */
	f.artifact.image.value = (char *)"other";
	assert_null(build_cache_find(&f.artifact, (struct hash){1, 19}));
	fixture_release(&f);
}

static void heard(void *data, int stream, const char *line, size_t len)
{
	(void)stream, (void)len;
	str_addf(data, "%s;", line);
}

static void waits_for_the_lock_of_a_context(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f);
	setenv("XDG_STATE_HOME", f.folder, 1);
	CLEANUP(str_release) struct str said = {0};
	_cleanup_close_ int held = build_lock_context(&f.artifact, heard, &said, NULL, NULL);
	assert_true(held >= 0);
	assert_int_equal(said.len, 0);
	struct cancel *cancel = cancel_new();
	cancel_request(cancel);
	assert_int_equal(build_lock_context(&f.artifact, heard, &said, cancel, NULL), -ECANCELED);
	assert_non_null(strstr(str_text(&said), "is under way: waiting for it;"));
	f.artifact.parallel = true;
	_cleanup_close_ int beside = build_lock_context(&f.artifact, heard, &said, cancel, NULL);
	assert_true(beside >= 0);
	cancel_unref(cancel);
	fixture_release(&f);
}

static void runs_hooks_on_the_host(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f);
	struct hook hooks[3] = {{.place = {"skaffold.yaml", 9, 9}},
				{.container = true},
				{.place = {"skaffold.yaml", 12, 9}}};
	run(f.folder, "mkdir sub");
	hooks[0].dir = (char *)"sub";
	static const char *const commands[3][3] = {{"sh", "-c", "echo $A in ${PWD##*/}"},
						   {"sh", "-c", "echo container"},
						   {"sh", "-c", "echo why; exit 3"}};
	for (size_t i = 0; i < 3; i++) {
		for (size_t j = 0; j < 3; j++)
			strv_push(&hooks[i].command, commands[i][j]);
	}
	const struct hook_list list = {hooks, 2, 3}, failing = {hooks, 3, 3};
	CLEANUP(str_release) struct str out = {0};
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(hooks_run_host(&list, f.folder, (const char *const[]){"A=x", NULL}, heard, &out, NULL, &err),
			 0);
	assert_string_equal(str_text(&out), "x in sub;");
	assert_int_equal(hooks_run_host(&failing, f.folder, NULL, NULL, NULL, NULL, &err), -EIO);
	assert_string_equal(err.where, "skaffold.yaml:12:9");
	assert_non_null(strstr(err.message, "(exit 3): why"));
	strv_push(&hooks[2].os, "windows");
	assert_int_equal(hooks_run_host(&failing, f.folder, NULL, NULL, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < 3; i++) {
		strv_release(&hooks[i].command);
		strv_release(&hooks[i].os);
	}
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_references),
		cmocka_unit_test(places_images_in_the_default_repo),
		cmocka_unit_test(makes_tags_of_text),
		cmocka_unit_test(formats_times_as_go_does),
		cmocka_unit_test(finds_the_words_of_a_failure),
		cmocka_unit_test(keeps_the_tail_of_the_output),
		cmocka_unit_test(lists_the_arguments_a_dockerfile_declares),
		cmocka_unit_test(builds_the_command_line),
		cmocka_unit_test(refuses_a_template_without_value),
		cmocka_unit_test(tags_by_policy),
		cmocka_unit_test(tags_by_git),
		cmocka_unit_test(remembers_what_a_digest_gave),
		cmocka_unit_test(waits_for_the_lock_of_a_context),
		cmocka_unit_test(runs_hooks_on_the_host),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
