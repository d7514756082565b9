#include "sync/kodata.h"

#include <string.h>

#include "base/file.h"
#include "base/path.h"

enum { GO_MOD_MAX = 1 << 20 };

char *ko_directory(const struct artifact *artifact)
{
	_cleanup_free_ char *joined = path_join(artifact->context, artifact->ko.dir ? artifact->ko.dir : ".");
	return path_normalize(joined);
}

/* The module's path, out of its go.mod; NULL: there is none. */
static char *module_path(const char *directory)
{
	_cleanup_free_ char *path = path_join(directory, "go.mod"), *text = NULL;
	size_t len = 0;
	if (file_read(path, GO_MOD_MAX, &text, &len, NULL) < 0)
		return NULL;
	CLEANUP(strv_release) struct strv lines = {0};
	str_split(text, '\n', &lines);
	for (size_t i = 0; i < lines.len; i++) {
		const char *line = lines.items[i] + strspn(lines.items[i], " \t");
		if (!str_starts_with(line, "module") || !strchr(" \t\"", line[strlen("module")]))
			continue;
		line += strlen("module");
		line += strspn(line, " \t\"");
		return xstrndup(line, strcspn(line, " \t\r\""));
	}
	return NULL;
}

/* The folder of `main`, relative to the directory; NULL: not known. */
static char *main_folder(const char *directory, const char *main)
{
	if (strstr(main, "..."))
		return NULL;
	_cleanup_free_ char *joined = path_join(directory, main), *path = path_normalize(joined);
	if (str_ends_with(main, ".go") && !file_is_directory(path))
		return path_dir(main);
	if (main[0] == '.' || file_is_directory(path))
		return xstrdup(main);
	_cleanup_free_ char *module = module_path(directory);
	const char *below = module && *module ? path_below(main, module) : NULL;
	if (below)
		return xstrdup(*below ? below : ".");
	const char *slash = strchr(main, '/'); /* an import path begins with a host's name */
	const char *dot = strchr(main, '.');
	return dot && slash && dot < slash ? NULL : xstrdup(main);
}

char *kodata_directory(const struct artifact *artifact)
{
	_cleanup_free_ char *directory = ko_directory(artifact);
	_cleanup_free_ char *folder = main_folder(directory, artifact->ko.main ? artifact->ko.main : ".");
	if (!folder)
		return NULL;
	_cleanup_free_ char *inside = path_join(directory, folder), *joined = path_join(inside, "kodata");
	return path_normalize(joined);
}

bool ko_is_definition(const struct artifact *artifact, const char *path)
{
	static const char *const names[] = {"go.mod", "go.sum", "go.work", "go.work.sum", ".ko.yaml"};
	bool named = false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		named = named || strcmp(path_base(path), names[i]) == 0;
	if (!named || !path_below(path, artifact->context))
		return false;
	_cleanup_free_ char *folder = path_dir(path), *directory = ko_directory(artifact);
	return path_below(directory, folder) != NULL;
}
