#include "event/event.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/vec.h"

const char *event_type_name(enum event_type type)
{
	static const char *const names[] = {
		[EVENT_READY] = "ready",       [EVENT_CHANGE] = "change",     [EVENT_DECISION] = "decision",
		[EVENT_GENERATE] = "generate", [EVENT_SYNC] = "sync",	      [EVENT_BUILD] = "build",
		[EVENT_DEPLOY] = "deploy",     [EVENT_INSTANCE] = "instance", [EVENT_LOG] = "log",
		[EVENT_ERROR] = "error",       [EVENT_IDLE] = "idle",	      [EVENT_WARNING] = "warning",
		[EVENT_PROGRESS] = "progress",
	};
	return names[type];
}

struct event_bus {
	VEC(struct event_sink) sinks;
};

struct event_bus *event_bus_new(void)
{
	return xcalloc(1, sizeof(struct event_bus));
}

void event_bus_free(struct event_bus *bus)
{
	if (!bus)
		return;
	for vec_each (sink, &bus->sinks)
		if (sink->close)
			sink->close(sink->data);
	vec_release(&bus->sinks);
	free(bus);
}

void event_bus_add(struct event_bus *bus, struct event_sink sink)
{
	vec_push(&bus->sinks, sink);
}

/* RFC 3339 in UTC with milliseconds: 24 characters and a NUL. */
static void format_now(char *text, size_t size)
{
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
}

void event_emit(struct event_bus *bus, enum event_type type, json_t *fields)
{
	char time[40];
	format_now(time, sizeof(time));
	if (!fields)
		fields = json_object();
	for vec_each (sink, &bus->sinks)
		sink->emit(sink->data, type, time, fields);
	json_decref(fields);
}

struct file_sink {
	int fd;
	bool owned;
};

static void file_sink_emit(void *data, enum event_type type, const char *time, const json_t *fields)
{
	struct file_sink *sink = data;
	if (type == EVENT_LOG || type == EVENT_PROGRESS)
		return;
	json_t *record = json_pack("{s:s, s:s}", "time", time, "type", event_type_name(type));
	if (!record || json_object_update(record, (json_t *)fields) < 0) {
		json_decref(record);
		return;
	}
	char *text = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(7));
	json_decref(record);
	if (!text)
		return;
	size_t len = strlen(text);
	text[len] = '\n'; /* over the NUL: one write for the whole line, so that readers never see half of it */
	(void)write_all(sink->fd, text, len + 1); /* a full disk must not stop the loop */
	free(text);
}

static void file_sink_close(void *data)
{
	struct file_sink *sink = data;
	if (sink->owned)
		close(sink->fd);
	free(sink);
}

int event_file_sink(const char *path, struct event_sink *sink, struct error *err)
{
	bool standard = strcmp(path, "-") == 0;
	int fd = standard ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd < 0)
		return error_errno(err, errno, "can't open the events file %s", path);
	struct file_sink *file = xcalloc(1, sizeof(*file));
	*file = (struct file_sink){.fd = fd, .owned = !standard};
	*sink = (struct event_sink){.emit = file_sink_emit, .close = file_sink_close, .data = file};
	return 0;
}

json_t *event_text(const char *text)
{
	if (!text)
		return json_null();
	_cleanup_free_ char *valid = utf8_replace_invalid(text, strlen(text));
	return json_string(valid);
}
