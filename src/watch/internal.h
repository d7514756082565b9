/* The parts of the watcher and what they share. Internal to src/watch.
 *
 *     notify.c   inotify's descriptor: reads events, marks what they touched
 *     entry.c    looks at a touched name: what is there now, against the snapshot
 *     scan.c     looks at whole directories, against the snapshot
 *     root.c     what was asked to be watched; roots that are missing, links, single files
 *     report.c   holds back what is not complete yet, and tells the rest
 *     gitlock.c  is git at work?
 *     watch.c    the interface, the clock, polling
 *
 * Events only say where to look; what is reported follows from comparing what is there with the snapshot (tree.h). So it does not
 * matter in which order, how often, or together with which others they come. */
#ifndef WATCH_INTERNAL_H
#define WATCH_INTERNAL_H

#include "base/map.h"
#include "base/vec.h"
#include "watch/tree.h"
#include "watch/watch.h"
#include "watch/wdmap.h"

#define MS ((uint64_t)1000000)

enum {
	SETTLE_MS = 50,	     /* without an event */
	SETTLE_MAX_MS = 500, /* after the first */
	OPEN_MS = 250,	     /* after the last write to a file that is not closed */
	FRESH_MS = 50, /* the same for a file that a scan found: it may have been closed before the watch was there */
	/* After the close of a file with a new name: what writes beside and renames (sed -i, careful editors) has renamed it by then, and
	 * nobody need hear of the name that only passed. */
	NEW_MS = 5,
	GIT_LOCK_MAX_MS = 10000,
	GIT_LOCK_LOOK_MS = 10,
	POLL_DEFAULT_MS = 1000,
};

/* What happened to a name, as far as events tell. */
enum touch {
	TOUCH_CREATED = 1,
	TOUCH_WRITTEN = 2,
	TOUCH_CLOSED = 4,	 /* after writing, and all that was written before is complete */
	TOUCH_WRITTEN_AFTER = 8, /* written again after the close */
	TOUCH_MOVED_HERE = 16,
	TOUCH_ALL_BELOW = 32, /* of a root: compare everything */
};

struct root {
	struct watch *watch;
	char *path;
	struct node *node; /* NULL: nothing there, or covered */
	bool covered;	   /* another root's tree holds it */
	bool is_link;	   /* to a directory, which is followed */
	bool polled;
	bool lost;	/* its directory went away, and that was said */
	bool touched;	/* look at it at the end of this round */
	unsigned flags; /* enum touch */
	dev_t device;
	/* The nearest directory that exists above it, watched for the next name on the way to it. */
	int anchor_wd;	   /* -1: none */
	char *anchor_name; /* NULL: never anchored */
};

/* A file that was written (or created) and not closed. */
struct open_file {
	enum change_kind kind;
	uint64_t due;	/* ns: reported then, if no close comes */
	uint64_t first; /* ns: the first event */
};

struct touched {
	struct node *dir;
	char *name;
	unsigned flags;
	bool directory;
};

struct watch {
	struct loop *loop;
	struct watch_options options;
	struct watch_callbacks callbacks;
	struct tree tree;
	VEC(struct root *) roots;

	int fd; /* inotify; -1: everything is polled */
	struct fd_watch *readable;
	struct wdmap wds;
	char *buffer;
	struct map touches; /* path → struct touched *, of the round that is going on */
	bool overflowed;

	struct change_set out; /* complete, to be told at once */
	uint64_t out_first;
	struct map opens;   /* path → struct open_file * */
	struct map deleted; /* path → a number: DELETED_* */
	uint64_t deleted_first;
	bool unsettled;
	uint64_t first_event, last_event; /* of this unsettled time */
	uint64_t now;			  /* when this round began */

	struct timer *clock, *poll;
	uint64_t compare_ms; /* how long the last comparison took */
	bool look_wanted;    /* put off while git works */
	struct strv git_dirs;
	bool locked; /* what could be told waits for git */
	bool path_limit_told;
};

/* report.c: what a look found. The path's entry is (was) a directory where `directory` says so. */
void report_change(struct watch *w, enum change_kind kind, bool directory, const char *path);
/* Something is at a path where nothing was known. hold_ms 0: complete; else wait so long for its close. */
void report_appeared(struct watch *w, const char *path, bool directory, unsigned hold_ms);
void report_written(struct watch *w, const char *path, unsigned hold_ms);
/* True if the file was held back as open: then it is reported now. */
bool report_closed(struct watch *w, const char *path);
bool report_is_open(const struct watch *w, const char *path);
void report_gone(struct watch *w, const char *path, bool directory);
/* Forgets what is held back and lies in no root any more. */
void report_forget(struct watch *w);
/* Tells what can be told now, and sets the clock for the rest. at_once: tells everything, as settled. The callback may free the
 * watcher: nothing may follow. */
void report_flush(struct watch *w, bool at_once);
bool report_holds(const struct watch *w);
void report_release(struct watch *w);

/* scan.c */
enum scan_how { SCAN_QUIET, SCAN_NEW, SCAN_ALL }; /* report nothing; enter new directories; enter all */
void scan_tree(struct root *root, struct node *top, enum scan_how how);
/* Removes n with all below it; the loss is reported unless quiet. */
void scan_drop(struct watch *w, struct node *n, bool quiet);
/* Files, links and directories; sockets, pipes and devices don't count as being there. */
bool scan_is_tracked(mode_t mode);
/* A network's or another machine's file system. */
bool scan_has_no_events(const char *directory);
bool scan_is_pruned(const struct watch *w, const char *path, bool directory);

/* entry.c */
struct entry {
	struct root *root;
	struct node *dir; /* NULL: the root itself */
	const char *name; /* of a root: its path */
	const char *path;
	struct node *node; /* what was known, or NULL */
};
void entry_look(struct watch *w, const struct touched *t, const char *path);
/* There is a file or link (st) now. Returns its node. */
struct node *entry_file(struct watch *w, struct entry *e, const struct stat *st, unsigned flags);
struct node *entry_add(struct watch *w, const struct entry *e, const struct stat *st);

/* root.c */
struct root *root_new(struct watch *w, const char *path);
void root_free(struct root *root); /* with its nodes and watches; nothing is reported */
void root_look(struct root *root, unsigned flags, bool quiet);
/* The other root's tree that holds path: its node in *node (NULL where the directory is known but has no such entry). */
struct root *root_covering(struct watch *w, const struct root *except, const char *path, struct node **node);
/* Looks whether another root's tree holds a root that has no node of its own. */
bool root_is_covered(struct root *root);
/* The covering root goes: the nodes become this root's own. */
void root_uncover(struct root *root);
void root_poll(struct root *root); /* its file system has no events: says so */

/* notify.c */
void notify_start(struct watch *w);
void notify_stop(struct watch *w); /* everything is polled from now on */
/* The directory's watch; fd is open on it. False: none could be had. */
bool notify_add(struct root *root, struct node *dir, int fd);
void notify_remove(struct watch *w, struct node *dir);
/* A root's anchor: 0 or a negative errno. */
int notify_anchor(struct root *root, const char *directory, bool for_file);
void notify_unanchor(struct root *root);
/* Reads all that is there and looks at it. */
void notify_drain(struct watch *w);

/* gitlock.c */
/* The git folder of the work tree that path is in, or NULL. The caller frees. */
char *git_directory(const char *path);
bool git_locked(const struct watch *w);

/* watch.c */
void watch_notice(struct watch *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void watch_start_polling(struct watch *w);

#endif
