/* What a destination is inside a running container, looked up without asking the engine: through /proc/PID/root, where the engine runs on this
 * machine and this user may look (root, or a rootless engine of one's own). A few microseconds; elsewhere
 * docker_ask. */
#ifndef RUNTIME_DOCKER_LOOK_H
#define RUNTIME_DOCKER_LOOK_H

#include <stdbool.h>
#include <stdint.h>

struct look {
	int pid;
	int pidfd; /* tells that pid is still that process; -1: can't look */
};

struct looked {
	bool exists;
	bool directory; /* also through a link */
	bool link;
	bool temporary;	   /* it, or the directory where it would be, is in a tmpfs */
	uint32_t mode;	   /* st_mode of what is there; 0 where nothing is */
	bool mode_stale;   /* of a remembered answer: the mode may be another by now */
	uint32_t uid, gid; /* of what is there; of the nearest directory above where nothing is */
	uint64_t mtime_ns; /* 0 where nothing is there */
};

/* id: the container's, checked against the process's control groups: pid may be one of another machine. */
void look_open(struct look *look, int pid, const char *id);
void look_close(struct look *look);

/* The container's root for some lookups: a descriptor to close, or -1. */
int look_root(const struct look *look);

/* Links on the way are resolved inside the root. False: can't say. */
bool look_at(int root, const char *path, struct looked *looked);

#endif
