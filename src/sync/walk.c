#include "sync/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

static mode_t type_of(int directory, const struct dirent *entry)
{
	struct stat st;
	if (entry->d_type != DT_UNKNOWN)
		return DTTOIF(entry->d_type);
	return fstatat(directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & S_IFMT : 0;
}

static int walk_directory(const struct walk *walk, int fd, struct str *path, unsigned level, struct error *err);

/* One entry of the directory fd; path is its own. */
static int walk_entry(const struct walk *walk, int fd, const struct dirent *entry, struct str *path, unsigned level,
		      struct error *err)
{
	struct walk_entry e = {.path = path->data, .directory = fd, .name = entry->d_name, .type = type_of(fd, entry)};
	if (!S_ISDIR(e.type))
		return e.type ? walk->visit(walk->data, &e, err) : 0;
	if (!walk->enter(walk->data, path->data))
		return 0;
	int child = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (child < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			       ? 0
			       : error_errno(err, errno, "can't list %s", path->data);
	int entries = walk_directory(walk, child, path, level + 1, err);
	return entries == 0 ? walk->visit(walk->data, &e, err) : entries;
}

/* Owns fd. The number of entries, or a negative errno. */
static int walk_directory(const struct walk *walk, int fd, struct str *path, unsigned level, struct error *err)
{
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return error_errno(err, ENOMEM, "can't list %s", path->data);
	}
	int result = level > WALK_LEVELS_MAX
			     ? error_set(err, ELOOP, "%s lies more than %d levels deep", path->data, WALK_LEVELS_MAX)
			     : 0;
	size_t len = path->len;
	const struct dirent *entry;
	bool any = false;
	while (result >= 0 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		any = true;
		if (len > 1)
			str_add_char(path, '/');
		str_add(path, entry->d_name);
		result = walk_entry(walk, fd, entry, path, level, err);
		path->len = len;
		path->data[len] = '\0';
	}
	closedir(dir);
	return result < 0 ? result : any;
}

int walk_tree(const char *root, const struct walk *walk, struct error *err)
{
	CLEANUP(str_release) struct str path = {0};
	str_add(&path, root);
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "can't list %s", root);
	int result = walk_directory(walk, fd, &path, 0, err);
	return result < 0 ? result : 0;
}
