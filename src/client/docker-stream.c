#include <errno.h>
#include <inttypes.h>

#include "client/demux.h"
#include "client/exchange.h"
#include "io/process.h"

enum { EVENT_MAX = 1 << 20 };

/* Bytes to lines; an overlong line is given in pieces. */
struct line_cutter {
	struct str text;
	void (*line)(void *data, int stream, const char *line, size_t len);
	void *data;
	int stream;
};

static void give_line(struct line_cutter *cutter)
{
	size_t len = cutter->text.len;
	if (len && cutter->text.data[len - 1] == '\r')
		cutter->text.data[--len] = 0;
	cutter->line(cutter->data, cutter->stream, str_text(&cutter->text), len);
	str_clear(&cutter->text);
}

static void cut_lines(struct line_cutter *cutter, const char *bytes, size_t len)
{
	while (len) {
		const char *end = memchr(bytes, '\n', len);
		size_t take = end ? (size_t)(end - bytes) : len;
		size_t room = PROCESS_LINE_MAX - cutter->text.len;
		bool full = take > room;
		take = full ? room : take;
		str_add_bytes(&cutter->text, bytes, take);
		if (full || end)
			give_line(cutter);
		take += end && !full;
		bytes += take;
		len -= take;
	}
}

struct log_stream {
	bool raw; /* a container with a terminal: one stream, not multiplexed */
	struct demux demux;
	struct line_cutter cutters[2];
	struct error *err;
};

static int take_log_piece(void *data, int stream, const char *bytes, size_t len)
{
	struct log_stream *log = data;
	cut_lines(&log->cutters[stream - 1], bytes, len);
	return 0;
}

static int take_log(void *data, const void *bytes, size_t len)
{
	struct log_stream *log = data;
	return log->raw ? take_log_piece(log, 1, bytes, len)
			: demux_feed(&log->demux, bytes, len, take_log_piece, log, log->err);
}

static int has_terminal(struct docker *docker, const char *id, bool *terminal, struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *path = xasprintf("/containers/%s/json", id);
	json_t *container = NULL;
	int r = docker_call(docker, "GET", path, NULL, &container, cancel, err);
	*terminal = json_is_true(json_object_get(json_object_get(container, "Config"), "Tty"));
	json_decref(container);
	return r;
}

int docker_logs(struct docker *docker, const char *container, uint64_t since_ns, bool follow,
		void (*line)(void *data, int stream, const char *line, size_t len), void *data, struct cancel *cancel,
		struct error *err)
{
	struct log_stream log = {.err = err};
	for (int i = 0; i < 2; i++)
		log.cutters[i] = (struct line_cutter){.text = {.max = PROCESS_LINE_MAX + 1},
						      .line = line,
						      .data = data,
						      .stream = i + 1};
	_cleanup_free_ char *id = docker_escape(container);
	_cleanup_free_ char *target =
		xasprintf("/containers/%s/logs?stdout=1&stderr=1&follow=%d&since=%" PRIu64 ".%09" PRIu64, id, follow,
			  since_ns / 1000000000u, since_ns % 1000000000u);
	struct http_request request = {.method = "GET", .target = target};
	struct http_receiver receiver = {.body = take_log, .data = &log};
	int r = has_terminal(docker, id, &log.raw, cancel, err);
	if (r >= 0)
		r = docker_exchange(docker, &request, &receiver, cancel, 0, err);
	for (int i = 0; i < 2; i++) {
		if (log.cutters[i].text.len)
			give_line(&log.cutters[i]);
		str_release(&log.cutters[i].text);
	}
	return r < 0 ? r : 0;
}

/* One JSON object a line (Docker), or one after the other (Podman also ends them with a newline). */
struct event_stream {
	struct str text;
	void (*event)(void *data, const json_t *event);
	void *data;
};

static int begin_events(void *data, const struct http_response *response)
{
	struct event_stream *events = data;
	(void)response;
	events->event(events->data, NULL);
	return 0;
}

static int take_events(void *data, const void *bytes, size_t len)
{
	struct event_stream *events = data;
	const char *at = bytes;
	while (len) {
		const char *end = memchr(at, '\n', len);
		size_t take = end ? (size_t)(end - at) : len;
		if (str_add_bytes(&events->text, at, take) < 0)
			return -EPROTO;
		at += take + (end != NULL);
		len -= take + (end != NULL);
		if (!end)
			break;
		json_t *event = json_loadb(str_text(&events->text), events->text.len, 0, NULL);
		if (event)
			events->event(events->data, event);
		json_decref(event);
		str_clear(&events->text);
	}
	return 0;
}

int docker_events(struct docker *docker, const char *label, void (*event)(void *data, const json_t *event), void *data,
		  struct cancel *cancel, struct error *err)
{
	struct event_stream events = {.text = {.max = EVENT_MAX}, .event = event, .data = data};
	json_t *filters = json_pack("{s:[s], s:[s]}", "type", "container", "label", label);
	_cleanup_free_ char *text = filters ? json_dumps(filters, JSON_COMPACT) : NULL;
	json_decref(filters);
	if (!text)
		return error_set(err, EINVAL, "the label is not UTF-8");
	_cleanup_free_ char *escaped = docker_escape(text);
	_cleanup_free_ char *target = xasprintf("/events?filters=%s", escaped);
	struct http_request request = {.method = "GET", .target = target};
	struct http_receiver receiver = {.head = begin_events, .body = take_events, .data = &events};
	int r = docker_exchange(docker, &request, &receiver, cancel, 0, err);
	str_release(&events.text);
	return r < 0 ? r : 0;
}
