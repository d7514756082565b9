/* One build or generator at a time in a context: two Mavens in one target/ destroy it. The lock file is in the state directory, by the context's
 * real path. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/path.h"
#include "build/generate.h"

enum { LOCK_RETRY_MS = 50 };

static int lock_path(const char *context, char **path, struct error *err)
{
	_cleanup_free_ char *directory = NULL, *real = realpath(context, NULL);
	int r = file_state_folder("builds", &directory, err);
	if (r < 0)
		return r;
	const char *name = real ? real : context;
	char hex[HASH_HEX_SIZE];
	hash_to_hex(hash_bytes(name, strlen(name)), hex);
	*path = xasprintf("%s/%s.lock", directory, hex);
	return 0;
}

int build_lock_context(const struct artifact *artifact,
		       void (*line)(void *data, int stream, const char *line, size_t len), void *data,
		       struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *path = NULL;
	int r = lock_path(artifact->context, &path, err);
	if (r < 0)
		return r;
	if (artifact->parallel) { /* a descriptor like any other, without a lock on it */
		int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
		return fd >= 0 ? fd : error_errno(err, errno, "can't open %s", path);
	}
	for (bool told = false;; told = true) {
		CLEANUP(error_clear) struct error inner = {0};
		r = file_lock(path, false, &inner);
		if (r != -EWOULDBLOCK)
			return r < 0 ? error_move(err, &inner) : r;
		if (!told && line) {
			_cleanup_free_ char *text =
				xasprintf("another build in %s is under way: waiting for it", artifact->context);
			line(data, 2, text, strlen(text));
		}
		struct pollfd canceled = {.fd = cancel_fd(cancel), .events = POLLIN};
		if (poll(&canceled, 1, LOCK_RETRY_MS) > 0)
			return error_set(err, ECANCELED, "canceled");
	}
}
