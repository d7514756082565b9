/* skiff's agent, the program inside the container: `agent [--unlink]` is a session (session.h), `agent supervise -- CMD…` an entry
 * point (supervise.h). */
#include "launch.h"
#include "place.h"
#include "session.h"
#include "supervise.h"

int agent_main(int argc, char **argv, char **envp);

static bool is(const char *a, const char *b)
{
	size_t len = strlen(b);
	return strlen(a) == len && memcmp(a, b, len) == 0;
}

/* The copy that was put there for this session goes, and its directory where nothing else is in it. */
static void unlink_self(void)
{
	char path[WIRE_PATH_MAX + 1];
	long len = sys_readlink(AT_FDCWD, "/proc/self/exe", path, sizeof(path) - 1);
	if (len <= 0)
		return;
	path[len] = '\0';
	sys_unlink(AT_FDCWD, path, 0);
	while (len > 0 && path[len - 1] != '/')
		len--;
	if (len > 1) {
		path[len - 1] = '\0';
		sys_unlink(AT_FDCWD, path, AT_REMOVEDIR);
	}
}

int agent_main(int argc, char **argv, char **envp)
{
	static const char usage[] = "usage: agent [--unlink]\n       agent supervise -- COMMAND [ARGUMENT]...\n";
	agent_environment = envp;
	if (argc > 3 && is(argv[1], "supervise") && is(argv[2], "--"))
		return supervise_run(argv + 3);
	bool unlinks = argc == 2 && is(argv[1], "--unlink");
	if (argc != 1 && !unlinks) {
		sys_write(2, usage, sizeof(usage) - 1);
		return 2;
	}
	if (unlinks)
		unlink_self();
	return session_run();
}

#ifdef AGENT_HOSTED
int main(int argc, char **argv, char **envp)
{
	return agent_main(argc, argv, envp);
}
#endif
