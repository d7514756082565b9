#include <errno.h>

#include "client/exchange.h"

enum { ANSWER_MAX = 1 << 20 };

static int keep_answer(void *data, const void *bytes, size_t len)
{
	return str_add_bytes(data, bytes, len);
}

/* The answer is a row of JSON objects; the one with "error" says that it failed. */
static int read_answer(const struct str *answer, struct error *err)
{
	const char *at = str_text(answer), *end = at + answer->len;
	while (at < end) {
		json_error_t where;
		json_t *object = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK, &where);
		if (!object) /* line ends after the last one */
			return 0;
		at += where.position;
		const char *words = json_string_value(json_object_get(object, "error"));
		int r = words ? error_set(err, EIO, "%.*s", (int)strcspn(words, "\n"), words) : 0;
		json_decref(object);
		if (r < 0)
			return r;
	}
	return 0;
}

int docker_build(struct docker *docker, const char *reference, const struct str *context, struct cancel *cancel,
		 struct error *err)
{
	static const char *const headers[] = {"Content-Type: application/x-tar", NULL};
	CLEANUP(str_release) struct str answer = {.max = ANSWER_MAX};
	_cleanup_free_ char *name = docker_escape(reference);
	_cleanup_free_ char *target = xasprintf("/build?q=1&rm=1&forcerm=1&t=%s", name);
	struct http_request request = {.method = "POST",
				       .target = target,
				       .headers = headers,
				       .body = str_text(context),
				       .body_len = context->len};
	struct http_receiver receiver = {.body = keep_answer, .data = &answer};
	int r = docker_exchange(docker, &request, &receiver, cancel, DOCKER_IDLE_MS, err);
	return r < 0 ? r : read_answer(&answer, err);
}
