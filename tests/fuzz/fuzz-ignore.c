/* An ignore file; its own lines serve as paths. Nothing below a pruned directory is included. */
#include "fuzz.h"

#include "base/str.h"
#include "sync/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(ignore_free_cleanup) struct ignore *ignore = NULL;
	if (ignore_parse("fuzz", (const char *)data, size, &ignore, NULL) < 0)
		return 0;
	CLEANUP(strv_release) struct strv lines = {0};
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	str_split(text, '\n', &lines);
	for (size_t i = 0; i < lines.len && i < 20; i++) {
		if (!ignore_prunes(ignore, lines.items[i]))
			continue;
		for (size_t j = 0; j < lines.len && j < 20; j++) {
			_cleanup_free_ char *below = xasprintf("%s/%s", lines.items[i], lines.items[j]);
			if (!ignore_excludes(ignore, below, NULL))
				__builtin_trap();
		}
	}
	return 0;
}
