/* reader DIRECTORY PAUSE_US: the program of a container, which reads every file below a directory, again and again, and says where law 4 is
 * broken. Static; process 1; ends on SIGTERM.
 *
 * A file that counts has a line of LINE bytes, "VERSION COUNT\n" (%08u each), COUNT times: all the same, so a mixture of two versions shows
 * whatever place it is cut at. A file named "stays" must always be there. Files named "other…" are only read.
 * What is found goes to stdout and to /torn, a line each; /reads holds how many files were read. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 18, PIECE = 64 * LINE, NAMES_MAX = 16, TOLD_MAX = 50 };

static char stays[NAMES_MAX][4096];
static int stays_count, told;
static unsigned long reads;

static void ended(int number)
{
	(void)number;
	_exit(0);
}

static void tell(const char *path, const char *what)
{
	char line[5000];
	int len = snprintf(line, sizeof(line), "TORN %s: %s\n", path, what);
	if (told++ >= TOLD_MAX)
		return;
	int fd = open("/torn", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (write(STDOUT_FILENO, line, (size_t)len) < 0 || (fd >= 0 && write(fd, line, (size_t)len) < 0))
		told--;
	if (fd >= 0)
		close(fd);
}

/* As a program reads: a piece at a time, so that what is written over meanwhile shows. */
static void read_one(const char *path)
{
	char piece[PIECE], first[LINE + 1] = {0};
	unsigned long total = 0, wanted = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	for (;;) {
		ssize_t n = 0, more;
		while (n < PIECE && (more = read(fd, piece + n, (size_t)(PIECE - n))) > 0)
			n += more;
		if (total == 0 && n >= LINE) {
			memcpy(first, piece, LINE);
			wanted = strtoul(first + 9, NULL, 10) * LINE;
		}
		for (ssize_t at = 0; at + LINE <= n; at += LINE)
			if (memcmp(piece + at, first, LINE) != 0) {
				tell(path, "a mixture of two versions");
				at = n;
			}
		total += (unsigned long)n;
		if (n < PIECE)
			break;
	}
	if (total != wanted || total == 0)
		tell(path, "not whole");
	close(fd);
	reads++;
}

static void note_stays(const char *path)
{
	for (int i = 0; i < stays_count; i++)
		if (strcmp(stays[i], path) == 0)
			return;
	if (stays_count < NAMES_MAX)
		snprintf(stays[stays_count++], sizeof(stays[0]), "%s", path);
}

static void read_all(const char *directory, const struct timespec *pause)
{
	char path[4096];
	struct dirent *entry;
	DIR *dir = opendir(directory);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		if (strcmp(entry->d_name, "stays") == 0)
			note_stays(path);
		if (entry->d_type == DT_DIR)
			read_all(path, pause);
		else if (entry->d_type == DT_REG && strncmp(entry->d_name, "other", 5) != 0)
			read_one(path);
		nanosleep(pause, NULL);
	}
	closedir(dir);
	for (int i = 0; i < stays_count; i++) {
		struct stat info;
		if (lstat(stays[i], &info) < 0 && errno == ENOENT)
			tell(stays[i], "is missing");
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	struct timespec pause = {.tv_nsec = strtol(argv[2], NULL, 10) * 1000};
	signal(SIGTERM, ended);
	signal(SIGINT, ended);
	for (;;) {
		char text[32];
		read_all(argv[1], &pause);
		int fd = open("/reads", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		int len = snprintf(text, sizeof(text), "%lu\n", reads);
		if (fd >= 0 && write(fd, text, (size_t)len) < 0)
			continue;
		close(fd);
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
}
