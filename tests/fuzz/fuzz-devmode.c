/* The label io.buildpacks.build.metadata. What is taken has what a rule needs. */
#include "fuzz.h"

#include "sync/devmode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sync_rule_list rules = {0};
	int r = devmode_parse((const char *)data, size, &rules, NULL);
	if ((r < 0 && rules.len > 0) || rules.len > DEVMODE_RULES_MAX)
		__builtin_trap();
	for vec_each (rule, &rules)
		if (!rule->src.value[0] || !rule->dest.value)
			__builtin_trap();
	devmode_release(&rules);
	return 0;
}
