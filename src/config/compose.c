#include "config/compose.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "format/yaml.h"

enum { ENV_FILE_MAX = 1 << 20 };

static const char VARIABLE[] = "COMPOSE_PROJECT_NAME";

/* Small letters, digits, '-' and '_', not beginning with one of the last two: what Compose makes of a name. NULL where nothing is left. */
static char *normalized(const char *name)
{
	CLEANUP(str_release) struct str text = {0};
	for (; *name; name++) {
		char c = (char)tolower((unsigned char)*name);
		bool inner = c == '-' || c == '_';
		if ((isalnum((unsigned char)c) && (unsigned char)c < 0x80) || (inner && text.len > 0))
			str_add_char(&text, c);
	}
	return text.len > 0 ? xstrdup(str_text(&text)) : NULL;
}

/* Where the compose file is: the directory or one above it. NULL: nowhere. */
static char *find_file(const char *directory, char **file)
{
	static const char *const names[] = {"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"};
	char *at = xstrdup(directory);
	for (;;) {
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			char *path = path_join(at, names[i]);
			if (file_exists(path)) {
				*file = path;
				return at;
			}
			free(path);
		}
		if (str_equal(at, "/"))
			break;
		char *above = path_dir(at);
		free(at);
		at = above;
	}
	free(at);
	return NULL;
}

/* Of one line of an env file: NAME=value, perhaps quoted, perhaps behind "export". NULL: another variable. */
static char *value_of_line(const char *line, size_t len)
{
	_cleanup_free_ char *copy = xstrndup(line, len);
	char *name = copy + strspn(copy, " \t");
	if (str_starts_with(name, "export "))
		name += strlen("export ");
	char *equals = strchr(name, '=');
	if (!equals || strlen(VARIABLE) != (size_t)(equals - name) || strncmp(name, VARIABLE, strlen(VARIABLE)) != 0)
		return NULL;
	char *value = equals + 1 + strspn(equals + 1, " \t\"'");
	value[strcspn(value, "\"'\r#")] = 0;
	return xstrdup(value);
}

static char *name_in_env_file(const char *directory)
{
	_cleanup_free_ char *path = path_join(directory, ".env"), *text = NULL;
	char *found = NULL;
	size_t len = 0;
	if (file_read(path, ENV_FILE_MAX, &text, &len, NULL) < 0)
		return NULL;
	for (const char *line = text, *end = text + len; line < end && !found;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t size = stop ? (size_t)(stop - line) : (size_t)(end - line);
		found = value_of_line(line, size);
		line += size + 1;
	}
	return found;
}

/* The `name` at the top of the compose file, NULL: none. */
static char *name_in_file(const char *file)
{
	struct sources sources = {0};
	struct diagnostics d = {.sources = &sources};
	struct yaml_pool pool = {0};
	struct yaml_documents documents = {0};
	struct source *source = NULL;
	char *name = NULL;
	if (sources_read(&sources, file, file, &source, NULL) == 0) {
		(void)yaml_parse(&pool, source, &d, &documents);
		if (documents.len > 0)
			name = xstrdup_or_null(yaml_text(yaml_get(documents.items[0], "name")));
	}
	vec_release(&documents);
	yaml_pool_release(&pool);
	diagnostics_release(&d);
	sources_release(&sources);
	return name;
}

char *compose_project(const char *directory)
{
	const char *variable = getenv(VARIABLE);
	_cleanup_free_ char *file = NULL, *at = NULL, *name = NULL;
	if (variable && *variable)
		return normalized(variable);
	at = find_file(directory, &file);
	if (!at)
		return NULL;
	name = name_in_env_file(at);
	if (!name || !*name) {
		free(name);
		name = name_in_file(file);
	}
	if (name && strchr(name, '$'))
		return NULL;
	return normalized(name && *name ? name : path_base(at));
}
