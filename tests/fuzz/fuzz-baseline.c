/* A baseline file: refused, or inputs that are sorted and encode to what was read. The hash at its end is put right first, else nothing behind it
 * would be reached. */
#include "fuzz.h"

#include <string.h>

#include "sync/baseline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(inputs_release) struct inputs inputs = {0};
	CLEANUP(str_release) struct str again = {0};
	struct hash hash = hash_bytes(data, size);
	_cleanup_free_ uint8_t *file = xmalloc(size + 16);
	memcpy(file, data, size);
	for (size_t i = 0; i < 8; i++) {
		file[size + i] = (uint8_t)(hash.high >> (8 * i));
		file[size + 8 + i] = (uint8_t)(hash.low >> (8 * i));
	}
	if (inputs_decode("id", file, size + 16, &inputs, NULL) < 0)
		return 0;
	for (size_t i = 1; i < inputs.len; i++)
		if (strcmp(inputs.items[i - 1].rel, inputs.items[i].rel) >= 0)
			__builtin_trap();
	inputs_encode("id", &inputs, &again);
	CLEANUP(inputs_release) struct inputs second = {0};
	if (inputs_decode("id", again.data, again.len, &second, NULL) < 0 ||
	    !hash_equal(inputs_digest(&inputs), inputs_digest(&second)))
		__builtin_trap();
	return 0;
}
