/* The Docker client: where it looks for the engine, and how it takes an engine that answers well, badly, or not at all. Kubernetes' words. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "client/demux.h"
#include "client/docker.h"
#include "client/endpoint.h"
#include "client/kubernetes-internal.h"

static char *folder;

static int set_up(void **state)
{
	(void)state;
	char template[] = "/tmp/skiff-client-XXXXXX";
	folder = xstrdup(mkdtemp(template));
	_cleanup_free_ char *config = path_join(folder, "docker");
	static const char *const unset[] = {"DOCKER_HOST", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR"};
	for (size_t i = 0; i < ARRAY_LEN(unset); i++)
		unsetenv(unset[i]);
	setenv("DOCKER_CONFIG", config, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	file_remove_tree(folder, NULL);
	free(steal(&folder));
	return 0;
}

static void write_config(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/docker/%s", folder, name);
	_cleanup_free_ char *directory = path_dir(path);
	assert_int_equal(file_make_directories(directory, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void assert_first(const char *host, const char *socket)
{
	CLEANUP(endpoints_release) struct endpoints endpoints = {0};
	assert_int_equal(endpoints_find(&endpoints, NULL), 0);
	assert_string_equal(endpoints.items[0].host, host);
	if (socket)
		assert_string_equal(endpoints.items[0].socket, socket);
	else
		assert_null(endpoints.items[0].socket);
}

static void endpoints_in_their_order(void **state)
{
	(void)state;
	static const char meta[] = "{\"Name\":\"%s\",\"Metadata\":{},\"Endpoints\":{\"docker\":{\"Host\":\"%s\","
				   "\"SkipTLSVerify\":false}}}";
	_cleanup_free_ char *near = xasprintf(meta, "near", "unix:///near.sock"),
			    *far = xasprintf(meta, "far", "ssh://me@far");
	assert_first("unix:///var/run/docker.sock", "/var/run/docker.sock");
	write_config("contexts/meta/1/meta.json", near);
	write_config("contexts/meta/2/meta.json", far);
	write_config("config.json", "{\"currentContext\":\"near\"}");
	assert_first("unix:///near.sock", "/near.sock");
	write_config("config.json", "{\"currentContext\":\"default\"}");
	assert_first("unix:///var/run/docker.sock", "/var/run/docker.sock");
	setenv("DOCKER_CONTEXT", "far", 1);
	assert_first("ssh://me@far", NULL);
	CLEANUP(endpoints_release) struct endpoints endpoints = {0};
	assert_int_equal(endpoints_find(&endpoints, NULL), 0);
	_cleanup_free_ char *command = strv_join(&endpoints.items[0].dial, " ");
	assert_string_equal(command, "docker --context far system dial-stdio");
	setenv("DOCKER_HOST", "unix:///given.sock", 1);
	assert_first("unix:///given.sock", "/given.sock");
	setenv("DOCKER_HOST", "tcp://host:2376", 1);
	assert_first("tcp://host:2376", NULL);
}

static void endpoints_that_are_wrong(void **state)
{
	(void)state;
	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(endpoints_release) struct endpoints endpoints = {0};
	setenv("DOCKER_CONTEXT", "nowhere", 1);
	assert_int_equal(endpoints_find(&endpoints, &err), -EINVAL);
	assert_non_null(strstr(err.message, "nowhere"));
	unsetenv("DOCKER_CONTEXT");
	write_config("config.json", "{\"currentContext\":");
	assert_int_equal(endpoints_find(&endpoints, &err), -EINVAL);
	assert_non_null(strstr(err.message, "config.json:1:"));
}

static int note_piece(void *data, int stream, const char *bytes, size_t len)
{
	return str_addf(data, "%d:%.*s ", stream, (int)len, bytes);
}

static void demultiplexing(void **state)
{
	(void)state;
	static const char good[] = "\1\0\0\0\0\0\0\3out\2\0\0\0\0\0\0\2er\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1i";
	struct demux demux = {0};
	CLEANUP(str_release) struct str seen = {0};
	assert_int_equal(demux_feed(&demux, good, sizeof(good) - 1, note_piece, &seen, NULL), 0);
	assert_string_equal(str_text(&seen), "1:out 2:er 1:i ");
	str_clear(&seen);
	for (size_t i = 0; i + 1 < sizeof(good); i++)
		assert_int_equal(demux_feed(&demux, good + i, 1, note_piece, &seen, NULL), 0);
	assert_string_equal(str_text(&seen), "1:o 1:u 1:t 2:e 2:r 1:i ");
	assert_int_equal(demux_feed(&demux, "HTTP/1.1", 8, note_piece, &seen, NULL), -EPROTO);
}

/* An engine of a few recorded answers, each given to the next request; a connection ends after `close_after` of them. */
struct engine {
	char *path;
	int listener;
	pthread_t thread;
	const char *const *answers; /* ends with NULL */
	unsigned close_after;	    /* 0: never */
	unsigned connections;
	struct str requests; /* their first lines */
};

static bool read_request(int fd, struct engine *engine)
{
	CLEANUP(str_release) struct str text = {0};
	char c;
	while (!strstr(str_text(&text), "\r\n\r\n")) {
		if (read(fd, &c, 1) != 1)
			return false;
		str_add_char(&text, c);
	}
	const char *length = strstr(str_text(&text), "Content-Length: ");
	for (long left = length ? strtol(length + 16, NULL, 10) : 0; left > 0; left--)
		if (read(fd, &c, 1) != 1)
			return false;
	str_addf(&engine->requests, "%.*s\n", (int)strcspn(str_text(&text), "\r"), str_text(&text));
	return true;
}

static void *serve(void *data)
{
	struct engine *engine = data;
	const char *const *answer = engine->answers;
	while (*answer) {
		int fd = accept(engine->listener, NULL, NULL);
		if (fd < 0)
			break;
		engine->connections++;
		for (unsigned served = 0; *answer && (!engine->close_after || served < engine->close_after); served++) {
			if (!read_request(fd, engine))
				break;
			write_all(fd, *answer, strlen(*answer));
			answer++;
		}
		close(fd);
	}
	return NULL;
}

static void engine_start(struct engine *engine, const char *const *answers)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	engine->path = path_join(folder, "engine.sock");
	engine->answers = answers;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", engine->path);
	engine->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(engine->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(engine->listener, 8), 0);
	_cleanup_free_ char *host = xasprintf("unix://%s", engine->path);
	setenv("DOCKER_HOST", host, 1);
	pthread_create(&engine->thread, NULL, serve, engine);
}

static void engine_stop(struct engine *engine)
{
	shutdown(engine->listener, SHUT_RDWR);
	pthread_join(engine->thread, NULL);
	close(engine->listener);
	str_release(&engine->requests);
	free(engine->path);
}

#define PING "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
#define VERSION "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"ApiVersion\":\"1.41\"}"

static void one_connection_for_all_calls(void **state)
{
	(void)state;
	static const char *const answers[] = {
		PING,
		VERSION,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 34\r\n\r\n{\"message\":\"No such container: x\"}",
		"HTTP/1.1 204 No Content\r\n\r\n",
		NULL};
	struct engine engine = {0};
	struct docker *docker = NULL;
	json_t *answer = NULL, *body = json_pack("{s:s}", "a", "b");
	CLEANUP(error_clear) struct error err = {0};
	engine_start(&engine, answers);
	assert_int_equal(docker_connect(&docker, NULL, &err), 0);
	assert_int_equal(docker_call(docker, "GET", "/containers/json", NULL, &answer, NULL, &err), 0);
	assert_true(json_is_array(answer));
	json_decref(answer);
	assert_int_equal(docker_call(docker, "GET", "/containers/x/json", NULL, &answer, NULL, &err), -ENOENT);
	assert_null(answer);
	assert_int_equal(docker_call(docker, "POST", "/y", body, &answer, NULL, &err), 0);
	assert_null(answer);
	docker_close(docker);
	json_decref(body);
	assert_int_equal(engine.connections, 1);
	assert_string_equal(str_text(&engine.requests),
			    "GET /_ping HTTP/1.1\nGET /version HTTP/1.1\nGET /v1.41/containers/json HTTP/1.1\n"
			    "GET /v1.41/containers/x/json HTTP/1.1\nPOST /v1.41/y HTTP/1.1\n");
	engine_stop(&engine);
}

static void an_engine_that_closes_between_calls(void **state)
{
	(void)state;
	static const char *const answers[] = {PING, VERSION, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
					      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", NULL};
	struct engine engine = {.close_after = 1};
	struct docker *docker = NULL;
	CLEANUP(error_clear) struct error err = {0};
	engine_start(&engine, answers);
	assert_int_equal(docker_connect(&docker, NULL, &err), 0);
	for (int i = 0; i < 2; i++)
		if (docker_call(docker, "GET", "/info", NULL, NULL, NULL, &err) < 0)
			fail_msg("%s", err.message);
	docker_close(docker);
	assert_int_equal(engine.connections, 4);
	engine_stop(&engine);
}

static void answers_that_are_no_use(void **state)
{
	(void)state;
	static const char *const answers[] = {PING,
					      VERSION,
					      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{\"a\":",
					      "HTTP/1.1 500 No\r\nContent-Length: 14\r\n\r\nplain and sad\n",
					      "HTTP/1.1 409 No\r\n\r\n",
					      NULL};
	struct engine engine = {.close_after = 1};
	struct docker *docker = NULL;
	CLEANUP(error_clear) struct error err = {0};
	json_t *answer = NULL;
	engine_start(&engine, answers);
	assert_int_equal(docker_connect(&docker, NULL, &err), 0);
	assert_int_equal(docker_call(docker, "GET", "/a", NULL, &answer, NULL, &err), -EPROTO);
	assert_int_equal(docker_call(docker, "GET", "/a", NULL, &answer, NULL, &err), -EIO);
	assert_string_equal(err.message, "plain and sad");
	assert_int_equal(docker_call(docker, "GET", "/a", NULL, &answer, NULL, &err), -EEXIST);
	docker_close(docker);
	engine_stop(&engine);
}

static void engines_that_will_not_do(void **state)
{
	(void)state;
	static const char *const old[] = {PING,
					  "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"ApiVersion\":\"1.24\"}",
					  NULL};
	struct engine engine = {0};
	struct docker *docker = NULL;
	CLEANUP(error_clear) struct error err = {0};
	engine_start(&engine, old);
	assert_int_equal(docker_connect(&docker, NULL, &err), -EPROTONOSUPPORT);
	assert_non_null(strstr(err.message, "1.24"));
	engine_stop(&engine);
	setenv("DOCKER_HOST", "unix:///nowhere/engine.sock", 1);
	assert_int_equal(docker_connect(&docker, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.message, "is it running?"));
}

static void escaping(void **state)
{
	(void)state;
	_cleanup_free_ char *escaped = docker_escape("a b/{\"c\":1}&?#%\xff~");
	assert_string_equal(escaped, "a%20b%2F%7B%22c%22%3A1%7D%26%3F%23%25%FF~");
}

/* As Kubernetes 1.35 with containerd and runc, and others with crun, say it. */
static void why_a_program_did_not_run(void **state)
{
	(void)state;
#define OCI                                                                                                          \
	"Internal error occurred: Internal error occurred: error executing command in container: failed to exec in " \
	"container: failed to start exec "                                                                           \
	"\"1a\": OCI runtime exec failed: exec failed: unable to start container process: "
	static const struct {
		const char *words;
		int code;
	} cases[] = {
		{OCI "exec: \"tar\": executable file not found in $PATH: unknown", ENOENT},
		{OCI "exec: \"/.skiff/agent\": stat /.skiff/agent: no such file or directory: unknown", ENOENT},
		{"executable file `tar` not found in $PATH: No such file or directory: OCI runtime attempted to invoke "
		 "a command that was not found",
		 ENOENT},
		{OCI "exec: \"/.skiff/agent\": permission denied: unknown", ENOEXEC},
		{OCI "exec /.skiff/agent: exec format error: unknown", ENOEXEC},
		{"Internal error occurred: unable to upgrade connection: pod does not exist", EAGAIN},
		{"Internal error occurred: unable to upgrade connection: container not found (\"web\")", EAGAIN},
		{"Internal error occurred: error sending request: Post \"https://10.0.0.1:10250/exec/default/a/web\": "
		 "dial tcp 10.0.0.1:10250: connect: connection refused",
		 EAGAIN},
		{"rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial "
		 "unix /run/containerd/containerd.sock: connect: no such file or directory\"",
		 EAGAIN},
		{"", EAGAIN},
	};
#undef OCI
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(kubernetes_why_not_run(cases[i].words), cases[i].code);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(endpoints_in_their_order),
		TEST(endpoints_that_are_wrong),
		TEST(demultiplexing),
		TEST(one_connection_for_all_calls),
		TEST(an_engine_that_closes_between_calls),
		TEST(answers_that_are_no_use),
		TEST(engines_that_will_not_do),
		TEST(escaping),
		TEST(why_a_program_did_not_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
