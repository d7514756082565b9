#include <errno.h>

#include "client/exchange.h"

static char *archive_target(const char *container, const char *path)
{
	_cleanup_free_ char *id = docker_escape(container);
	_cleanup_free_ char *query = docker_escape(path);
	return xasprintf("/containers/%s/archive?path=%s", id, query);
}

int docker_archive_put(struct docker *docker, const char *container, const char *path,
		       ssize_t (*produce)(void *data, void *buffer, size_t cap), void *data, struct cancel *cancel,
		       struct error *err)
{
	static const char *const headers[] = {"Content-Type: application/x-tar", NULL};
	_cleanup_free_ char *target = archive_target(container, path);
	struct http_request request = {
		.method = "PUT", .target = target, .headers = headers, .produce = produce, .produce_data = data};
	int r = docker_exchange(docker, &request, NULL, cancel, DOCKER_IDLE_MS, err);
	return r < 0 ? r : 0;
}

int docker_archive_get(struct docker *docker, const char *container, const char *path,
		       int (*consume)(void *data, const void *bytes, size_t len), void *data, struct cancel *cancel,
		       struct error *err)
{
	_cleanup_free_ char *target = archive_target(container, path);
	struct http_request request = {.method = "GET", .target = target};
	struct http_receiver receiver = {.body = consume, .data = data};
	int r = docker_exchange(docker, &request, &receiver, cancel, DOCKER_IDLE_MS, err);
	return r < 0 ? r : 0;
}
