/* What a build printed, and failed: a few readable lines come out of it, whatever it is. */
#include "fuzz.h"

#include <string.h>

#include "build/generate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *log = xstrndup((const char *)data, size);
	_cleanup_free_ char *words = build_failure_text(log, "/p");
	if (!words)
		return 0;
	if (!words[0] || !utf8_valid(words, strlen(words)) || strlen(words) > 64 << 10)
		__builtin_trap();
	for (const char *p = words; *p; p++) {
		if ((unsigned char)*p < ' ' && *p != '\n' && *p != '\t')
			__builtin_trap();
	}
	return 0;
}
