/* Templates: expansion and the check of the syntax alone never disagree about what is wrong before any variable is asked for. */
#include "fuzz.h"

#include "format/template.h"

static const char *lookup(void *data, const char *name)
{
	(void)data;
	return name[0] == 'A' ? "a value" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	const struct template_variables variables = {.lookup = lookup};
	_cleanup_free_ char *expanded = NULL;
	size_t offset = 0;
	bool right = template_check(text, &offset, NULL) == 0;
	if (template_expand(text, &variables, &expanded, NULL) == 0 && !right)
		__builtin_trap();
	return 0;
}
