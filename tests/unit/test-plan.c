/* tests/cases/classify, plan, map: a configuration, a Dockerfile, a tree and what changed in it; and what comes of it. Each case is laid out in a
 * directory of its own, which is the working directory then.
 *
 * DIR stands for that directory in what is expected. Sections: skaffold.yaml, skiff.yaml, Dockerfile · file PATH (its text) · tree (a line each: "path", "path/", "path -> target"; a path with a
 * text of its own is enough in `file`) · base NAME (lines: workdir /x, onbuild TRIGGER, label NAME=VALUE) · listing IMAGE (what dependencies.command printed) · changes (lines "added
 * p", "modified p", "deleted p"; "p/" is a directory; \xNN is a byte) · plan, json (what it says) · ask (lines as in changes) and classify · map ·
 * prunes (lines "yes p" or "no p/") · error (of the source, or of the map).
 *
 * What builders tell: files IMAGE (what Jib's files goal printed) · syncmap IMAGE (what Jib or the map program printed); DIR stands for the directory
 * there too, \xNN for a byte. What follows: generators (in running order) · outputs (what is there of them) · roots (what is watched beside the context). */
#include "test.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "cases.h"
#include "cli/answer.h"
#include "sync/glob.h"
#include "sync/plan.h"

struct laid_out {
	const struct test_case *test;
	char *directory;
	struct config *config;
	struct source_set sources;
};

static size_t failures; /* all cases run, so that one look shows all that is wrong */

static void expect(const struct laid_out *l, const char *section, const char *got)
{
	CLEANUP(str_release) struct str shown = {0};
	for (const char *found; (found = strstr(got, l->directory)); got = found + strlen(l->directory)) {
		str_add_bytes(&shown, got, (size_t)(found - got));
		str_add(&shown, "DIR");
	}
	str_add(&shown, got);
	got = str_text(&shown);
	if (!case_equal(l->test, section, got, case_text(l->test, section)))
		failures++;
}

static int check_glob(const char *pattern, size_t *offset, struct error *err)
{
	struct glob *glob = NULL;
	int r = glob_compile(pattern, &glob, offset, err);
	glob_free(glob);
	return r;
}

static void write_file(const char *path, const char *text)
{
	CLEANUP(error_clear) struct error err = {0};
	_cleanup_free_ char *parent = path_dir(path);
	if (file_make_directories(parent, 0755, &err) < 0 ||
	    file_write_atomic(path, text, strlen(text), 0644, &err) < 0)
		fail_msg("%s", err.message);
}

static void make_entry(const char *line)
{
	const char *arrow = strstr(line, " -> ");
	if (arrow) {
		_cleanup_free_ char *link = xstrndup(line, (size_t)(arrow - line)), *parent = path_dir(link);
		assert_int_equal(file_make_directories(parent, 0755, NULL), 0);
		assert_int_equal(symlink(arrow + strlen(" -> "), link), 0);
	} else if (str_ends_with(line, "/")) {
		assert_int_equal(file_make_directories(line, 0755, NULL), 0);
	} else {
		write_file(line, line);
	}
}

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
			if (str_starts_with(lines.items[i], "workdir "))
				replace_string(&image->workdir, lines.items[i] + strlen("workdir "));
			else if (str_starts_with(lines.items[i], "onbuild "))
				strv_push(&image->onbuild, lines.items[i] + strlen("onbuild "));
			else if (str_starts_with(lines.items[i], "label "))
				strv_push(&image->labels, lines.items[i] + strlen("label "));
		}
	}
}

static void write_files(const struct test_case *test)
{
	static const char *const names[] = {"skaffold.yaml", "skiff.yaml", "Dockerfile"};
	for vec_each (section, &test->sections) {
		if (strcmp(section->name, "file") == 0)
			write_file(section->argument, str_text(&section->text));
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			if (strcmp(section->name, names[i]) == 0)
				write_file(names[i], str_text(&section->text));
	}
	CLEANUP(strv_release) struct strv lines = {0};
	case_lines(case_text(test, "tree"), &lines);
	for (size_t i = 0; i < lines.len; i++)
		make_entry(lines.items[i]);
}

static void lay_out(const struct test_case *test, struct laid_out *l)
{
	*l = (struct laid_out){.test = test, .directory = xstrdup("/tmp/skiff-plan-XXXXXX")};
	assert_non_null(mkdtemp(l->directory));
	assert_int_equal(chdir(l->directory), 0);
	write_files(test);
	struct config_options options = {.command = "dev", .check_glob = check_glob};
	CLEANUP(str_release) struct str report = {0};
	if (config_load(&options, &l->config, &report) < 0)
		fail_msg("%s: %s", test->title, str_text(&report));
}

static void replace_directory(const struct laid_out *l, const char *text, struct str *out)
{
	for (const char *found; (found = strstr(text, "DIR")); text = found + strlen("DIR")) {
		str_add_bytes(out, text, (size_t)(found - text));
		str_add(out, l->directory);
	}
	str_add(out, text);
}

/* What the builder of the image printed, as a section of that name has it; NULL: nothing. */
static char *printed(const struct laid_out *l, const char *name, const struct artifact *artifact)
{
	for vec_each (section, &l->test->sections) {
		if (strcmp(section->name, name) != 0 || strcmp(section->argument, artifact->image.value) != 0)
			continue;
		struct str out = {0};
		replace_directory(l, str_text(&section->text), &out);
		return str_steal(&out);
	}
	return NULL;
}

/* Twice: what the second source knows comes from the disk. */
static int teach(const struct laid_out *l, struct sync_source *source, struct error *err)
{
	const struct artifact *artifact = sync_source_artifact(source);
	_cleanup_free_ char *files_text = printed(l, "files", artifact), *map_text = printed(l, "syncmap", artifact);
	struct build_files files = {0};
	struct syncmap map = {0};
	int r = files_text ? build_files_parse(files_text, strlen(files_text), artifact->context, &files, err) : 0;
	if (r == 0 && files_text)
		r = sync_source_teach_files(source, &files, err);
	if (r == 0 && map_text)
		r = syncmap_parse(map_text, strlen(map_text), artifact->context, &map, err);
	if (r == 0 && map_text)
		r = sync_source_teach_map(source, &map, err);
	build_files_release(&files);
	syncmap_release(&map);
	return r;
}

static int new_source(const struct laid_out *l, const struct artifact *artifact, struct sync_source **source,
		      struct error *err)
{
	CLEANUP(sync_source_free_cleanup) struct sync_source *taught = NULL;
	void *data = (void *)(uintptr_t)l->test;
	int r = sync_source_new(l->config, artifact, base_image, data, &taught, err);
	if (r == 0)
		r = teach(l, taught, err);
	return r < 0 ? r : sync_source_new(l->config, artifact, base_image, data, source, err);
}

/* False where that fails, with the words in the section `error`. */
static bool make_sources(struct laid_out *l)
{
	CLEANUP(error_clear) struct error err = {0};
	l->sources.items = xcalloc(l->config->artifacts.len, sizeof(*l->sources.items));
	for (size_t i = 0; i < l->config->artifacts.len; i++) {
		struct sync_source **source = &l->sources.items[i];
		if (new_source(l, l->config->artifacts.items[i], source, &err) < 0) {
			_cleanup_free_ char *text = error_format(&err), *line = xasprintf("%s\n", text);
			expect(l, "error", line);
			return false;
		}
		l->sources.len++;
		const struct section *listing = case_section(l->test, "listing");
		if (listing && strcmp(listing->argument, l->config->artifacts.items[i]->image.value) == 0)
			assert_int_equal(sync_source_set_listing(*source, str_text(&listing->text), listing->text.len,
								 &err),
					 0);
	}
	return true;
}

static void take_down(struct laid_out *l)
{
	source_set_release(&l->sources);
	config_free(l->config);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(file_remove_tree(l->directory, NULL), 0);
	free(l->directory);
}

/* "\xNN" → the byte. */
static char *unescape(const char *text)
{
	struct str out = {0};
	for (const char *p = text; *p; p++) {
		if (str_starts_with(p, "\\x") && strlen(p) >= 4) {
			char hex[3] = {p[2], p[3], '\0'};
			str_add_char(&out, (char)strtol(hex, NULL, 16));
			p += 3;
		} else {
			str_add_char(&out, *p);
		}
	}
	return str_steal(&out);
}

static void read_changes(const char *text, struct change_set *changes)
{
	CLEANUP(strv_release) struct strv lines = {0};
	case_lines(text, &lines);
	for (size_t i = 0; i < lines.len; i++) {
		char *space = strchr(lines.items[i], ' ');
		assert_non_null(space);
		_cleanup_free_ char *path = unescape(space + 1), *absolute = path_absolute(path);
		enum change_kind kind = lines.items[i][0] == 'a'   ? CHANGE_ADDED
					: lines.items[i][0] == 'm' ? CHANGE_MODIFIED
								   : CHANGE_DELETED;
		change_set_add(changes, kind, str_ends_with(path, "/"), absolute);
	}
}

static void describe_decision(const struct artifact *artifact, const struct decision *d, struct str *out)
{
	str_addf(out, "%s: %s", artifact->image.value, decision_kind_name(d->kind));
	if (d->deciding_path)
		str_addf(out, " by %s", d->deciding_path);
	if (d->deciding_where)
		str_addf(out, " at %s", d->deciding_where);
	str_addf(out, ": %s\n", d->reason);
	if (d->kind == DECISION_NONE || d->kind == DECISION_REBUILD)
		return;
	for vec_each (copy, &d->copies) {
		_cleanup_free_ char *dests = strv_join(&copy->dests, ", ");
		str_addf(out, "  %s %s → %s", copy->directory ? "make" : "copy", copy->rel, dests);
		if (copy->mode >= 0)
			str_addf(out, " mode %04o", (unsigned)copy->mode);
		else if (copy->mode == MODE_KEEP)
			str_add(out, " mode kept");
		if (copy->owner && !(copy->owner_if_new && str_equal(copy->owner, "0:0")))
			str_addf(out, " owner %s", copy->owner);
		str_add_char(out, '\n');
	}
	for (size_t i = 0; i < d->deletes.len; i++)
		str_addf(out, "  delete %s\n", d->deletes.items[i]);
	for vec_each (generator, &d->generators) {
		_cleanup_free_ char *command = strv_join(&(*generator)->command, " ");
		str_addf(out, "  run %s\n", command);
	}
}

static void check_plan(const struct laid_out *l)
{
	CLEANUP(change_set_release) struct change_set changes = {0};
	CLEANUP(str_release) struct str plan = {0};
	struct decision *decisions = xcalloc(l->sources.len, sizeof(*decisions));
	read_changes(case_text(l->test, "changes"), &changes);
	change_set_sort(&changes);
	plan_all(l->config, l->sources.items, &changes, decisions);
	if (case_section(l->test, "json")) {
		json_t *answer = explain_json(l->config, &l->sources, decisions);
		_cleanup_free_ char *text = json_dumps(answer, JSON_COMPACT), *line = xasprintf("%s\n", text);
		json_decref(answer);
		expect(l, "json", line);
	}
	for (size_t i = 0; i < l->sources.len; i++) {
		describe_decision(l->config->artifacts.items[i], &decisions[i], &plan);
		decision_release(&decisions[i]);
	}
	free(decisions);
	if (case_section(l->test, "plan"))
		expect(l, "plan", str_text(&plan));
}

static void check_classify(const struct laid_out *l)
{
	static const char *const names[] = {"ignored",	       "build definition", "output", "direct",
					    "generator input", "no input",	   "unknown"};
	CLEANUP(change_set_release) struct change_set asked = {0};
	CLEANUP(str_release) struct str got = {0};
	read_changes(case_text(l->test, "ask"), &asked);
	for vec_each (change, &asked) {
		CLEANUP(classification_release) struct classification c = {0};
		sync_source_classify(l->sources.items[0], change->path, change->kind, change->directory, &c);
		assert_int_equal(c.class_,
				 sync_source_class(l->sources.items[0], change->path, change->kind, change->directory));
		str_addf(&got, "%s: %s", sync_source_shown(l->sources.items[0], change->path), names[c.class_]);
		if (c.where)
			str_addf(&got, " at %s", c.where);
		str_addf(&got, ": %s\n", c.reason);
	}
	expect(l, "classify", str_text(&got));
}

static void check_map(const struct laid_out *l)
{
	CLEANUP(str_release) struct str got = {0};
	for (size_t i = 0; i < l->sources.len; i++) {
		CLEANUP(error_clear) struct error err = {0};
		struct sync_map map = {0};
		const char *workdir = sync_source_workdir(l->sources.items[i], NULL);
		if (sync_source_map(l->sources.items[i], &map, &err) < 0) {
			_cleanup_free_ char *text = error_format(&err), *line = xasprintf("%s\n", text);
			expect(l, "error", line);
			continue;
		}
		str_addf(&got, "%s in %s\n", l->config->artifacts.items[i]->image.value, workdir ? workdir : "?");
		for vec_each (entry, &map) {
			_cleanup_free_ char *dests = strv_join(&entry->dests, ", ");
			str_addf(&got, "%s → %s%s\n", entry->rel, dests, entry->generated ? " generated" : "");
		}
		sync_map_release(&map);
	}
	expect(l, "map", str_text(&got));
}

static void check_generators(const struct laid_out *l)
{
	CLEANUP(str_release) struct str got = {0};
	const struct sync_generator *const *generators;
	size_t count = sync_source_generators(l->sources.items[0], &generators);
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *command = strv_join(&generators[i]->command, " ");
		str_addf(&got, "%s\n", command);
	}
	expect(l, "generators", str_text(&got));
}

static void check_outputs(const struct laid_out *l)
{
	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(str_release) struct str got = {0};
	struct inputs outputs = {0}, again = {0};
	if (sync_source_outputs(l->sources.items[0], NULL, &outputs, &err) < 0 ||
	    sync_source_outputs(l->sources.items[0], &outputs, &again, &err) < 0)
		fail_msg("%s", err.message);
	for vec_each (output, &again)
		str_addf(&got, "%s\n", output->rel);
	assert_true(hash_equal(inputs_digest(&outputs), inputs_digest(&again)));
	inputs_release(&outputs);
	inputs_release(&again);
	expect(l, "outputs", str_text(&got));
}

static void check_roots(const struct laid_out *l)
{
	CLEANUP(strv_release) struct strv roots = {0};
	CLEANUP(str_release) struct str got = {0};
	sync_source_roots(l->sources.items[0], &roots);
	for (size_t i = 1; i < roots.len; i++)
		str_addf(&got, "%s\n", roots.items[i]);
	expect(l, "roots", str_text(&got));
}

static void check_prunes(const struct laid_out *l)
{
	CLEANUP(strv_release) struct strv lines = {0};
	case_lines(case_text(l->test, "prunes"), &lines);
	for (size_t i = 0; i < lines.len; i++) {
		bool yes = str_starts_with(lines.items[i], "yes ");
		const char *path = strchr(lines.items[i], ' ') + 1;
		_cleanup_free_ char *absolute = path_absolute(path);
		if (sync_source_prunes(l->sources.items[0], absolute, str_ends_with(path, "/")) != yes)
			failures++, print_error("%s: prunes: %s\n", l->test->title, lines.items[i]);
	}
}

static void run_module(const char *module)
{
	struct case_list cases = {0};
	failures = 0;
	cases_load(module, &cases);
	for vec_each (test, &cases) {
		struct laid_out l;
		lay_out(test, &l);
		if (make_sources(&l)) {
			if (case_section(test, "plan") || case_section(test, "json"))
				check_plan(&l);
			if (case_section(test, "classify"))
				check_classify(&l);
			if (case_section(test, "map") || case_section(test, "error"))
				check_map(&l);
			if (case_section(test, "generators"))
				check_generators(&l);
			if (case_section(test, "outputs"))
				check_outputs(&l);
			if (case_section(test, "roots"))
				check_roots(&l);
			check_prunes(&l);
		}
		take_down(&l);
	}
	cases_release(&cases);
	assert_int_equal(failures, 0);
}

static void classifies(void **state)
{
	(void)state;
	run_module("classify");
}

static void plans(void **state)
{
	(void)state;
	run_module("plan");
}

static void maps(void **state)
{
	(void)state;
	run_module("map");
}

static char state[] = "/tmp/skiff-state-XXXXXX";

static int make_state(void **data)
{
	(void)data;
	return mkdtemp(state) ? setenv("XDG_STATE_HOME", state, 1) : -1;
}

static int remove_state(void **data)
{
	(void)data;
	return file_remove_tree(state, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classifies),
		cmocka_unit_test(plans),
		cmocka_unit_test(maps),
	};
	return cmocka_run_group_tests(tests, make_state, remove_state);
}
