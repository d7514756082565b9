#include "build/base-image.h"

#include "client/docker.h"

static void add_strings(struct strv *out, const json_t *array)
{
	size_t i;
	json_t *item;
	json_array_foreach(array, i, item)
	{
		if (json_is_string(item))
			strv_push(out, json_string_value(item));
	}
}

static void add_labels(struct strv *out, json_t *labels)
{
	const char *name;
	json_t *value;
	json_object_foreach(labels, name, value)
	{
		if (json_is_string(value))
			strv_pushf(out, "%s=%s", name, json_string_value(value));
	}
}

void base_image_lookup(void *docker, const char *name, struct base_image *image)
{
	*image = (struct base_image){0};
	if (!docker || !name[0])
		return;
	_cleanup_free_ char *escaped = docker_escape(name);
	_cleanup_free_ char *path = xasprintf("/images/%s/json", escaped);
	json_t *answer = NULL;
	if (docker_call(docker, "GET", path, NULL, &answer, NULL, NULL) < 0)
		return;
	const json_t *config = json_object_get(answer, "Config");
	const char *workdir = json_string_value(json_object_get(config, "WorkingDir"));
	image->known = true;
	image->workdir = workdir && workdir[0] ? xstrdup(workdir) : NULL;
	add_strings(&image->env, json_object_get(config, "Env"));
	add_strings(&image->onbuild, json_object_get(config, "OnBuild"));
	add_labels(&image->labels, json_object_get(config, "Labels"));
	json_decref(answer);
}
