#include "sync/world.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mode_t mode_of(void *data, const char *path)
{
	(void)data;
	struct stat st;
	return lstat(path, &st) == 0 ? st.st_mode : 0;
}

/* What ADD extracts, by the first bytes (moby pkg/archive, DetectCompression, and the "ustar" of POSIX tar). */
static const struct {
	size_t offset;
	const char *bytes;
	size_t len;
} archives[] = {
	{0, "\x1f\x8b", 2}, {0, "BZh", 3}, {0, "\xfd\x37zXZ", 5}, {0, "\x28\xb5\x2f\xfd", 4}, {257, "ustar", 5},
};

static bool is_archive(void *data, const char *path)
{
	(void)data;
	char head[512];
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head));
	for (size_t i = 0; n > 0 && i < ARRAY_LEN(archives); i++)
		if ((size_t)n >= archives[i].offset + archives[i].len &&
		    memcmp(head + archives[i].offset, archives[i].bytes, archives[i].len) == 0)
			return true;
	return false;
}

static void list(void *data, const char *directory, struct strv *names)
{
	(void)data;
	DIR *dir = opendir(directory);
	if (!dir)
		return;
	const struct dirent *entry;
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strv_push(names, entry->d_name);
	closedir(dir);
}

const struct sync_world world_of_files = {.mode = mode_of, .is_archive = is_archive, .list = list};
