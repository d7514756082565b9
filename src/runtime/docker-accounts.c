#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/str.h"
#include "runtime/docker-session.h"

enum { TAR_AROUND = 64 << 10 }; /* headers and padding of the one entry, extended attributes too */

static int keep(void *data, const void *bytes, size_t len)
{
	return str_add_bytes(data, bytes, len) < 0 ? -EFBIG : 0;
}

/* The text of the tar's first entry; NULL where that is no file of a sane size. */
static char *first_file(const struct str *tar)
{
	struct archive *archive = archive_read_new();
	struct archive_entry *entry = NULL;
	char *text = NULL;
	if (archive && archive_read_support_format_tar(archive) == ARCHIVE_OK &&
	    archive_read_open_memory(archive, str_text(tar), tar->len) == ARCHIVE_OK &&
	    archive_read_next_header(archive, &entry) == ARCHIVE_OK && archive_entry_filetype(entry) == S_IFREG &&
	    archive_entry_size(entry) >= 0 && archive_entry_size(entry) <= ACCOUNTS_MAX) {
		size_t size = (size_t)archive_entry_size(entry);
		text = xcalloc(1, size + 1);
		if (archive_read_data(archive, text, size) != (la_ssize_t)size)
			free(steal(&text));
	}
	archive_read_free(archive);
	return text;
}

static int read_file(struct session *session, const char *path, char **text, struct cancel *cancel, struct error *err)
{
	CLEANUP(str_release) struct str tar = {.max = ACCOUNTS_MAX + TAR_AROUND};
	CLEANUP(error_clear) struct error why = {0};
	int r = docker_archive_get(session->docker, session->id, path, keep, &tar, cancel, &why);
	if (r == -ENOENT || r == -EFBIG)
		return 0;
	if (r < 0)
		return error_move(err, &why);
	*text = first_file(&tar);
	return 0;
}

int docker_accounts(struct session *session, struct cancel *cancel, struct error *err)
{
	if (session->accounts_read)
		return 0;
	accounts_release(&session->accounts);
	int r = read_file(session, "/etc/passwd", &session->accounts.passwd, cancel, err);
	if (r == 0)
		r = read_file(session, "/etc/group", &session->accounts.group, cancel, err);
	session->accounts_read = r == 0;
	return r;
}
