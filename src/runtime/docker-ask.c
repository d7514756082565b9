/* Looking at destinations by a program in the container, where its root can't be looked at from here (docker-look.h). */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/docker-session.h"

enum {
	ASK_BATCH = 200,	    /* paths a program gets at once */
	ASK_BATCH_BYTES = 64 << 10, /* and their length together, as octal digits */
	ASK_KEPT = 20000,	    /* answers that a session remembers */
	ASK_ANSWER_MAX = 64 << 10,
	PEEK_MAX = 16 << 10, /* of a tar's beginning: a header, and a pax header before it */
};

/* One line a path: exists, is a directory, is a link; mode, owner and time of it or of the nearest directory above; that directory's file system. */
static const char script[] =
	"for p; do p=$(printf '%b.' \"$p\"); p=${p%.}; e=0 d=0 l=0; "
	"[ -d \"$p\" ] && d=1; [ -L \"$p\" ] && l=1; [ -e \"$p\" ] || [ $l = 1 ] && e=1; "
	"a=${p%/*}; while [ ! -d \"${a:-/}\" ]; do a=${a%/*}; done; q=${a:-/}; [ $e = 1 ] && q=$p; "
	"echo \"$e $d $l $(stat -c '%f %u %g %Y' \"$q\") $(stat -f -c %T \"${a:-/}\")\"; done";

/* A path as printf's %b takes it: any bytes, also those that JSON can't hold. */
char *docker_octal(const char *path)
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

static void ask(struct session *session, struct strv *argv, const struct strv *paths, struct cancel *cancel)
{
	CLEANUP(str_release) struct str answer = {.max = ASK_ANSWER_MAX};
	CLEANUP(strv_release) struct strv lines = {0};
	struct docker_exec exec = {.argv = (const char *const *)argv->items, .user = "0", .output = &answer};
	if (docker_exec_run(session->docker, session->id, &exec, cancel, NULL) != 0) {
		session->cannot_ask = true;
		return;
	}
	str_split(str_text(&answer), '\n', &lines);
	for (size_t i = 0; i < paths->len && i < lines.len; i++) {
		struct looked looked;
		if (read_line(lines.items[i], &looked))
			free(map_set(&session->asked, paths->items[i], xmemdup(&looked, sizeof(looked))));
	}
}

void docker_ask(struct session *session, const struct strv *dests, struct cancel *cancel)
{
	if (session->asked.len > ASK_KEPT)
		map_release(&session->asked, free);
	for (size_t i = 0; i < dests->len && !session->cannot_ask;) {
		static const char *const head[] = {"sh", "-c", script, "sh"};
		CLEANUP(strv_release) struct strv argv = {0};
		CLEANUP(strv_release) struct strv paths = {0};
		size_t bytes = 0;
		for (size_t h = 0; h < ARRAY_LEN(head); h++)
			strv_push(&argv, head[h]);
		for (; i < dests->len && paths.len < ASK_BATCH && bytes < ASK_BATCH_BYTES; i++) {
			if (map_has(&session->asked, dests->items[i]))
				continue;
			strv_push(&paths, dests->items[i]);
			strv_push_owned(&argv, docker_octal(dests->items[i]));
			bytes += 5 * strlen(dests->items[i]);
		}
		if (paths.len)
			ask(session, &argv, &paths, cancel);
	}
}

static int take_beginning(void *data, const void *bytes, size_t len)
{
	struct str *tar = data;
	size_t room = PEEK_MAX - tar->len;
	str_add_bytes(tar, bytes, len < room ? len : room);
	return len < room ? 0 : -EFBIG;
}

bool docker_peek(struct session *session, const char *dest, struct looked *looked, struct cancel *cancel)
{
	CLEANUP(str_release) struct str tar = {0};
	int r = docker_archive_get(session->docker, session->id, dest, take_beginning, &tar, cancel, NULL);
	struct archive *archive = r == 0 || r == -EFBIG ? archive_read_new() : NULL;
	struct archive_entry *entry = NULL;
	bool seen = archive && archive_read_support_format_tar(archive) == ARCHIVE_OK &&
		    archive_read_open_memory(archive, str_text(&tar), tar.len) == ARCHIVE_OK &&
		    archive_read_next_header(archive, &entry) == ARCHIVE_OK;
	if (seen)
		*looked = (struct looked){
			.exists = true,
			.directory = archive_entry_filetype(entry) == S_IFDIR,
			.link = archive_entry_filetype(entry) == S_IFLNK,
			.mode = archive_entry_mode(entry),
			.uid = (uint32_t)archive_entry_uid(entry),
			.gid = (uint32_t)archive_entry_gid(entry),
		};
	archive_read_free(archive);
	return seen;
}
