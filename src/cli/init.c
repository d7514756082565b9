#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "cli/cli.h"

enum { DEPTH_MAX = 3, DOCKERFILES_MAX = 50 };

static bool is_dockerfile(const char *name)
{
	return strcmp(name, "Dockerfile") == 0 || str_ends_with(name, ".Dockerfile") ||
	       (str_starts_with(name, "Dockerfile.") && !str_ends_with(name, ".dockerignore"));
}

static void find_dockerfiles(const char *dir, unsigned depth, struct strv *found)
{
	static const char *const skipped[] = {"node_modules", "vendor", "target", "build"};
	DIR *d = opendir(dir);
	struct dirent *entry;
	while (d && (entry = readdir(d)) && found->len < DOCKERFILES_MAX) {
		if (entry->d_name[0] == '.')
			continue;
		bool skip = false;
		for (size_t i = 0; i < ARRAY_LEN(skipped); i++)
			skip = skip || strcmp(entry->d_name, skipped[i]) == 0;
		_cleanup_free_ char *path =
			strcmp(dir, ".") == 0 ? xstrdup(entry->d_name) : path_join(dir, entry->d_name);
		struct stat st;
		if (skip || lstat(path, &st) < 0)
			continue;
		if (S_ISREG(st.st_mode) && is_dockerfile(entry->d_name))
			strv_push(found, path);
		else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			find_dockerfiles(path, depth + 1, found);
	}
	if (d)
		closedir(d);
}

/* An image name from a folder's: lower case, and only what a repository name may hold. */
static char *image_name(const char *dir)
{
	_cleanup_free_ char *absolute = path_absolute(dir);
	struct str name = {0};
	for (const char *p = path_base(absolute); *p; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
		bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (letter)
			str_add_char(&name, c);
		else if (name.len > 0 && name.data[name.len - 1] != '-')
			str_add_char(&name, '-');
	}
	while (name.len > 0 && name.data[name.len - 1] == '-')
		name.data[--name.len] = '\0';
	if (name.len == 0)
		str_add(&name, "app");
	return str_steal(&name);
}

/* A single-quoted YAML scalar. */
static void add_quoted(struct str *yaml, const char *text)
{
	str_add_char(yaml, '\'');
	for (; *text; text++)
		str_add(yaml, *text == '\'' ? "''" : (char[]){*text, '\0'});
	str_add_char(yaml, '\'');
}

static void write_artifacts(struct str *yaml, const struct strv *dockerfiles)
{
	CLEANUP(strv_release) struct strv names = {0};
	str_add(yaml, "apiVersion: skaffold/v4beta13\nkind: Config\nbuild:\n  artifacts:\n");
	for (size_t i = 0; i < dockerfiles->len; i++) {
		_cleanup_free_ char *dir = path_dir(dockerfiles->items[i]), *name = image_name(dir);
		if (strv_contains(&names, name)) { /* two Dockerfiles in one folder */
			char *other = xasprintf("%s-%zu", name, i + 1);
			free(name);
			name = other;
		}
		strv_push(&names, name);
		str_addf(yaml, "  - image: %s\n", name);
		if (strcmp(dir, ".") != 0) {
			str_add(yaml, "    context: ");
			add_quoted(yaml, dir);
			str_add(yaml, "\n");
		}
		if (strcmp(path_base(dockerfiles->items[i]), "Dockerfile") != 0) {
			str_add(yaml, "    docker:\n      dockerfile: ");
			add_quoted(yaml, path_base(dockerfiles->items[i]));
			str_add(yaml, "\n");
		}
		str_add(yaml, "    sync:\n      auto: true\n");
	}
	str_add(yaml, "deploy:\n  docker:\n    images:\n");
	for (size_t i = 0; i < names.len; i++)
		str_addf(yaml, "    - %s\n", names.items[i]);
}

int command_init(const struct options *options)
{
	(void)options;
	CLEANUP(strv_release) struct strv dockerfiles = {0};
	CLEANUP(str_release) struct str yaml = {0};
	find_dockerfiles(".", 0, &dockerfiles);
	strv_sort(&dockerfiles);
	if (dockerfiles.len == 0) {
		fprintf(stderr, "skiff: there is no Dockerfile here; write one, then run `skiff init` again\n");
		return EXIT_FAILED;
	}
	write_artifacts(&yaml, &dockerfiles);
	_cleanup_close_ int fd = open("skaffold.yaml", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST) {
		fprintf(stderr,
			"skiff: there is a skaffold.yaml here already, and it stays as it is: `skiff dev` starts\n");
		return EXIT_FAILED;
	}
	if (fd < 0 || write_all(fd, str_text(&yaml), yaml.len) < 0) {
		fprintf(stderr, "skiff: can't write skaffold.yaml: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	printf("skaffold.yaml written for %zu image%s. `skiff dev` starts.\n", dockerfiles.len,
	       dockerfiles.len == 1 ? "" : "s");
	return EXIT_DONE;
}
