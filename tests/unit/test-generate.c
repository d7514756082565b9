/* Running generators: by themselves, and before an image that holds what they make. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "build/generate.h"
#include "build/prepare.h"

struct project {
	char directory[64];
	char *context;
	struct config *config;
	struct sync_source *source;
	struct str said;
};

static void write_text(const char *path, const char *text)
{
	_cleanup_free_ char *parent = path_dir(path);
	assert_int_equal(file_make_directories(parent, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static char *read_text(const char *path)
{
	char *text;
	size_t len;
	return file_read(path, 1 << 20, &text, &len, NULL) == 0 ? text : xstrdup("(none)");
}

static const struct artifact *artifact_of(const struct project *p)
{
	return p->config->artifacts.items[0];
}

/* sync: what stands below `auto:`. */
static void project_init(struct project *p, const char *sync)
{
	*p = (struct project){.directory = "/tmp/skiff-test-generate-XXXXXX"};
	assert_non_null(mkdtemp(p->directory));
	assert_int_equal(chdir(p->directory), 0);
	setenv("XDG_STATE_HOME", p->directory, 1);
	p->context = path_join(p->directory, "ctx");
	write_text("ctx/Dockerfile", "FROM scratch\nCOPY dist /srv/\n");
	write_text("ctx/src/a", "one\n");
	write_text("ctx/src/b", "1\n");
	_cleanup_free_ char *text =
		xasprintf("artifacts:\n- image: web\n  context: ctx\n  docker: {}\n  sync:\n    auto:\n%s", sync);
	CLEANUP(str_release) struct str report = {0};
	_cleanup_free_ char *whole = xasprintf(
		"apiVersion: skaffold/v4beta13\nkind: Config\nbuild:\n  artifacts:\n  - {image: web, context: ctx}\n");
	write_text("skaffold.yaml", whole);
	write_text("skiff.yaml", text);
	if (config_load(&(struct config_options){.command = "dev"}, &p->config, &report) < 0)
		fail_msg("%s", str_text(&report));
	assert_int_equal(sync_source_new(p->config, artifact_of(p), NULL, NULL, &p->source, NULL), 0);
}

static void project_release(struct project *p)
{
	sync_source_free(p->source);
	config_free(p->config);
	str_release(&p->said);
	assert_int_equal(chdir("/"), 0);
	file_remove_tree(p->directory, NULL);
	free(p->context);
}

static void heard(void *data, int stream, const char *line, size_t len)
{
	(void)len;
	str_addf(data, "%d:%s\n", stream, line);
}

/* generate_run of the project's first generator. */
static int run(struct project *p, struct generate_request request, struct generated *generated, struct error *err)
{
	const struct sync_generator *const *all;
	assert_true(sync_source_generators(p->source, &all) > 0);
	request.artifact = artifact_of(p);
	request.generator = all[0];
	request.line = heard;
	request.data = &p->said;
	return generate_run(&request, generated, err);
}

static const char *const environment = "      generated:\n"
				       "      - command: env | grep ^SKIFF_ | sort\n"
				       "        inputs: [src]\n"
				       "        sync: [{src: dist, dest: /srv}]\n";

static void tells_what_changed(void **state)
{
	(void)state;
	struct project p;
	CLEANUP(generated_release) struct generated generated = {0};
	CLEANUP(strv_release) struct strv changed = {0}, deleted = {0};
	project_init(&p, environment);
	setenv("SKIFF_CHANGED", "of another time", 1);
	setenv("SKIFF_TAG", "of another time", 1);
	assert_int_equal(run(&p, (struct generate_request){0}, &generated, NULL), 0);
	_cleanup_free_ char *first =
		xasprintf("1:SKIFF_CHANGED_ALL=1\n1:SKIFF_CONTEXT=%s\n1:SKIFF_IMAGE=web\n", p.context);
	assert_string_equal(str_text(&p.said), first);
	generated_release(&generated);

	str_clear(&p.said);
	strv_pushf(&changed, "%s/src/a", p.context);
	strv_push(&changed, "/elsewhere/c");
	struct generate_request request = {.tag = "web:1", .changed = &changed, .deleted = &deleted};
	assert_int_equal(run(&p, request, &generated, NULL), 0);
	_cleanup_free_ char *second = xasprintf("1:/elsewhere/c\n1:SKIFF_CHANGED=src/a\n1:SKIFF_CONTEXT=%s\n"
						"1:SKIFF_DELETED=\n1:SKIFF_IMAGE=web\n1:SKIFF_TAG=web:1\n",
						p.context);
	_cleanup_free_ char *sorted = xasprintf("1:/elsewhere/c\n%s", str_text(&p.said));
	assert_string_equal(sorted, second); /* grep took the second line of the list away */
	project_release(&p);
	unsetenv("SKIFF_CHANGED");
	unsetenv("SKIFF_TAG");
}

/* Too many names, or one with a newline: everything may have changed. */
static void tells_no_list_that_it_can_not_write(void **state)
{
	(void)state;
	struct project p;
	project_init(&p, environment);
	for (int odd = 0; odd < 2; odd++) {
		CLEANUP(generated_release) struct generated generated = {0};
		CLEANUP(strv_release) struct strv changed = {0};
		for (unsigned i = 0; i < (odd ? 1 : 10000); i++)
			strv_pushf(&changed, "%s/src/%sname-%u", p.context, odd ? "new\nline" : "", i);
		str_clear(&p.said);
		assert_int_equal(run(&p, (struct generate_request){.changed = &changed}, &generated, NULL), 0);
		assert_non_null(strstr(str_text(&p.said), "1:SKIFF_CHANGED_ALL=1\n"));
		assert_null(strstr(str_text(&p.said), "SKIFF_CHANGED="));
		assert_null(strstr(str_text(&p.said), "SKIFF_DELETED="));
	}
	project_release(&p);
}

static void hides_the_map_from_people(void **state)
{
	(void)state;
	struct project p;
	CLEANUP(generated_release) struct generated generated = {0};
	project_init(&p, "      map:\n        command: cat map\n        inputs: [src]\n");
	write_text("ctx/map",
		   "compiling\nBEGIN SYNCMAP/1\n{\"generated\":[{\"src\":\"dist/a\",\"dest\":\"/srv/a\"}]}\ndone\n");
	assert_int_equal(run(&p, (struct generate_request){0}, &generated, NULL), 0);
	assert_string_equal(str_text(&p.said), "1:compiling\n1:done\n");
	assert_string_equal(str_text(&generated.log), "compiling\ndone\n");
	assert_int_equal(generated.map.entries.len, 1);
	assert_string_equal(generated.map.entries.items[0].dest, "/srv/a");
	generated_release(&generated);

	CLEANUP(error_clear) struct error err = {0};
	write_text("ctx/map", "no map\n");
	assert_int_equal(run(&p, (struct generate_request){0}, &generated, &err), -EIO);
	assert_true(str_starts_with(err.message, "cat: "));
	project_release(&p);
}

static void says_why_it_failed(void **state)
{
	(void)state;
	static const struct {
		const char *command, *message, *where;
	} cases[] = {
		{"'echo a.c:1:2: error: no such thing >&2; exit 3'", "echo: a.c:1:2: error: no such thing", NULL},
		{"'exit 3'", "exit failed (exit 3) without a word", NULL},
		{"[no-such-program, x]", "no-such-program", "skiff.yaml:8:"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct project p;
		CLEANUP(generated_release) struct generated generated = {0};
		CLEANUP(error_clear) struct error err = {0};
		_cleanup_free_ char *sync = xasprintf("      generated:\n      - command: %s\n        inputs: [src]\n"
						      "        sync: [{src: dist, dest: /srv}]\n",
						      cases[i].command);
		project_init(&p, sync);
		assert_int_equal(run(&p, (struct generate_request){0}, &generated, &err), -EIO);
		assert_non_null(strstr(err.message, cases[i].message));
		if (cases[i].where)
			assert_non_null(strstr(err.where, cases[i].where));
		project_release(&p);
	}
}

static void stops_when_it_is_told(void **state)
{
	(void)state;
	struct project p;
	CLEANUP(generated_release) struct generated generated = {0};
	project_init(&p, "      generated:\n      - command: sleep 600\n        inputs: [src]\n"
			 "        sync: [{src: dist, dest: /srv}]\n");
	struct cancel *cancel = cancel_new();
	cancel_request(cancel);
	assert_int_equal(run(&p, (struct generate_request){.cancel = cancel}, &generated, NULL), -ECANCELED);
	cancel_unref(cancel);
	project_release(&p);
}

/* Before an image. Each run of a generator adds a line to ctx/log. */

static int first(struct project *p, struct error *err)
{
	const struct build_request request = {.config = p->config, .artifact = artifact_of(p), .source = p->source};
	bool needed = true;
	for (int i = 0; i < 4; i++) {
		int r = build_needs_outputs(&request, i > 0, &needed, err);
		if (r == 0 && !needed)
			return i > 0 ? build_keep_outputs(&request, err) : 0;
		if (r == 0)
			r = build_make_outputs(&request, i > 0, err);
		if (r < 0)
			return r;
	}
	fail_msg("it is never done");
	return 0;
}

static void expect_runs(struct project *p, const char *runs)
{
	CLEANUP(error_clear) struct error err = {0};
	unlink("ctx/log");
	if (first(p, &err) < 0)
		fail_msg("%s", err.message);
	_cleanup_free_ char *log = read_text("ctx/log");
	assert_string_equal(log, runs);
}

static const char *const chain = "      generated:\n"
				 "      - command: echo copy >> log; mkdir -p dist; cat made/* > dist/all\n"
				 "        inputs: [made, src/b]\n"
				 "        sync: [{src: dist, dest: /srv}]\n"
				 "      - command: echo make >> log; mkdir -p made; cp src/a made/a\n"
				 "        inputs: [src/a]\n"
				 "        sync: [{src: made, dest: /made}]\n"
				 "      - command: echo other >> log; mkdir -p notes; cp src/a notes/a\n"
				 "        inputs: [src/a]\n"
				 "        sync: [{src: notes, dest: /notes}]\n"
				 "      - command: echo watch >> log; sleep 600\n"
				 "        watch: true\n"
				 "        inputs: [src]\n"
				 "        sync: [{src: dist/watched, dest: /watched}]\n";

static void runs_what_the_image_needs(void **state)
{
	(void)state;
	struct project p;
	project_init(&p, chain);
	expect_runs(&p, "make\ncopy\n"); /* in order; `other` is not in the image, `watch` watches by itself */
	_cleanup_free_ char *made = read_text("ctx/dist/all");
	assert_string_equal(made, "one\n");
	expect_runs(&p, "(none)");
	write_text("ctx/src/b", "2\n");
	expect_runs(&p, "copy\n");
	write_text("ctx/src/a", "two\n");
	expect_runs(&p, "make\ncopy\n");
	write_text("ctx/made/a", "by hand\n"); /* somebody else made it: another state than the inputs' */
	expect_runs(&p, "make\n");
	unlink("ctx/dist/all");
	expect_runs(&p, "copy\n");
	write_text("ctx/other", "nobody's\n");
	expect_runs(&p, "(none)");
	project_release(&p);
}

static void a_failure_is_tried_again(void **state)
{
	(void)state;
	struct project p;
	CLEANUP(error_clear) struct error err = {0};
	project_init(&p, "      generated:\n      - command: \"mkdir -p dist; cp src/a dist; test -e src/c || "
			 "{ echo 'error: no c'; exit 1; }\"\n"
			 "        inputs: [src]\n        sync: [{src: dist, dest: /srv}]\n");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(first(&p, &err), -EIO);
		assert_string_equal(err.message, "mkdir: error: no c");
	}
	write_text("ctx/src/c", "c\n");
	assert_int_equal(first(&p, NULL), 0);
	project_release(&p);
}

/* Nothing is known of a map program before it ran: it may make what the image holds. Its map is kept. */
static void asks_the_map_program(void **state)
{
	(void)state;
	struct project p;
	project_init(&p, "      map:\n        command: sh tools/map\n        inputs: [src/a]\n");
	write_text("ctx/tools/map",
		   "echo map >> log; mkdir -p dist; cp src/a dist/a\necho BEGIN SYNCMAP/1\n"
		   "echo '{\"generated\":[{\"src\":\"dist/a\",\"dest\":\"/srv/a\"},{\"command\":[\"sh\",\"tools/b\"],"
		   "\"inputs\":[\"src/b\"],\"sync\":[{\"src\":\"dist/b\",\"dest\":\"/srv/b\"}]}]}'\n");
	write_text("ctx/tools/b", "echo b >> log; cp src/b dist/b\n");
	expect_runs(&p, "map\nb\n");
	assert_false(sync_source_needs_map(p.source));
	expect_runs(&p, "(none)");
	write_text("ctx/src/a", "two\n");
	expect_runs(&p, "map\n");
	write_text("ctx/src/b", "2\n");
	expect_runs(&p, "b\n");
	project_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_what_changed),	     cmocka_unit_test(tells_no_list_that_it_can_not_write),
		cmocka_unit_test(hides_the_map_from_people), cmocka_unit_test(says_why_it_failed),
		cmocka_unit_test(stops_when_it_is_told),     cmocka_unit_test(runs_what_the_image_needs),
		cmocka_unit_test(a_failure_is_tried_again),  cmocka_unit_test(asks_the_map_program),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
