#include "dev/lines.h"

#include <pthread.h>
#include <string.h>

#include "base/vec.h"

struct line {
	enum event_type type;
	char *image, *instance, *text;
	int stream;
};

VEC_TYPE(line_list, struct line);

struct line_pipe {
	struct loop *loop;
	struct event_bus *bus;
	pthread_mutex_t mutex;
	pthread_cond_t taken;
	struct line_list lines;
	size_t bytes;
	bool closed;
};

struct line_pipe *line_pipe_new(struct loop *loop, struct event_bus *bus)
{
	struct line_pipe *pipe = xcalloc(1, sizeof(*pipe));
	*pipe = (struct line_pipe){.loop = loop, .bus = bus};
	pthread_mutex_init(&pipe->mutex, NULL);
	pthread_cond_init(&pipe->taken, NULL);
	return pipe;
}

static void release_lines(struct line_list *lines)
{
	for vec_each (line, lines) {
		free(line->image);
		free(line->instance);
		free(line->text);
	}
	vec_release(lines);
}

static void flush(void *data)
{
	struct line_pipe *pipe = data;
	pthread_mutex_lock(&pipe->mutex);
	struct line_list lines = pipe->lines;
	pipe->lines = (struct line_list){0};
	pipe->bytes = 0;
	pthread_cond_broadcast(&pipe->taken);
	pthread_mutex_unlock(&pipe->mutex);
	for vec_each (line, &lines)
		event_emit(pipe->bus, line->type,
			   json_pack("{s:o, s:o, s:s, s:o}", "image", event_text(line->image), "instance",
				     event_text(line->instance), "stream", line->stream == 2 ? "stderr" : "stdout",
				     "line", event_text(line->text)));
	release_lines(&lines);
}

void line_pipe_put(struct line_pipe *pipe, enum event_type type, const char *image, const char *instance, int stream,
		   const char *line, size_t len)
{
	pthread_mutex_lock(&pipe->mutex);
	while (pipe->bytes > LINE_PIPE_MAX && !pipe->closed)
		pthread_cond_wait(&pipe->taken, &pipe->mutex);
	bool first = pipe->lines.len == 0;
	bool closed = pipe->closed;
	if (!closed) {
		vec_push(&pipe->lines, (struct line){.type = type,
						     .image = xstrdup(image),
						     .instance = xstrdup_or_null(instance),
						     .text = xstrndup(line, len),
						     .stream = stream});
		pipe->bytes += len + sizeof(struct line);
	}
	pthread_mutex_unlock(&pipe->mutex);
	if (first && !closed)
		loop_post(pipe->loop, flush, NULL, pipe);
}

void line_pipe_close(struct line_pipe *pipe)
{
	flush(pipe);
	pthread_mutex_lock(&pipe->mutex);
	pipe->closed = true;
	pthread_cond_broadcast(&pipe->taken);
	pthread_mutex_unlock(&pipe->mutex);
}

void line_pipe_free(struct line_pipe *pipe)
{
	if (!pipe)
		return;
	release_lines(&pipe->lines);
	pthread_cond_destroy(&pipe->taken);
	pthread_mutex_destroy(&pipe->mutex);
	free(pipe);
}
