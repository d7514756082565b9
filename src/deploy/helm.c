#include "deploy/helm.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "deploy/render.h"
#include "format/template.h"
#include "io/process.h"

enum { CHART_FILE_MAX = 1 << 20 };

static const char open_tag[] = "skiff";

/* ---- what templates of values name ---- */

struct variables {
	const struct config *config;
	struct strv values; /* what was handed out */
};

/* "team/web-api" → "team_web_api", as Skaffold calls it. */
static bool is_variable_of(const char *image, const char *suffix)
{
	for (; *image && *suffix; image++, suffix++)
		if (*suffix != (isalnum((unsigned char)*image) ? *image : '_'))
			return false;
	return !*image && !*suffix;
}

static const struct artifact *artifact_of(const struct config *config, const char *suffix)
{
	if (!*suffix) /* where there is but one, it needs no name */
		return config->artifacts.len > 0 ? config->artifacts.items[0] : NULL;
	for vec_each (item, &config->artifacts) {
		const struct artifact *artifact = *item;
		if (artifact && *suffix == '_' && is_variable_of(artifact->image.value, suffix + 1))
			return artifact;
	}
	return NULL;
}

static bool has_domain(const char *image)
{
	size_t len = strcspn(image, "/");
	return image[len] &&
	       (memchr(image, '.', len) || memchr(image, ':', len) || strncmp(image, "localhost/", len + 1) == 0);
}

static char *part_of(const char *image, const char *part)
{
	_cleanup_free_ char *name = manifest_image_name(image);
	const char *repository = name ? name : image;
	size_t domain = has_domain(repository) ? strcspn(repository, "/") : 0;
	if (str_equal(part, "IMAGE_REPO_NO_DOMAIN"))
		return xstrdup(domain ? repository + domain + 1 : repository);
	if (str_equal(part, "IMAGE_FULLY_QUALIFIED"))
		return xasprintf("%s:%s", repository, open_tag);
	if (str_equal(part, "IMAGE_DOMAIN"))
		return xstrndup(repository, domain);
	if (str_equal(part, "IMAGE_REPO"))
		return xstrdup(repository);
	return xstrdup(str_equal(part, "IMAGE_TAG") ? open_tag : MANIFEST_DIGEST_OPEN);
}

static const char *lookup(void *data, const char *name)
{
	static const char *const parts[] = {
		"IMAGE_REPO_NO_DOMAIN", "IMAGE_FULLY_QUALIFIED", "IMAGE_DOMAIN", "IMAGE_REPO", "IMAGE_TAG",
		"IMAGE_DIGEST"};
	struct variables *variables = data;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const struct artifact *artifact = str_starts_with(name, parts[i])
							  ? artifact_of(variables->config, name + strlen(parts[i]))
							  : NULL;
		if (!artifact)
			continue;
		strv_push_owned(&variables->values, part_of(artifact->image.value, parts[i]));
		return variables->values.items[variables->values.len - 1];
	}
	return getenv(name);
}

static int expand(const struct config *config, const char *text, struct place place, char **out, struct error *err)
{
	struct variables variables = {.config = config};
	const struct template_variables how = {.lookup = lookup, .data = &variables};
	CLEANUP(error_clear) struct error inner = {0};
	int r = template_expand(text, &how, out, &inner);
	strv_release(&variables.values);
	return r < 0 ? error_at(err, place, -r, "%s", inner.message) : 0;
}

/* ---- the command ---- */

static int add_values_files(const struct config *config, const struct manifest_source *source,
			    const struct helm_release *release, struct strv *argv, struct error *err)
{
	for (size_t i = 0; i < release->values_files.len; i++) {
		_cleanup_free_ char *name = NULL;
		int r = expand(config, release->values_files.items[i], release->place, &name, err);
		if (r < 0)
			return r;
		strv_push(argv, "--values");
		strv_push_owned(argv, strstr(name, "://") ? steal(&name) : path_join(source->base_dir, name));
	}
	return 0;
}

static void add_value(struct strv *argv, const char *option, const char *name, const char *value)
{
	strv_push(argv, option);
	strv_pushf(argv, "%s=%s", name, value);
}

static int add_values(const struct config *config, const struct manifest_source *source,
		      const struct helm_release *release, struct strv *argv, struct error *err)
{
	int r = add_values_files(config, source, release, argv, err);
	for (size_t i = 0; r == 0 && i < release->values.len; i++) {
		const struct pair *pair = &release->values.items[i];
		add_value(argv, "--set", pair->name, pair->value ? pair->value : "null");
	}
	for (size_t i = 0; r == 0 && i < release->value_templates.len; i++) {
		const struct pair *pair = &release->value_templates.items[i];
		_cleanup_free_ char *value = NULL;
		r = expand(config, pair->value ? pair->value : "", pair->place, &value, err);
		if (r == 0)
			add_value(argv, "--set", pair->name, value);
	}
	for (size_t i = 0; r == 0 && i < release->files.len; i++) {
		const struct pair *pair = &release->files.items[i];
		_cleanup_free_ char *path = path_join(source->base_dir, pair->value ? pair->value : "");
		add_value(argv, "--set-file", pair->name, path);
	}
	return r;
}

static char *chart_of(const struct manifest_source *source, const struct helm_release *release)
{
	return release->remote ? xstrdup(release->chart.value) : path_join(source->base_dir, release->chart.value);
}

static int template_command(const struct config *config, const struct manifest_source *source,
			    const struct helm_release *release, const char *name, const char *namespace_,
			    struct strv *argv, struct error *err)
{
	strv_push(argv, "helm");
	strv_extend(argv, &source->helm_global_flags);
	strv_push(argv, "template");
	strv_push(argv, name);
	strv_push_owned(argv, chart_of(source, release));
	strv_push(argv, "--skip-tests");
	strv_pushf(argv, "--namespace=%s", namespace_);
	if (release->repo)
		strv_pushf(argv, "--repo=%s", release->repo);
	if (release->version)
		strv_pushf(argv, "--version=%s", release->version);
	if (release->overrides) {
		strv_push(argv, "--values");
		strv_push(argv, "-"); /* its input */
	}
	int r = add_values(config, source, release, argv, err);
	strv_extend(argv, &source->helm_template_flags);
	return r;
}

/* A chart that requires others has them beside it only once they were fetched. */
static bool wants_dependencies(const struct manifest_source *source, const struct helm_release *release)
{
	if (release->remote || release->skip_dependencies)
		return false;
	_cleanup_free_ char *chart = chart_of(source, release), *path = path_join(chart, "Chart.yaml"),
			    *old = path_join(chart, "requirements.yaml"), *text = NULL;
	size_t len = 0;
	return file_exists(old) ||
	       (file_read(path, CHART_FILE_MAX, &text, &len, NULL) == 0 && strstr(text, "\ndependencies:"));
}

static int build_dependencies(const struct manifest_source *source, const struct helm_release *release,
			      struct cancel *cancel, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	_cleanup_free_ char *name = xasprintf("helm dependency build (release %s)", release->name);
	strv_push(&argv, "helm");
	strv_push(&argv, "dependency");
	strv_push(&argv, "build");
	strv_push_owned(&argv, chart_of(source, release));
	const struct render_program program = {.argv = &argv, .name = name, .directory = source->base_dir};
	return render_program(&program, NULL, cancel, err);
}

static int add_namespace(const char *namespace_, struct manifests *manifests, struct error *err)
{
	char *text = xasprintf("{apiVersion: v1, kind: Namespace, metadata: {name: \"%s\"}}\n", namespace_);
	return manifests_add(manifests, "createNamespace", text, strlen(text), err);
}

int helm_render(const struct config *config, const struct manifest_source *source, const struct helm_release *release,
		const char *namespace_, struct manifests *manifests, struct cancel *cancel, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	_cleanup_free_ char *program_path = process_find("helm"), *name = NULL, *home = NULL;
	size_t first = manifests->items.len;
	if (!program_path)
		return error_at(err, release->place, ENOENT, "the release '%s' needs helm, which is not installed",
				release->name);
	int r = expand(config, release->name, release->place, &name, err);
	if (r == 0)
		r = expand(config, release->namespace_ ? release->namespace_ : namespace_, release->place, &home, err);
	if (r == 0)
		r = template_command(config, source, release, name, home, &argv, err);
	if (r == 0 && wants_dependencies(source, release))
		r = build_dependencies(source, release, cancel, err);
	if (r == 0 && release->create_namespace && release->namespace_)
		r = add_namespace(home, manifests, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *shown = xasprintf("helm template %s", name);
	const struct render_program program = {.argv = &argv,
					       .name = shown,
					       .directory = source->base_dir,
					       .input = release->overrides};
	r = render_program(&program, manifests, cancel, err);
	if (r == 0 && release->namespace_)
		manifests_place(manifests, first, home);
	return r;
}
