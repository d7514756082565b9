#include "client/kubernetes.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "client/docker.h"
#include "client/kubernetes-internal.h"
#include "io/process.h"

enum {
	CONFIG_MAX = 16 << 20,
	PROXY_START_MS = 10000,
	WORDS_MAX = 4 << 10,
};

struct kubernetes {
	char *context, *namespace_;
	struct strv command;   /* kubectl --context=C */
	pthread_mutex_t proxy; /* of what follows */
	char *directory, *socket;
	int pid, fd; /* of the proxy: 0, none runs */
	pthread_mutex_t names;
	struct strv namespaces; /* sorted */
};

const char *kubernetes_context(const struct kubernetes *k)
{
	return k->context;
}

const char *kubernetes_namespace(const struct kubernetes *k)
{
	return k->namespace_;
}

void kubernetes_note_namespace(struct kubernetes *k, const char *namespace_)
{
	pthread_mutex_lock(&k->names);
	if (!strv_contains(&k->namespaces, namespace_)) {
		strv_push(&k->namespaces, namespace_);
		strv_sort_unique(&k->namespaces);
	}
	pthread_mutex_unlock(&k->names);
}

void kubernetes_namespaces(struct kubernetes *k, struct strv *namespaces)
{
	pthread_mutex_lock(&k->names);
	strv_extend(namespaces, &k->namespaces);
	pthread_mutex_unlock(&k->names);
}

void kubernetes_command(const struct kubernetes *k, struct strv *argv)
{
	strv_extend(argv, &k->command);
}

/* ---- the configuration, as kubectl has it ---- */

static void keep_line(void *data, int stream, const char *line, size_t len)
{
	struct str *words = data;
	if (stream == 2 && len) {
		if (words->len)
			str_add(words, "; ");
		str_add_bytes(words, line, len);
	}
}

static int read_config(struct kubernetes *k, const char *namespace_, struct cancel *cancel, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	CLEANUP(str_release) struct str output = {.max = CONFIG_MAX}, words = {.max = WORDS_MAX};
	strv_extend(&argv, &k->command);
	strv_push(&argv, "config");
	strv_push(&argv, "view");
	strv_push(&argv, "--minify");
	strv_push(&argv, "--output=json");
	const struct process_spec spec = {.argv = (const char *const *)argv.items,
					  .output = &output,
					  .line = keep_line,
					  .data = &words,
					  .cancel = cancel};
	CLEANUP(error_clear) struct error why = {0};
	int r = process_run(&spec, &why);
	if (r == -ENOENT)
		return error_set(err, ENOENT, "there is no kubectl, by which Kubernetes is reached: install it");
	if (r < 0)
		return error_move(err, &why);
	if (r > 0)
		return error_set(err, EINVAL, "kubectl has no usable context (KUBECONFIG, ~/.kube/config): %s",
				 words.len ? str_text(&words) : "it does not say why");
	json_t *config = json_loadb(str_text(&output), output.len, 0, NULL);
	const json_t *entry = json_array_get(json_object_get(config, "contexts"), 0);
	const char *name = json_string_value(json_object_get(entry, "name"));
	const char *own = json_string_value(json_object_get(json_object_get(entry, "context"), "namespace"));
	if (name) {
		k->context = xstrdup(name);
		k->namespace_ = xstrdup(namespace_ ? namespace_ : own && *own ? own : "default");
	}
	json_decref(config);
	return name ? 0 : error_set(err, EINVAL, "kubectl knows no context: KUBECONFIG or ~/.kube/config names none");
}

/* ---- the proxy ---- */

static void end_proxy(struct kubernetes *k)
{
	process_end(k->pid);
	k->pid = 0;
	cleanup_close(&k->fd);
	k->fd = -1;
	if (k->socket)
		unlink(k->socket);
}

static int make_directory(struct kubernetes *k, struct error *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	if (k->directory)
		return 0;
	k->directory = xasprintf("%s/skiff-XXXXXX", runtime && *runtime == '/' ? runtime : "/tmp");
	if (!mkdtemp(k->directory)) { /* 0700: whoever reaches the socket is this person to the cluster */
		int r = error_errno(err, errno, "can't make %s", k->directory);
		free(steal(&k->directory));
		return r;
	}
	k->socket = path_join(k->directory, "kubernetes");
	return 0;
}

/* It says where it listens once it does. */
static int wait_for_proxy(struct kubernetes *k, struct cancel *cancel, struct error *err)
{
	char text[256];
	struct pollfd fds[] = {{.fd = k->fd, .events = POLLIN}, {.fd = cancel_fd(cancel), .events = POLLIN}};
	int r = poll(fds, ARRAY_LEN(fds), PROXY_START_MS);
	if (r > 0 && fds[1].revents)
		return error_set(err, ECANCELED, "cancelled");
	if (r > 0 && read(k->fd, text, sizeof(text)) > 0)
		return 0;
	return error_set(err, ECONNREFUSED,
			 "`kubectl proxy` does not start: `kubectl --context=%s get pods` may say why", k->context);
}

static int start_proxy(struct kubernetes *k, struct cancel *cancel, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	int r = make_directory(k, err);
	if (r < 0)
		return r;
	strv_extend(&argv, &k->command);
	strv_push(&argv, "proxy");
	strv_pushf(&argv, "--unix-socket=%s", k->socket);
	strv_push(&argv, "--reject-paths=^$"); /* by default it refuses exec */
	r = process_connect((const char *const *)argv.items, true, &k->fd, err);
	if (r < 0)
		return r;
	k->pid = r;
	r = wait_for_proxy(k, cancel, err);
	if (r < 0)
		end_proxy(k);
	return r;
}

static bool proxy_ended(const struct kubernetes *k)
{
	char byte;
	struct pollfd look = {.fd = k->fd, .events = POLLIN};
	while (k->pid && poll(&look, 1, 0) > 0)
		if (read(k->fd, &byte, 1) <= 0)
			return true;
	return !k->pid;
}

/* A connection to the proxy: the descriptor, or a negative errno. */
static int dial(struct kubernetes *k, struct cancel *cancel, struct error *err)
{
	int r = 0;
	pthread_mutex_lock(&k->proxy);
	if (proxy_ended(k)) {
		end_proxy(k);
		r = start_proxy(k, cancel, err);
	}
	if (r >= 0)
		r = socket_connect_unix(k->socket, err);
	pthread_mutex_unlock(&k->proxy);
	return r;
}

/* ---- requests ---- */

struct answer { /* a success goes to the receiver, an error's words are kept */
	const struct http_receiver *receiver;
	bool failed;
	struct str words;
};

static int answer_head(void *data, const struct http_response *response)
{
	struct answer *answer = data;
	answer->failed = response->status >= 400;
	const struct http_receiver *receiver = answer->receiver;
	return !answer->failed && receiver && receiver->head ? receiver->head(receiver->data, response) : 0;
}

static int answer_body(void *data, const void *bytes, size_t len)
{
	struct answer *answer = data;
	const struct http_receiver *receiver = answer->receiver;
	if (answer->failed)
		str_add_bytes(&answer->words, bytes, len);
	return !answer->failed && receiver && receiver->body ? receiver->body(receiver->data, bytes, len) : 0;
}

/* kubernetes.io/docs/reference/using-api/api-concepts: a Status object. What the proxy itself says is plain text. */
static int status_error(const struct kubernetes *k, const struct answer *answer, unsigned status, struct error *err)
{
	static const struct {
		unsigned status;
		int code;
	} codes[] = {{400, EINVAL}, {401, EACCES}, {403, EACCES}, {404, ENOENT},       {409, EEXIST},
		     {410, ESTALE}, {422, EINVAL}, {501, ENOSYS}, {502, ECONNREFUSED}, {503, ECONNREFUSED}};
	int code = EIO;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		code = codes[i].status == status ? codes[i].code : code;
	json_t *json = json_loadb(str_text(&answer->words), answer->words.len, 0, NULL);
	const char *message = json_string_value(json_object_get(json, "message"));
	size_t len = answer->words.len;
	while (len > 0 && str_text(&answer->words)[len - 1] == '\n')
		len--;
	_cleanup_free_ char *words = xstrndup(str_text(&answer->words), len), *plain = str_printable(words);
	if (!message && code == ECONNREFUSED)
		error_set(err, code, "the cluster of context %s does not answer%s%s", k->context, *plain ? ": " : "",
			  plain);
	else
		error_set(err, code, "%s", message ? message : *plain ? plain : "the cluster gave no reason");
	json_decref(json);
	return -code;
}

int kubernetes_exchange(struct kubernetes *k, const struct http_request *request, const struct http_receiver *receiver,
			struct http_connection **connection, struct cancel *cancel, unsigned timeout_ms,
			struct error *err)
{
	CLEANUP(error_clear) struct error inner = {0};
	struct answer answer = {.receiver = receiver, .words = {.max = KUBERNETES_ERROR_MAX}};
	const struct http_receiver sorted = {.head = answer_head, .body = answer_body, .data = &answer};
	int fd = dial(k, cancel, err);
	if (fd < 0)
		return fd;
	*connection = http_connection_new(fd);
	int r = http_exchange(*connection, request, &sorted, cancel, timeout_ms, &inner);
	if (r >= 400)
		r = status_error(k, &answer, (unsigned)r, err);
	else if (r < 0 && inner.code)
		error_move(err, &inner);
	str_release(&answer.words);
	return r;
}

static int take_text(void *data, const void *bytes, size_t len)
{
	return str_add_bytes(data, bytes, len);
}

int kubernetes_call(struct kubernetes *k, const char *method, const char *path, const json_t *body, json_t **answer,
		    struct cancel *cancel, struct error *err)
{
	static const char *const plain[] = {"Content-Type: application/json", "Accept: application/json", NULL};
	static const char *const patch[] = {"Content-Type: application/merge-patch+json", "Accept: application/json",
					    NULL};
	CLEANUP(http_connection_free_cleanup) struct http_connection *connection = NULL;
	CLEANUP(str_release) struct str text = {.max = KUBERNETES_ANSWER_MAX};
	_cleanup_free_ char *dumped = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const struct http_receiver receiver = {.body = take_text, .data = &text};
	const struct http_request request = {.method = method,
					     .target = path,
					     .headers = str_equal(method, "PATCH") ? patch : plain,
					     .body = dumped,
					     .body_len = dumped ? strlen(dumped) : 0};
	if (body && !dumped)
		return error_set(err, EINVAL, "what is asked of the cluster is not UTF-8");
	int r = kubernetes_exchange(k, &request, &receiver, &connection, cancel, KUBERNETES_IDLE_MS, err);
	if (r == -EOVERFLOW)
		return error_set(err, EPROTO, "the cluster's answer is too long (%s)", path);
	if (r < 0)
		return r;
	json_t *json = text.len ? json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
	if (text.len && !json)
		return error_set(err, EPROTO, "the cluster's answer is no JSON (%s)", path);
	if (answer)
		*answer = json;
	else
		json_decref(json);
	return 0;
}

/* ---- streams of lines ---- */

int line_splitter_feed(void *data, const void *bytes, size_t len)
{
	struct line_splitter *splitter = data;
	const char *at = bytes, *end = at + len;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t piece = (size_t)((newline ? newline : end) - at);
		if (str_add_bytes(&splitter->line, at, piece) < 0)
			return error_set(splitter->err, EPROTO, "the cluster sends a line that is too long");
		if (newline) {
			splitter->take(splitter->data, str_text(&splitter->line), splitter->line.len);
			str_clear(&splitter->line);
		}
		at += piece + (newline ? 1 : 0);
	}
	return 0;
}

struct watching {
	void (*event)(void *data, const json_t *event);
	void *data;
	bool stale;
};

static int watch_began(void *data, const struct http_response *response)
{
	struct line_splitter *splitter = data;
	struct watching *watching = splitter->data;
	(void)response;
	watching->event(watching->data, NULL);
	return 0;
}

/* {"type":"ERROR","object":{…"code":410…}}: what came since is forgotten there. */
static void watch_line(void *data, const char *line, size_t len)
{
	struct watching *watching = data;
	json_t *event = json_loadb(line, len, 0, NULL);
	const char *type = json_string_value(json_object_get(event, "type"));
	if (str_equal(type, "ERROR"))
		watching->stale = true;
	else if (type)
		watching->event(watching->data, event);
	json_decref(event);
}

int kubernetes_watch(struct kubernetes *k, const char *path, void (*event)(void *data, const json_t *event), void *data,
		     struct cancel *cancel, struct error *err)
{
	CLEANUP(http_connection_free_cleanup) struct http_connection *connection = NULL;
	_cleanup_free_ char *target = xasprintf("%s%cwatch=1", path, strchr(path, '?') ? '&' : '?');
	struct watching watching = {.event = event, .data = data};
	struct line_splitter splitter = {.line = {.max = KUBERNETES_LINE_MAX},
					 .take = watch_line,
					 .data = &watching,
					 .err = err};
	const struct http_receiver receiver = {.head = watch_began, .body = line_splitter_feed, .data = &splitter};
	const struct http_request request = {.method = "GET", .target = target};
	int r = kubernetes_exchange(k, &request, &receiver, &connection, cancel, 0, err);
	str_release(&splitter.line);
	if (r >= 0 && watching.stale)
		return error_set(err, ESTALE, "the cluster has forgotten what came since the list");
	return r < 0 ? r : 0;
}

/* ---- opening ---- */

void kubernetes_close(struct kubernetes *k)
{
	if (!k)
		return;
	end_proxy(k);
	if (k->directory)
		rmdir(k->directory);
	free(k->directory);
	free(k->socket);
	free(k->context);
	free(k->namespace_);
	strv_release(&k->command);
	strv_release(&k->namespaces);
	pthread_mutex_destroy(&k->proxy);
	pthread_mutex_destroy(&k->names);
	free(k);
}

int kubernetes_connect(const struct kubernetes_options *options, struct kubernetes **kubernetes, struct cancel *cancel,
		       struct error *err)
{
	struct kubernetes *k = xcalloc(1, sizeof(*k));
	k->fd = -1;
	pthread_mutex_init(&k->proxy, NULL);
	pthread_mutex_init(&k->names, NULL);
	strv_push(&k->command, "kubectl");
	if (options->context)
		strv_pushf(&k->command, "--context=%s", options->context);
	int r = read_config(k, options->namespace_, cancel, err);
	if (r >= 0)
		r = kubernetes_call(k, "GET", "/version", NULL, NULL, cancel, err);
	if (r >= 0)
		kubernetes_note_namespace(k, k->namespace_);
	if (r < 0) {
		kubernetes_close(k);
		return r;
	}
	*kubernetes = k;
	return 0;
}
