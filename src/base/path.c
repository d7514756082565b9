#include "base/path.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

char *path_join(const char *a, const char *b)
{
	if (*a == '\0' || path_is_absolute(b))
		return xstrdup(b);
	bool slash = str_ends_with(a, "/");
	return xasprintf("%s%s%s", a, slash ? "" : "/", b);
}

char *path_normalize(const char *path)
{
	bool absolute = path_is_absolute(path);
	struct str out = {0};
	size_t depth = 0; /* elements of out that a ".." can take back */
	if (absolute)
		str_add_char(&out, '/');
	while (*path) {
		size_t len = strcspn(path, "/");
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			if (depth > 0) {
				while (out.len > 0 && out.data[out.len - 1] != '/')
					out.len--;
				if (out.len > (absolute ? 1U : 0U))
					out.len--;
				out.data[out.len] = '\0';
				depth--;
			} else if (!absolute) {
				str_add(&out, out.len ? "/.." : "..");
			}
		} else if (len > 0 && !(len == 1 && path[0] == '.')) {
			if (out.len > 0 && out.data[out.len - 1] != '/')
				str_add_char(&out, '/');
			str_add_bytes(&out, path, len);
			depth++;
		}
		path += len;
		while (*path == '/')
			path++;
	}
	if (out.len == 0)
		str_add_char(&out, '.');
	return str_steal(&out);
}

char *path_absolute(const char *path)
{
	if (path_is_absolute(path))
		return path_normalize(path);
	char cwd[PATH_MAX];
	_cleanup_free_ char *joined = path_join(getcwd(cwd, sizeof(cwd)) ? cwd : "/", path);
	return path_normalize(joined);
}

const char *path_below(const char *path, const char *dir)
{
	if (strcmp(dir, ".") == 0) {
		if (path_is_absolute(path) || strcmp(path, "..") == 0 || str_starts_with(path, "../"))
			return NULL;
		return strcmp(path, ".") == 0 ? "" : path;
	}
	size_t len = strlen(dir);
	if (strncmp(path, dir, len) != 0)
		return NULL;
	if (path[len] == '\0')
		return path + len;
	if (len > 0 && dir[len - 1] == '/')
		return path + len;
	return path[len] == '/' ? path + len + 1 : NULL;
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

char *path_dir(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return xstrdup(".");
	return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

char *path_relative(const char *path, const char *dir)
{
	struct str out = {0};
	_cleanup_free_ char *from = xstrdup(dir);
	const char *rest;
	while (!(rest = path_below(path, from))) {
		char *parent = path_dir(from);
		free(from);
		from = parent;
		str_add(&out, out.len ? "/.." : "..");
	}
	if (*rest)
		str_addf(&out, "%s%s", out.len ? "/" : "", rest);
	else if (out.len == 0)
		str_add_char(&out, '.');
	return str_steal(&out);
}

bool path_is_safe_destination(const char *path)
{
	if (!path_is_absolute(path) || path[1] == '\0' || strlen(path) >= PATH_MAX)
		return false;
	while (*path) {
		path++; /* the slash */
		size_t len = strcspn(path, "/");
		if (len == 0 || len > NAME_MAX || (len == 1 && path[0] == '.') ||
		    (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += len;
	}
	return true;
}
