/* The ko builder (ko.build): ko itself builds the Go program and loads the image into the engine; here it gets its words, and the image its tag. */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "build/engine.h"
#include "build/expand.h"
#include "build/internal.h"
#include "format/yaml.h"
#include "io/process.h"
#include "sync/kodata.h"

enum { OUTPUT_MAX = 64 << 10 };

#define INSTALL_KO "ko.build/install, or: go install github.com/google/ko@latest"

static const struct place nowhere = {.file = NULL};

/* The values expanded. What holds ko's own template of the environment ({{.Env.NAME}}) is left to ko. */
static int expand_all(const struct build_request *request, const struct strv *values, struct strv *out,
		      struct error *err)
{
	for (size_t i = 0; i < values->len; i++) {
		char *expanded = NULL;
		int r = strstr(values->items[i], ".Env.")
				? 0
				: build_expand(request, values->items[i], request->artifact->place, &expanded, err);
		if (r < 0)
			return r;
		strv_push_owned(out, expanded ? expanded : xstrdup(values->items[i]));
	}
	return 0;
}

/* What `go build` is given: a folder needs a "./" in front of it, an import path must have none. */
static char *main_package(const struct artifact *artifact)
{
	const char *main = artifact->ko.main && artifact->ko.main[0] ? artifact->ko.main : ".";
	_cleanup_free_ char *directory = ko_directory(artifact), *path = path_join(directory, main);
	bool folder = main[0] != '.' && main[0] != '/' && file_exists(path);
	return folder ? xasprintf("./%s", main) : xstrdup(main);
}

/* The platform of the engine, as far as this machine's tells it: ko's own default is amd64 everywhere. */
static char *platform_of(const struct artifact *artifact)
{
	if (artifact->platforms.len > 0)
		return strv_join(&artifact->platforms, ",");
	struct utsname host;
	if (uname(&host) < 0)
		return NULL;
	return strcmp(host.machine, "x86_64") == 0    ? xstrdup("linux/amd64")
	       : strcmp(host.machine, "aarch64") == 0 ? xstrdup("linux/arm64")
						      : NULL;
}

static int ko_argv(const struct build_request *request, struct strv *argv, struct error *err)
{
	const struct artifact *artifact = request->artifact;
	CLEANUP(strv_release) struct strv labels = {0};
	int r = expand_all(request, &artifact->ko.labels, &labels, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *platform = platform_of(artifact);
	strv_push(argv, "ko");
	strv_push(argv, "build");
	strv_push(argv, "--local");
	strv_push(argv, "--sbom=none");
	if (platform)
		strv_pushf(argv, "--platform=%s", platform);
	for (size_t i = 0; i < labels.len; i++)
		strv_pushf(argv, "--image-label=%s", labels.items[i]);
	strv_push_owned(argv, main_package(artifact));
	return 0;
}

static struct yaml_node *text_list(struct yaml_pool *pool, const struct strv *values)
{
	struct yaml_node *list = yaml_new(pool, YAML_SEQUENCE, nowhere);
	for (size_t i = 0; i < values->len; i++) {
		struct yaml_node *text = yaml_new_text(pool, values->items[i], nowhere);
		text->quoted = true;
		vec_push(&list->items, text);
	}
	return list;
}

/* The `builds` of a .ko.yaml with env, flags and ldflags as the artifact has them; NULL where it has none: the project's own counts. */
static int build_settings(const struct build_request *request, struct yaml_pool *pool, struct yaml_node **builds,
			  struct error *err)
{
	const struct ko_config *ko = &request->artifact->ko;
	const struct {
		const char *key;
		const struct strv *values;
	} lists[] = {{"env", &ko->env}, {"flags", &ko->flags}, {"ldflags", &ko->ldflags}};
	*builds = NULL;
	if (ko->env.len + ko->flags.len + ko->ldflags.len == 0)
		return 0;
	_cleanup_free_ char *main = main_package(request->artifact);
	struct yaml_node *build = yaml_new(pool, YAML_MAPPING, nowhere);
	yaml_set(build, yaml_new_text(pool, "id", nowhere), yaml_new_text(pool, "skiff", nowhere));
	yaml_set(build, yaml_new_text(pool, "dir", nowhere), yaml_new_text(pool, ".", nowhere));
	yaml_set(build, yaml_new_text(pool, "main", nowhere), yaml_new_text(pool, main, nowhere));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		CLEANUP(strv_release) struct strv values = {0};
		int r = expand_all(request, lists[i].values, &values, err);
		if (r < 0)
			return r;
		if (values.len > 0)
			yaml_set(build, yaml_new_text(pool, lists[i].key, nowhere), text_list(pool, &values));
	}
	*builds = yaml_new(pool, YAML_SEQUENCE, nowhere);
	vec_push(&(*builds)->items, build);
	return 0;
}

/* The project's .ko.yaml with these `builds` in the place of its own. */
static int merge_settings(const struct build_request *request, struct yaml_pool *pool, struct yaml_node *builds,
			  struct str *out, struct error *err)
{
	_cleanup_free_ char *directory = ko_directory(request->artifact), *path = path_join(directory, ".ko.yaml");
	struct yaml_node *merged = yaml_new(pool, YAML_MAPPING, nowhere);
	struct sources sources = {0};
	struct source *source = NULL;
	struct diagnostics problems = {.sources = &sources};
	struct yaml_documents documents = {0};
	int r = file_exists(path) ? sources_read(&sources, path, path, &source, err) : 0;
	if (r == 0 && source && yaml_parse(pool, source, &problems, &documents) < 0)
		r = error_set(err, EINVAL, "%s can't be read as YAML", path);
	if (r == 0 && documents.len > 0 && documents.items[0]->kind == YAML_MAPPING)
		merged = yaml_copy(pool, documents.items[0]);
	if (r == 0) {
		yaml_set(merged, yaml_new_text(pool, "builds", nowhere), builds);
		yaml_emit(merged, out);
	}
	vec_release(&documents);
	diagnostics_release(&problems);
	sources_release(&sources);
	return r;
}

/* *settings is empty where ko needs none but the project's. */
static int ko_settings(const struct build_request *request, struct str *settings, struct error *err)
{
	struct yaml_pool pool = {0};
	struct yaml_node *builds = NULL;
	int r = build_settings(request, &pool, &builds, err);
	if (r == 0 && builds)
		r = merge_settings(request, &pool, builds, settings, err);
	yaml_pool_release(&pool);
	return r;
}

static int ko_describe(const struct build_request *request, struct hasher *hasher, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	CLEANUP(str_release) struct str settings = {0};
	int r = ko_argv(request, &argv, err);
	if (r == 0)
		r = ko_settings(request, &settings, err);
	for (size_t i = 0; r == 0 && i < argv.len; i++)
		hasher_add_string(hasher, argv.items[i]);
	hasher_add_string(hasher, str_text(&settings));
	hasher_add_string(hasher, request->artifact->ko.from_image);
	return r;
}

/* A required artifact as the base: ko looks into the engine for names below ko.local, and pulls all others. */
static int base_image(const struct build_request *request, struct strv *env, struct error *err)
{
	const char *from = request->artifact->ko.from_image;
	if (!from)
		return 0;
	for vec_each (required, &request->required) {
		if (!str_equal(required->name, from))
			continue;
		_cleanup_free_ char *id = NULL;
		int r = engine_image_id(request->docker, required->value, &id, request->cancel, err);
		if (r < 0)
			return r;
		const char *hex = strchr(id, ':') ? strchr(id, ':') + 1 : id;
		_cleanup_free_ char *local = xasprintf("ko.local/skiff-base:%.32s", hex);
		strv_pushf(env, "KO_DEFAULTBASEIMAGE=%s", local);
		return engine_tag(request->docker, id, local, request->cancel, err);
	}
	strv_pushf(env, "KO_DEFAULTBASEIMAGE=%s", from);
	return 0;
}

/* ko's last line on stdout names the image. */
static int take_image(struct build_job *job, const struct str *output, char **image_id, struct error *err)
{
	const struct build_request *request = job->request;
	CLEANUP(strv_release) struct strv lines = {0};
	const char *name = NULL;
	str_split(str_text(output), '\n', &lines);
	for (size_t i = 0; i < lines.len; i++) {
		lines.items[i][strcspn(lines.items[i], " \t\r")] = '\0';
		name = lines.items[i][0] ? lines.items[i] : name;
	}
	if (!name)
		return error_set(err, EPROTO, "ko ended well, but named no image");
	int r = engine_image_id(request->docker, name, image_id, request->cancel, err);
	return r < 0 ? error_wrap(err, "the image that ko names, %s", name)
		     : engine_tag(request->docker, *image_id, job->tag, request->cancel, err);
}

static int run_ko(struct build_job *job, const struct strv *env, char **image_id, struct error *err)
{
	const struct build_request *request = job->request;
	_cleanup_free_ char *program = process_find("ko"), *directory = ko_directory(request->artifact);
	CLEANUP(strv_release) struct strv argv = {0};
	CLEANUP(str_release) struct str output = {.max = OUTPUT_MAX};
	if (!program)
		return error_at(err, request->artifact->place, ENOENT,
				"building %s needs ko, and there is no 'ko' in PATH (" INSTALL_KO ")",
				request->artifact->image.value);
	int r = ko_argv(request, &argv, err);
	if (r < 0)
		return r;
	const struct process_spec spec = {
		.argv = (const char *const *)argv.items,
		.directory = directory,
		.env = (const char *const *)env->items,
		.line = build_line,
		.data = job,
		.output = &output,
		.cancel = request->cancel,
	};
	int status = process_run(&spec, err);
	if (status != 0)
		return status > 0 ? build_failed(job, "ko build", status, err) : status;
	return take_image(job, &output, image_id, err);
}

static int ko_run(struct build_job *job, char **image_id, struct error *err)
{
	CLEANUP(str_release) struct str settings = {0};
	CLEANUP(strv_release) struct strv env = {0};
	char file[] = "/tmp/skiff-ko-XXXXXX.yaml";
	bool written = false;
	int r = ko_settings(job->request, &settings, err);
	if (r == 0)
		r = base_image(job->request, &env, err);
	if (r == 0 && settings.len > 0) {
		int fd = mkstemps(file, (int)strlen(".yaml"));
		written = fd >= 0;
		if (!written)
			return error_errno(err, errno, "can't make a temporary file");
		(void)close(fd);
		strv_pushf(&env, "KO_CONFIG_PATH=%s", file);
		r = file_write_atomic(file, settings.data, settings.len, 0600, err);
	}
	engine_address(job->request->docker, &env);
	if (r == 0)
		r = run_ko(job, &env, image_id, err);
	if (written)
		(void)unlink(file);
	return r;
}

const struct builder builder_ko = {BUILDER_KO, ko_describe, ko_run, engine_reuse};
