/* The clock of script/bench, and what it times. Plain C without anything of skiff's, so that it measures the same whatever skiff does.
 *
 * The files of a round are numbered from 0; file N is N%20/fN below the sources and below the container's folder, so that hundreds share a directory
 * as in a real tree. All have one size, and content that only their round and number have. */
#ifndef BENCH_STOPWATCH_H
#define BENCH_STOPWATCH_H

#include <stddef.h>
#include <stdint.h>

enum { FILE_NAME_SIZE = 32 };

/* One round's files; content(N) is bytes[N * size]. Large ones are one file that many rounds share a part of. */
struct round {
	unsigned count;
	size_t size;
	unsigned char *bytes;
};

uint64_t now_ns(void);
void die(const char *what);
void file_name(char name[FILE_NAME_SIZE], unsigned number);

/* readable.c: when files of a folder of the container, seen from the host, hold what they should. inotify tells that something closed or was renamed into place;
 * the time is taken then, and the content compared after: who waits sleeps, and takes no core from what it waits for. */
void readable_watch(const char *folder, unsigned count); /* the directories of `count` files; they must be there */
/* Returns the time of the event that made the last of them right; what was right before counts as then. */
uint64_t readable_wait(const char *folder, const struct round *round, unsigned timeout_ms);

/* bare-session.c: one exec of the helper, its line kept open, and bytes written to it: the floor below any tool that works so. */
void bare_open(const char *socket_path, const char *container, const char *helper, const char *folder);
void bare_send(const struct round *round);

#endif
