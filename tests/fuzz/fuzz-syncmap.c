/* What programs print: Jib's list of files, and the sync map in both forms. Refused, or every path is one that may be used. */
#include "fuzz.h"

#include <string.h>

#include "base/path.h"
#include "sync/syncmap.h"

static void check(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void check_source(const char *path)
{
	_cleanup_free_ char *normal = path_normalize(path);
	check(path_is_absolute(path) && str_equal(path, normal));
}

static void check_dest(const char *path)
{
	check(str_equal(path, "/") || path_is_safe_destination(path));
}

static void check_rule(const char *dest) /* "/app/": into it */
{
	_cleanup_free_ char *path = path_normalize(dest);
	check(path_is_absolute(dest) && !strstr(dest, "//"));
	check_dest(path);
}

static void check_paths(const struct strv *paths)
{
	for (size_t i = 0; i < paths->len; i++) {
		check_source(paths->items[i]);
		check(i == 0 || !str_equal(paths->items[i], paths->items[i - 1]));
	}
}

static void check_map(const struct syncmap *map)
{
	for vec_each (entry, &map->entries) {
		check_source(entry->src);
		check_dest(entry->dest);
		check(entry->mode >= -2 && entry->mode <= 0777);
	}
	for vec_each (generator, &map->generators) {
		check(generator->command.len > 0);
		for vec_each (rule, &generator->sync)
			check_rule(rule->dest.value);
	}
	check_paths(&map->build);
	check_paths(&map->ignore);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(syncmap_release) struct syncmap map = {0};
	CLEANUP(build_files_release) struct build_files files = {0};
	CLEANUP(error_clear) struct error err = {0};
	const char *text = (const char *)data;
	if (syncmap_parse(text, size, "/p", &map, &err) == 0)
		check_map(&map);
	else
		check(err.message && !map.entries.len && !map.rebuild);
	if (build_files_parse(text, size, "/p", &files, &err) < 0)
		return 0;
	check_paths(&files.build);
	check_paths(&files.inputs);
	check_paths(&files.ignore);
	return 0;
}
