#include "client/agent-program.h"

#include "base/str.h"

const struct agent_program *agent_program_for(const char *architecture)
{
	static const struct {
		const char *name;
		const struct agent_program *program;
	} programs[] = {
		{"amd64", &agent_program_x86_64},
		{"x86_64", &agent_program_x86_64},
#ifdef HAVE_AGENT_AARCH64
		{"arm64", &agent_program_aarch64},
		{"aarch64", &agent_program_aarch64},
#endif
	};
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (str_equal(architecture, programs[i].name))
			return programs[i].program;
	return NULL;
}
