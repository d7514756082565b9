#include "client/agent-program.h"

#include "base/hash.h"
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

char *agent_programs_id(void)
{
	static const char *const architectures[] = {"amd64", "arm64"};
	struct hasher *hasher = hasher_new();
	char hex[HASH_HEX_SIZE];
	for (size_t i = 0; i < ARRAY_LEN(architectures); i++) {
		const struct agent_program *program = agent_program_for(architectures[i]);
		hasher_add(hasher, program ? program->bytes : NULL, program ? program->len : 0);
	}
	hash_to_hex(hasher_finish(hasher), hex);
	return xstrndup(hex, 16);
}
