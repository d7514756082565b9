/* The event loop (libuv), for the one thread that owns all state; and blocking work on other threads.
 *
 * The rule of skiff's threads: state machines live on the loop thread and never block. What blocks (the engine's API, programs,
 * hashing, walking) is a job: a plain function on a worker thread that owns its data until its done callback runs on the
 * loop thread. A job never touches what it was not given.
 *
 * Callbacks: when a function that takes one returns an error, the callback will never be called. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct loop;
struct timer;
struct fd_watch;
struct signal_watch;

struct loop *loop_new(void);	   /* SIGPIPE is ignored from now on */
void loop_free(struct loop *loop); /* all jobs must be done; stops and frees every handle that is left */
void loop_run(struct loop *loop);  /* until loop_stop, or until nothing is left to wait for */
void loop_stop(struct loop *loop);

/* A timer that is not running until timer_start. The callback may free it. */
struct timer *timer_new(struct loop *loop, void (*fire)(void *data), void *data);
void timer_start(struct timer *t, uint64_t milliseconds); /* once; starting a running one sets it anew */
void timer_stop(struct timer *t);
bool timer_running(const struct timer *t);
void timer_free(struct timer *t); /* takes NULL */
DEFINE_CLEANUP(struct timer, timer_free)

/* Calls ready while fd is readable, also at its end or in error (level-triggered). The descriptor stays the caller's, must stay open until
 * fd_watch_free, and becomes non-blocking. NULL where it can't be waited for (a regular file). */
struct fd_watch *fd_watch_new(struct loop *loop, int fd, void (*ready)(void *data), void *data);
void fd_watch_free(struct fd_watch *w); /* takes NULL */

struct signal_watch *signal_watch_new(struct loop *loop, int signal, void (*fire)(void *data, int signal), void *data);
void signal_watch_free(struct signal_watch *w);

/* Runs work(data) on a worker thread, then done(data) on the loop thread. At most WORKERS run at once; more wait their turn. */
enum { LOOP_WORKERS = 32 };
void loop_job(struct loop *loop, void (*work)(void *data), void (*done)(void *data), void *data);

/* The same on a thread of its own, for what goes on as long as something else lives (a stream of logs): it takes no worker from the others. */
void loop_thread(struct loop *loop, void (*work)(void *data), void (*done)(void *data), void *data);

/* From any thread: runs call(data) on the loop thread soon, in the order posted. After loop_stop it may never run: then
 * drop(data) is called from loop_free instead (NULL: nothing). */
void loop_post(struct loop *loop, void (*call)(void *data), void (*drop)(void *data), void *data);

#endif
