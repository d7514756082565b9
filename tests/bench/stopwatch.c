/* stopwatch SOURCES FOLDER COUNT SIZE [SOCKET CONTAINER HELPER PATH]
 *
 * SOURCES is the folder whose files are carried; FOLDER where they land, as the host sees the container's file system; PATH the same in the
 * container. One round for each line of the standard input, answered by one line, a time in nanoseconds:
 *
 *     save [change|insert]    by who watches SOURCES: from before the save to all being readable. Small files are written over; a large one
 *                             is written beside before, and the time starts with its renaming
 *     bare [change|insert]    the bytes by the bare session, nothing being saved: from before they are sent
 *     made [change|insert]    saves, and does not wait: for another program to carry. Answers what the clock shows then
 *     wait                    until what was made is readable. Answers what the clock showed then
 *
 * All bytes differ from those of the round before, or 1 KB in the middle, or 1 KB more is at the front (and as much less at the end). */
#include "stopwatch.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 30000, LARGE = 1 << 20, EDIT = 1024, PATH_SIZE = 4096 };

static const char *sources, *folder;
static struct round current;
static uint64_t state = 88172645463325252u;

uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void die(const char *what)
{
	perror(what);
	exit(1);
}

void file_name(char name[FILE_NAME_SIZE], unsigned number)
{
	snprintf(name, FILE_NAME_SIZE, "%u/f%u", number % 20, number);
}

/* xorshift64: nothing that can be compressed, or cut alike. */
static void fill(unsigned char *bytes, size_t len)
{
	for (size_t at = 0; at < len; at += sizeof(state)) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(bytes + at, &state, len - at < sizeof(state) ? len - at : sizeof(state));
	}
}

static void next_content(const char *how)
{
	size_t all = current.count * current.size;
	if (strcmp(how, "change") == 0) {
		fill(current.bytes + all / 2, EDIT);
	} else if (strcmp(how, "insert") == 0) {
		memmove(current.bytes + EDIT, current.bytes, all - EDIT);
		fill(current.bytes, EDIT);
	} else {
		fill(current.bytes, all);
	}
}

static void source_path(char path[PATH_SIZE], unsigned number)
{
	char name[FILE_NAME_SIZE];
	file_name(name, number);
	snprintf(path, PATH_SIZE, "%s/%s", sources, name);
}

static void write_file(const char *path, const unsigned char *bytes, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
	for (size_t at = 0; at < current.size;) {
		ssize_t n = fd < 0 ? -1 : write(fd, bytes + at, current.size - at);
		if (n <= 0)
			die(path);
		at += (size_t)n;
	}
	close(fd);
}

/* All contents have one size: ext4 writes a truncated file to the disk as it is closed. Returns when the save began. */
static uint64_t save(void)
{
	char path[PATH_SIZE], beside[PATH_SIZE];
	if (current.size < LARGE) {
		uint64_t began = now_ns();
		for (unsigned i = 0; i < current.count; i++) {
			source_path(path, i);
			write_file(path, current.bytes + i * current.size, O_CREAT);
		}
		return began;
	}
	source_path(path, 0);
	snprintf(beside, sizeof(beside), "%s/../beside", sources);
	write_file(beside, current.bytes, O_CREAT | O_TRUNC);
	uint64_t began = now_ns();
	if (rename(beside, path) < 0)
		die(path);
	return began;
}

static uint64_t timed(const char *command)
{
	uint64_t began;
	if (strcmp(command, "wait") == 0)
		return readable_wait(folder, &current, TIMEOUT_MS);
	if (strcmp(command, "save") == 0) {
		began = save();
	} else {
		began = now_ns();
		bare_send(&current);
	}
	return readable_wait(folder, &current, TIMEOUT_MS) - began;
}

int main(int argc, char **argv)
{
	char text[64], command[16], how[16];
	if (argc != 5 && argc != 9) {
		fprintf(stderr, "usage: stopwatch SOURCES FOLDER COUNT SIZE [SOCKET CONTAINER HELPER PATH]\n");
		return 2;
	}
	sources = argv[1];
	folder = argv[2];
	current.count = (unsigned)strtoul(argv[3], NULL, 10);
	current.size = strtoul(argv[4], NULL, 10);
	current.bytes = malloc(current.count * current.size);
	readable_watch(folder, current.count);
	if (argc == 9)
		bare_open(argv[5], argv[6], argv[7], argv[8]);
	while (fgets(text, sizeof(text), stdin)) {
		how[0] = '\0';
		if (sscanf(text, "%15s %15s", command, how) < 1)
			continue;
		if (strcmp(command, "wait") != 0)
			next_content(how);
		if (strcmp(command, "made") == 0)
			save();
		printf("%llu\n", (unsigned long long)(strcmp(command, "made") == 0 ? now_ns() : timed(command)));
		fflush(stdout);
	}
	return 0;
}
