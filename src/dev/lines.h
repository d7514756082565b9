/* Output lines from worker threads to the loop: bounded, so that a container that prints without end slows itself down and not
 * skiff's memory. */
#ifndef DEV_LINES_H
#define DEV_LINES_H

#include "event/event.h"
#include "io/loop.h"

struct line_pipe;

/* Lines become events on the loop thread. */
struct line_pipe *line_pipe_new(struct loop *loop, struct event_bus *bus);

/* After this, line_pipe_put returns at once and drops. Loop thread. Call before waiting for the jobs that put. */
void line_pipe_close(struct line_pipe *pipe);
void line_pipe_free(struct line_pipe *pipe);

/* From any thread; waits while LINE_PIPE_MAX bytes are not yet taken. type: EVENT_LOG or EVENT_PROGRESS. */
enum { LINE_PIPE_MAX = 1 << 20 };
void line_pipe_put(struct line_pipe *pipe, enum event_type type, const char *image, const char *instance, int stream,
		   const char *line, size_t len);

#endif
