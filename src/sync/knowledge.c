/* Knowledge on disk, one JSON object a file:
 *
 *     {"version": 2, "context": real path, "image": …,
 *      "files": {"digest": hex, "build": [path], "inputs": [path], "ignore": [path]},
 *      "map": {"digest": hex, "entries": [[folder of src, folder of dest, mode, generated, [name]]], "generators": [{"command": [word], "inputs": [glob],
 *              "sync": [[src, dest]], "watch": bool}], "build": [path], "ignore": [path]}}
 *
 * Entries that differ in their last names only stand together; where src and dest end differently, the name is [of src, of dest]. A text that is not UTF-8 is an object instead, {"hex": …}. `files` and `map` are there where they were learned. */
#include "sync/knowledge.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/glob.h"
#include "sync/walk.h"

enum { KNOWLEDGE_VERSION = 2, MODE_BITS = 07777, KEPT_MAX = 256, REBUILD_FILES_MAX = 10000 };

void knowledge_release(struct knowledge *knowledge)
{
	build_files_release(&knowledge->files);
	syncmap_release(&knowledge->map);
	*knowledge = (struct knowledge){0};
}

/* The digest. */

static void add_words(struct hasher *h, const struct strv *words)
{
	hasher_add(h, &words->len, sizeof(words->len));
	for (size_t i = 0; i < words->len; i++)
		hasher_add_string(h, words->items[i]);
}

static void add_texts(struct hasher *h, const struct text_list *texts)
{
	hasher_add(h, &texts->len, sizeof(texts->len));
	for vec_each (text, texts)
		hasher_add_string(h, text->value);
}

/* The content of one file, or that it can't be read: what is missing differs from what is empty. */
static int add_file(void *data, const struct walk_entry *entry, struct error *err)
{
	(void)err;
	struct hasher *h = data;
	struct hash hash = {0};
	_cleanup_close_ int fd = openat(entry->directory, entry->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool read = fd >= 0 && hash_fd(fd, &hash, NULL) == 0;
	hasher_add_string(h, entry->path);
	hasher_add(h, &read, sizeof(read));
	hasher_add(h, &hash, sizeof(hash));
	return 0;
}

static bool enter_any(void *data, const char *path)
{
	(void)data;
	(void)path;
	return true;
}

static void add_path(struct hasher *h, const char *path)
{
	const struct walk walk = {.enter = enter_any, .visit = add_file, .data = h};
	if (!file_is_directory(path))
		add_file(h, &(struct walk_entry){.path = path, .directory = AT_FDCWD, .name = path}, NULL);
	else if (walk_tree(path, &walk, NULL) < 0)
		hasher_add_string(h, NULL);
}

/* What rebuild rules name: files, and what patterns match in the context. */
struct rebuild_walk {
	const struct artifact *artifact;
	const struct glob *glob;
	struct strv found;
};

static bool enter_rebuild(void *data, const char *path)
{
	const struct rebuild_walk *w = data;
	const char *rel = path_below(path, w->artifact->context);
	return rel && strcmp(rel, ".git") != 0 &&
	       (glob_match_prefix(w->glob, rel) || glob_may_match_below(w->glob, rel));
}

static int visit_rebuild(void *data, const struct walk_entry *entry, struct error *err)
{
	struct rebuild_walk *w = data;
	const char *rel = path_below(entry->path, w->artifact->context);
	if (!rel || S_ISDIR(entry->type) || !glob_match_prefix(w->glob, rel))
		return 0;
	if (w->found.len >= REBUILD_FILES_MAX)
		return error_set(err, EFBIG, "a pattern that names more than %d files", REBUILD_FILES_MAX);
	strv_push(&w->found, entry->path);
	return 0;
}

static void add_rebuild_files(struct hasher *h, const struct artifact *artifact, const struct text_list *rules)
{
	add_texts(h, rules);
	for vec_each (rule, rules) {
		CLEANUP(glob_free_cleanup) struct glob *glob = NULL;
		if (glob_compile(rule->value, &glob, NULL, NULL) < 0)
			continue;
		struct rebuild_walk w = {.artifact = artifact, .glob = glob};
		const struct walk walk = {.enter = enter_rebuild, .visit = visit_rebuild, .data = &w};
		if (walk_tree(artifact->context, &walk, NULL) == 0)
			strv_sort(&w.found);
		for (size_t i = 0; i < w.found.len; i++)
			add_path(h, w.found.items[i]);
		strv_release(&w.found);
	}
}

struct hash knowledge_digest(const struct artifact *artifact, const struct strv *build)
{
	struct hasher *h = hasher_new();
	const struct sync_config *sync = &artifact->sync;
	const int numbers[] = {KNOWLEDGE_VERSION, (int)artifact->builder, (int)sync->mode};
	hasher_add(h, numbers, sizeof(numbers));
	hasher_add_string(h, artifact->context);
	hasher_add_string(h, artifact->jib.project);
	hasher_add_string(h, artifact->jib.type);
	add_words(h, &artifact->jib.args);
	add_words(h, &sync->map.command);
	add_texts(h, &sync->map.inputs);
	add_rebuild_files(h, artifact, &sync->rebuild);
	add_rebuild_files(h, artifact, &sync->map.rebuild);
	for (size_t i = 0; build && i < build->len; i++)
		add_path(h, build->items[i]);
	return hasher_finish(h);
}

/* Where it is kept. */

static char *real_context(const struct artifact *artifact)
{
	char *real = realpath(artifact->context, NULL);
	return real ? real : xstrdup(artifact->context);
}

static int file_of(const struct artifact *artifact, const char *context, char **path, struct error *err)
{
	_cleanup_free_ char *dir = NULL;
	char hex[HASH_HEX_SIZE];
	int r = file_state_folder("knowledge", &dir, err);
	if (r < 0)
		return r;
	struct hasher *h = hasher_new();
	hasher_add_string(h, context);
	hasher_add_string(h, artifact->image.value);
	hash_to_hex(hasher_finish(h), hex);
	*path = path_join(dir, hex);
	return 0;
}

/* Writing. */

static json_t *put_text(const char *text)
{
	static const char digits[] = "0123456789abcdef";
	json_t *json = json_string(text);
	if (json)
		return json;
	CLEANUP(str_release) struct str hex = {0};
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		str_add_char(&hex, digits[*p >> 4]);
		str_add_char(&hex, digits[*p & 15]);
	}
	return json_pack("{s:s}", "hex", str_text(&hex));
}

static json_t *put_texts(const struct strv *texts)
{
	json_t *array = json_array();
	for (size_t i = 0; i < texts->len; i++)
		json_array_append_new(array, put_text(texts->items[i]));
	return array;
}

static json_t *put_digest(struct hash digest)
{
	char hex[HASH_HEX_SIZE];
	hash_to_hex(digest, hex);
	return json_string(hex);
}

static json_t *put_generator(const struct sync_generator *g)
{
	json_t *inputs = json_array(), *sync = json_array();
	for vec_each (input, &g->inputs)
		json_array_append_new(inputs, put_text(input->value));
	for vec_each (rule, &g->sync) {
		json_t *pair = json_array();
		json_array_append_new(pair, put_text(rule->src.value));
		json_array_append_new(pair, put_text(rule->dest.value));
		json_array_append_new(sync, pair);
	}
	return json_pack("{s:o,s:o,s:o,s:b}", "command", put_texts(&g->command), "inputs", inputs, "sync", sync,
			 "watch", g->watch);
}

static bool same_folder(const char *path, const char *folder)
{
	size_t len = (size_t)(path_base(path) - path);
	len -= len > 1; /* the slash */
	return strlen(folder) == len && memcmp(path, folder, len) == 0;
}

static json_t *put_name(const struct syncmap_entry *entry)
{
	const char *src = path_base(entry->src), *dest = path_base(entry->dest);
	if (strcmp(src, dest) == 0)
		return put_text(src);
	json_t *pair = json_array();
	json_array_append_new(pair, put_text(src));
	json_array_append_new(pair, put_text(dest));
	return pair;
}

static json_t *put_entries(const struct syncmap *map)
{
	json_t *groups = json_array(), *names = NULL;
	_cleanup_free_ char *src = NULL, *dest = NULL;
	const struct syncmap_entry *last = NULL;
	for vec_each (entry, &map->entries) {
		if (!last || last->mode != entry->mode || last->generated != entry->generated ||
		    !same_folder(entry->src, src) || !same_folder(entry->dest, dest)) {
			free(src);
			free(dest);
			src = path_dir(entry->src);
			dest = path_dir(entry->dest);
			names = json_array();
			json_t *group = json_array();
			json_array_append_new(group, put_text(src));
			json_array_append_new(group, put_text(dest));
			json_array_append_new(group, json_integer(entry->mode));
			json_array_append_new(group, json_boolean(entry->generated));
			json_array_append_new(group, names);
			json_array_append_new(groups, group);
		}
		json_array_append_new(names, put_name(entry));
		last = entry;
	}
	return groups;
}

static json_t *put_map(const struct knowledge *k)
{
	json_t *entries = put_entries(&k->map), *generators = json_array();
	for vec_each (g, &k->map.generators)
		json_array_append_new(generators, put_generator(g));
	return json_pack("{s:o,s:o,s:o,s:o,s:o}", "digest", put_digest(k->map_digest), "entries", entries, "generators",
			 generators, "build", put_texts(&k->map.build), "ignore", put_texts(&k->map.ignore));
}

int knowledge_save(const struct artifact *artifact, const struct knowledge *knowledge, struct error *err)
{
	_cleanup_free_ char *context = real_context(artifact), *path = NULL;
	int r = file_of(artifact, context, &path, err);
	if (r < 0)
		return r;
	const struct build_files *files = &knowledge->files;
	json_t *root = json_pack("{s:i,s:o,s:o}", "version", KNOWLEDGE_VERSION, "context", put_text(context), "image",
				 put_text(artifact->image.value));
	if (knowledge->has_files)
		json_object_set_new(root, "files",
				    json_pack("{s:o,s:o,s:o,s:o}", "digest", put_digest(knowledge->files_digest),
					      "build", put_texts(&files->build), "inputs", put_texts(&files->inputs),
					      "ignore", put_texts(&files->ignore)));
	if (knowledge->has_map)
		json_object_set_new(root, "map", put_map(knowledge));
	_cleanup_free_ char *text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!text)
		return error_set(err, EINVAL, "what %s's builder told can't be written", artifact->image.value);
	_cleanup_free_ char *dir = path_dir(path);
	r = file_write_atomic(path, text, strlen(text), 0600, err);
	if (r == 0)
		file_keep_newest(dir, KEPT_MAX);
	return r;
}

/* Reading. Nothing is believed: what does not fit makes all of it as if it were not there. */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *get_text(const json_t *json)
{
	if (json_is_string(json))
		return strlen(json_string_value(json)) == json_string_length(json) ? xstrdup(json_string_value(json))
										   : NULL;
	const char *hex = json_string_value(json_object_get(json, "hex"));
	CLEANUP(str_release) struct str text = {0};
	for (; hex && *hex; hex += 2) {
		int high = digit(hex[0]), low = high < 0 ? -1 : digit(hex[1]);
		if (low < 0 || (high | low) == 0)
			return NULL;
		str_add_char(&text, (char)(high << 4 | low));
	}
	return hex ? str_steal(&text) : NULL;
}

static char *get_path(const json_t *json)
{
	_cleanup_free_ char *path = get_text(json);
	if (!path || !path_is_absolute(path))
		return NULL;
	_cleanup_free_ char *normal = path_normalize(path);
	return strcmp(normal, path) == 0 ? steal(&path) : NULL;
}

/* An array of texts, or (check) of paths, at most so many. */
static bool get_texts(const json_t *array, char *(*get)(const json_t *json), struct strv *out)
{
	size_t i;
	const json_t *item;
	if (!json_is_array(array) || json_array_size(array) > SYNCMAP_ENTRIES_MAX)
		return false;
	json_array_foreach((json_t *)(uintptr_t)array, i, item)
	{
		char *text = get(item);
		if (!text)
			return false;
		strv_push_owned(out, text);
	}
	return true;
}

static bool get_digest(const json_t *object, struct hash *digest)
{
	const char *hex = json_string_value(json_object_get(object, "digest"));
	return hex && hash_from_hex(hex, digest) == 0;
}

static bool get_files(const json_t *json, struct knowledge *k)
{
	struct build_files *files = &k->files;
	k->has_files = get_digest(json, &k->files_digest) &&
		       get_texts(json_object_get(json, "build"), get_path, &files->build) &&
		       get_texts(json_object_get(json, "inputs"), get_path, &files->inputs) &&
		       get_texts(json_object_get(json, "ignore"), get_path, &files->ignore);
	return k->has_files;
}

/* NULL if that would not be the normal form of a path. An empty name is the folder itself. */
static char *join_name(const char *folder, const json_t *json)
{
	_cleanup_free_ char *name = get_text(json);
	if (!name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return NULL;
	return *name ? path_join(folder, name) : xstrdup(folder);
}

static bool get_entry(const char *src, const char *dest, const json_t *name, struct syncmap_entry *entry)
{
	bool pair = json_is_array(name);
	entry->src = join_name(src, pair ? json_array_get(name, 0) : name);
	entry->dest = join_name(dest, pair ? json_array_get(name, 1) : name);
	return entry->src && entry->dest && (str_equal(entry->dest, "/") || path_is_safe_destination(entry->dest));
}

static bool get_group(const json_t *group, struct syncmap *map)
{
	_cleanup_free_ char *src = get_path(json_array_get(group, 0)), *dest = get_path(json_array_get(group, 1));
	json_int_t mode = json_integer_value(json_array_get(group, 2));
	const json_t *names = json_array_get(group, 4);
	bool good = src && dest && mode >= MODE_KEEP && mode <= MODE_BITS && json_is_array(names) &&
		    json_array_size(names) <= SYNCMAP_ENTRIES_MAX - map->entries.len;
	for (size_t i = 0; good && i < json_array_size(names); i++) {
		struct syncmap_entry *entry = vec_add(&map->entries);
		entry->mode = (int)mode;
		entry->generated = json_is_true(json_array_get(group, 3));
		good = get_entry(src, dest, json_array_get(names, i), entry);
	}
	return good;
}

static bool get_generator(const json_t *json, struct sync_generator *g)
{
	CLEANUP(strv_release) struct strv inputs = {0};
	const json_t *sync = json_object_get(json, "sync");
	size_t i;
	const json_t *pair;
	bool good = get_texts(json_object_get(json, "command"), get_text, &g->command) && g->command.len > 0 &&
		    get_texts(json_object_get(json, "inputs"), get_text, &inputs) && json_is_array(sync);
	for (size_t n = 0; good && n < inputs.len; n++)
		vec_push(&g->inputs, (struct text){.value = xstrdup(inputs.items[n])});
	json_array_foreach((json_t *)(uintptr_t)sync, i, pair)
	{
		struct sync_rule *rule = vec_add(&g->sync);
		rule->src.value = get_text(json_array_get(pair, 0));
		rule->dest.value = get_text(json_array_get(pair, 1));
		good = good && rule->src.value && rule->dest.value;
	}
	g->watch = json_is_true(json_object_get(json, "watch"));
	return good;
}

static bool get_map(const json_t *json, struct knowledge *k)
{
	const json_t *entries = json_object_get(json, "entries"), *generators = json_object_get(json, "generators");
	bool good = get_digest(json, &k->map_digest) && json_is_array(entries) &&
		    json_array_size(entries) <= SYNCMAP_ENTRIES_MAX && json_is_array(generators) &&
		    json_array_size(generators) <= SYNCMAP_ENTRIES_MAX &&
		    get_texts(json_object_get(json, "build"), get_path, &k->map.build) &&
		    get_texts(json_object_get(json, "ignore"), get_path, &k->map.ignore);
	for (size_t i = 0; good && i < json_array_size(entries); i++)
		good = get_group(json_array_get(entries, i), &k->map);
	for (size_t i = 0; good && i < json_array_size(generators); i++)
		good = get_generator(json_array_get(generators, i), vec_add(&k->map.generators));
	k->has_map = good;
	return good;
}

static bool get_all(const json_t *root, const struct artifact *artifact, const char *context, struct knowledge *k)
{
	const json_t *files = json_object_get(root, "files"), *map = json_object_get(root, "map");
	_cleanup_free_ char *of_context = get_text(json_object_get(root, "context"));
	_cleanup_free_ char *of_image = get_text(json_object_get(root, "image"));
	return json_integer_value(json_object_get(root, "version")) == KNOWLEDGE_VERSION &&
	       str_equal(of_context, context) && str_equal(of_image, artifact->image.value) &&
	       (!files || get_files(files, k)) && (!map || get_map(map, k));
}

int knowledge_load(const struct artifact *artifact, struct knowledge *knowledge, struct error *err)
{
	_cleanup_free_ char *context = real_context(artifact), *path = NULL, *text = NULL;
	size_t len = 0;
	*knowledge = (struct knowledge){0};
	int r = file_of(artifact, context, &path, err);
	if (r == 0)
		r = file_read(path, SYNCMAP_TEXT_MAX, &text, &len, err);
	if (r < 0)
		return r;
	json_t *root = json_loadb(text, len, 0, NULL);
	bool good = root && get_all(root, artifact, context, knowledge);
	json_decref(root);
	if (good)
		return 0;
	knowledge_release(knowledge);
	return error_set(err, EBADMSG, "what was kept of %s's builder is damaged, or of another version",
			 artifact->image.value);
}
