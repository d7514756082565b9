#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "watch/internal.h"

enum { GITDIR_FILE_MAX = 8192 };

/* Of a worktree and a submodule, `.git` is a file: "gitdir: PATH" (gitrepository-layout(5)). */
static char *read_gitdir(const char *file)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	static const char prefix[] = "gitdir: ";
	if (file_read(file, GITDIR_FILE_MAX, &text, &len, NULL) < 0 || !str_starts_with(text, prefix))
		return NULL;
	text[strcspn(text, "\r\n")] = '\0';
	_cleanup_free_ char *folder = path_dir(file);
	_cleanup_free_ char *joined = path_join(folder, text + strlen(prefix));
	return path_normalize(joined);
}

char *git_directory(const char *path)
{
	char real[PATH_MAX];
	_cleanup_free_ char *at = xstrdup(realpath(path, real) ? real : path);
	for (;;) {
		_cleanup_free_ char *candidate = path_join(at, ".git");
		struct stat st;
		if (stat(candidate, &st) == 0 && S_ISDIR(st.st_mode))
			return steal(&candidate);
		if (stat(candidate, &st) == 0 && S_ISREG(st.st_mode))
			return read_gitdir(candidate);
		if (strcmp(at, "/") == 0)
			return NULL;
		char *up = path_dir(at);
		free(at);
		at = up;
	}
}

/* Nothing waits longer than that for a lock: it may have been left by a git that died, or be held while a person writes a
 * commit message. */
static bool holds_lock(const char *directory)
{
	static const char *const locks[] = {"index.lock", "HEAD.lock"};
	for (size_t i = 0; i < ARRAY_LEN(locks); i++) {
		_cleanup_free_ char *path = path_join(directory, locks[i]);
		struct stat st;
		if (lstat(path, &st) < 0)
			continue;
		int64_t age = (int64_t)realtime_ns() - ((int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
		int64_t most = (int64_t)(GIT_LOCK_MAX_MS * MS);
		if (age < most && age > -most)
			return true;
	}
	return false;
}

bool git_locked(const struct watch *w)
{
	for (size_t i = 0; i < w->git_dirs.len; i++)
		if (holds_lock(w->git_dirs.items[i]))
			return true;
	return false;
}
