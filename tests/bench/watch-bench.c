/* What watching costs: watch-bench [FILES [FOLDER]] makes FILES files (20,000) in a new folder below FOLDER (/tmp), 20 a directory, and
 * prints the time until they are watched, the memory for them, and the time from a file's close to the report of it. */
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "io/loop.h"
#include "watch/watch.h"

enum { A_DIRECTORY = 20, ROUNDS = 1000 };

struct bench {
	struct loop *loop;
	struct timer *next;
	const char *folder;
	unsigned files;
	unsigned done;
	uint64_t closed;
	uint64_t took[ROUNDS];
};

static void write_one(const struct bench *b, unsigned number)
{
	_cleanup_free_ char *path = xasprintf("%s/%u/file-%u.txt", b->folder, number / A_DIRECTORY, number);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write_all(fd, path, strlen(path)) < 0)
		abort();
}

static void make_tree(const struct bench *b)
{
	for (unsigned i = 0; i < b->files; i++) {
		if (i % A_DIRECTORY == 0) {
			_cleanup_free_ char *directory = xasprintf("%s/%u", b->folder, i / A_DIRECTORY);
			if (file_make_directories(directory, 0755, NULL) < 0)
				abort();
		}
		write_one(b, i);
	}
}

/* Anonymous memory of this process in KB, from /proc/self/smaps_rollup. */
static unsigned long anonymous_kb(void)
{
	unsigned long kb = 0;
	char line[256];
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Anonymous: %lu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static double cpu_ms(void)
{
	struct rusage use;
	getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e3;
}

static void change_one(void *data)
{
	struct bench *b = data;
	write_one(b, (b->done * 7919U) % b->files);
	b->closed = monotonic_ns();
}

static void on_changed(void *data, struct change_set *changes, bool settled, uint64_t first_event_ns)
{
	(void)settled;
	(void)first_event_ns;
	struct bench *b = data;
	if (changes->len > 0)
		b->took[b->done++] = monotonic_ns() - b->closed;
	if (b->done == ROUNDS)
		loop_stop(b->loop);
	else if (changes->len > 0)
		timer_start(b->next, 1);
}

static void on_notice(void *data, const char *message)
{
	(void)data;
	printf("notice: %s\n", message);
}

static void on_time(void *data)
{
	loop_stop(data);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void measure(struct bench *b)
{
	const struct watch_callbacks callbacks = {.changed = on_changed, .notice = on_notice, .data = b};
	const struct watch_options options = {.trigger = WATCH_NOTIFY};
	unsigned long before = anonymous_kb();
	uint64_t start = monotonic_ns();
	struct watch *w = watch_new(b->loop, &options, &callbacks);
	if (watch_add(w, b->folder, NULL) < 0)
		abort();
	uint64_t ready = monotonic_ns() - start;
	unsigned long memory = anonymous_kb() - before;

	struct timer *idle = timer_new(b->loop, on_time, b->loop);
	timer_start(idle, 1000);
	double cpu = cpu_ms();
	loop_run(b->loop);
	cpu = cpu_ms() - cpu;

	timer_start(b->next, 1);
	loop_run(b->loop);
	qsort(b->took, ROUNDS, sizeof(b->took[0]), compare);
	printf("%zu files: ready in %.1f ms, %lu KB, idle %.2f ms of CPU a second; close to report: median %.0f us, 95 "
	       "%% %.0f us\n",
	       watch_file_count(w), (double)ready / 1e6, memory, cpu, (double)b->took[ROUNDS / 2] / 1e3,
	       (double)b->took[ROUNDS * 95 / 100] / 1e3);
	timer_free(idle);
	watch_free(w);
}

int main(int argc, char **argv)
{
	uint64_t files = 20000;
	if (argc > 1 && (parse_uint(argv[1], 10000000, &files) < 0 || files == 0)) {
		fprintf(stderr, "usage: watch-bench [FILES [FOLDER]]\n");
		return 2;
	}
	_cleanup_free_ char *folder = xasprintf("%s/skiff-bench-XXXXXX", argc > 2 ? argv[2] : "/tmp");
	if (!mkdtemp(folder)) {
		perror(folder);
		return 1;
	}
	struct bench b = {.loop = loop_new(), .folder = folder, .files = (unsigned)files};
	b.next = timer_new(b.loop, change_one, &b);
	make_tree(&b);
	measure(&b);
	timer_free(b.next);
	loop_free(b.loop);
	return file_remove_tree(folder, NULL) < 0;
}
