/* The agent's programs that skiff carries with it (agent/meson.build makes them). */
#ifndef CLIENT_AGENT_PROGRAM_H
#define CLIENT_AGENT_PROGRAM_H

#include <stddef.h>

#define AGENT_PATH "/.skiff/agent" /* where it is, or is put, in every container */

struct agent_program {
	const unsigned char *bytes;
	size_t len;
};

extern const struct agent_program agent_program_x86_64;
extern const struct agent_program agent_program_aarch64;

/* By the architecture as images name it ("amd64", "arm64") or as uname(1) does; NULL: there is none. */
const struct agent_program *agent_program_for(const char *architecture);

/* Which programs this skiff carries: 16 hex digits. The caller frees. */
char *agent_programs_id(void);

#endif
