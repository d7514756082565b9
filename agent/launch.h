/* Starting programs: what both `run` and `supervise` need. */
#ifndef AGENT_LAUNCH_H
#define AGENT_LAUNCH_H

#include "sys.h"

struct launch {
	char *const *argv, *const *envp;
	const char *directory; /* NULL: this one's */
	uint64_t mask;	       /* of signals */
	int stdio[3];	       /* -1: as this process has it */
	bool as_user;
	uint32_t uid, gid;
	bool foreground; /* of the terminal, where stdin is one */
};

/* In a process group of its own, argv[0] looked for in envp's PATH. The pid once the program runs, or the negative errno of what kept it from that. */
int launch(const struct launch *launch);

/* 0 to 255; 128 + n for a signal. */
int launch_status(int status);

/* What was there when this process began, for its children: signal mask, descriptor limit, umask. */
void launch_init(uint64_t mask);
uint64_t launch_mask(void);

extern char **agent_environment;

#endif
