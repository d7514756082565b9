#include "client/docker.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>

#include "base/vec.h"
#include "client/endpoint.h"
#include "client/exchange.h"
#include "io/process.h"

enum {
	POOL_MAX = 8, /* idle connections that are kept */
	PING_MS = 20000,
};

static const unsigned API_MIN = 40,
		      API_MAX = 47; /* 1.40 is Docker 19.03 and Podman 3; newer than MAX is asked as MAX */

struct docker {
	struct endpoints endpoints;
	const struct endpoint *endpoint; /* the one that answered */
	char prefix[16];		 /* "/v1.41" */
	pthread_mutex_t lock;		 /* of the pool */
	struct line idle[POOL_MAX];
	size_t idle_len;
};

const char *docker_host(const struct docker *docker)
{
	return docker->endpoint->host;
}

static void line_end(struct line *line)
{
	http_connection_free(line->connection);
	process_end(line->pid);
	*line = (struct line){0};
}

int line_open(struct docker *docker, struct line *line, struct cancel *cancel, struct error *err)
{
	for (bool found = true; found;) {
		pthread_mutex_lock(&docker->lock);
		found = docker->idle_len > 0;
		if (found)
			*line = docker->idle[--docker->idle_len];
		pthread_mutex_unlock(&docker->lock);
		if (found && http_connection_idle(line->connection))
			return 0;
		if (found)
			line_end(line);
	}
	if (cancel_requested(cancel))
		return error_set(err, ECANCELED, "cancelled");
	*line = (struct line){.fresh = true};
	int fd = endpoint_dial(docker->endpoint, &line->pid, err);
	if (fd < 0)
		return fd;
	line->connection = http_connection_new(fd);
	return 0;
}

void line_close(struct docker *docker, struct line *line)
{
	if (!line->connection)
		return;
	if (http_connection_idle(line->connection)) {
		line->fresh = false;
		pthread_mutex_lock(&docker->lock);
		if (docker->idle_len < POOL_MAX) {
			docker->idle[docker->idle_len++] = *line;
			*line = (struct line){0};
		}
		pthread_mutex_unlock(&docker->lock);
	}
	if (line->connection)
		line_end(line);
}

/* Sorts an answer: a success goes to the receiver, an error's words are kept. */
struct sorter {
	const struct http_receiver *receiver;
	bool answered;
	bool failed;
	struct str words;
};

static int sort_head(void *data, const struct http_response *response)
{
	struct sorter *sorter = data;
	sorter->answered = true;
	sorter->failed = response->status >= 400;
	if (!sorter->failed && sorter->receiver && sorter->receiver->head)
		return sorter->receiver->head(sorter->receiver->data, response);
	return 0;
}

static int sort_body(void *data, const void *bytes, size_t len)
{
	struct sorter *sorter = data;
	if (sorter->failed) {
		str_add_bytes(&sorter->words, bytes,
			      len); /* bounded; what is cut is not JSON then, and shown as it is */
		return 0;
	}
	const struct http_receiver *receiver = sorter->receiver;
	return receiver && receiver->body ? receiver->body(receiver->data, bytes, len) : 0;
}

static int status_errno(unsigned status)
{
	switch (status) {
	case 400:
		return EINVAL;
	case 401:
	case 403:
		return EACCES;
	case 404:
		return ENOENT;
	case 409:
		return EEXIST;
	case 501:
		return ENOSYS;
	default:
		return EIO;
	}
}

/* The engine's message: {"message": …}; Podman's has "cause" and "response" beside it. */
static int engine_error(struct sorter *sorter, unsigned status, struct error *err)
{
	json_t *json = json_loadb(str_text(&sorter->words), sorter->words.len, 0, NULL);
	const char *message = json_string_value(json_object_get(json, "message"));
	if (!message)
		message = sorter->words.len ? str_text(&sorter->words) : "the engine gave no reason";
	size_t len = strlen(message);
	while (len && isspace((unsigned char)message[len - 1]))
		len--;
	_cleanup_free_ char *trimmed = xstrndup(message, len);
	int r = error_set(err, status_errno(status), "%s", trimmed);
	json_decref(json);
	return r;
}

int docker_exchange_on(struct docker *docker, struct line *line, const struct http_request *request,
		       const struct http_receiver *receiver, struct cancel *cancel, unsigned timeout_ms,
		       struct error *err)
{
	_cleanup_free_ char *target = xasprintf("%s%s", docker->prefix, request->target);
	struct http_request versioned = *request;
	versioned.target = target;
	struct sorter sorter = {.receiver = receiver, .words = {.max = DOCKER_ERROR_MAX}};
	struct http_receiver sorting = {.head = sort_head, .body = sort_body, .data = &sorter};
	CLEANUP(error_clear) struct error why = {0};
	int r = http_exchange(line->connection, &versioned, &sorting, cancel, timeout_ms, &why);
	if (sorter.failed && (r >= 0 || r == -EPIPE))
		r = engine_error(&sorter, r >= 0 ? (unsigned)r : 500, err);
	else if (r < 0)
		r = error_move(err, &why);
	/* An idle connection that the engine closed as the request was on its way: asking once more is safe. */
	bool stale = r == -EPIPE && !sorter.answered && !line->fresh && str_equal(request->method, "GET");
	str_release(&sorter.words);
	return stale ? -EAGAIN : r;
}

int docker_exchange(struct docker *docker, const struct http_request *request, const struct http_receiver *receiver,
		    struct cancel *cancel, unsigned timeout_ms, struct error *err)
{
	int r;
	do {
		struct line line = {0};
		r = line_open(docker, &line, cancel, err);
		if (r < 0)
			return r;
		r = docker_exchange_on(docker, &line, request, receiver, cancel, timeout_ms, err);
		line_close(docker, &line);
		if (r == -EAGAIN)
			error_clear(err);
	} while (r == -EAGAIN);
	return r;
}

static int keep_body(void *data, const void *bytes, size_t len)
{
	return str_add_bytes(data, bytes, len);
}

static const char *const json_headers[] = {"Content-Type: application/json", NULL};

int docker_call(struct docker *docker, const char *method, const char *path, const json_t *body, json_t **answer,
		struct cancel *cancel, struct error *err)
{
	CLEANUP(str_release) struct str text = {.max = DOCKER_ANSWER_MAX};
	struct http_receiver receiver = {.body = keep_body, .data = &text};
	_cleanup_free_ char *sent = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct http_request request = {.method = method, .target = path};
	if (answer)
		*answer = NULL;
	if (body && !sent)
		return error_set(err, EINVAL, "the request is not valid JSON (a text that is not UTF-8?)");
	if (sent) {
		request.headers = json_headers;
		request.body = sent;
		request.body_len = strlen(sent);
	}
	int r = docker_exchange(docker, &request, &receiver, cancel, DOCKER_IDLE_MS, err);
	if (r < 0)
		return r;
	if (answer && text.len) {
		json_error_t bad;
		*answer = json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &bad);
		if (!*answer)
			return error_set(err, EPROTO, "the engine's answer is not JSON: %s", bad.text);
	}
	return 0;
}

/* "1.41" → 41; 0 for anything else. */
static unsigned minor_version(const char *text)
{
	uint64_t minor;
	return text && str_starts_with(text, "1.") && parse_uint(text + 2, 999, &minor) == 0 ? (unsigned)minor : 0;
}

/* In words that name the engine, and once. What the docker program says of its own failing goes unseen: it can be asked. */
static int no_answer(const struct endpoint *endpoint, int r, struct error *err)
{
	if (r == -ENOENT || r == -ECONNREFUSED || r == -EACCES || r == -ECANCELED)
		return r;
	if (r == -EPIPE && !endpoint->socket) {
		error_clear(err);
		return error_set(err, EPIPE, "no engine answers at %s (`docker %s %s version` says why)",
				 endpoint->host, endpoint->dial.items[1], endpoint->dial.items[2]);
	}
	return error_wrap(err, "can't talk to the engine at %s", endpoint->host);
}

static int negotiate(struct docker *docker, struct cancel *cancel, struct error *err)
{
	json_t *version = NULL;
	struct http_request ping = {.method = "GET", .target = "/_ping"};
	int r = docker_exchange(docker, &ping, NULL, cancel, PING_MS, err);
	if (r >= 0)
		r = docker_call(docker, "GET", "/version", NULL, &version, cancel, err);
	if (r < 0)
		return no_answer(docker->endpoint, r, err);
	const char *api = json_string_value(json_object_get(version, "ApiVersion"));
	unsigned minor = minor_version(api);
	if (minor < API_MIN)
		r = error_set(err, EPROTONOSUPPORT, "the engine at %s speaks API version %s; 1.%u or newer is needed",
			      docker->endpoint->host, api ? api : "unknown", API_MIN);
	else
		snprintf(docker->prefix, sizeof(docker->prefix), "/v1.%u", minor < API_MAX ? minor : API_MAX);
	json_decref(version);
	return r < 0 ? r : 0;
}

int docker_connect(struct docker **docker, struct cancel *cancel, struct error *err)
{
	struct docker *d = xcalloc(1, sizeof(*d));
	CLEANUP(error_clear) struct error first = {0};
	pthread_mutex_init(&d->lock, NULL);
	int r = endpoints_find(&d->endpoints, &first);
	if (r >= 0) {
		for vec_each (endpoint, &d->endpoints) {
			CLEANUP(error_clear) struct error why = {0};
			d->endpoint = endpoint;
			r = negotiate(d, cancel, &why);
			if (r >= 0 || r == -ECANCELED)
				break;
			if (!first.code || why.code == EACCES) /* the one that says most */
				error_move(&first, &why);
		}
	}
	if (r < 0) {
		docker_close(d);
		return first.code ? error_move(err, &first) : error_set(err, -r, "cancelled");
	}
	*docker = d;
	return 0;
}

void docker_close(struct docker *docker)
{
	if (!docker)
		return;
	for (size_t i = 0; i < docker->idle_len; i++)
		line_end(&docker->idle[i]);
	pthread_mutex_destroy(&docker->lock);
	endpoints_release(&docker->endpoints);
	free(docker);
}

char *docker_escape(const char *text)
{
	struct str out = {0};
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (isalnum(*c) || strchr("-._~", *c))
			str_add_char(&out, (char)*c);
		else
			str_addf(&out, "%%%02X", *c);
	}
	return str_steal(&out);
}
