/* A tar file of the open protocol: refused whole, or entries that are sorted, safe, and whose kept copies are what their hashes say. */
#include "fuzz.h"

#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/path.h"
#include "sync/delta.h"

static struct kept *kept;
static char state[] = "/tmp/skiff-fuzz-XXXXXX";

static void close_kept(void)
{
	kept_close(kept);
	file_remove_tree(state, NULL);
}

static void open_kept(void)
{
	if (!mkdtemp(state))
		abort();
	setenv("XDG_STATE_HOME", state, 1);
	setlocale(LC_CTYPE, "C.UTF-8"); /* as main does */
	if (kept_open(NULL, &kept, NULL) < 0)
		abort();
	atexit(close_kept);
}

static void check(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void check_entry(const struct delta_entry *entry)
{
	check(path_is_safe_destination(entry->dest));
	check(S_ISREG(entry->mode) || S_ISLNK(entry->mode) || S_ISDIR(entry->mode));
	check((entry->mode & 06000) == 0 && !entry->path == S_ISDIR(entry->mode));
	if (!S_ISREG(entry->mode))
		return;
	_cleanup_close_ int fd = open(entry->path, O_RDONLY | O_CLOEXEC);
	struct hash hash;
	check(fd >= 0 && hash_fd(fd, &hash, NULL) == 0 && hash_equal(hash, entry->hash));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(delta_release) struct delta delta = {0};
	CLEANUP(error_clear) struct error err = {0};
	if (!kept)
		open_kept();
	_cleanup_close_ int fd = memfd_create("tar", MFD_CLOEXEC);
	if (fd < 0 || write_all(fd, data, size) < 0)
		abort();
	_cleanup_free_ char *path = xasprintf("/proc/self/fd/%d", fd);
	if (delta_read(path, kept, &delta, &err) < 0) {
		check(err.message && delta.entries.len == 0);
		return 0;
	}
	for (size_t i = 0; i < delta.entries.len; i++) {
		check_entry(&delta.entries.items[i]);
		check(i == 0 || strcmp(delta.entries.items[i - 1].dest, delta.entries.items[i].dest) < 0);
	}
	kept_prune(kept, &(struct map){0});
	return 0;
}
