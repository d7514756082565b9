/* A pattern and, after the first newline, a path. */
#include "fuzz.h"

#include <string.h>

#include "sync/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *pattern = xstrndup((const char *)data, size);
	char *path = strchr(pattern, '\n');
	if (path)
		*path++ = '\0';
	else
		path = pattern;
	CLEANUP(glob_free_cleanup) struct glob *glob = NULL;
	size_t offset = 0;
	if (glob_compile(pattern, &glob, &offset, NULL) < 0) {
		if (offset > strlen(pattern))
			__builtin_trap();
		return 0;
	}
	if (glob_match(glob, path) && !glob_match_prefix(glob, path))
		__builtin_trap(); /* what matches is covered too */
	return 0;
}
