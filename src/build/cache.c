#include "build/cache.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"

enum { ENTRIES_MAX = 16, GENERATORS_MAX = 600, FILE_MAX = 64 << 10 };

static char *hex_of(const char *const *parts, size_t count)
{
	struct hasher *hasher = hasher_new();
	for (size_t i = 0; i < count; i++)
		hasher_add_string(hasher, parts[i]);
	char hex[HASH_HEX_SIZE];
	hash_to_hex(hasher_finish(hasher), hex);
	return xstrdup(hex);
}

static int file_in_state(const char *name, const char *suffix, char **path, struct error *err)
{
	_cleanup_free_ char *directory = NULL;
	int r = file_state_folder("builds", &directory, err);
	if (r < 0)
		return r;
	*path = xasprintf("%s/%s%s", directory, name, suffix);
	return 0;
}

static int cache_path(const struct artifact *artifact, const char *suffix, char **path, struct error *err)
{
	_cleanup_free_ char *name = hex_of((const char *const[]){artifact->context, artifact->image.value}, 2);
	return file_in_state(name, suffix, path, err);
}

static json_t *load(const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	if (file_read(path, FILE_MAX, &text, &len, NULL) < 0)
		return json_array();
	json_t *entries = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_array(entries))
		return entries;
	json_decref(entries);
	return json_array();
}

char *build_cache_find(const struct artifact *artifact, struct hash digest)
{
	_cleanup_free_ char *path = NULL;
	if (cache_path(artifact, ".json", &path, NULL) < 0)
		return NULL;
	char hex[HASH_HEX_SIZE];
	hash_to_hex(digest, hex);
	json_t *entries = load(path), *entry;
	char *found = NULL;
	size_t i;
	json_array_foreach(entries, i, entry)
	{
		const char *image = json_string_value(json_object_get(entry, "image"));
		if (!found && image && str_equal(json_string_value(json_object_get(entry, "digest")), hex))
			found = xstrdup(image);
	}
	json_decref(entries);
	return found;
}

char *build_cache_newest(const struct artifact *artifact)
{
	_cleanup_free_ char *path = NULL;
	if (cache_path(artifact, ".json", &path, NULL) < 0)
		return NULL;
	json_t *entries = load(path);
	char *image = xstrdup_or_null(json_string_value(json_object_get(json_array_get(entries, 0), "image")));
	json_decref(entries);
	return image;
}

int build_cache_save(const struct artifact *artifact, struct hash digest, const char *image_id, struct error *err)
{
	_cleanup_free_ char *path = NULL;
	int r = cache_path(artifact, ".json", &path, err);
	if (r < 0)
		return r;
	char hex[HASH_HEX_SIZE];
	hash_to_hex(digest, hex);
	json_t *entries = load(path);
	for (size_t i = json_array_size(entries); i-- > 0;) {
		if (str_equal(json_string_value(json_object_get(json_array_get(entries, i), "digest")), hex) ||
		    i >= ENTRIES_MAX - 1)
			json_array_remove(entries, i);
	}
	json_array_insert_new(entries, 0, json_pack("{s:s, s:s}", "digest", hex, "image", image_id));
	_cleanup_free_ char *text = json_dumps(entries, JSON_INDENT(1));
	json_decref(entries);
	return text ? file_write_atomic(path, text, strlen(text), 0600, err)
		    : error_set(err, EINVAL, "the image's id can't be kept");
}

static json_t *load_generated(const struct artifact *artifact, char **path, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	if (cache_path(artifact, ".generated", path, err) < 0)
		return NULL;
	json_t *all = file_read(*path, FILE_MAX, &text, &len, NULL) == 0 ? json_loadb(text, len, 0, NULL) : NULL;
	if (json_is_object(all) && json_object_size(all) < GENERATORS_MAX)
		return all;
	json_decref(all);
	return json_object();
}

bool build_cache_is_generated(const struct artifact *artifact, struct hash generator, struct hash inputs)
{
	_cleanup_free_ char *path = NULL;
	char key[HASH_HEX_SIZE], hex[HASH_HEX_SIZE];
	hash_to_hex(generator, key);
	hash_to_hex(inputs, hex);
	json_t *all = load_generated(artifact, &path, NULL);
	const char *found = json_string_value(json_object_get(all, key));
	bool same = found && str_equal(found, hex);
	json_decref(all);
	return same;
}

int build_cache_generated(const struct artifact *artifact, struct hash generator, struct hash inputs, struct error *err)
{
	_cleanup_free_ char *path = NULL;
	char key[HASH_HEX_SIZE], hex[HASH_HEX_SIZE];
	hash_to_hex(generator, key);
	hash_to_hex(inputs, hex);
	json_t *all = load_generated(artifact, &path, err);
	if (!all)
		return -EIO;
	json_object_set_new(all, key, json_string(hex));
	_cleanup_free_ char *text = json_dumps(all, JSON_INDENT(1));
	json_decref(all);
	return text ? file_write_atomic(path, text, strlen(text), 0600, err) : error_set(err, ENOMEM, "no memory");
}
