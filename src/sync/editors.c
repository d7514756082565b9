#include "sync/editors.h"

#include <string.h>

#include "base/str.h"

/* A name that starts with one and ends with the other, with something between. */
struct temporary {
	const char *prefix, *suffix;
};

static const struct temporary temporaries[] = {
	/* vim: swap files (.swp, then .swo, .swn, …; .swx and .swpx while it tries them), and backups */
	{".", ".swp"},
	{".", ".swo"},
	{".", ".swn"},
	{".", ".swm"},
	{".", ".swx"},
	{".", ".swpx"},
	{"", "~"},
	/* emacs: locks, auto-saves */
	{".#", ""},
	{"#", "#"},
	/* JetBrains: "safe write" */
	{"", "___jb_tmp___"},
	{"", "___jb_old___"},
	{"", "___jb_bak___"},
	/* kate; gedit and all that save through GLib; LibreOffice */
	{".", ".kate-swp"},
	{".goutputstream-", ""},
	{".~lock.", "#"},
	/* what NFS and FUSE keep of a file that is deleted while it is open */
	{".nfs0", ""},
	{".fuse_hidden", ""},
};

/* vim asks with this name whether it may create files in a directory. */
static const char VIM_PROBE[] = "4913";

bool editors_temporary(const char *name)
{
	if (strcmp(name, VIM_PROBE) == 0)
		return true;
	size_t len = strlen(name);
	for (size_t i = 0; i < ARRAY_LEN(temporaries); i++) {
		const struct temporary *t = &temporaries[i];
		if (len > strlen(t->prefix) + strlen(t->suffix) && str_starts_with(name, t->prefix) &&
		    str_ends_with(name, t->suffix))
			return true;
	}
	return false;
}
