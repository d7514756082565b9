/* Artifacts, their builders and what requires what. */
#include "config/decode.h"

#include <string.h>

#include "base/map.h"
#include "base/path.h"

/* The key that names the builder, in the order of enum builder_kind. */
static const char *const builders[] = {"docker", "jib", "custom", "ko", "buildpacks", "bazel", "kaniko"};

char *sync_generator_name(const struct sync_generator *generator)
{
	const struct strv *words = &generator->command;
	if (words->len != 3 || !str_equal(words->items[0], "sh") || !str_equal(words->items[1], "-c"))
		return strv_join(words, " ");
	const char *script = words->items[2] + strspn(words->items[2], " \t\n");
	size_t len = strcspn(script, "\n");
	bool more = script[len + strspn(script + len, " \t\n")] != '\0';
	return xasprintf("%.*s%s", (int)len, script, more ? " …" : "");
}

const char *builder_kind_name(enum builder_kind kind)
{
	return (size_t)kind < ARRAY_LEN(builders) ? builders[kind] : "unknown";
}

void decode_artifacts(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	for vec_each (item, &value->items) {
		struct artifact *artifact = xcalloc(1, sizeof(*artifact));
		vec_push(&d->config->artifacts, artifact);
		decode_section(d, &section_artifact, *item, artifact);
	}
}

void decode_secrets(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)d;
	struct docker_config *docker = target;
	docker->secrets = xcalloc(value->items.len + 1, sizeof(*docker->secrets));
	for vec_each (item, &value->items) {
		size_t i = docker->secrets_len++;
		docker->secrets[i].id = xstrdup_or_null(yaml_text(yaml_get(*item, "id")));
		docker->secrets[i].src = xstrdup_or_null(yaml_text(yaml_get(*item, "src")));
		docker->secrets[i].env = xstrdup_or_null(yaml_text(yaml_get(*item, "env")));
	}
}

void decode_dockerfile_dependency(struct decoder *d, const struct yaml_node *value, void *target)
{
	struct artifact *artifact = target;
	artifact->custom.has_dockerfile = true;
	decode_section(d, &section_dockerfile_dependency, value, target);
}

void decode_ko_labels(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)d;
	struct ko_config *ko = target;
	for vec_each (pair, &value->pairs) {
		const char *text = yaml_text(pair->value);
		strv_pushf(&ko->labels, "%s=%s", pair->key->text, text ? text : "");
	}
}

void decode_buildpacks_volumes(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)d;
	struct buildpacks_config *buildpacks = target;
	for vec_each (item, &value->items) {
		const char *host = yaml_text(yaml_get(*item, "host")), *in = yaml_text(yaml_get(*item, "target")),
			   *options = yaml_text(yaml_get(*item, "options"));
		if (host && in)
			strv_pushf(&buildpacks->volumes, "%s:%s%s%s", host, in, options ? ":" : "",
				   options ? options : "");
	}
}

void finish_artifact_dependency(struct decoder *d, const struct yaml_node *node, void *target)
{
	(void)d;
	(void)node;
	struct artifact_dependency *dependency = target;
	if (!dependency->alias)
		dependency->alias = xstrdup_or_null(dependency->image);
}

static void default_text(struct text *text, const char *value, struct place place)
{
	if (!text->value)
		*text = (struct text){.value = xstrdup(value), .place = place};
}

static void default_list(struct text_list *list, const char *value, struct place place)
{
	if (list->len == 0)
		vec_push(list, (struct text){.value = xstrdup(value), .place = place});
}

static void default_builder(struct artifact *a)
{
	switch (a->builder) {
	case BUILDER_DOCKER:
	case BUILDER_KANIKO:
		default_text(&a->docker.dockerfile, "Dockerfile", a->place);
		break;
	case BUILDER_CUSTOM:
		if (a->custom.has_dockerfile)
			default_text(&a->docker.dockerfile, "Dockerfile", a->place);
		else if (!a->custom.command.value)
			default_list(&a->custom.paths, ".", a->place);
		break;
	case BUILDER_KO:
		default_list(&a->ko.paths, "**/*.go", a->place);
		break;
	case BUILDER_BUILDPACKS:
		default_list(&a->buildpacks.paths, ".", a->place);
		if (!a->buildpacks.project_descriptor)
			a->buildpacks.project_descriptor = xstrdup("project.toml");
		break;
	default:
		break;
	}
}

/* True where the builder itself knows which files land where. */
static bool knows_auto(const struct artifact *a)
{
	return a->builder == BUILDER_DOCKER || a->builder == BUILDER_JIB || a->builder == BUILDER_BUILDPACKS ||
	       (a->builder == BUILDER_CUSTOM && a->custom.has_dockerfile);
}

/* True where a Dockerfile, or ko's fixed folder, says where files go. */
static bool knows_infer(const struct artifact *a)
{
	return a->builder == BUILDER_DOCKER || a->builder == BUILDER_KANIKO || a->builder == BUILDER_KO ||
	       (a->builder == BUILDER_CUSTOM && a->custom.has_dockerfile);
}

/* Jib itself says what is made of what: only `ignored`, `rebuild` and `direct` add to it. */
static void check_jib(struct decoder *d, const struct sync_config *s)
{
	const struct {
		const char *key;
		bool written;
		struct place place;
	} fields[] = {
		{"generated", s->generated.len > 0, s->generated.len ? s->generated.items[0].place : s->place},
		{"map", s->map.command.len > 0, s->map.place},
		{"tar", s->tar.command.len > 0, s->tar.place},
	};
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].written)
			diagnostics_error(
				d->d, fields[i].place,
				"'%s' can't be used with jib, which makes the files and says where they go itself",
				fields[i].key);
}

static void check_auto(struct decoder *d, const struct artifact *a)
{
	const struct sync_config *s = &a->sync;
	if (a->builder == BUILDER_JIB)
		check_jib(d, s);
	if (knows_auto(a) || s->direct.len > 0 || s->generated.len > 0 || s->map.command.len > 0 ||
	    s->tar.command.len > 0)
		return;
	diagnostics_error(d->d, s->place,
			  "the builder '%s'%s does not know where files go, so it has no auto sync: use manual, or %s",
			  builder_kind_name(a->builder),
			  a->builder == BUILDER_CUSTOM ? " without dependencies.dockerfile" : "",
			  a->builder == BUILDER_KO ? "infer" : "auto with direct, generated, map or tar");
}

static void finish_sync(struct decoder *d, struct artifact *a, const struct yaml_node *sync)
{
	static const struct {
		const char *key;
		enum sync_mode mode;
	} modes[] = {{"manual", SYNC_MANUAL}, {"infer", SYNC_INFER}, {"auto", SYNC_AUTO}};
	bool chosen = false, jib_like = a->builder == BUILDER_JIB || a->builder == BUILDER_BUILDPACKS;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		const struct yaml_pair *pair = yaml_pair(sync, modes[i].key);
		if (!pair || yaml_is_null(pair->value))
			continue;
		chosen = true;
		a->sync.place = pair->key->place;
		bool on = true;
		if (modes[i].mode != SYNC_AUTO || !yaml_bool(pair->value, &on) || on)
			a->sync.mode = modes[i].mode;
	}
	if (!chosen && sync) {
		a->sync.mode = jib_like ? SYNC_AUTO : SYNC_INFER;
		if (!jib_like)
			default_list(&a->sync.infer, "**/*", a->sync.place);
	}
	if (!sync && a->builder == BUILDER_BUILDPACKS) {
		a->sync.mode = SYNC_AUTO;
		a->sync.place = a->place;
	}
	if (a->sync.mode == SYNC_AUTO)
		check_auto(d, a);
	if (a->sync.mode == SYNC_INFER && !knows_infer(a))
		diagnostics_warning(
			d->d, a->sync.place,
			"the builder '%s'%s has no Dockerfile to infer destinations from: every change is a rebuild",
			builder_kind_name(a->builder),
			a->builder == BUILDER_CUSTOM ? " without dependencies.dockerfile" : "");
}

void finish_artifact(struct decoder *d, const struct yaml_node *node, void *target)
{
	struct artifact *a = target;
	for (size_t i = 0; i < ARRAY_LEN(builders); i++)
		if (yaml_pair(node, builders[i]))
			a->builder = (enum builder_kind)i;
	a->base_dir = xstrdup(d->base_dir);
	a->config_file = (struct place){.file = a->place.file};
	_cleanup_free_ char *joined = path_join(d->base_dir, a->context ? a->context : ".");
	free(a->context);
	a->context = path_normalize(joined);
	default_builder(a);
	finish_sync(d, a, yaml_get(node, "sync"));
}

/* Requires. */

static char *suggest_image(const struct config *config, const char *image)
{
	const char **names = xcalloc(config->artifacts.len + 1, sizeof(*names));
	size_t n = 0;
	for vec_each (item, &config->artifacts)
		if ((*item)->image.value)
			names[n++] = (*item)->image.value;
	char *text = suggestion(image, names);
	free(names);
	return text;
}

static void check_duplicates(struct decoder *d)
{
	struct map seen = {0};
	for vec_each (item, &d->config->artifacts) {
		struct artifact *a = *item;
		if (!a->image.value)
			continue;
		const struct artifact *before = map_set(&seen, a->image.value, a);
		if (!before)
			continue;
		_cleanup_free_ char *where = place_format(before->image.place);
		diagnostics_error(d->d, a->image.place, "the image '%s' is there twice (first at %s)", a->image.value,
				  where);
	}
	map_release(&seen, NULL);
}

enum visit { UNSEEN, OPEN, DONE };

/* Depth first; chains are as long as there are artifacts, and those are bounded by the size of a configuration. */
static bool find_cycle(struct decoder *d, size_t index, enum visit *state, unsigned depth)
{
	struct artifact *a = d->config->artifacts.items[index];
	if (state[index] == DONE || depth > 1000)
		return false;
	state[index] = OPEN;
	for vec_each (dependency, &a->requires_) {
		if (dependency->artifact == SIZE_MAX)
			continue;
		if (state[dependency->artifact] == OPEN) {
			diagnostics_error(d->d, dependency->place, "'%s' requires '%s', which requires it in turn",
					  a->image.value, dependency->image);
			return true;
		}
		if (find_cycle(d, dependency->artifact, state, depth + 1))
			return true;
	}
	state[index] = DONE;
	return false;
}

static void resolve_dependency(struct decoder *d, struct artifact_dependency *dependency, const struct map *indices)
{
	const struct config *config = d->config;
	uintptr_t found = dependency->image ? (uintptr_t)map_get(indices, dependency->image) : 0;
	dependency->artifact = found ? (size_t)found - 1 : SIZE_MAX;
	if (found) {
		config->artifacts.items[found - 1]->required_by_others = true;
	} else if (dependency->image) {
		_cleanup_free_ char *hint = suggest_image(config, dependency->image);
		diagnostics_error(d->d, dependency->place, "no artifact has the image '%s'%s", dependency->image, hint);
	}
}

static void resolve_dependencies(struct decoder *d)
{
	const struct config *config = d->config;
	struct map indices = {0}; /* image → 1 + index of the first artifact that has it */
	for (size_t i = 0; i < config->artifacts.len; i++) {
		const char *image = config->artifacts.items[i]->image.value;
		if (image && !map_has(&indices, image))
			map_set(&indices, image, (void *)(uintptr_t)(i + 1));
	}
	for vec_each (item, &config->artifacts)
		for vec_each (dependency, &(*item)->requires_)
			resolve_dependency(d, dependency, &indices);
	map_release(&indices, NULL);
}

void resolve_artifacts(struct decoder *d)
{
	struct config *config = d->config;
	check_duplicates(d);
	resolve_dependencies(d);
	enum visit *state = xcalloc(config->artifacts.len + 1, sizeof(*state));
	for (size_t i = 0; i < config->artifacts.len; i++)
		if (find_cycle(d, i, state, 0))
			break;
	free(state);
	for vec_each (item, &config->artifacts)
		if ((*item)->required_by_others && (*item)->sync.mode != SYNC_NONE)
			diagnostics_warning(d->d, (*item)->sync.place,
					    "other artifacts require '%s': its sync rules are not used, every "
					    "change rebuilds it and them",
					    (*item)->image.value);
}
