#include <errno.h>
#include <string.h>

#include "client/exchange.h"

enum { EVENT_MAX = 1 << 20 };

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
	json_t *filters = label ? json_pack("{s:[s], s:[s]}", "type", "container", "label", label)
				: json_pack("{s:[s]}", "type", "container");
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
