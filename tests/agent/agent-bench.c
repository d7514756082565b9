/* What the agent's own end costs, without an engine: agent-bench PROGRAM [ARGUMENT]…, in $TMPDIR. Elapsed time, and the agent's CPU time, which
 * others on the machine hardly change. For a container's file system: unshare -m, mount an overlay, TMPDIR on it. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

enum { SMALL = 1 << 10, LARGE = 50 << 20, LARGE_ROUNDS = 5 };

struct spent { /* ms */
	double elapsed, cpu;
};

static double clock_ms(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static struct spent now_ms(const struct driver *d)
{
	clockid_t cpu = CLOCK_MONOTONIC;
	clock_getcpuclockid(d->pid, &cpu);
	return (struct spent){clock_ms(CLOCK_MONOTONIC), clock_ms(cpu)};
}

static struct spent since(const struct driver *d, struct spent start)
{
	struct spent now = now_ms(d);
	return (struct spent){now.elapsed - start.elapsed, now.cpu - start.cpu};
}

static int compare(const void *a, const void *b)
{
	const struct spent *x = a, *y = b;
	return (x->elapsed > y->elapsed) - (x->elapsed < y->elapsed);
}

static void print_times(const char *what, struct spent *times, size_t count)
{
	qsort(times, count, sizeof(*times), compare);
	double cpu = times[0].cpu;
	for (size_t i = 0; i < count; i++)
		cpu = times[i].cpu < cpu ? times[i].cpu : cpu;
	printf("%-40s median %7.2f  best %7.2f  worst %7.2f  cpu at best %7.2f ms\n", what, times[count / 2].elapsed,
	       times[0].elapsed, times[count - 1].elapsed, cpu);
}

static void add(struct str *out, const struct wire_message *m)
{
	size_t room = WIRE_FRAME_MAX - WIRE_DATA_MAX + m->data.len;
	int n = wire_encode(m, str_reserve(out, room), room);
	assert_true(n > 0);
	out->len += (size_t)n;
}

/* One batch of small files; `round` is in their content, `where` in their names. */
static struct spent small_files(struct driver *d, int count, int round, int where)
{
	CLEANUP(str_release) struct str out = {.max = 64 << 20};
	char name[64], content[SMALL + 1];
	memset(content, 'x', SMALL);
	content[SMALL] = '\0';
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "files%d/d%d/f%d", where, i / 50, i);
		content[snprintf(content, SMALL, "%d.%d", round, i)] = 'y';
		struct wire_message m = file_at(name, content);
		m.id = d->next_id++;
		add(&out, &m);
	}
	add(&out, &(struct wire_message){.type = WIRE_COMMIT, .id = d->next_id++});
	struct spent start = now_ms(d);
	driver_send_bytes(d, out.data, out.len);
	for (int i = 0; i < count; i++)
		assert_int_equal(driver_take(d, WIRE_RESULT).value, 0);
	driver_take(d, WIRE_COMMITTED);
	return since(d, start);
}

static void bench_small(struct driver *d, int count, int rounds)
{
	static int where;
	struct spent fresh[64], replaced[64];
	char what[64];
	for (int i = 0; i < rounds;
	     i++) /* apart: ext4 searches long for an inode where many were freed in the last seconds */
		fresh[i] = small_files(d, count, i, where + i);
	for (int i = 0; i < rounds; i++)
		replaced[i] = small_files(d, count, i + 1, where + i);
	where += rounds;
	snprintf(what, sizeof(what), "%d of 1 KB, new", count);
	print_times(what, fresh, (size_t)rounds);
	snprintf(what, sizeof(what), "%d of 1 KB, replaced", count);
	print_times(what, replaced, (size_t)rounds);
}

static void bench_large(struct driver *d)
{
	_cleanup_free_ unsigned char *bytes = random_bytes(LARGE + SMALL, 5);
	struct spent times[3][LARGE_ROUNDS];
	uint64_t sent[3] = {0};
	for (int i = 0; i < LARGE_ROUNDS; i++) {
		for (int kind = 0; kind < 3; kind++) {
			size_t skipped = kind == 2 ? 0 : SMALL;
			for (size_t at = 0; kind == 1 && at < SMALL; at++)
				bytes[LARGE / 2 + at] ^= 1;
			struct spent start = now_ms(d);
			sent[kind] = driver_large(d, "large", bytes + skipped, LARGE + SMALL - skipped, kind > 0);
			driver_commit(d, 1);
			times[kind][i] = since(d, start);
		}
		driver_result(d, (struct wire_message){.type = WIRE_DELETE, .path = at(WIRE_DELETE, "large").path});
	}
	print_times("50 MB, new", times[0], LARGE_ROUNDS);
	print_times("50 MB, 1 KB changed", times[1], LARGE_ROUNDS);
	print_times("50 MB, 1 KB inserted at the front", times[2], LARGE_ROUNDS);
	printf("%-40s %llu, %llu bytes\n", "sent for these two", (unsigned long long)sent[1],
	       (unsigned long long)sent[2]);
}

int main(int argc, char **argv)
{
	struct driver d;
	if (argc < 2)
		return 2;
	agent_program = argv + 1;
	driver_apart();
	folder_setup(NULL);
	driver_start(&d);
	bench_small(&d, 1, 64);
	bench_small(&d, 100, 3);
	bench_small(&d, 1000, 3);
	bench_large(&d);
	driver_end(&d);
	return folder_teardown(NULL);
}
