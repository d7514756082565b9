/* Watching trees: inotify (or polling) to change sets, as design.md's "When a change counts" says.
 *
 * The watcher knows nothing of images. It reports two things: at once, what is complete (a file closed after writing, renamed into
 * place, a new link, a new directory; all that is readable from the kernel at that moment in one call); and, when things
 * have settled (50 ms without an event, 500 ms after the first at most), what only then is certain: deletes, and that it has settled. A file
 * with a new name waits 5 ms after its close, since many a writer renames it in that time, and the first name is then nothing. A
 * file written but not closed is reported 250 ms after its last write. While git holds its lock in a root's work tree, nothing is
 * reported (10 s at most).
 *
 * What counts: content, permissions, kind. A link is an entry of its own, not followed (only a root may be a link); sockets,
 * pipes and devices are as if not there. Of a hard-linked file, a change is seen under the name by which it was opened. A
 * write through a memory mapping is seen when the mapping and the descriptor are gone. Names may be any bytes; paths of more
 * than 4095 are not watched, and that is said.
 *
 * Loop thread only. */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include <stdint.h>

#include "base/change.h"
#include "base/error.h"
#include "io/loop.h"

enum watch_trigger { WATCH_NOTIFY, WATCH_POLL, WATCH_MANUAL };

struct watch_options {
	enum watch_trigger trigger;
	unsigned poll_ms; /* between two looks when polling; 0 = 1000 */
};

struct watch_callbacks {
	/* changes: sorted, merged; the watcher's, but the callee may take the items (steal the array). settled: nothing is
	 * held back at this moment (except files that are still being written after 500 ms); then `changes` may be empty.
	 * first_event_ns: monotonic_ns() when the first of them was read. May call watch_look, watch_add, watch_keep and
	 * watch_free. */
	void (*changed)(void *data, struct change_set *changes, bool settled, uint64_t first_event_ns);
	/* Something the person should know: the limit of watches reached (with the sysctl line), falling back to polling, a root
	 * that went away or came back, an overflow that made a rescan necessary. */
	void (*notice)(void *data, const char *message);
	/* True for a path (absolute; directory tells which) that can never matter: not reported, and a directory is not entered.
	 * Must be pure and quick. May be NULL. */
	bool (*prune)(void *data, const char *path, bool directory);
	void *data;
};

struct watch;

struct watch *watch_new(struct loop *loop, const struct watch_options *options,
			const struct watch_callbacks *callbacks);
void watch_free(struct watch *w);

/* Adds a tree (a directory, followed if it is a link) or a single file (its directory is watched for that name; the file may not exist
 * yet). Scans now, without reporting what is there. Roots may overlap; a path is reported once. 0, -ENOENT, -EACCES, …. */
int watch_add(struct watch *w, const char *path, struct error *err);

/* Stops watching roots that are not in `keep` (absolute paths), for a changed configuration. */
void watch_keep(struct watch *w, const struct strv *keep);

/* Looks now, and tells all there is to tell before it returns, as settled: nothing is held back, not for git either. Polling and manual
 * triggers compare the trees with what was known; notify reads the events that are there. */
void watch_look(struct watch *w);

/* Files (not directories) known below all roots. */
size_t watch_file_count(const struct watch *w);

/* True while something is held back (an open file, unsettled deletes, a git lock). */
bool watch_pending(const struct watch *w);

#endif
