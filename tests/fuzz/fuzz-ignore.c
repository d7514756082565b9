/* A path and, after the first newline, an ignore file. */
#include "fuzz.h"

#include <string.h>

#include "base/path.h"
#include "sync/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	if (!end)
		return 0;
	_cleanup_free_ char *raw = xstrndup((const char *)data, (size_t)(end - data));
	_cleanup_free_ char *path = path_normalize(raw);
	CLEANUP(ignore_free_cleanup) struct ignore *ignore = NULL;
	if (ignore_parse(".dockerignore", (const char *)end + 1, size - (size_t)(end + 1 - data), &ignore, NULL) < 0)
		return 0;
	unsigned line = 0;
	if (!path_is_absolute(path) && ignore_prunes(ignore, path) && !ignore_excludes(ignore, path, &line))
		__builtin_trap(); /* what needs not be entered is excluded itself */
	return 0;
}
