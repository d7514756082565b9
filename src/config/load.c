#include "config/load.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "config/check.h"
#include "config/profile.h"

#define REQUIRES_MAX_DEPTH 32
#define FILES_MAX 256

struct document {
	struct yaml_node *node;
	const char *name; /* metadata.name, NULL: none */
	bool visited;	  /* its requires were followed */
	bool taken;	  /* it is a module */
	bool patched;	  /* told that its patches are not applied */
};

struct loaded_file {
	char *path; /* absolute */
	char *base_dir;
	VEC(struct document) documents;
	struct yaml_node *overlay; /* skiff.yaml beside it, NULL: none */
};

static int load_file(struct loader *l, const char *name, const char *path, const char *base_dir,
		     struct loaded_file **out, struct error *err);

static void add_document(struct loader *l, struct loaded_file *file, struct yaml_node *node)
{
	struct checker checker = {.d = &l->d, .options = l->options};
	if (!check_version(&l->d, node, &checker.old))
		return;
	check_section(&checker, &section_config, node);
	vec_push(&file->documents,
		 (struct document){.node = node, .name = yaml_text(yaml_get(yaml_get(node, "metadata"), "name"))});
}

static void check_overlay(struct loader *l, struct loaded_file *file, struct yaml_node *node)
{
	struct checker checker = {.d = &l->d, .options = l->options};
	if (node->kind != YAML_MAPPING) {
		diagnostics_error(&l->d, node->place, "a skiff.yaml is a mapping, and this is %s",
				  yaml_kind_name(node));
		return;
	}
	check_section(&checker, &section_skiff, node);
	file->overlay = node;
}

/* A skiff.yaml is one document; more are refused. */
static void add_overlay(struct loader *l, struct loaded_file *file, const struct source *source)
{
	struct yaml_documents documents = {0};
	yaml_parse(&l->pool, source, &l->d, &documents);
	if (documents.len > 0)
		check_overlay(l, file, documents.items[0]);
	if (documents.len > 1)
		diagnostics_error(&l->d, documents.items[1]->place, "a skiff.yaml has one document");
	vec_release(&documents);
}

static int read_overlay(struct loader *l, struct loaded_file *file, const char *name, struct error *err)
{
	_cleanup_free_ char *dir = path_dir(file->path);
	_cleanup_free_ char *path = path_join(dir, "skiff.yaml");
	if (l->memory_only || strcmp(path, file->path) == 0 || access(path, F_OK) != 0)
		return 0;
	_cleanup_free_ char *shown_dir = path_dir(name);
	_cleanup_free_ char *joined = path_join(shown_dir, "skiff.yaml");
	_cleanup_free_ char *shown = path_normalize(joined);
	struct source *source = NULL;
	int r = sources_read(&l->files->sources, shown, path, &source, err);
	if (r < 0)
		return r;
	add_overlay(l, file, source);
	return 0;
}

/* A skiff.yaml that stands alone: the same as a skaffold.yaml that says it. */
static void add_standalone(struct loader *l, struct loaded_file *file, const struct source *source)
{
	add_overlay(l, file, source);
	struct yaml_node *overlay = steal(&file->overlay);
	if (!overlay)
		return;
	struct yaml_node *document = yaml_new(&l->pool, YAML_MAPPING, overlay->place);
	const struct yaml_pair *artifacts = yaml_pair(overlay, "artifacts");
	if (artifacts) {
		struct yaml_node *build = yaml_new(&l->pool, YAML_MAPPING, artifacts->value->place);
		yaml_set(build, artifacts->key, artifacts->value);
		yaml_set(document, yaml_new_text(&l->pool, "build", artifacts->key->place), build);
	}
	for vec_each (pair, &overlay->pairs)
		if (pair != artifacts)
			yaml_set(document, pair->key, pair->value);
	vec_push(&file->documents, (struct document){.node = document});
}

static void parse_file(struct loader *l, struct loaded_file *file, const struct source *source)
{
	if (strcmp(path_base(source->path), "skiff.yaml") == 0) {
		add_standalone(l, file, source);
		return;
	}
	struct yaml_documents documents = {0};
	size_t errors = l->d.counts[SEVERITY_ERROR];
	yaml_parse(&l->pool, source, &l->d, &documents);
	for vec_each (item, &documents)
		add_document(l, file, *item);
	if (documents.len == 0 && l->d.counts[SEVERITY_ERROR] == errors)
		diagnostics_error(&l->d, (struct place){.file = source->name}, "there is nothing in this file");
	vec_release(&documents);
}

static struct loaded_file *new_file(struct loader *l, const char *path, const char *base_dir)
{
	struct loaded_file *file = xcalloc(1, sizeof(*file));
	file->path = xstrdup(path);
	file->base_dir = xstrdup(base_dir);
	vec_push(&l->loaded, file);
	return file;
}

static int load_file(struct loader *l, const char *name, const char *path, const char *base_dir,
		     struct loaded_file **out, struct error *err)
{
	for vec_each (item, &l->loaded)
		if (strcmp((*item)->path, path) == 0) {
			*out = *item;
			return 0;
		}
	if (l->loaded.len >= FILES_MAX)
		return error_set(err, E2BIG, "more than %d files require one another", FILES_MAX);
	struct source *source = NULL;
	int r = sources_read(&l->files->sources, name, path, &source, err);
	if (r < 0)
		return r;
	struct loaded_file *file = new_file(l, path, base_dir);
	parse_file(l, file, source);
	*out = file;
	return read_overlay(l, file, name, err);
}

/* Profiles. */

static void warn_of_patches(struct loader *l, struct document *document, const struct yaml_node *profile)
{
	const struct yaml_pair *patches = yaml_pair(profile, "patches");
	if (!patches || yaml_is_null(patches->value) || document->patched)
		return;
	diagnostics_warning(
		&l->d, patches->key->place,
		"'patches' is not carried out by skiff yet: write what they change as sections of the profile");
	document->patched = true;
}

static struct yaml_node *apply_profiles(struct loader *l, struct document *document, const struct strv *active)
{
	struct yaml_node *merged = yaml_copy(&l->pool, document->node);
	yaml_remove(merged, "profiles");
	for (size_t i = 0; i < active->len; i++) {
		const struct yaml_node *profile = profile_find(document->node, active->items[i]);
		struct yaml_node *pipeline = yaml_copy(&l->pool, profile);
		yaml_remove(pipeline, "name");
		yaml_remove(pipeline, "activation");
		yaml_remove(pipeline, "requiresAllActivations");
		yaml_remove(pipeline, "patches");
		merged = profile_overlay(&l->pool, &section_config, merged, pipeline);
		warn_of_patches(l, document, profile);
	}
	return merged;
}

/* skiff.yaml. */

static const char *image_of(const struct yaml_node *artifact)
{
	return yaml_text(yaml_get(artifact, "image"));
}

static struct yaml_node *overlay_artifacts(struct loader *l, struct yaml_node *artifacts, const struct yaml_node *over)
{
	struct yaml_node *result = yaml_copy(&l->pool, artifacts);
	for vec_each (item, &result->items)
		for vec_each (layer, &over->items)
			if (image_of(*item) && str_equal(image_of(*item), image_of(*layer)))
				*item = profile_merge(&l->pool, &section_artifact, *item, *layer);
	return result;
}

/* Lays a skiff.yaml over a document; what is not of an artifact only over the first of the file. */
static struct yaml_node *apply_overlay(struct loader *l, struct yaml_node *node, const struct yaml_node *overlay,
				       bool first)
{
	const struct yaml_node *over = yaml_get(overlay, "artifacts");
	struct yaml_node *build = yaml_get(node, "build"), *artifacts = yaml_get(build, "artifacts");
	if (over && artifacts) {
		struct yaml_node *changed = yaml_copy(&l->pool, build), *result = yaml_copy(&l->pool, node);
		yaml_set(changed, yaml_pair(build, "artifacts")->key, overlay_artifacts(l, artifacts, over));
		yaml_set(result, yaml_pair(node, "build")->key, changed);
		node = result;
	}
	if (!first)
		return node;
	struct yaml_node *rest = yaml_copy(&l->pool, overlay);
	yaml_remove(rest, "artifacts");
	return profile_merge(&l->pool, &section_config, node, rest);
}

static void collect_images(const struct yaml_node *pipeline, struct strv *images)
{
	const struct yaml_node *artifacts = yaml_get(yaml_get(pipeline, "build"), "artifacts");
	for (size_t i = 0; artifacts && i < artifacts->items.len; i++)
		if (image_of(artifacts->items.items[i]))
			strv_push(images, image_of(artifacts->items.items[i]));
}

/* Images that no document of the file has, in no profile either. */
static void check_overlay_images(struct loader *l, const struct loaded_file *file)
{
	const struct yaml_node *artifacts = yaml_get(file->overlay, "artifacts");
	struct strv images = {0};
	for vec_each (document, &file->documents) {
		const struct yaml_node *profiles = yaml_get(document->node, "profiles");
		collect_images(document->node, &images);
		for (size_t i = 0; profiles && i < profiles->items.len; i++)
			collect_images(profiles->items.items[i], &images);
	}
	for (size_t i = 0; artifacts && i < artifacts->items.len; i++) {
		const struct yaml_node *node = yaml_get(artifacts->items.items[i], "image");
		if (!yaml_text(node) || strv_contains(&images, node->text))
			continue;
		_cleanup_free_ char *hint =
			images.len ? suggestion(node->text, (const char *const *)images.items) : xstrdup("");
		diagnostics_error(&l->d, node->place, "%s has no artifact with the image '%s'%s", path_base(file->path),
				  node->text, hint);
	}
	strv_release(&images);
}

/* Following `requires`. */

static int take_documents(struct loader *l, struct loaded_file *file, const struct strv *names, bool all,
			  const struct strv *profiles, unsigned depth, struct error *err);

/* The profiles that a required configuration gets: the command line's, and those mapped from this document's. */
static void required_profiles(struct loader *l, const struct yaml_node *entry, const struct strv *active,
			      struct strv *out)
{
	const struct yaml_node *mapped = yaml_get(entry, "activeProfiles");
	for (size_t i = 0; mapped && i < mapped->items.len; i++) {
		const struct yaml_node *item = mapped->items.items[i], *by = yaml_get(item, "activatedBy");
		bool on = !by || by->items.len == 0;
		for (size_t k = 0; by && k < by->items.len; k++)
			on = on || (yaml_text(by->items.items[k]) && strv_contains(active, by->items.items[k]->text));
		if (on && yaml_text(yaml_get(item, "name")))
			strv_push(out, yaml_text(yaml_get(item, "name")));
	}
	strv_extend(out, &l->options->profiles);
}

/* The file that a `requires` entry names: relative to its own file's directory; a directory stands for the skaffold.yaml in it. */
static char *required_path(const struct loaded_file *file, const char *path)
{
	_cleanup_free_ char *dir = path_dir(file->path);
	_cleanup_free_ char *joined = path_join(dir, path);
	char *normal = path_normalize(joined);
	if (!file_is_directory(normal))
		return normal;
	char *inside = path_join(normal, "skaffold.yaml");
	free(normal);
	return inside;
}

static int follow_entry(struct loader *l, struct loaded_file *file, const struct yaml_node *entry,
			const struct strv *active, bool taken, unsigned depth, struct error *err)
{
	const struct yaml_node *path_node = yaml_get(entry, "path"), *configs = yaml_get(entry, "configs");
	if (!yaml_text(path_node) && !configs)
		return 0;
	if (l->memory_only || depth >= REQUIRES_MAX_DEPTH) {
		diagnostics_error(&l->d, entry->place, "requires is not followed here");
		return 0;
	}
	struct loaded_file *required = file;
	if (yaml_text(path_node)) {
		_cleanup_free_ char *path = required_path(file, path_node->text);
		_cleanup_free_ char *dir = path_dir(path);
		_cleanup_free_ char *cwd = path_absolute(".");
		const char *below = path_below(path, cwd);
		CLEANUP(error_clear) struct error cause = {0};
		if (load_file(l, below ? below : path, path, dir, &required, &cause) < 0) {
			diagnostics_error(&l->d, path_node->place, "%s", cause.message);
			return 0;
		}
	}
	struct strv names = {0}, profiles = {0};
	for (size_t i = 0; configs && i < configs->items.len; i++)
		if (yaml_text(configs->items.items[i]))
			strv_push(&names, configs->items.items[i]->text);
	required_profiles(l, entry, active, &profiles);
	int r = take_documents(l, required, taken ? &names : &l->options->modules, taken && names.len == 0, &profiles,
			       depth + 1, err);
	strv_release(&names);
	strv_release(&profiles);
	return r;
}

static int take_document(struct loader *l, struct loaded_file *file, size_t index, bool taken,
			 const struct strv *profiles, unsigned depth, struct error *err)
{
	struct document *document = &file->documents.items[index];
	if (document->taken || (document->visited && !taken))
		return 0;
	document->visited = true;
	document->taken = taken;
	struct strv active = {0};
	profile_active(document->node, profiles, l->options, &l->d, &active);
	const struct yaml_node *requires = yaml_get(document->node, "requires");
	int r = 0;
	for (size_t i = 0; r == 0 && requires && i < requires->items.len; i++)
		r = follow_entry(l, file, requires->items.items[i], &active, taken, depth, err);
	document = &file->documents.items[index];
	if (r == 0 && taken) {
		struct yaml_node *node = apply_profiles(l, document, &active);
		if (file->overlay)
			node = apply_overlay(l, node, file->overlay, index == 0);
		vec_push(&l->modules, (struct module){.node = node, .base_dir = xstrdup(file->base_dir)});
	}
	strv_release(&active);
	return r;
}

/* all: every document; else those with a name in `names`. The others are only looked through for what they require. */
static int take_documents(struct loader *l, struct loaded_file *file, const struct strv *names, bool all,
			  const struct strv *profiles, unsigned depth, struct error *err)
{
	for (size_t i = 0; i < file->documents.len; i++) {
		const char *name = file->documents.items[i].name;
		int r = take_document(l, file, i, all || (name && strv_contains(names, name)), profiles, depth, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What the command line named and no file has. */

static void check_names(struct loader *l, const struct strv *wanted, const char *what, bool profiles)
{
	struct strv known = {0};
	for vec_each (item, &l->loaded)
		for vec_each (document, &(*item)->documents) {
			const struct yaml_node *list = profiles ? yaml_get(document->node, "profiles") : NULL;
			if (!profiles && document->name)
				strv_push(&known, document->name);
			for (size_t i = 0; list && i < list->items.len; i++)
				if (yaml_text(yaml_get(list->items.items[i], "name")))
					strv_push(&known, yaml_text(yaml_get(list->items.items[i], "name")));
		}
	for (size_t i = 0; i < wanted->len; i++) {
		const char *name = wanted->items[i];
		if ((profiles && name[0] == '-') || strv_contains(&known, name))
			continue;
		_cleanup_free_ char *hint =
			known.len ? suggestion(name, (const char *const *)known.items) : xstrdup("");
		diagnostics_error(&l->d, (struct place){0}, "there is no %s '%s'%s", what, name, hint);
	}
	strv_release(&known);
}

static int finish(struct loader *l, struct loaded_file *root, struct error *err)
{
	int r = take_documents(l, root, &l->options->modules, l->options->modules.len == 0, &l->options->profiles, 0,
			       err);
	if (r < 0)
		return r;
	check_names(l, &l->options->profiles, "profile", true);
	check_names(l, &l->options->modules, "module", false);
	for vec_each (item, &l->loaded)
		check_overlay_images(l, *item);
	return diagnostics_failed(&l->d) ? -EINVAL : 0;
}

static const char *default_file(void)
{
	static const char *const names[] = {"skaffold.yaml", "skaffold.yml", "skiff.yaml"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (file_exists(names[i]))
			return names[i];
	return NULL;
}

int loader_run(struct loader *l, struct error *err)
{
	const char *name = l->options->file ? l->options->file : default_file();
	l->d.sources = &l->files->sources;
	if (!name)
		return error_set(err, ENOENT,
				 "there is no skaffold.yaml or skiff.yaml here: `skiff init` writes one for a "
				 "Dockerfile, -f FILE names one elsewhere");
	_cleanup_free_ char *path = path_absolute(name);
	_cleanup_free_ char *cwd = path_absolute(".");
	struct loaded_file *root = NULL;
	int r = load_file(l, name, path, cwd, &root, err);
	return r < 0 ? r : finish(l, root, err);
}

int loader_run_text(struct loader *l, const char *name, const char *text, size_t len, struct error *err)
{
	_cleanup_free_ char *path = path_absolute(name);
	_cleanup_free_ char *cwd = path_absolute(".");
	char *copy = xmalloc(len + 1);
	memcpy(copy, text, len);
	copy[len] = '\0';
	l->d.sources = &l->files->sources;
	l->memory_only = true;
	struct source *source = sources_add(&l->files->sources, name, path, copy, len);
	struct loaded_file *root = new_file(l, path, cwd);
	parse_file(l, root, source);
	return finish(l, root, err);
}

void loader_release(struct loader *l)
{
	for vec_each (item, &l->loaded) {
		struct loaded_file *file = *item;
		free(file->path);
		free(file->base_dir);
		vec_release(&file->documents);
		free(file);
	}
	vec_release(&l->loaded);
	for vec_each (module, &l->modules)
		free(module->base_dir);
	vec_release(&l->modules);
	yaml_pool_release(&l->pool);
	diagnostics_release(&l->d);
}
