/* Programs in containers: GET …/exec as a WebSocket whose messages begin with a channel (0 in, 1 out, 2 errors, 3 how it ended; v5: 255 closes one). Where the
 * role forbids that GET, `kubectl exec -i` carries the same bytes. */
#include <errno.h>
#include <strings.h>

#include "base/file.h"
#include "client/docker.h"
#include "client/kubernetes-internal.h"
#include "io/process.h"
#include "net/websocket.h"

enum {
	PIECE = 64 << 10,    /* bytes in a message */
	WORDS_MAX = 4 << 10, /* of stderr and the server */
};
enum channel { CHANNEL_IN, CHANNEL_OUT, CHANNEL_ERRORS, CHANNEL_STATUS, CHANNEL_CLOSE = 255 };

struct kubernetes_stream {
	struct http_connection *connection;
	int pid; /* of kubectl; 0: it is a WebSocket */
	struct websocket ws;
	unsigned channel;  /* of the message that comes in */
	bool v5, accepted; /* of the handshake */
	bool ended;
	struct str pending; /* frames to be sent */
	struct str words;   /* the beginning of stderr */
	struct str *errors; /* all of stderr; NULL: not wanted */
	struct str status;  /* JSON */
	char key[WEBSOCKET_KEY_SIZE];
	struct error *err;
	int (*take)(void *data, const void *bytes, size_t len);
	void *data;
};

void kubernetes_stream_close(struct kubernetes_stream *s)
{
	if (!s)
		return;
	http_connection_free(s->connection);
	process_end(s->pid);
	str_release(&s->pending);
	str_release(&s->words);
	str_release(&s->status);
	free(s);
}

static int check_handshake(void *data, const struct http_response *response)
{
	struct kubernetes_stream *s = data;
	char accept[WEBSOCKET_ACCEPT_SIZE];
	websocket_accept(s->key, accept);
	const char *protocol = http_response_header(response, "Sec-WebSocket-Protocol");
	s->v5 = protocol && str_equal(protocol, "v5.channel.k8s.io");
	s->accepted = response->status == 101 && (s->v5 || str_equal(protocol, "v4.channel.k8s.io")) &&
		      str_equal(http_response_header(response, "Sec-WebSocket-Accept"), accept);
	return 0;
}

static char *exec_path(const struct kubernetes_container *in, const char *const *argv, bool input)
{
	struct str path = {0};
	_cleanup_free_ char *namespace_ = docker_escape(in->namespace_), *pod = docker_escape(in->pod),
			    *container = docker_escape(in->container);
	str_addf(&path, "/api/v1/namespaces/%s/pods/%s/exec?container=%s&stdin=%s&stdout=true&stderr=true", namespace_,
		 pod, container, input ? "true" : "false");
	for (; *argv; argv++) {
		_cleanup_free_ char *word = docker_escape(*argv);
		str_addf(&path, "&command=%s", word);
	}
	return str_steal(&path);
}

static int open_websocket(struct kubernetes *k, const struct kubernetes_container *in, const char *const *argv,
			  bool input, struct kubernetes_stream *s, struct cancel *cancel, struct error *err)
{
	websocket_key(s->key);
	_cleanup_free_ char *target = exec_path(in, argv, input), *key = xasprintf("Sec-WebSocket-Key: %s", s->key);
	const char *const headers[] = {"Connection: Upgrade",
				       "Upgrade: websocket",
				       "Sec-WebSocket-Version: 13",
				       "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io",
				       key,
				       NULL};
	const struct http_request request = {.method = "GET", .target = target, .headers = headers};
	const struct http_receiver receiver = {.head = check_handshake, .data = s};
	CLEANUP(error_clear) struct error why = {0};
	int r = kubernetes_exchange(k, &request, &receiver, &s->connection, cancel, KUBERNETES_IDLE_MS, &why);
	if (r >= 0 && !s->accepted)
		r = error_set(&why, EPROTO, "the cluster does not open a line into %s", in->pod);
	if (r >= 0)
		return 0;
	if (r != -EACCES && r != -ECANCELED) /* whatever it is, it says nothing of the program */
		why.code = EAGAIN;
	return error_move(err, &why);
}

static void child_argv(const struct kubernetes *k, const struct kubernetes_container *in, const char *const *program,
		       bool input, struct strv *argv)
{
	kubernetes_command(k, argv);
	strv_pushf(argv, "--namespace=%s", in->namespace_);
	strv_push(argv, "exec");
	if (input)
		strv_push(argv, "--stdin");
	strv_pushf(argv, "--container=%s", in->container);
	strv_push(argv, in->pod);
	strv_push(argv, "--");
	for (; *program; program++)
		strv_push(argv, *program);
}

static int open_child(const struct kubernetes *k, const struct kubernetes_container *in, const char *const *program,
		      struct kubernetes_stream *s, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	int fd = -1;
	child_argv(k, in, program, true, &argv);
	int pid = process_connect((const char *const *)argv.items, true, &fd, err);
	if (pid < 0)
		return pid;
	s->pid = pid;
	s->connection = http_connection_new(fd);
	return 0;
}

int kubernetes_stream_open(struct kubernetes *k, const struct kubernetes_container *in, const char *const *argv,
			   struct kubernetes_stream **stream, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	struct kubernetes_stream *s = xcalloc(1, sizeof(*s));
	s->words.max = WORDS_MAX;
	s->status.max = KUBERNETES_ERROR_MAX;
	int r = open_websocket(k, in, argv, true, s, cancel, &why);
	if (r == -EACCES) { /* no `get pods/exec`: `create` may do */
		http_connection_free(steal(&s->connection));
		r = open_child(k, in, argv, s, err);
	} else if (r < 0) {
		error_move(err, &why);
	}
	if (r < 0)
		kubernetes_stream_close(s);
	else
		*stream = s;
	return r < 0 ? r : 0;
}

static int take_piece(struct kubernetes_stream *s, const struct websocket_piece *piece)
{
	struct bytes bytes = piece->bytes;
	if (piece->first && bytes.len == 0)
		return piece->last ? 0 : error_set(s->err, EPROTO, "the cluster sends a message without a channel");
	if (piece->first) {
		s->channel = (unsigned char)*bytes.data++;
		bytes.len--;
	}
	if (bytes.len == 0)
		return 0;
	switch (s->channel) {
	case CHANNEL_OUT:
		return s->take(s->data, bytes.data, bytes.len);
	case CHANNEL_ERRORS:
		str_add_bytes(s->errors ? s->errors : &s->words, bytes.data, bytes.len); /* bounded */
		return 0;
	case CHANNEL_STATUS:
		str_add_bytes(&s->status, bytes.data, bytes.len);
		return 0;
	default:
		return 0;
	}
}

static int take_frames(void *data, const void *bytes, size_t len)
{
	struct kubernetes_stream *s = data;
	struct bytes input = {bytes, len};
	struct websocket_piece piece;
	int event;
	if (s->pid)
		return s->take(s->data, bytes, len);
	while ((event = websocket_step(&s->ws, &input, &piece, s->err)) > WEBSOCKET_NEED_MORE) {
		int r = event == WEBSOCKET_DATA ? take_piece(s, &piece) : 0;
		if (event == WEBSOCKET_PING)
			r = websocket_put(&s->pending, WEBSOCKET_OP_PONG, (struct bytes){0}, piece.bytes);
		s->ended = s->ended || event == WEBSOCKET_CLOSE;
		if (r < 0)
			return r;
	}
	return event;
}

int kubernetes_why_not_run(const char *words)
{
	static const struct {
		const char *words;
		int code;
	} meanings[] = {
		{"dial ", EAGAIN}, /* a socket is a file, too */
		{"executable file", ENOENT},
		{"no such file or directory", ENOENT},
		{"permission denied", ENOEXEC},
		{"exec format error", ENOEXEC},
	};
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
		if (strcasestr(words, meanings[i].words))
			return meanings[i].code;
	return EAGAIN;
}

/* The kubelet's words without what the API server asked it. */
static const char *without_request(const char *message)
{
	static const char request[] = "error sending request: ", internal[] = "Internal error occurred: ";
	const char *at = strstr(message, request), *end = at ? strstr(at, "\": ") : NULL;
	if (end)
		return end + 3;
	return str_starts_with(message, internal) ? message + sizeof(internal) - 1 : message;
}

/* How the program ended: its exit code, or a negative errno with the server's words. */
static int end_status(const struct kubernetes_stream *s, struct error *err)
{
	json_t *status = json_loadb(str_text(&s->status), s->status.len, 0, NULL);
	const json_t *causes = json_object_get(json_object_get(status, "details"), "causes"), *cause;
	const char *message = json_string_value(json_object_get(status, "message"));
	int r = str_equal(json_string_value(json_object_get(status, "status")), "Success") ? 0 : -EIO;
	size_t i;
	json_array_foreach(causes, i, cause)
	{
		const char *code = json_string_value(json_object_get(cause, "message"));
		if (str_equal(json_string_value(json_object_get(cause, "reason")), "ExitCode") && code)
			r = (int)strtol(code, NULL, 10) & 0xff;
	}
	if (r < 0 && !message)
		r = error_set(err, EPIPE, "the line into the container broke");
	else if (r < 0)
		r = error_set(err, kubernetes_why_not_run(message), "%s", without_request(message));
	json_decref(status);
	return r;
}

static int why_ended(const struct kubernetes_stream *s, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	int status = s->status.len ? end_status(s, &why) : 0;
	if (s->words.len)
		return error_set(err, EPIPE, "%s", str_text(&s->words));
	if (status < 0)
		return error_move(err, &why);
	return error_set(err, EPIPE, "the program in the container ended (exit %d)", status);
}

/* What is sent next: frames, or the caller's own bytes where kubectl carries them. */
static int send_turn(struct kubernetes_stream *s, const char **out, size_t *len, const struct http_receiver *receiver,
		     struct cancel *cancel, unsigned timeout_ms, struct error *err)
{
	struct bytes bytes = {*out, *len};
	if (s->pid) {
		int r = http_stream_turn(s->connection, &bytes, receiver, cancel, timeout_ms, err);
		*out = bytes.data;
		*len = bytes.len;
		return r;
	}
	if (s->pending.len == 0 && *len) {
		bytes.len = *len < PIECE ? *len : PIECE;
		int r = websocket_put(&s->pending, WEBSOCKET_OP_BINARY, (struct bytes){"\0", 1}, bytes);
		if (r < 0)
			return r;
		*out += bytes.len;
		*len -= bytes.len;
	}
	bytes = (struct bytes){str_text(&s->pending), s->pending.len};
	int r = http_stream_turn(s->connection, &bytes, receiver, cancel, timeout_ms, err);
	str_consume(&s->pending,
		    s->pending.len - bytes.len < s->pending.len ? s->pending.len - bytes.len : s->pending.len);
	return r;
}

int kubernetes_stream_turn(struct kubernetes_stream *s, const char **out, size_t *len,
			   int (*take)(void *data, const void *bytes, size_t len), void *data, struct cancel *cancel,
			   unsigned timeout_ms, struct error *err)
{
	const struct http_receiver receiver = {.body = take_frames, .data = s};
	CLEANUP(error_clear) struct error inner = {0};
	s->take = take;
	s->data = data;
	s->err = &inner;
	int r = s->ended ? -EPIPE : send_turn(s, out, len, &receiver, cancel, timeout_ms, &inner);
	if (r == -EPIPE || (r >= 0 && s->ended))
		return why_ended(s, err);
	return r < 0 && inner.code ? error_move(err, &inner) : r;
}

/* ---- programs that are run to their end ---- */

struct running {
	const struct kubernetes_exec *exec;
	bool input_ended;
	char buffer[PIECE];
	struct bytes left; /* of the buffer */
};

static int take_output(void *data, const void *bytes, size_t len)
{
	const struct running *running = data;
	if (running->exec->output)
		str_add_bytes(running->exec->output, bytes, len); /* bounded */
	return 0;
}

/* The next piece of input; at its end the channel is closed, once. */
static int next_input(struct kubernetes_stream *s, struct running *running)
{
	static const char close[] = {(char)CHANNEL_CLOSE, CHANNEL_IN};
	const struct kubernetes_exec *exec = running->exec;
	if (running->left.len || running->input_ended || s->pending.len)
		return 0;
	ssize_t n = 0;
	if (exec->produce) {
		n = exec->produce(exec->produce_data, running->buffer, sizeof(running->buffer));
		running->left = (struct bytes){running->buffer, n > 0 ? (size_t)n : 0};
	}
	if (n != 0)
		return n < 0 ? (int)n : 0;
	running->input_ended = true;
	return websocket_put(&s->pending, WEBSOCKET_OP_BINARY, (struct bytes){close, 2}, (struct bytes){0});
}

static int run_to_end(struct kubernetes_stream *s, const struct kubernetes_exec *exec, struct cancel *cancel,
		      struct error *err)
{
	CLEANUP(error_clear) struct error inner = {0};
	struct running *running = xcalloc(1, sizeof(*running));
	*running = (struct running){.exec = exec, .left = {exec->input, exec->input ? exec->input_len : 0}};
	running->input_ended = !exec->input && !exec->produce;
	int r = 0;
	while (r >= 0) {
		r = next_input(s, running);
		if (r >= 0)
			r = kubernetes_stream_turn(s, &running->left.data, &running->left.len, take_output, running,
						   cancel, 0, &inner);
	}
	free(running);
	if (r != -EPIPE)
		return inner.code ? error_move(err, &inner) : r;
	return end_status(s, err);
}

struct child_words {
	struct str *errors; /* all of them; may be NULL */
	char *last;	    /* line */
};

static void child_error(void *data, int stream, const char *line, size_t len)
{
	struct child_words *words = data;
	if (stream != 2)
		return;
	if (words->errors) {
		str_add_bytes(words->errors, line, len);
		str_add_char(words->errors, '\n');
	}
	free(words->last);
	words->last = xstrdup(line);
}

/* kubectl ends as the program did, and says so; its own failures are 1 with other words. All input is had first. */
static int run_child(const struct kubernetes *k, const struct kubernetes_container *in,
		     const struct kubernetes_exec *exec, struct cancel *cancel, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	CLEANUP(str_release) struct str input = {.max = KUBERNETES_ANSWER_MAX};
	struct child_words words = {.errors = exec->errors};
	ssize_t n = exec->produce ? 1 : 0;
	while (n > 0) {
		char *room = str_reserve(&input, PIECE);
		n = room ? exec->produce(exec->produce_data, room, PIECE) : -EOVERFLOW;
		input.len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return error_set(err, (int)-n, "too much for one `kubectl exec`");
	child_argv(k, in, exec->argv, exec->input || exec->produce, &argv);
	const struct process_spec spec = {.argv = (const char *const *)argv.items,
					  .input = exec->produce ? str_text(&input) : exec->input,
					  .input_len = exec->produce ? input.len : exec->input_len,
					  .output = exec->output,
					  .line = child_error,
					  .data = &words,
					  .cancel = cancel};
	int r = process_run(&spec, err);
	if (r > 0 && words.last && !strstr(words.last, "terminated with exit code"))
		r = error_set(err, kubernetes_why_not_run(words.last), "%s", words.last);
	free(words.last);
	return r;
}

int kubernetes_exec_run(struct kubernetes *k, const struct kubernetes_container *in, const struct kubernetes_exec *exec,
			struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	struct kubernetes_stream *s = xcalloc(1, sizeof(*s));
	s->words.max = WORDS_MAX;
	s->status.max = KUBERNETES_ERROR_MAX;
	s->errors = exec->errors;
	bool input = exec->input || exec->produce;
	int r = open_websocket(k, in, exec->argv, input, s, cancel, &why);
	if (r == -EACCES || (r >= 0 && input && !s->v5)) /* v4 has no end of input */
		r = run_child(k, in, exec, cancel, err);
	else if (r < 0)
		error_move(err, &why);
	else
		r = run_to_end(s, exec, cancel, err);
	kubernetes_stream_close(s);
	return r;
}
