#include <errno.h>
#include <poll.h>

#include "client/demux.h"
#include "client/exchange.h"

enum {
	EXEC_WORDS_MAX = 4 << 10,
	EXEC_END_TRIES = 400, /* looks for the exit status after the output's end, EXEC_END_MS apart */
	EXEC_END_MS = 5,
};

struct exec_output {
	const struct docker_exec *exec;
	struct demux demux;
	struct str
		words; /* the beginning of all output: the runtime's own message is there if the program did not start */
	struct error *err;
};

static int take_piece(void *data, int stream, const char *bytes, size_t len)
{
	struct exec_output *output = data;
	struct str *to = stream == 2 ? output->exec->errors : output->exec->output;
	size_t room = EXEC_WORDS_MAX - output->words.len;
	if (to)
		str_add_bytes(to, bytes, len); /* what is too much is dropped, and to->overflow says so */
	str_add_bytes(&output->words, bytes, len < room ? len : room);
	return 0;
}

static int take_stream(void *data, const void *bytes, size_t len)
{
	struct exec_output *output = data;
	return demux_feed(&output->demux, bytes, len, take_piece, output, output->err);
}

static json_t *string_array(const char *const *items)
{
	json_t *array = json_array();
	for (; items && *items; items++)
		json_array_append_new(array, json_string(*items));
	return array;
}

static int exec_create(struct docker *docker, const char *container, const struct docker_exec *exec, bool input,
		       char **id, struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *escaped = docker_escape(container);
	_cleanup_free_ char *path = xasprintf("/containers/%s/exec", escaped);
	json_t *answer = NULL;
	json_t *body = json_pack("{s:b, s:b, s:b, s:b, s:o}", "AttachStdin", input, "AttachStdout", 1, "AttachStderr",
				 1, "Tty", 0, "Cmd", string_array(exec->argv));
	if (!body)
		return error_set(err, EINVAL, "a program's argument is not UTF-8");
	if (exec->user)
		json_object_set_new(body, "User", json_string(exec->user));
	if (exec->env)
		json_object_set_new(body, "Env", string_array(exec->env));
	int r = docker_call(docker, "POST", path, body, &answer, cancel, err);
	const char *found = json_string_value(json_object_get(answer, "Id"));
	if (r >= 0 && !found)
		r = error_set(err, EPROTO, "the engine's answer has no exec id");
	if (r >= 0)
		*id = docker_escape(found);
	json_decref(body);
	json_decref(answer);
	return r;
}

/* The exec's line, upgraded: what follows is its input and output. */
static int exec_attach(struct docker *docker, const char *id, struct line *line, const struct http_receiver *receiver,
		       struct cancel *cancel, struct error *err)
{
	static const char *const headers[] = {"Content-Type: application/json", "Connection: Upgrade", "Upgrade: tcp",
					      NULL};
	static const char body[] = "{\"Detach\":false,\"Tty\":false}";
	_cleanup_free_ char *target = xasprintf("/exec/%s/start", id);
	struct http_request request = {
		.method = "POST", .target = target, .headers = headers, .body = body, .body_len = sizeof(body) - 1};
	int r = line_open(docker, line, cancel, err);
	return r < 0 ? r : docker_exchange_on(docker, line, &request, receiver, cancel, DOCKER_IDLE_MS, err);
}

static int exec_start(struct docker *docker, const char *id, const struct docker_exec *exec, struct exec_output *output,
		      struct cancel *cancel, struct error *err)
{
	struct http_request input = {.body = exec->input,
				     .body_len = exec->input_len,
				     .produce = exec->produce,
				     .produce_data = exec->produce_data};
	struct http_receiver receiver = {.body = take_stream, .data = output};
	struct line line = {0};
	int r = exec_attach(docker, id, &line, &receiver, cancel, err);
	if (r == 101)
		r = http_stream(line.connection, &input, &receiver, cancel, 0, err);
	line_close(docker, &line);
	return r < 0 ? r : 0;
}

/* Waits a little, but not for a cancelled one. */
static void pause_ms(struct cancel *cancel, int ms)
{
	struct pollfd fd = {.fd = cancel_fd(cancel), .events = POLLIN};
	poll(&fd, 1, ms);
}

/* The exit status: known a moment after the output's end. */
static int exec_status(struct docker *docker, const char *id, struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *path = xasprintf("/exec/%s/json", id);
	for (int i = 0; i < EXEC_END_TRIES && !cancel_requested(cancel); i++) {
		json_t *state = NULL;
		int r = docker_call(docker, "GET", path, NULL, &state, cancel, err);
		if (r < 0)
			return r;
		bool running = json_is_true(json_object_get(state, "Running"));
		json_t *code = json_object_get(state, "ExitCode");
		int status = json_is_integer(code) ? (int)(json_integer_value(code) & 0xff) : -1;
		json_decref(state);
		if (!running && status >= 0)
			return status;
		pause_ms(cancel, EXEC_END_MS);
	}
	return cancel_requested(cancel) ? error_set(err, ECANCELED, "cancelled")
					: error_set(err, EIO, "the engine does not say how the program ended");
}

/* The runtime's words where it could not start the program (runc, crun). */
static bool did_not_start(int status, const char *words)
{
	static const char *const signs[] = {"OCI runtime", "executable file", "exec failed"};
	for (size_t i = 0; (status == 126 || status == 127) && i < ARRAY_LEN(signs); i++)
		if (strstr(words, signs[i]))
			return true;
	return false;
}

int docker_exec_run(struct docker *docker, const char *container, const struct docker_exec *exec, struct cancel *cancel,
		    struct error *err)
{
	_cleanup_free_ char *id = NULL;
	struct exec_output output = {.exec = exec, .words = {.max = EXEC_WORDS_MAX + 1}, .err = err};
	int r = exec_create(docker, container, exec, exec->input || exec->produce, &id, cancel, err);
	if (r >= 0)
		r = exec_start(docker, id, exec, &output, cancel, err);
	if (r >= 0)
		r = exec_status(docker, id, cancel, err);
	if (r >= 0 && did_not_start(r, str_text(&output.words)))
		r = error_set(err, ENOENT, "%s can't be started in the container: %s", exec->argv[0],
			      str_text(&output.words));
	str_release(&output.words);
	return r;
}

struct docker_stream {
	struct docker *docker;
	struct line line;
	struct demux demux;
	struct str words; /* the beginning of stderr */
	struct error *err;
	int (*take)(void *data, const void *bytes, size_t len);
	void *data;
};

void docker_stream_close(struct docker_stream *stream)
{
	if (!stream)
		return;
	line_close(stream->docker, &stream->line);
	str_release(&stream->words);
	free(stream);
}

int docker_stream_open(struct docker *docker, const char *container, const struct docker_exec *exec,
		       struct docker_stream **stream, struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *id = NULL;
	struct http_receiver nothing = {0};
	int r = exec_create(docker, container, exec, true, &id, cancel, err);
	if (r < 0)
		return r;
	struct docker_stream *s = xcalloc(1, sizeof(*s));
	s->docker = docker;
	s->words.max = EXEC_WORDS_MAX + 1;
	r = exec_attach(docker, id, &s->line, &nothing, cancel, err);
	if (r >= 0 && r != 101)
		r = error_set(err, EPROTO, "the engine does not open a line to the program");
	if (r < 0) {
		docker_stream_close(s);
		return r;
	}
	*stream = s;
	return 0;
}

static int take_stream_piece(void *data, int number, const char *bytes, size_t len)
{
	struct docker_stream *stream = data;
	if (number == 1)
		return stream->take(stream->data, bytes, len);
	size_t room = EXEC_WORDS_MAX - stream->words.len;
	str_add_bytes(&stream->words, bytes, len < room ? len : room);
	return 0;
}

static int take_stream_bytes(void *data, const void *bytes, size_t len)
{
	struct docker_stream *stream = data;
	return demux_feed(&stream->demux, bytes, len, take_stream_piece, stream, stream->err);
}

int docker_stream_turn(struct docker_stream *stream, const char **out, size_t *len,
		       int (*take)(void *data, const void *bytes, size_t len), void *data, struct cancel *cancel,
		       unsigned timeout_ms, struct error *err)
{
	struct http_receiver receiver = {.body = take_stream_bytes, .data = stream};
	struct bytes bytes = {*out, *len};
	stream->take = take;
	stream->data = data;
	stream->err = err;
	CLEANUP(error_clear) struct error why = {0};
	int r = http_stream_turn(stream->line.connection, &bytes, &receiver, cancel, timeout_ms, &why);
	*out = bytes.data;
	*len = bytes.len;
	if (r == -EPIPE && stream->words.len)
		return error_set(err, EPIPE, "%s", str_text(&stream->words));
	return r < 0 && why.code ? error_move(err, &why) : r;
}
