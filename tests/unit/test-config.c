/* tests/cases/config: `file PATH` is written into an empty directory, `arguments` are one a line (-p, -m, -f, command, kube-context, env
 * NAME=VALUE); `errors` is the report (without it the configuration must load), `warnings`, `decoded` what the program sees, `effective` what
 * `skiff config` prints. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "cases.h"
#include "config/compose.h"
#include "config/config.h"
#include "sync/glob.h"

static int check_glob(const char *pattern, size_t *offset, struct error *err)
{
	struct glob *glob = NULL;
	int r = glob_compile(pattern, &glob, offset, err);
	glob_free(glob);
	return r;
}

/* What was decoded, as text. */

static void show_rules(const char *what, const struct sync_rule_list *rules, struct str *out)
{
	for vec_each (rule, rules)
		str_addf(out, "  %s %s -> %s strip '%s'\n", what, rule->src.value, rule->dest.value,
			 rule->strip.value ? rule->strip.value : "");
}

static void show_texts(const char *what, const struct text_list *texts, struct str *out)
{
	for vec_each (text, texts)
		str_addf(out, "  %s %s\n", what, text->value);
}

static void show_strings(const char *what, const struct strv *strings, struct str *out)
{
	_cleanup_free_ char *joined = strv_join(strings, " ");
	if (strings->len > 0)
		str_addf(out, "  %s %s\n", what, joined);
}

static void show_pairs(const char *what, const struct pair_list *pairs, struct str *out)
{
	for vec_each (pair, pairs)
		str_addf(out, "  %s %s=%s\n", what, pair->name, pair->value ? pair->value : "(environment)");
}

static void show_hooks(const char *what, const struct hook_list *hooks, struct str *out)
{
	for vec_each (hook, hooks)
		show_strings(hook->container ? "hook in the container" : what, &hook->command, out);
}

static void show_sync(const struct sync_config *sync, struct str *out)
{
	_cleanup_free_ char *place = place_format(sync->place);
	if (sync->mode != SYNC_NONE)
		str_addf(out, "  sync %s, said at %s\n", sync_mode_name(sync->mode), place);
	show_rules("manual", &sync->manual, out);
	show_texts("infer", &sync->infer, out);
	show_texts("ignored", &sync->ignored, out);
	show_texts("rebuild", &sync->rebuild, out);
	show_rules("direct", &sync->direct, out);
	for vec_each (generator, &sync->generated) {
		show_strings("generator", &generator->command, out);
		show_texts("  input", &generator->inputs, out);
		show_rules("  output", &generator->sync, out);
	}
	show_strings("map", &sync->map.command, out);
	show_strings("tar", &sync->tar.command, out);
	show_hooks("before sync", &sync->before, out);
	show_hooks("after sync", &sync->after, out);
}

static void show_artifact(const struct artifact *a, const char *dir, struct str *out)
{
	_cleanup_free_ char *context = path_relative(a->context, dir);
	str_addf(out, "%s: %s in %s\n", a->image.value, builder_kind_name(a->builder), context);
	if (a->docker.dockerfile.value)
		str_addf(out, "  dockerfile %s\n", a->docker.dockerfile.value);
	if (a->docker.target)
		str_addf(out, "  target %s\n", a->docker.target);
	show_pairs("build argument", &a->docker.build_args, out);
	show_strings("cache from", &a->docker.cache_from, out);
	for (size_t i = 0; i < a->docker.secrets_len; i++)
		str_addf(out, "  secret %s\n", a->docker.secrets[i].id);
	if (a->custom.build_command.value)
		str_addf(out, "  command %s\n", a->custom.build_command.value);
	if (a->custom.command.value)
		str_addf(out, "  dependencies from %s\n", a->custom.command.value);
	show_texts("path", &a->custom.paths, out);
	show_texts("ignore", &a->custom.ignore, out);
	show_hooks("before build", &a->before, out);
	show_hooks("after build", &a->after, out);
	for vec_each (dependency, &a->requires_)
		str_addf(out, "  requires %s as %s, number %zu\n", dependency->image, dependency->alias,
			 dependency->artifact);
	if (a->restart == RESTART_SIGNAL)
		str_addf(out, "  signal %d\n", a->signal);
	if (a->restart == RESTART_CONTAINER)
		str_add(out, "  restart\n");
	show_sync(&a->sync, out);
}

static void show_release(const struct helm_release *release, struct str *out)
{
	str_addf(out, "  release %s of %s%s%s%s\n", release->name, release->remote ? "remote chart " : "",
		 release->chart.value ? release->chart.value : "nothing", release->namespace_ ? " in " : "",
		 release->namespace_ ? release->namespace_ : "");
	show_strings("  values", &release->values_files, out);
	show_pairs("  value", &release->values, out);
	show_pairs("  template", &release->value_templates, out);
	show_pairs("  file", &release->files, out);
	if (release->overrides)
		str_addf(out, "    overrides %s", release->overrides);
}

static void show_kubernetes(const struct config *config, const char *dir, struct str *out)
{
	const struct kubernetes_config *kubernetes = &config->kubernetes;
	str_addf(out, "deploy to Kubernetes: %s\n", config->deploy_kubernetes ? "yes" : "no");
	for vec_each (source, &kubernetes->sources) {
		_cleanup_free_ char *base_dir = path_relative(source->base_dir, dir);
		str_addf(out, "manifests from %s\n", base_dir);
		show_texts(source->by_default ? "raw by default" : "raw", &source->raw_yaml, out);
		show_texts("kustomize", &source->kustomize, out);
		show_strings("kustomize build", &source->kustomize_args, out);
		for vec_each (release, &source->releases)
			show_release(release, out);
		show_strings("helm", &source->helm_global_flags, out);
		show_strings("helm template", &source->helm_template_flags, out);
	}
	show_strings("kubectl", &kubernetes->global_flags, out);
	show_strings("kubectl apply", &kubernetes->apply_flags, out);
	show_strings("kubectl delete", &kubernetes->delete_flags, out);
	show_strings("load", &kubernetes->load, out);
	if (kubernetes->default_namespace || kubernetes->context)
		str_addf(out, "  namespace %s of %s\n",
			 kubernetes->default_namespace ? kubernetes->default_namespace : "",
			 kubernetes->context ? kubernetes->context : "");
}

static void show_config(const struct config *config, const char *dir, struct str *out)
{
	for vec_each (artifact, &config->artifacts)
		show_artifact(*artifact, dir, out);
	for vec_each (forward, &config->port_forward)
		str_addf(out, "forward %s %s, port %u name '%s', to %s:%u\n", forward->resource_type,
			 forward->resource_name, forward->port, forward->port_name ? forward->port_name : "",
			 forward->address, forward->local_port);
	for vec_each (run, &config->run) {
		str_addf(out, "run %s\n", run->image);
		show_pairs("env", &run->env, out);
		show_strings("volumes", &run->volumes, out);
		show_strings("command", &run->command, out);
		show_strings("ports", &run->ports, out);
	}
	if (config->tag.policy != TAG_INPUT_DIGEST)
		str_addf(out, "tag policy %d, template %s\n", (int)config->tag.policy,
			 config->tag.template ? config->tag.template : "none");
	for vec_each (rule, &config->tag_components)
		str_addf(out, "  component %s: tag policy %d, template %s, git variant %s\n", rule->name,
			 (int)rule->policy, rule->template ? rule->template : "none",
			 rule->git_variant ? rule->git_variant : "none");
	if (config->local.concurrency != 1 || config->local.push_set || config->local.use_buildkit_set)
		str_addf(out, "local: concurrency %d, push %d, buildkit %d\n", config->local.concurrency,
			 config->local.push, config->local.use_buildkit);
	str_addf(out, "deploy with docker: %s\n", config->deploy_docker ? "yes" : "no");
	show_strings("images", &config->docker_images, out);
	if (config->deploy_kubernetes || config->kubernetes.load.len > 0)
		show_kubernetes(config, dir, out);
	for vec_each (entry, &config->attach)
		str_addf(out, "attach %s to %s %s\n", entry->image.value, entry->label.value ? "label" : "compose",
			 entry->label.value ? entry->label.value : entry->compose.value);
}

/* Running. */

static void write_files(const struct test_case *c)
{
	for vec_each (section, &c->sections) {
		if (strcmp(section->name, "file") != 0)
			continue;
		_cleanup_free_ char *dir = path_dir(section->argument);
		assert_int_equal(file_make_directories(dir, 0755, NULL), 0);
		assert_int_equal(file_write_atomic(section->argument, str_text(&section->text), section->text.len, 0644,
						   NULL),
				 0);
	}
}

static void read_arguments(const struct test_case *c, struct config_options *options, struct strv *lines,
			   struct strv *environment)
{
	case_lines(case_text(c, "arguments"), lines);
	for (size_t i = 0; i < lines->len; i++) {
		const char *line = lines->items[i];
		if (str_starts_with(line, "-p "))
			strv_push(&options->profiles, line + 3);
		else if (str_starts_with(line, "-m "))
			strv_push(&options->modules, line + 3);
		else if (str_starts_with(line, "-f "))
			options->file = line + 3;
		else if (str_starts_with(line, "command "))
			options->command = line + 8;
		else if (str_starts_with(line, "kube-context "))
			options->kube_context = line + 13;
		else if (str_starts_with(line, "env "))
			strv_push(environment, line + 4);
		else
			fail_msg("%s: unknown argument %s", c->title, line);
	}
	for (size_t i = 0; i < environment->len; i++)
		putenv(environment->items[i]);
}

static void restore_environment(struct strv *environment)
{
	for (size_t i = 0; i < environment->len; i++) {
		environment->items[i][strcspn(environment->items[i], "=")] = '\0';
		unsetenv(environment->items[i]);
	}
	strv_release(environment);
}

/* A section that is not in the case is not looked at. */
static bool holds(const struct test_case *c, const char *section, const struct str *got)
{
	return !case_section(c, section) || case_equal(c, section, str_text(got), case_text(c, section));
}

/* In an empty working directory. */
static bool run_case(const struct test_case *c, const char *dir)
{
	struct config_options options = {.check_glob = check_glob};
	struct strv lines = {0}, environment = {0};
	CLEANUP(config_free_cleanup) struct config *config = NULL;
	struct str report = {0}, warnings = {0}, decoded = {0}, effective = {0}, again = {0};
	write_files(c);
	read_arguments(c, &options, &lines, &environment);
	int r = config_load(&options, &config, &report);
	if (r == 0) {
		for (size_t i = 0; i < config->warnings.len; i++)
			str_add(&warnings, config->warnings.items[i]);
		show_config(config, dir, &decoded);
		assert_int_equal(config_print(&options, &effective, &again), 0);
	}
	bool ok = (r == 0) == (config != NULL) && (r < 0) == (report.len > 0);
	ok = ok &&
	     (case_section(c, "errors") ? holds(c, "errors", &report) : case_equal(c, "errors", str_text(&report), ""));
	ok = ok && holds(c, "warnings", &warnings) && holds(c, "decoded", &decoded) &&
	     holds(c, "effective", &effective);
	str_release(&report);
	str_release(&warnings);
	str_release(&decoded);
	str_release(&effective);
	str_release(&again);
	strv_release(&options.profiles);
	strv_release(&options.modules);
	strv_release(&lines);
	restore_environment(&environment);
	return ok;
}

static void cases_hold(void **state)
{
	(void)state;
	struct case_list cases = {0};
	bool ok = true;
	cases_load("config", &cases);
	for vec_each (c, &cases) {
		char dir[] = "/tmp/skiff-config-XXXXXX";
		assert_non_null(mkdtemp(dir));
		assert_int_equal(chdir(dir), 0);
		ok = run_case(c, dir) && ok;
		assert_int_equal(chdir("/"), 0);
		file_remove_tree(dir, NULL);
	}
	cases_release(&cases);
	assert_true(ok);
}

static void write_file(const char *path, const char *text)
{
	_cleanup_free_ char *dir = path_dir(path);
	assert_int_equal(file_make_directories(dir, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void assert_project(const char *directory, const char *wanted)
{
	_cleanup_free_ char *absolute = path_absolute(directory);
	_cleanup_free_ char *project = compose_project(absolute);
	if (!str_equal(project, wanted))
		fail_msg("%s: %s, not %s", directory, project ? project : "(none)", wanted ? wanted : "(none)");
}

static void compose_projects_are_named_as_compose_does(void **state)
{
	(void)state;
	char dir[] = "/tmp/skiff-config-XXXXXX";
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(file_make_directories("none/web", 0755, NULL), 0);
	write_file("_My.Shop-2/docker-compose.yml", "services: {}\n");
	write_file("_My.Shop-2/web/Dockerfile", "FROM scratch\n");
	write_file("named/compose.yaml", "name: Ware-House\nservices: {}\n");
	write_file("variable/compose.yml", "name: ${PROJECT:-x}\n");
	write_file("broken/compose.yml", "name: [\n");
	write_file("env/compose.yaml", "name: other\n");
	write_file("env/.env", "A=b\n# COMPOSE_PROJECT_NAME=no\nexport COMPOSE_PROJECT_NAME=\"from-env\"\r\n");
	assert_project("none/web", NULL);
	assert_project("_My.Shop-2", "myshop-2");
	assert_project("_My.Shop-2/web", "myshop-2");
	assert_project("named", "ware-house");
	assert_project("variable", NULL);
	assert_project("broken", "broken");
	assert_project("env", "from-env");
	setenv("COMPOSE_PROJECT_NAME", "chosen", 1);
	assert_project("none/web", "chosen");
	assert_project("env", "chosen");
	unsetenv("COMPOSE_PROJECT_NAME");
	assert_int_equal(chdir("/"), 0);
	file_remove_tree(dir, NULL);
}

static int load_text(const char *text, size_t len, struct str *report)
{
	const struct config_options options = {.check_glob = check_glob};
	CLEANUP(config_free_cleanup) struct config *config = NULL;
	return config_load_text(&options, "skaffold.yaml", text, len, &config, report);
}

static void assert_refused(const char *text, size_t len, const char *words)
{
	struct str report = {0};
	assert_int_equal(load_text(text, len, &report), -EINVAL);
	if (!strstr(str_text(&report), words))
		fail_msg("'%s' is not in: %s", words, str_text(&report));
	str_release(&report);
}

static void hostile_bytes_are_refused(void **state)
{
	(void)state;
	static const char nul[] = "apiVersion: a\nkind: \0b\n", invalid[] = "apiVersion: a\nkind: \xff\n";
	assert_refused(nul, sizeof(nul) - 1, "skaffold.yaml:2:7: error: there is a NUL byte here");
	assert_refused(invalid, sizeof(invalid) - 1, "skaffold.yaml:2:7: error: this is not UTF-8");
	assert_refused("a: \"\\0\"\n", 8, "NUL byte");
	assert_refused("", 0, "there is nothing in this file");
	assert_refused("{", 1, "skaffold.yaml:");
	assert_refused("- a\n", 4, "a skaffold.yaml is a mapping, and this is a list");
}

static void alias_bombs_stay_small(void **state)
{
	(void)state;
	struct str text = {0};
	str_add(&text, ".a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 20; i++) {
		str_addf(&text, ".a%d: &a%d [", i, i);
		for (int k = 0; k < 9; k++)
			str_addf(&text, "%s*a%d", k ? ", " : "", i - 1);
		str_add(&text, "]\n");
	}
	assert_refused(str_text(&text), text.len, "values, aliases followed");
	str_clear(&text);
	str_add(&text, ".a0: &a0 {a: b, c: d}\n");
	for (int i = 1; i < 30; i++)
		str_addf(&text, ".a%d: &a%d {<<: [*a%d, *a%d], k%d: {<<: *a%d}, l%d: {<<: *a%d}}\n", i, i, i - 1, i - 1,
			 i, i - 1, i, i - 1);
	assert_refused(str_text(&text), text.len, "values, aliases followed");
	str_release(&text);
	assert_refused("a: &a [*a]\n", 11, "is inside of what it names");
}

static void depth_is_bounded(void **state)
{
	(void)state;
	struct str text = {0};
	for (int i = 0; i < 100; i++)
		str_add_char(&text, '[');
	assert_refused(str_text(&text), text.len, "levels deep");
	for (int i = 0; i < 100000; i++)
		str_add_char(&text, '[');
	assert_refused(str_text(&text), text.len, "skaffold.yaml:1:1001: error: more than 1000 brackets are open here");
	str_clear(&text);
	for (int i = 0; i < 100000; i++)
		str_add(&text, "---\n");
	assert_refused(str_text(&text), text.len, "more documents than a configuration has");
	str_release(&text);
}

/* The C library's expressions crash, or don't end, on these. */
static void patterns_are_bounded(void **state)
{
	(void)state;
	struct str deep = {0};
	for (int i = 0; i < 200000; i++)
		str_add(&deep, "(a*)*");
	const char *const patterns[] = {"((((a{1,200}){1,200}){1,200}){1,200}){1,200}", "(a*)*\\1", "a{5000}",
					str_text(&deep)};
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		struct str text = {0}, report = {0};
		str_addf(&text,
			 "apiVersion: skaffold/v4beta14\nkind: Config\nprofiles:\n- name: p\n"
			 "  activation: [{env: 'PATH=%s'}]\n",
			 patterns[i]);
		assert_int_equal(load_text(str_text(&text), text.len, &report), 0);
		str_release(&text);
		str_release(&report);
	}
	str_release(&deep);
}

static void huge_files_are_refused(void **state)
{
	(void)state;
	char path[] = "/tmp/skiff-huge-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)100 << 20), 0);
	close(fd);
	const struct config_options options = {.file = path};
	struct config *config = NULL;
	struct str report = {0};
	assert_int_equal(config_load(&options, &config, &report), -EFBIG);
	assert_non_null(strstr(str_text(&report), "larger than 1 MiB"));
	str_release(&report);
	unlink(path);
}

static void errors_are_bounded(void **state)
{
	(void)state;
	struct str text = {0}, report = {0};
	str_add(&text, "apiVersion: skaffold/v4beta14\nkind: Config\n");
	for (int i = 0; i < 5000; i++)
		str_addf(&text, "zz%d: 1\n", i);
	assert_int_equal(load_text(str_text(&text), text.len, &report), -EINVAL);
	assert_non_null(strstr(str_text(&report), "and 4900 more"));
	str_release(&text);
	str_release(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_hold),
		cmocka_unit_test(compose_projects_are_named_as_compose_does),
		cmocka_unit_test(hostile_bytes_are_refused),
		cmocka_unit_test(alias_bombs_stay_small),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(patterns_are_bounded),
		cmocka_unit_test(huge_files_are_refused),
		cmocka_unit_test(errors_are_bounded),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
