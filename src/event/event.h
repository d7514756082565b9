/* The events of a run: what the terminal, `--events` and later the dashboard are fed from. One record type, many sinks.
 * Loop thread only. The JSON is design.md's contract: one object a line, `time` (RFC 3339, milliseconds, UTC) and `type` first. */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

enum event_type {
	EVENT_READY,	/* deployed and watching: files (count watched), urls */
	EVENT_CHANGE,	/* paths: [{path, kind}] */
	EVENT_DECISION, /* image, decision, reason, deciding {path, where} */
	EVENT_GENERATE, /* image, command, name, status (started, succeeded, failed), reason, ms, outputs, message, output */
	EVENT_SYNC,   /* image, instance, files, bytes, status, atomic, ms {detect, plan, generate, transfer, total} */
	EVENT_BUILD,  /* image, status (started, succeeded, failed, cached), tag, ms, output on failure */
	EVENT_DEPLOY, /* image, status, ms, ports */
	EVENT_INSTANCE, /* image, instance, status (running, paused, exited, gone), code */
	EVENT_LOG,	/* image, instance, stream, line: a container's output (not in --events) */
	EVENT_ERROR,	/* image, message, place */
	EVENT_IDLE,	/* errors, drift, verified */
	EVENT_WARNING,	/* message, place */
	EVENT_PROGRESS, /* image, line: a builder's output while it runs (not in --events) */
};

const char *event_type_name(enum event_type type);

struct event_bus;
struct event_bus *event_bus_new(void);
void event_bus_free(struct event_bus *bus); /* closes the sinks */

/* A sink gets each event once, in order. The fields object is borrowed. */
struct event_sink {
	void (*emit)(void *data, enum event_type type, const char *time, const json_t *fields);
	void (*close)(void *data); /* may be NULL */
	void *data;
};
void event_bus_add(struct event_bus *bus, struct event_sink sink);

/* Emits; takes over the reference to fields (NULL: none). */
void event_emit(struct event_bus *bus, enum event_type type, json_t *fields);

/* A JSON string (U+FFFD for what is not UTF-8), or null: jansson refuses other bytes. New reference. */
json_t *event_text(const char *text);

/* The sink behind --events: appends to FILE ("-": stdout), each line written whole with one write. */
int event_file_sink(const char *path, struct event_sink *sink, struct error *err);

#endif
