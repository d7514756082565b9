#include "runtime/ask.h"

#include <stdio.h>
#include <string.h>

enum {
	ASK_BATCH = 200,	    /* paths a program gets at once */
	ASK_BATCH_BYTES = 64 << 10, /* and their length together, as octal digits */
	ASK_KEPT = 20000,	    /* answers that are remembered */
	ASK_ANSWER_MAX = 64 << 10,
};

/* One line a path: exists, is a directory, is a link; mode, owner and time of it or of the nearest directory above; that directory's file system. */
static const char script[] =
	"for p; do p=$(printf '%b.' \"$p\"); p=${p%.}; e=0 d=0 l=0; "
	"[ -d \"$p\" ] && d=1; [ -L \"$p\" ] && l=1; [ -e \"$p\" ] || [ $l = 1 ] && e=1; "
	"a=${p%/*}; while [ ! -d \"${a:-/}\" ]; do a=${a%/*}; done; q=${a:-/}; [ $e = 1 ] && q=$p; "
	"echo \"$e $d $l $(stat -c '%f %u %g %Y' \"$q\") $(stat -f -c %T \"${a:-/}\")\"; done";

/* A path as printf's %b takes it: any bytes, also those that JSON can't hold. */
char *ask_octal(const char *path)
{
	struct str out = {0};
	for (const unsigned char *c = (const unsigned char *)path; *c; c++)
		str_addf(&out, "\\0%03o", *c);
	return str_steal(&out);
}

static bool read_line(const char *line, struct looked *looked)
{
	unsigned exists, directory, link;
	unsigned long long seconds;
	char system[32];
	*looked = (struct looked){0};
	if (sscanf(line, "%1u %1u %1u %x %u %u %llu %31s", &exists, &directory, &link, &looked->mode, &looked->uid,
		   &looked->gid, &seconds, system) != 8)
		return false;
	looked->exists = exists;
	looked->mode = exists ? looked->mode : 0;
	looked->directory = directory;
	looked->link = link;
	looked->temporary = str_equal(system, "tmpfs");
	if (exists && seconds < UINT64_MAX / 2000000000u)
		looked->mtime_ns = seconds * 1000000000u + 999999999u;
	return true;
}

static void ask(struct asker *asker, struct strv *argv, const struct strv *paths, struct cancel *cancel)
{
	CLEANUP(str_release) struct str answer = {.max = ASK_ANSWER_MAX};
	CLEANUP(strv_release) struct strv lines = {0};
	if (asker->run(asker->session, (const char *const *)argv->items, &answer, cancel) != 0) {
		asker->cannot = true;
		return;
	}
	str_split(str_text(&answer), '\n', &lines);
	for (size_t i = 0; i < paths->len && i < lines.len; i++) {
		struct looked looked;
		if (read_line(lines.items[i], &looked))
			free(map_set(&asker->answers, paths->items[i], xmemdup(&looked, sizeof(looked))));
	}
}

void ask_about(struct asker *asker, const struct strv *dests, struct cancel *cancel)
{
	if (asker->answers.len > ASK_KEPT)
		map_release(&asker->answers, free);
	for (size_t i = 0; i < dests->len && !asker->cannot;) {
		static const char *const head[] = {"sh", "-c", script, "sh"};
		CLEANUP(strv_release) struct strv argv = {0};
		CLEANUP(strv_release) struct strv paths = {0};
		size_t bytes = 0;
		for (size_t h = 0; h < ARRAY_LEN(head); h++)
			strv_push(&argv, head[h]);
		for (; i < dests->len && paths.len < ASK_BATCH && bytes < ASK_BATCH_BYTES; i++) {
			if (map_has(&asker->answers, dests->items[i]))
				continue;
			strv_push(&paths, dests->items[i]);
			strv_push_owned(&argv, ask_octal(dests->items[i]));
			bytes += 5 * strlen(dests->items[i]);
		}
		if (paths.len)
			ask(asker, &argv, &paths, cancel);
	}
}

void asker_reset(struct asker *asker)
{
	map_release(&asker->answers, free);
	asker->cannot = false;
}
