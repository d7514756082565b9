/* Looking at destinations of a container on Docker, where its root can't be looked at from here (docker-look.h). */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>

#include "runtime/docker-session.h"

enum { PEEK_MAX = 16 << 10 }; /* of a tar's beginning: a header, and a pax header before it */

int docker_ask_run(struct session *session, const char *const *argv, struct str *output, struct cancel *cancel)
{
	struct docker_exec exec = {.argv = argv, .user = "0", .output = output};
	return docker_exec_run(session->docker, session->id, &exec, cancel, NULL);
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
