/* A glob, a line end, a path: what compiles matches the same way twice, and a match is a match by prefix. */
#include "fuzz.h"

#include <string.h>

#include "base/alloc.h"
#include "sync/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	CLEANUP(glob_free_cleanup) struct glob *glob = NULL;
	char *path = strchr(text, '\n');
	if (path)
		*path++ = '\0';
	if (glob_compile(text, &glob, NULL, NULL) < 0 || !path)
		return 0;
	if (glob_match(glob, path) && !glob_match_prefix(glob, path))
		__builtin_trap();
	return 0;
}
