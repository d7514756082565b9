#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stopwatch.h"

enum { PATH_SIZE = 4096 };

static int queue = -1;

void readable_watch(const char *folder, unsigned count)
{
	if (queue < 0)
		queue = inotify_init1(IN_CLOEXEC);
	for (unsigned i = 0; i < count && i < 20; i++) {
		char path[PATH_SIZE];
		snprintf(path, sizeof(path), "%s/%u", folder, i);
		if (inotify_add_watch(queue, path, IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
			die(path);
	}
}

static bool holds(const char *folder, const struct round *round, unsigned number)
{
	static unsigned char piece[256 << 10];
	char name[FILE_NAME_SIZE], path[PATH_SIZE];
	const unsigned char *wanted = round->bytes + number * round->size;
	struct stat st;
	file_name(name, number);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool same = fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size == round->size;
	for (size_t at = 0; same && at < round->size;) {
		ssize_t n = read(fd, piece, sizeof(piece));
		same = n > 0 && at + (size_t)n <= round->size && memcmp(piece, wanted + at, (size_t)n) == 0;
		at += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	return same;
}

/* The number in the name fN of an event; `count` for any other. */
static unsigned number_of(const struct inotify_event *event, unsigned count)
{
	char *rest;
	if (event->len == 0 || event->name[0] != 'f')
		return count;
	unsigned long number = strtoul(event->name + 1, &rest, 10);
	return *rest || number >= count ? count : (unsigned)number;
}

uint64_t readable_wait(const char *folder, const struct round *round, unsigned timeout_ms)
{
	static _Alignas(struct inotify_event) char buffer[64 << 10];
	unsigned left = round->count;
	bool *right = calloc(round->count, sizeof(*right));
	uint64_t when = 0;
	while (left > 0) {
		struct pollfd fd = {.fd = queue, .events = POLLIN};
		if (poll(&fd, 1, (int)timeout_ms) <= 0)
			die("the files did not come");
		ssize_t n = read(queue, buffer, sizeof(buffer));
		uint64_t now = now_ns();
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event = (const void *)(buffer + at);
			unsigned number = number_of(event, round->count);
			at += (ssize_t)(sizeof(*event) + event->len);
			if (number == round->count || right[number] || !holds(folder, round, number))
				continue;
			right[number] = true;
			left--;
			when = now;
		}
	}
	free(right);
	return when;
}
