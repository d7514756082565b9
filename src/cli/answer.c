#include "cli/answer.h"

#include <string.h>

#include "base/file.h"
#include "base/path.h"

json_t *json_text(const char *text)
{
	_cleanup_free_ char *valid = utf8_replace_invalid(text, strlen(text));
	return json_string(valid);
}

void json_set_path(json_t *object, const char *key, const char *path)
{
	size_t len = strlen(path);
	json_object_set_new(object, key, json_text(path));
	if (utf8_valid(path, len))
		return;
	_cleanup_free_ char *name = xasprintf("%s_b64", key), *bytes = base64_encode(path, len);
	json_object_set_new(object, name, json_string(bytes));
}

static json_t *texts(const struct strv *list)
{
	json_t *array = json_array();
	for (size_t i = 0; i < list->len; i++)
		json_array_append_new(array, json_text(list->items[i]));
	return array;
}

static json_t *deciding(const struct decision *d)
{
	if (!d->deciding_path)
		return json_null();
	json_t *object = json_object();
	json_set_path(object, "path", d->deciding_path);
	json_object_set_new(object, "where", d->deciding_where ? json_text(d->deciding_where) : json_null());
	return object;
}

static json_t *decision_json(const struct artifact *artifact, const struct decision *d)
{
	json_t *object = json_object(), *copy = json_array(), *generate = json_array();
	bool carried = d->kind == DECISION_COPY || d->kind == DECISION_GENERATE;
	for (size_t i = 0; carried && i < d->copies.len; i++) {
		json_t *item = json_object();
		json_set_path(item, "src", d->copies.items[i].rel);
		json_object_set_new(item, "dest", texts(&d->copies.items[i].dests));
		json_array_append_new(copy, item);
	}
	for (size_t i = 0; carried && i < d->generators.len; i++) {
		json_t *item = json_object();
		json_object_set_new(item, "command", texts(&d->generators.items[i]->command));
		json_array_append_new(generate, item);
	}
	json_object_set_new(object, "image", json_text(artifact->image.value));
	json_object_set_new(object, "mode", json_string(sync_mode_name(artifact->sync.mode)));
	json_object_set_new(object, "decision", json_string(decision_kind_name(d->kind)));
	json_object_set_new(object, "reason", json_text(d->reason));
	json_object_set_new(object, "deciding", deciding(d));
	json_object_set_new(object, "copy", copy);
	json_object_set_new(object, "delete", carried ? texts(&d->deletes) : json_array());
	json_object_set_new(object, "generate", generate);
	return object;
}

json_t *explain_json(const struct config *config, const struct source_set *sources, const struct decision *decisions)
{
	json_t *answer = json_object(), *artifacts = json_array();
	for (size_t i = 0; i < sources->len; i++)
		json_array_append_new(artifacts, decision_json(config->artifacts.items[i], &decisions[i]));
	json_object_set_new(answer, "version", json_integer(1));
	json_object_set_new(answer, "artifacts", artifacts);
	return answer;
}

json_t *map_json(const struct sync_source *source, const struct sync_map *map)
{
	const struct artifact *artifact = sync_source_artifact(source);
	const char *workdir = sync_source_workdir(source, NULL);
	json_t *object = json_object(), *entries = json_array();
	for (size_t i = 0; i < map->len; i++) {
		json_t *entry = json_object();
		json_set_path(entry, "src", map->items[i].rel);
		json_object_set_new(entry, "dest", texts(&map->items[i].dests));
		json_object_set_new(entry, "kind", json_string(map->items[i].generated ? "generated" : "direct"));
		json_array_append_new(entries, entry);
	}
	json_object_set_new(object, "image", json_text(artifact->image.value));
	json_object_set_new(object, "mode", json_string(sync_mode_name(artifact->sync.mode)));
	json_object_set_new(object, "workdir", workdir ? json_text(workdir) : json_null());
	json_object_set_new(object, "entries", entries);
	return object;
}

static void add_change(struct change_set *out, enum change_kind kind, const char *path)
{
	struct stat st;
	_cleanup_free_ char *absolute = path_absolute(path);
	bool directory = lstat(absolute, &st) == 0 && S_ISDIR(st.st_mode);
	change_set_add(out, kind, directory, absolute);
}

void explain_changes(const struct change_set *changes, const struct strv *bare, struct change_set *out)
{
	for vec_each (change, changes)
		add_change(out, change->kind, change->path);
	for (size_t i = 0; i < bare->len; i++) {
		_cleanup_free_ char *absolute = path_absolute(bare->items[i]);
		add_change(out, file_exists(absolute) ? CHANGE_MODIFIED : CHANGE_DELETED, absolute);
	}
	change_set_sort(out);
}
