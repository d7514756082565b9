#include "sync/syncmap.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/path.h"
#include "sync/glob.h"
#include "sync/printed.h"

void syncmap_release(struct syncmap *map)
{
	for vec_each (entry, &map->entries) {
		free(entry->src);
		free(entry->dest);
	}
	vec_release(&map->entries);
	sync_generators_release(&map->generators);
	strv_release(&map->build);
	strv_release(&map->ignore);
	free(map->rebuild);
	*map = (struct syncmap){0};
}

void build_files_release(struct build_files *files)
{
	strv_release(&files->build);
	strv_release(&files->inputs);
	strv_release(&files->ignore);
}

/* What is being read, and where in it: messages name the element, "generated, element 3: …". */
struct reader {
	const char *context;
	bool neutral; /* unknown keys are mistakes, modes default to the host's */
	const char *list;
	size_t number; /* of the element in it, from 1; 0: the list itself */
	size_t output; /* of the element of its own `sync`, the same */
	struct error *err;
};

static int PRINTF_LIKE(2, 3) refuse(const struct reader *r, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *text = xvasprintf(fmt, ap);
	va_end(ap);
	CLEANUP(str_release) struct str place = {0};
	if (r->list)
		str_add(&place, r->list);
	if (r->number)
		str_addf(&place, ", element %zu", r->number);
	if (r->output)
		str_addf(&place, ", sync %zu", r->output);
	return error_set(r->err, EINVAL, "%s%s%s", str_text(&place), r->list ? ": " : "", text);
}

/* JSON. */

/* Values cost memory long before they cost text: "{},{},…" would grow by a hundred times. */
static bool has_too_many_values(struct printed_line json)
{
	size_t values = 0;
	bool in_string = false;
	for (size_t i = 0; i < json.len; i++) {
		char c = json.text[i];
		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '[' || c == ','))
			values++;
	}
	return values > 5 * (size_t)SYNCMAP_ENTRIES_MAX;
}

static int load_json(struct printed_line line, size_t flags, json_t **json, struct error *err)
{
	json_error_t why;
	if (has_too_many_values(line))
		return error_set(err, EINVAL, "the JSON after the marker has more than %d values",
				 5 * SYNCMAP_ENTRIES_MAX);
	*json = json_loadb(line.text, line.len, flags, &why);
	if (*json)
		return 0;
	_cleanup_free_ char *text = str_printable(why.text);
	return error_set(err, EINVAL, "the line after the marker is not one whole JSON object: %s (column %d)", text,
			 why.column);
}

/* A list's element of the wrong type is refused by those who read the elements. */
static int get_list(struct reader *r, const json_t *object, const char *key, const json_t **list)
{
	r->list = key;
	r->number = 0;
	*list = json_object_get(object, key);
	if (!*list)
		return 0;
	if (!json_is_array(*list))
		return refuse(r, "must be a list");
	if (json_array_size(*list) > SYNCMAP_ENTRIES_MAX)
		return refuse(r, "more than %d elements", SYNCMAP_ENTRIES_MAX);
	return 0;
}

static int check_keys(const struct reader *r, json_t *object, const char *const *known)
{
	const char *key;
	json_t *value;
	if (!r->neutral)
		return 0;
	json_object_foreach(object, key, value)
	{
		size_t i = 0;
		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (known[i])
			continue;
		const char *near = str_nearest(key, known);
		_cleanup_free_ char *shown = str_printable(key);
		if (near)
			return refuse(r, "unknown key '%s' (did you mean '%s'?)", shown, near);
		return refuse(r, "unknown key '%s'", shown);
	}
	return 0;
}

/* Paths. */

/* Absolute and normalised, starting at base where it is relative. */
static int get_path(const struct reader *r, const char *what, const json_t *value, const char *base, char **path)
{
	const char *text = json_string_value(value);
	if (!text || !*text)
		return refuse(r, !value ? "'%s' is missing" : "'%s' must be a path, as a string", what);
	_cleanup_free_ char *joined = path_join(base, text);
	_cleanup_free_ char *normal = path_normalize(joined);
	if (strlen(normal) >= PATH_MAX)
		return refuse(r, "'%s' is longer than %d bytes", what, PATH_MAX - 1);
	*path = steal(&normal);
	return 0;
}

static bool has_parent(const char *path)
{
	for (;; path++) {
		if (path[0] == '.' && path[1] == '.' && (path[2] == '/' || path[2] == '\0'))
			return true;
		path = strchr(path, '/');
		if (!path)
			return false;
	}
}

/* "/" is fine: a directory's files may land there. */
static int get_dest(const struct reader *r, const json_t *value, char **dest)
{
	_cleanup_free_ char *path = NULL;
	int code = get_path(r, "dest", value, "/", &path);
	if (code < 0)
		return code;
	if (has_parent(json_string_value(value)) || (path[1] != '\0' && !path_is_safe_destination(path))) {
		_cleanup_free_ char *shown = str_printable(json_string_value(value));
		return refuse(r, "'dest' is no place in a container: %s", shown);
	}
	*dest = steal(&path);
	return 0;
}

static int read_paths(struct reader *r, json_t *object, const char *key, struct strv *out)
{
	const json_t *list;
	int code = get_list(r, object, key, &list);
	for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
		char *path = NULL;
		r->number = i + 1;
		code = get_path(r, "path", json_array_get(list, i), r->context, &path);
		if (code == 0)
			strv_push_owned(out, path);
	}
	strv_sort_unique(out);
	return code;
}

/* Jib's files. */

static bool is_object_line(struct printed_line line)
{
	return line.len > 0 && line.text[0] == '{';
}

static bool has_control(json_t *value)
{
	const char *text = json_string_value(value), *key;
	json_t *child;
	size_t i;
	for (const char *c = text; c && *c; c++)
		if ((unsigned char)*c < ' ')
			return true;
	json_array_foreach(value, i, child) if (has_control(child)) return true;
	json_object_foreach(value, key, child) if (has_control(child)) return true;
	return false;
}

/* On Windows Jib prints "C:\new\dir" as it is: what is no valid JSON, or has a newline in a path, is read again with each backslash
 * for itself. */
static int load_files_json(struct printed_line line, json_t **json, struct error *err)
{
	CLEANUP(error_clear) struct error first = {0};
	int code = load_json(line, 0, json, &first);
	if (!memchr(line.text, '\\', line.len) || (code == 0 && !has_control(*json)))
		return code < 0 ? error_move(err, &first) : 0;
	CLEANUP(str_release) struct str doubled = {.max = 2 * line.len + 1};
	for (size_t i = 0; i < line.len; i++) {
		str_add_char(&doubled, line.text[i]);
		if (line.text[i] == '\\')
			str_add_char(&doubled, '\\');
	}
	json_t *again = NULL;
	if (load_json((struct printed_line){doubled.data, doubled.len}, 0, &again, NULL) == 0) {
		json_decref(*json);
		*json = again;
		return 0;
	}
	return code < 0 ? error_move(err, &first) : 0;
}

int build_files_parse(const char *output, size_t len, const char *context, struct build_files *files, struct error *err)
{
	static const char MARKER[] = "BEGIN JIB JSON";
	struct printed printed = {output, output + len};
	struct printed_line line;
	bool marked = false, found = false;
	while (!found && printed_next(&printed, &line)) {
		found = marked && is_object_line(line);
		marked = printed_is(line, MARKER);
	}
	if (!found)
		return error_set(err, ENODATA, "no line \"%s\" with JSON after it was printed", MARKER);
	struct build_files all = {0};
	struct reader r = {.context = context, .err = err};
	json_t *json = NULL;
	int code = load_files_json(line, &json, err);
	if (code == 0)
		code = read_paths(&r, json, "build", &all.build);
	if (code == 0)
		code = read_paths(&r, json, "inputs", &all.inputs);
	if (code == 0)
		code = read_paths(&r, json, "ignore", &all.ignore);
	json_decref(json);
	if (code < 0) {
		build_files_release(&all);
		error_wrap(err, "Jib's list of files");
		return code;
	}
	*files = all;
	return 0;
}

/* The sync map. */

static int get_mode(const struct reader *r, const json_t *value, int *mode)
{
	const char *text = json_string_value(value);
	*mode = r->neutral ? MODE_HOST : MODE_KEEP;
	if (!value)
		return 0;
	size_t len = text ? strlen(text) : 0;
	if (len < 3 || len > 4 || strspn(text, "01234567") != len || (len == 4 && text[0] != '0'))
		return refuse(r, "'mode' must be permission bits as an octal string, \"0644\" or \"0755\"");
	*mode = 0;
	for (; *text; text++)
		*mode = *mode << 3 | (*text - '0');
	return 0;
}

/* Which (src, dest) are there: a normalised path holds no "//". */
static bool is_repeat(struct map *seen, const struct syncmap_entry *entry)
{
	_cleanup_free_ char *key = xasprintf("%s//%s", entry->src, entry->dest);
	if (map_has(seen, key))
		return true;
	map_set(seen, key, NULL);
	return false;
}

static int read_entry(struct reader *r, json_t *element, bool generated, struct map *seen, struct syncmap *map)
{
	static const char *const known[] = {"src", "dest", "mode", NULL};
	_cleanup_free_ char *src = NULL, *dest = NULL;
	struct syncmap_entry entry = {.generated = generated};
	int code = check_keys(r, element, known);
	if (code == 0)
		code = get_path(r, "src", json_object_get(element, "src"), r->context, &src);
	if (code == 0)
		code = get_dest(r, json_object_get(element, "dest"), &dest);
	if (code == 0)
		code = get_mode(r, json_object_get(element, "mode"), &entry.mode);
	if (code < 0)
		return code;
	entry.src = src;
	entry.dest = dest;
	if (is_repeat(seen, &entry))
		return 0;
	vec_push(&map->entries, entry);
	src = dest = NULL;
	return 0;
}

static int read_command(const struct reader *r, const json_t *value, struct strv *command)
{
	const char *shell = json_string_value(value);
	if (shell && *shell) {
		strv_push(command, "sh");
		strv_push(command, "-c");
		strv_push(command, shell);
		return 0;
	}
	for (size_t i = 0; i < json_array_size(value); i++) {
		const char *word = json_string_value(json_array_get(value, i));
		if (!word || (i == 0 && !*word))
			return refuse(r, "'command' must be a list of strings, or one string for the shell");
		strv_push(command, word);
	}
	return command->len ? 0 : refuse(r, "'command' must be a list of strings, or one string for the shell");
}

static int read_globs(const struct reader *r, const json_t *value, struct text_list *globs)
{
	if (!json_is_array(value) || json_array_size(value) > SYNCMAP_ENTRIES_MAX)
		return refuse(r, "'inputs' of a generator must be a list of globs");
	for (size_t i = 0; i < json_array_size(value); i++) {
		const char *text = json_string_value(json_array_get(value, i));
		CLEANUP(error_clear) struct error why = {0};
		struct glob *glob = NULL;
		if (!text)
			return refuse(r, "'inputs' of a generator must be a list of globs");
		if (glob_compile(text, &glob, NULL, &why) < 0)
			return refuse(r, "'inputs', glob %zu: %s", i + 1, why.message);
		glob_free(glob);
		vec_push(globs, (struct text){.value = xstrdup(text)});
	}
	return 0;
}

/* As a configuration has them: below the context relative to it. */
static int read_outputs(struct reader *r, const json_t *value, struct sync_rule_list *rules)
{
	static const char *const known[] = {"src", "dest", NULL};
	if (!json_is_array(value) || json_array_size(value) > SYNCMAP_ENTRIES_MAX)
		return refuse(r, "'sync' of a generator must be a list of {\"src\", \"dest\"}");
	for (size_t i = 0; i < json_array_size(value); i++) {
		_cleanup_free_ char *src = NULL, *dest = NULL;
		json_t *element = json_array_get(value, i);
		r->output = i + 1;
		int code = check_keys(r, element, known);
		if (code == 0)
			code = get_path(r, "src", json_object_get(element, "src"), r->context, &src);
		if (code == 0)
			code = get_dest(r, json_object_get(element, "dest"), &dest);
		if (code < 0)
			return code;
		const char *below = path_below(src, r->context), *shown = below && !*below ? "." : below;
		const char *written = json_string_value(json_object_get(element, "dest"));
		bool into = !str_equal(dest, "/") && str_ends_with(written, "/"); /* a file keeps its own name there */
		struct sync_rule rule = {.src.value = xstrdup(shown ? shown : src),
					 .dest.value = xasprintf("%s%s", dest, into ? "/" : "")};
		vec_push(rules, rule);
	}
	r->output = 0;
	return 0;
}

static int read_generator(struct reader *r, json_t *element, struct syncmap *map)
{
	static const char *const known[] = {"command", "inputs", "sync", "watch", NULL};
	struct sync_generator *generator = vec_add(&map->generators);
	const json_t *watch = json_object_get(element, "watch");
	int code = check_keys(r, element, known);
	if (code == 0)
		code = read_command(r, json_object_get(element, "command"), &generator->command);
	if (code == 0)
		code = read_globs(r, json_object_get(element, "inputs"), &generator->inputs);
	if (code == 0)
		code = read_outputs(r, json_object_get(element, "sync"), &generator->sync);
	if (code == 0 && watch && !json_is_boolean(watch))
		code = refuse(r, "'watch' must be true or false");
	generator->kind = GENERATOR_COMMAND;
	generator->watch = json_is_true(watch);
	return code;
}

static int read_entries(struct reader *r, json_t *object, const char *key, struct map *seen, struct syncmap *map)
{
	const json_t *list;
	bool generated = strcmp(key, "generated") == 0;
	int code = get_list(r, object, key, &list);
	for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
		json_t *element = json_array_get(list, i);
		r->number = i + 1;
		if (!json_is_object(element))
			code = refuse(r, "must be an object with 'src' and 'dest'");
		else if (generated && json_object_get(element, "command"))
			code = read_generator(r, element, map);
		else
			code = read_entry(r, element, generated, seen, map);
	}
	return code;
}

static int read_map(struct reader *r, json_t *json, struct syncmap *map)
{
	static const char *const known[] = {"generated", "direct", "build", "ignore", NULL};
	struct map seen = {0};
	int code = check_keys(r, json, known);
	if (code == 0)
		code = read_entries(r, json, "generated", &seen, map);
	if (code == 0)
		code = read_entries(r, json, "direct", &seen, map);
	if (code == 0)
		code = read_paths(r, json, "build", &map->build);
	if (code == 0)
		code = read_paths(r, json, "ignore", &map->ignore);
	map_release(&seen, NULL);
	return code;
}

static const struct marker {
	const char *text;
	bool neutral;
} markers[] = {
	{"BEGIN JIB JSON: SYNCMAP/1", false},
	{"BEGIN SYNCMAP/1", true},
};

static const struct marker *find_marker(struct printed_line line)
{
	for (size_t i = 0; i < ARRAY_LEN(markers); i++)
		if (printed_is(line, markers[i].text))
			return &markers[i];
	return NULL;
}

int syncmap_parse(const char *output, size_t len, const char *context, struct syncmap *map, struct error *err)
{
	struct printed printed = {output, output + len};
	struct printed_line line;
	struct syncmap all = {0};
	const struct marker *marker = NULL, *lonely = NULL;
	bool found = false;
	while (!found && printed_next(&printed, &line)) {
		all.rebuild = printed_rebuild(line);
		if (all.rebuild) {
			*map = all;
			return 0;
		}
		found = marker && is_object_line(line);
		if (!found && (marker = find_marker(line)))
			lonely = marker;
	}
	if (!found && lonely)
		return error_set(err, EINVAL, "the line after \"%s\" must be a JSON object, all in one line",
				 lonely->text);
	if (!found)
		return error_set(err, ENODATA, "neither \"%s\" nor \"%s\" nor REBUILD was printed", markers[0].text,
				 markers[1].text);
	struct reader r = {.context = context, .neutral = marker->neutral, .err = err};
	json_t *json = NULL;
	int code = load_json(line, marker->neutral ? JSON_REJECT_DUPLICATES : 0, &json, err);
	if (code == 0)
		code = read_map(&r, json, &all);
	json_decref(json);
	if (code < 0) {
		syncmap_release(&all);
		error_wrap(err, "the sync map");
		return code;
	}
	*map = all;
	return 0;
}
