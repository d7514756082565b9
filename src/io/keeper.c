#include "io/keeper.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "io/launch.h"

/* In words that every POSIX shell knows. The seconds are PROCESS_GRACE_MS. */
static const char script[] = "cd /; groups=\n"
			     "while read -r what group; do\n"
			     "	left=\n"
			     "	for each in $groups; do [ \"$each\" = \"$group\" ] || left=\"$left $each\"; done\n"
			     "	groups=$left\n"
			     "	[ \"$what\" = - ] || groups=\"$groups $group\"\n"
			     "done\n"
			     "[ \"$groups\" ] || exit 0\n"
			     "for each in $groups; do kill -s TERM -- \"-$each\"; done\n"
			     "sleep 2\n"
			     "for each in $groups; do kill -s KILL -- \"-$each\"; done\n";

static int line = -1; /* to the keeper; kept open until this process ends, whatever way */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void)
{
	static const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	int ends[2];
	if (launch_pipe(ends) < 0)
		return;
	_cleanup_close_ int theirs = ends[0];
	_cleanup_close_ int null = launch_null();
	struct launch s = {.argv = argv, .stdio = {theirs, null, null}};
	if (null >= 0 && launch_program(&s, NULL) > 0)
		line = ends[1];
	else
		close(ends[1]);
}

/* One write: lines of several threads don't mix (PIPE_BUF). */
static void tell(char what, pid_t group)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%c %d\n", what, (int)group);
	ssize_t n = line >= 0 ? write(line, text, (size_t)len) : 0;
	(void)n; /* a keeper that was killed keeps nothing */
}

void keeper_ready(void)
{
	pthread_once(&once, start);
}

void keeper_add(pid_t group)
{
	tell('+', group);
}

void keeper_drop(pid_t group)
{
	tell('-', group);
}
