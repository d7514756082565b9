#include "sync/source.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/path.h"
#include "format/template.h"
#include "sync/devmode.h"
#include "sync/kodata.h"
#include "sync/source-internal.h"
#include "sync/world.h"

enum {
	DOCKERFILE_MAX = 1 << 20, /* bytes */
	LISTING_MAX = 1000000,	  /* paths that dependencies.command may print */
};

void source_globs_release(struct source_globs *globs)
{
	for vec_each (g, globs) {
		glob_free(g->glob);
		free(g->text);
	}
	vec_release(globs);
}

void source_rules_release(struct source_rules *rules)
{
	for vec_each (r, rules) {
		glob_free(r->src.glob);
		free(r->src.text);
	}
	vec_release(rules);
}

void sync_source_free(struct sync_source *s)
{
	if (!s)
		return;
	struct source_globs *globs[] = {&s->ignored, &s->rebuild, &s->infer, &s->input_paths, &s->input_ignore};
	for (size_t i = 0; i < ARRAY_LEN(globs); i++)
		source_globs_release(globs[i]);
	source_rules_release(&s->rules);
	source_generators_release(&s->generators);
	vec_release(&s->generator_list);
	strv_release(&s->jib_command);
	source_told_release(&s->told);
	knowledge_release(&s->knowledge);
	for vec_each (link, &s->links)
		free(link->target);
	vec_release(&s->links);
	map_release(&s->listing, NULL);
	devmode_release(&s->label_rules);
	char *strings[] = {s->dockerfile,  s->dockerfile_shown, s->specific_ignore, s->general_ignore,
			   s->ignore_path, s->ignore_shown,	s->workdir,	    s->unknown_base,
			   s->kodata,	   s->kodata_root,	s->label_error};
	for (size_t i = 0; i < ARRAY_LEN(strings); i++)
		free(strings[i]);
	ignore_free(s->ignore);
	copy_map_release(&s->copies);
	free(s);
}

void classification_release(struct classification *c)
{
	strv_release(&c->dests);
	free(c->owner);
	free(c->where);
	free(c->reason);
	*c = (struct classification){0};
}

/* "./src/" is "src". */
static char *clean_pattern(const char *pattern)
{
	while (str_starts_with(pattern, "./"))
		pattern += strspn(pattern + 1, "/") + 1;
	size_t len = strlen(pattern);
	while (len > 1 && pattern[len - 1] == '/' && pattern[len - 2] != '\\')
		len--;
	return len ? xstrndup(pattern, len) : xstrdup(".");
}

/* The directory itself stands for all that is in it. */
int source_glob_compile(const struct text *text, struct source_glob *out, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	_cleanup_free_ char *clean = clean_pattern(text->value);
	struct glob *glob = NULL;
	if (glob_compile(strcmp(clean, ".") == 0 ? "**" : clean, &glob, NULL, &why) < 0)
		return error_at(err, text->place, EINVAL, "bad pattern '%s': %s", text->value, why.message);
	*out = (struct source_glob){.glob = glob, .text = steal(&clean), .place = text->place};
	return 0;
}

int source_compile_globs(const struct text_list *texts, struct source_globs *out, struct error *err)
{
	for vec_each (text, texts) {
		struct source_glob g;
		int r = source_glob_compile(text, &g, err);
		if (r < 0)
			return r;
		vec_push(out, g);
	}
	return 0;
}

int source_compile_rules(const struct sync_rule_list *written, struct source_rules *out, struct error *err)
{
	for vec_each (rule, written) {
		struct source_rule r = {.written = rule};
		int code = source_glob_compile(&rule->src, &r.src, err);
		if (code < 0)
			return code;
		vec_push(out, r);
	}
	return 0;
}

static int compile_sync(struct sync_source *s, struct error *err)
{
	const struct sync_config *sync = &s->artifact->sync;
	const struct {
		const struct text_list *from;
		struct source_globs *to;
	} lists[] = {
		{&sync->ignored, &s->ignored},	   {&sync->rebuild, &s->rebuild}, {&sync->map.rebuild, &s->rebuild},
		{&sync->tar.rebuild, &s->rebuild}, {&sync->infer, &s->infer},
	};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		int r = source_compile_globs(lists[i].from, lists[i].to, err);
		if (r < 0)
			return r;
	}
	int r = source_compile_rules(&sync->manual, &s->rules, err);
	if (r == 0)
		r = source_compile_rules(&sync->direct, &s->rules, err);
	return r;
}

/* The Dockerfile is looked for in the context, then in the working directory. */
static int find_dockerfile(struct sync_source *s, struct error *err)
{
	const struct artifact *a = s->artifact;
	const char *written = a->docker.dockerfile.value ? a->docker.dockerfile.value : "Dockerfile";
	_cleanup_free_ char *base = path_absolute(a->base_dir ? a->base_dir : ".");
	_cleanup_free_ char *in_context = path_join(a->context, written);
	_cleanup_free_ char *in_base = path_join(base, written);
	s->dockerfile = path_normalize(file_exists(in_context) ? in_context : in_base);
	if (!file_exists(s->dockerfile))
		return error_at(err, a->docker.dockerfile.value ? a->docker.dockerfile.place : a->place, ENOENT,
				"there is no Dockerfile %s for %s", in_context, a->image.value);
	const char *below = path_below(s->dockerfile, base);
	s->dockerfile_shown = xstrdup(below ? below : s->dockerfile);
	return 0;
}

static int load_ignore(struct sync_source *s, struct error *err)
{
	_cleanup_free_ char *base = path_absolute(s->artifact->base_dir ? s->artifact->base_dir : ".");
	s->specific_ignore = xasprintf("%s.dockerignore", s->dockerfile);
	int r = ignore_load(s->artifact->context, s->dockerfile, &s->ignore, &s->ignore_path, err);
	if (r < 0)
		return r;
	if (s->ignore_path) {
		const char *below = path_below(s->ignore_path, base);
		s->ignore_shown = xstrdup(below ? below : s->ignore_path);
	}
	if (!str_equal(s->ignore_path, s->specific_ignore))
		s->general_ignore = path_join(s->artifact->context, ".dockerignore");
	return 0;
}

/* Values are templates of the environment, the image's name and the required images by alias. */
static const char *argument_variable(void *data, const char *name)
{
	const struct artifact *a = data;
	for vec_each (required, &a->requires_)
		if (strcmp(required->alias, name) == 0)
			return required->image;
	return strcmp(name, "IMAGE_NAME") == 0 ? a->image.value : template_environment.lookup(NULL, name);
}

/* As the build gets them: Skaffold's own and the required images first, so that an argument that was written wins. A name alone takes
 * the environment's value. A template that can't be expanded now is the build's to report: the argument counts as not given. */
static void build_arguments(const struct artifact *a, struct strv *out)
{
	struct template_variables variables = {.lookup = argument_variable, .data = (void *)(uintptr_t)a};
	strv_push(out, "SKAFFOLD_RUN_MODE=dev");
	for vec_each (required, &a->requires_)
		strv_pushf(out, "%s=%s", required->alias, required->image);
	for vec_each (arg, &a->docker.build_args) {
		const char *value = arg->value ? arg->value : getenv(arg->name);
		_cleanup_free_ char *expanded = NULL;
		if (value && (!arg->value || template_expand(value, &variables, &expanded, NULL) == 0))
			strv_pushf(out, "%s=%s", arg->name, expanded ? expanded : value);
	}
}

/* A source that is a link, or lies behind one: the engine follows it, and changes come with the path of the target. */
static void find_links(struct sync_source *s)
{
	_cleanup_free_ char *root = realpath(s->artifact->context, NULL);
	if (!root)
		return;
	for vec_each (rule, &s->copies.rules) {
		for (size_t i = 0; i < rule->sources.len && !rule->source_is_wildcard; i++) {
			_cleanup_free_ char *joined = path_join(s->artifact->context, rule->sources.items[i]);
			_cleanup_free_ char *path = path_normalize(joined);
			_cleanup_free_ char *target = realpath(path, NULL);
			const char *rel = target ? path_below(target, root) : NULL;
			if (!rel || strcmp(rel, rule->sources.items[i]) == 0 ||
			    (*rel == '\0' && strcmp(rule->sources.items[i], ".") == 0))
				continue;
			vec_push(&s->links, (struct source_link){xstrdup(*rel ? rel : "."), rule});
		}
	}
}

static int load_dockerfile(struct sync_source *s,
			   void (*base_image)(void *data, const char *name, struct base_image *image), void *data,
			   struct error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = find_dockerfile(s, err);
	if (r == 0)
		r = file_read(s->dockerfile, DOCKERFILE_MAX, &text, &len, err);
	if (r == 0)
		r = load_ignore(s, err);
	CLEANUP(dockerfile_free_cleanup) struct dockerfile *dockerfile = NULL;
	if (r == 0)
		r = dockerfile_parse(s->dockerfile_shown, text, len, &dockerfile, err);
	if (r < 0)
		return r;
	CLEANUP(strv_release) struct strv arguments = {0};
	build_arguments(s->artifact, &arguments);
	struct dockerfile_context context = {.target = s->artifact->docker.target,
					     .build_args = (const char *const *)arguments.items,
					     .base_image = base_image,
					     .data = data};
	r = dockerfile_evaluate(dockerfile, &context, &s->copies, err);
	if (r < 0)
		return r;
	find_links(s);
	if (s->copies.workdir_known)
		s->workdir = xstrdup(s->copies.workdir && *s->copies.workdir ? s->copies.workdir : "/");
	else
		s->unknown_base = xstrdup_or_null(s->copies.unknown_base);
	return 0;
}

/* Without a Dockerfile only the image itself, if one is at hand, tells its WORKDIR and its rules. */
static void ask_image(struct sync_source *s, void (*base_image)(void *data, const char *name, struct base_image *image),
		      void *data)
{
	struct base_image image = {0};
	if (base_image)
		base_image(data, s->artifact->image.value, &image);
	if (image.known)
		(void)sync_source_set_image(s, &image, NULL); /* sync_source_check tells */
	else if (!s->unknown_base)
		s->unknown_base = xstrdup(s->artifact->image.value);
	base_image_release(&image);
}

static bool has_dockerfile(const struct artifact *a)
{
	return a->builder == BUILDER_DOCKER || (a->builder == BUILDER_CUSTOM && a->custom.has_dockerfile) ||
	       (a->builder == BUILDER_KANIKO && a->docker.dockerfile.value);
}

static int find_inputs(struct sync_source *s,
		       void (*base_image)(void *data, const char *name, struct base_image *image), void *data,
		       struct error *err)
{
	const struct artifact *a = s->artifact;
	if (has_dockerfile(a)) {
		s->input_kind = INPUTS_DOCKERFILE;
		return load_dockerfile(s, base_image, data, err);
	}
	if (a->builder == BUILDER_CUSTOM && a->custom.command.value) {
		s->input_kind = INPUTS_LISTING;
		return 0;
	}
	if (a->builder == BUILDER_KO) {
		s->kodata = kodata_directory(a);
		s->kodata_root = xstrdup(KODATA_ROOT);
	}
	const struct {
		enum builder_kind builder;
		const struct text_list *paths, *ignore;
	} globs[] = {{BUILDER_CUSTOM, &a->custom.paths, &a->custom.ignore},
		     {BUILDER_KO, &a->ko.paths, &a->ko.ignore},
		     {BUILDER_BUILDPACKS, &a->buildpacks.paths, &a->buildpacks.ignore}};
	s->input_kind = a->builder == BUILDER_JIB ? INPUTS_TOLD : INPUTS_CONTEXT;
	for (size_t i = 0; i < ARRAY_LEN(globs); i++) {
		if (globs[i].builder != a->builder || globs[i].paths->len == 0)
			continue;
		s->input_kind = INPUTS_GLOBS;
		int r = source_compile_globs(globs[i].paths, &s->input_paths, err);
		return r < 0 ? r : source_compile_globs(globs[i].ignore, &s->input_ignore, err);
	}
	return 0;
}

int sync_source_new(const struct config *config, const struct artifact *artifact,
		    void (*base_image)(void *data, const char *name, struct base_image *image), void *data,
		    struct sync_source **source, struct error *err)
{
	CLEANUP(sync_source_free_cleanup) struct sync_source *s = xcalloc(1, sizeof(*s));
	s->config = config;
	s->artifact = artifact;
	s->world = world_of_files;
	int r = compile_sync(s, err);
	if (r == 0)
		r = find_inputs(s, base_image, data, err);
	if (r < 0)
		return r;
	source_load_knowledge(s);
	r = source_make_generators(s, err);
	if (r < 0)
		return r;
	if (!s->workdir)
		ask_image(s, base_image, data);
	*source = steal(&s);
	return 0;
}

void sync_source_set_world(struct sync_source *s, struct sync_world world)
{
	s->world = world;
}

const char *sync_source_listing_command(const struct sync_source *s)
{
	return s->input_kind == INPUTS_LISTING ? s->artifact->custom.command.value : NULL;
}

int sync_source_set_listing(struct sync_source *s, const char *json, size_t len, struct error *err)
{
	json_error_t why;
	json_t *array = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
	size_t i;
	json_t *item;
	if (!array)
		return error_at(err, s->artifact->custom.command.place, EINVAL,
				"dependencies.command did not print a JSON array of paths: %s", why.text);
	bool fits = json_is_array(array) && json_array_size(array) <= LISTING_MAX;
	json_array_foreach(array, i, item) fits = fits && json_is_string(item);
	if (!fits) {
		json_decref(array);
		return error_at(err, s->artifact->custom.command.place, EINVAL,
				"dependencies.command printed JSON, but no array of at most %d strings", LISTING_MAX);
	}
	map_release(&s->listing, NULL);
	json_array_foreach(array, i, item)
	{
		_cleanup_free_ char *joined = path_join(s->artifact->context, json_string_value(item));
		_cleanup_free_ char *path = path_normalize(joined);
		map_set(&s->listing, path, s);
	}
	json_decref(array);
	s->listed = true;
	return 0;
}

void sync_source_roots(const struct sync_source *s, struct strv *roots)
{
	const char *context = s->artifact->context;
	strv_push(roots, context);
	if (s->dockerfile && !path_below(s->dockerfile, context)) {
		strv_push(roots, s->dockerfile);
		strv_push(roots, s->specific_ignore);
	}
	for map_each (entry, &s->listing)
		if (!path_below(entry->key, context))
			strv_push(roots, entry->key);
	strv_extend(roots, &s->told.outside);
}

const char *sync_source_workdir(const struct sync_source *s, const char **base)
{
	if (base)
		*base = s->workdir ? NULL : s->unknown_base;
	return s->workdir;
}

bool sync_source_needs_workdir(const struct sync_source *s)
{
	for vec_each (rule, &s->rules)
		if (!path_is_absolute(rule->written->dest.value))
			return true;
	enum copy_use use = s->artifact->sync.mode == SYNC_AUTO ? COPY_FOR_AUTO : COPY_FOR_INFER;
	if (s->infer.len > 0 || use == COPY_FOR_AUTO)
		for vec_each (rule, &s->copies.rules)
			if (rule->sources.len > 0 && !rule->dest && copy_rule_counts(rule, use))
				return true;
	return false;
}

const struct copy_map *sync_source_copy_map(const struct sync_source *s)
{
	return s->input_kind == INPUTS_DOCKERFILE ? &s->copies : NULL;
}

const struct artifact *sync_source_artifact(const struct sync_source *s)
{
	return s->artifact;
}

const char *sync_source_dockerfile(const struct sync_source *s)
{
	return s->dockerfile;
}

const char *sync_source_shown(const struct sync_source *s, const char *path)
{
	const char *below = path_below(path, s->artifact->context);
	return !below ? path : *below ? below : ".";
}

const char *source_relative(const struct sync_source *s, const char *path, char **owned)
{
	const char *below = path_below(path, s->artifact->context);
	if (below)
		return *below ? below : ".";
	return *owned = path_relative(path, s->artifact->context);
}

static enum copy_entry tree_kind(void *data, const char *rel)
{
	const struct sync_source *s = data;
	_cleanup_free_ char *joined = path_join(s->artifact->context, rel);
	_cleanup_free_ char *path = path_normalize(joined);
	if (ignore_excludes(s->ignore, rel, NULL))
		return COPY_ENTRY_NONE;
	mode_t mode = s->world.mode(s->world.data, path);
	return mode == 0 ? COPY_ENTRY_NONE : S_ISDIR(mode) ? COPY_ENTRY_DIRECTORY : COPY_ENTRY_FILE;
}

static void tree_list(void *data, const char *rel, struct strv *names)
{
	const struct sync_source *s = data;
	_cleanup_free_ char *joined = path_join(s->artifact->context, rel);
	s->world.list(s->world.data, joined, names);
}

struct copy_tree source_tree(const struct sync_source *s)
{
	return (struct copy_tree){.kind = tree_kind, .list = tree_list, .data = (void *)(uintptr_t)s};
}

int sync_source_check(const struct sync_source *s, struct error *err)
{
	if (s->label_error)
		return error_at(err, s->artifact->image.place, EINVAL, "%s", s->label_error);
	struct copy_tree tree = source_tree(s);
	return s->input_kind == INPUTS_DOCKERFILE ? copy_map_check_sources(&s->copies, &tree, err) : 0;
}

/* What the builders without a Dockerfile are steered by, inside the context. */
static bool builder_definition(const struct artifact *a, const char *path)
{
	if (a->builder == BUILDER_KO)
		return ko_is_definition(a, path);
	const char *below = a->builder == BUILDER_BUILDPACKS ? path_below(path, a->context) : NULL;
	return below && str_equal(below, a->buildpacks.project_descriptor);
}

bool source_is_definition(const struct sync_source *s, const char *path)
{
	return str_equal(path, s->dockerfile) || str_equal(path, s->specific_ignore) ||
	       str_equal(path, s->general_ignore) || builder_definition(s->artifact, path);
}

char *source_dockerfile_place(const struct sync_source *s, unsigned line)
{
	return xasprintf("%s:%u", s->dockerfile_shown, line);
}

bool source_globs_match(const struct source_globs *globs, const char *rel, const struct source_glob **which)
{
	for vec_each (g, globs)
		if (glob_match_prefix(g->glob, rel)) {
			if (which)
				*which = g;
			return true;
		}
	return false;
}
