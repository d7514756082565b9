/* A folder that is watched, and what was told of it. For the tests of src/watch. */
#ifndef TESTS_WATCH_FIXTURE_H
#define TESTS_WATCH_FIXTURE_H

#include "test.h"

#include "base/change.h"
#include "base/str.h"
#include "io/loop.h"
#include "watch/watch.h"

struct fixture {
	struct loop *loop;
	struct watch *watch;
	struct timer *limit;
	char folder[64];	/* /tmp/skiff-watch-XXXXXX */
	struct change_set told; /* since the last expect */
	struct str notices;	/* all, one a line */
	unsigned settled, calls;
	unsigned stop_calls; /* stop the loop after so many calls, settled or not; 0: after a settled one */
	bool stop_on_notice;
	void (*each)(struct fixture *f, const struct change *c); /* instead of told, where set */
	void *data;
};

/* Makes the folder and watches nothing yet. What is named "pruned" is pruned. */
void fixture_init(struct fixture *f, const struct watch_options *options);
void fixture_release(struct fixture *f);
void fixture_watch(struct fixture *f, const char *name); /* "" = the folder itself */

/* Runs the loop until what happened has settled, and compares all that was told, merged and sorted by path: "+added +directory/ ~modified -deleted |",
 * below the folder; the | says that it settled. */
void fixture_expect(struct fixture *f, const char *told);
/* Runs the loop until the next call, which need not be settled. */
void fixture_expect_at_once(struct fixture *f, const char *told);
/* Runs the loop for so long and expects that nothing is told. */
void fixture_expect_silence(struct fixture *f, unsigned ms);
void fixture_run(struct fixture *f);			   /* until a settled call; fails after ten seconds */
void fixture_compare(struct fixture *f, const char *told); /* what was told up to now */
bool fixture_told(struct fixture *f, const char *name);
void fixture_expect_notice(struct fixture *f, const char *part); /* runs the loop until there was one */

char *fixture_path(const struct fixture *f, const char *name);	 /* the caller frees */
void put(struct fixture *f, const char *name, const char *text); /* open, write, close */
/* Runs a shell command in the folder. */
void sh(struct fixture *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
