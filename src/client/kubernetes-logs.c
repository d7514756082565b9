#include <time.h>

#include "client/docker.h"
#include "client/kubernetes-internal.h"

enum { NS_PER_S = 1000000000 };

static char *logs_path(const struct kubernetes_container *of, const struct kubernetes_logs *what)
{
	struct str path = {0};
	_cleanup_free_ char *namespace_ = docker_escape(of->namespace_), *pod = docker_escape(of->pod),
			    *container = docker_escape(of->container);
	str_addf(&path, "/api/v1/namespaces/%s/pods/%s/log?container=%s", namespace_, pod, container);
	if (what->follow)
		str_add(&path, "&follow=true");
	if (what->previous)
		str_add(&path, "&previous=true");
	if (what->tail)
		str_addf(&path, "&tailLines=%u", what->tail);
	if (what->since_ns) { /* RFC 3339 */
		time_t seconds = (time_t)(what->since_ns / NS_PER_S);
		struct tm utc;
		char text[32];
		gmtime_r(&seconds, &utc);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
		str_addf(&path, "&sinceTime=%s.%09uZ", text, (unsigned)(what->since_ns % NS_PER_S));
	}
	return str_steal(&path);
}

int kubernetes_logs(struct kubernetes *k, const struct kubernetes_container *of, const struct kubernetes_logs *what,
		    void (*line)(void *data, const char *line, size_t len), void *data, struct cancel *cancel,
		    struct error *err)
{
	CLEANUP(http_connection_free_cleanup) struct http_connection *connection = NULL;
	_cleanup_free_ char *target = logs_path(of, what);
	struct line_splitter splitter = {.line = {.max = KUBERNETES_LINE_MAX}, .take = line, .data = data, .err = err};
	const struct http_receiver receiver = {.body = line_splitter_feed, .data = &splitter};
	const struct http_request request = {.method = "GET", .target = target};
	int r = kubernetes_exchange(k, &request, &receiver, &connection, cancel, what->follow ? 0 : KUBERNETES_IDLE_MS,
				    err);
	if (splitter.line.len) /* a last line without its end */
		line(data, str_text(&splitter.line), splitter.line.len);
	str_release(&splitter.line);
	return r < 0 ? r : 0;
}
