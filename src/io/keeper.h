/* Ends what this process started and can't end itself any more: a skiff that is killed leaves no compiler writing into its context, no proxy listening.
 * A small shell, started with the first program, reads which process groups live; when its pipe ends without them having been taken back, it sends them
 * SIGTERM, and SIGKILL after PROCESS_GRACE_MS. From any thread. Internal to src/io. */
#ifndef IO_KEEPER_H
#define IO_KEEPER_H

#include <sys/types.h>

/* Starts the keeper, once: before a program is, so that nothing but a moment lies between its birth and keeper_add. */
void keeper_ready(void);
/* The group is this process's to end. Without a keeper (no shell, no room for a process) nothing is done: all else works. */
void keeper_add(pid_t group);
/* It has ended, or what is left of it may go on. */
void keeper_drop(pid_t group);

#endif
