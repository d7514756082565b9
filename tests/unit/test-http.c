/* HTTP responses from recorded bytes, split at every offset; and the connection that drives them, over socket pairs. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "net/connection.h"

struct outcome {
	int last;
	unsigned status;
	bool keep_alive;
	struct str body;
	struct str rest; /* after an upgrade, or the beginning of the next response */
};

/* Feeds the bytes in two pieces, then the end of the stream where `closed`. */
static struct outcome parse(const char *bytes, size_t len, size_t split, bool head_request, bool closed)
{
	struct outcome out = {0};
	struct http_parser parser;
	http_parser_init(&parser, head_request);
	struct bytes pieces[] = {{bytes, split}, {bytes + split, len - split}};
	bool over = false;
	for (int i = 0; i < 2; i++) {
		struct bytes body = {0};
		int event = HTTP_NEED_MORE;
		while (!over && (event = http_parser_step(&parser, &pieces[i], &body, NULL)) != HTTP_NEED_MORE) {
			out.last = event;
			out.status = parser.response.status;
			out.keep_alive = parser.response.keep_alive;
			if (event == HTTP_BODY)
				str_add_bytes(&out.body, body.data, body.len);
			over = event < 0 || event == HTTP_END || event == HTTP_UPGRADED;
		}
		str_add_bytes(&out.rest, pieces[i].data, pieces[i].len);
	}
	if (closed && !over)
		out.last = http_parser_eof(&parser, NULL);
	http_parser_release(&parser);
	return out;
}

static void recorded_answers(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		bool head_request, closed;
		int last;
		unsigned status;
		bool keep_alive;
		const char *body, *rest;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", false, false, HTTP_END, 200, true, "OK", ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK", false, false, HTTP_END, 200,
		 false, "OK", ""},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n5;a=b\r\npedia\r\n0\r\nT: "
		 "x\r\n\r\nHTTP",
		 false, false, HTTP_END, 200, true, "Wikipedia", "HTTP"},
		{"HTTP/1.1 200\r\ntransfer-encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", false, false,
		 HTTP_END, 200, true, "0123456789", ""},
		{"HTTP/1.0 200 OK\r\n\r\nto the end", false, true, HTTP_END, 200, false, "to the end", ""},
		{"HTTP/1.1 200 OK\n\nbare line ends", false, true, HTTP_END, 200, false, "bare line ends", ""},
		{"HTTP/1.1 204 No Content\r\n\r\n", false, false, HTTP_END, 204, true, "", ""},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, false, HTTP_END, 304, true, "", ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, false, HTTP_END, 200, true, "", ""},
		{"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", false, false,
		 HTTP_END, 201, true, "", ""},
		{"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nraw", false, false, HTTP_UPGRADED,
		 101, false, "", "raw"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ncut", false, true, -EPIPE, 200, true, "cut", ""},
		{"HTTP/1.1 200 OK\r\nContent-Le", false, true, -EPIPE, 0, false, "", ""},
		{"", false, true, -EPIPE, 0, false, "", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].bytes);
		for (size_t split = 0; split <= len; split++) {
			struct outcome out = parse(cases[i].bytes, len, split, cases[i].head_request, cases[i].closed);
			assert_int_equal(out.last, cases[i].last);
			assert_int_equal(out.status, cases[i].status);
			assert_int_equal(out.keep_alive, cases[i].keep_alive);
			assert_string_equal(str_text(&out.body), cases[i].body);
			assert_string_equal(str_text(&out.rest), cases[i].rest);
			str_release(&out.body);
			str_release(&out.rest);
		}
	}
}

static void malformed_answers(void **state)
{
	(void)state;
	static const char *const cases[] = {
		"SSH-2.0-OpenSSH\r\n",
		"HTTP/2 200 OK\r\n",
		"HTTP/1.1 20 OK\r\n",
		"HTTP/1.1 999 OK\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n",
		"HTTP/1.1 200 OK\r\nspace : x\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n",
		"HTTP/1.1 200 OK\r\nA: b\rc\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t split = 0; split <= strlen(cases[i]); split++) {
			struct outcome out = parse(cases[i], strlen(cases[i]), split, false, false);
			if (out.last != -EPROTO)
				fail_msg("%s, split at %zu: %d", cases[i], split, out.last);
			str_release(&out.body);
			str_release(&out.rest);
		}
	}
}

static void limits(void **state)
{
	(void)state;
	struct str texts[4] = {0};
	str_add(&texts[0], "HTTP/1.1 200 OK\r\nA: ");
	for (int i = 0; i < HTTP_LINE_MAX; i++)
		str_add_char(&texts[0], 'x');
	str_add(&texts[1], "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
		str_add(&texts[1], "A: b\r\n");
	for (int i = 0; i <= HTTP_INTERIM_MAX; i++)
		str_add(&texts[2], "HTTP/1.1 102 Processing\r\n\r\n");
	str_add(&texts[3], "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 150; i++)
		str_addf(&texts[3], "A: %01000d\r\n", i);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct outcome out = parse(texts[i].data, texts[i].len, 0, false, false);
		assert_int_equal(out.last, -EPROTO);
		str_release(&out.body);
		str_release(&out.rest);
		str_release(&texts[i]);
	}
}

/* The other end of a socket pair: reads the request until `until` was seen (NULL: nothing), answers, and closes if told so. */
struct peer {
	int fd;
	const char *until;
	const char *answer;
	bool drain; /* read to the end after the answer */
	struct str seen;
};

static void *serve(void *data)
{
	struct peer *peer = data;
	char buffer[4096];
	ssize_t n = 1;
	while (peer->until && n > 0 && !strstr(str_text(&peer->seen), peer->until))
		if ((n = read(peer->fd, buffer, sizeof(buffer))) > 0)
			str_add_bytes(&peer->seen, buffer, (size_t)n);
	write_all(peer->fd, peer->answer, strlen(peer->answer));
	while (peer->drain && (n = read(peer->fd, buffer, sizeof(buffer))) > 0)
		str_add_bytes(&peer->seen, buffer, (size_t)n);
	close(peer->fd);
	return NULL;
}

static int keep(void *data, const void *bytes, size_t len)
{
	return str_add_bytes(data, bytes, len);
}

static int exchange(struct peer *peer, const struct http_request *request, struct str *body, struct str *stream,
		    struct error *err)
{
	int fds[2];
	pthread_t thread;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	peer->fd = fds[1];
	pthread_create(&thread, NULL, serve, peer);
	struct http_connection *connection = http_connection_new(fds[0]);
	struct http_receiver receiver = {.body = keep, .data = body};
	int r = http_exchange(connection, request, &receiver, NULL, 20000, err);
	struct http_request input = {.body = "typed", .body_len = 5};
	struct http_receiver to_stream = {.body = keep, .data = stream};
	if (r == 101)
		assert_int_equal(http_stream(connection, &input, &to_stream, NULL, 20000, err), 0);
	http_connection_free(connection);
	pthread_join(thread, NULL);
	return r;
}

static ssize_t three_pieces(void *data, void *buffer, size_t cap)
{
	int *calls = data;
	(void)cap;
	if (*calls == 3)
		return 0;
	memset(buffer, 'a' + (*calls)++, 3);
	return 3;
}

static ssize_t for_ever(void *data, void *buffer, size_t cap)
{
	(void)data;
	memset(buffer, 'x', cap);
	return (ssize_t)cap;
}

static ssize_t fails(void *data, void *buffer, size_t cap)
{
	(void)data, (void)buffer, (void)cap;
	return -EIO;
}

static void a_fixed_body(void **state)
{
	(void)state;
	struct peer peer = {.until = "\r\n\r\n{}", .answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"};
	struct http_request request = {.method = "POST",
				       .target = "/x",
				       .body = "{}",
				       .body_len = 2,
				       .headers = (const char *const[]){"A: b", NULL}};
	struct str body = {0};
	assert_int_equal(exchange(&peer, &request, &body, NULL, NULL), 200);
	assert_string_equal(str_text(&body), "hi");
	assert_string_equal(str_text(&peer.seen),
			    "POST /x HTTP/1.1\r\nHost: localhost\r\nA: b\r\nContent-Length: 2\r\n\r\n{}");
	str_release(&body);
	str_release(&peer.seen);
}

static void a_produced_body(void **state)
{
	(void)state;
	int calls = 0;
	struct peer peer = {.until = "\r\n0", .answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
	struct http_request request = {.method = "PUT",
				       .target = "/x",
				       .produce = three_pieces,
				       .produce_data = &calls};
	assert_int_equal(exchange(&peer, &request, NULL, NULL, NULL), 200);
	assert_non_null(
		strstr(str_text(&peer.seen),
		       "Transfer-Encoding: chunked\r\n\r\n00000003\r\naaa\r\n00000003\r\nbbb\r\n00000003\r\nccc\r\n0"));
	str_release(&peer.seen);
}

static void an_early_answer_is_heard(void **state)
{
	(void)state;
	struct str body = {0};
	struct peer peer = {.until = "PUT", .answer = "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nfew"};
	struct http_request request = {.method = "PUT", .target = "/x", .produce = for_ever};
	assert_int_equal(exchange(&peer, &request, &body, NULL, NULL), 500);
	assert_string_equal(str_text(&body), "few");
	str_release(&body);
	str_release(&peer.seen);
}

static void what_breaks_is_told(void **state)
{
	(void)state;
	CLEANUP(error_clear) struct error err = {0};
	struct http_request get = {.method = "GET", .target = "/x"};
	struct http_request failing = {.method = "PUT", .target = "/x", .produce = fails};
	struct http_request bad = {.method = "GET", .target = "/x y\r\nInjected: 1"};
	struct peer closing = {.until = "GET", .answer = ""}, other = {.answer = "", .drain = true},
		    third = {.answer = "", .drain = true};
	assert_int_equal(exchange(&closing, &get, NULL, NULL, &err), -EPIPE);
	assert_int_equal(exchange(&other, &failing, NULL, NULL, &err), -EIO);
	assert_int_equal(exchange(&third, &bad, NULL, NULL, &err), -EINVAL);
	assert_string_equal(str_text(&third.seen), "");
	str_release(&closing.seen);
	str_release(&other.seen);
}

static void an_upgraded_stream(void **state)
{
	(void)state;
	struct str stream = {0};
	struct peer peer = {.until = "\r\n\r\n",
			    .answer = "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nfirst",
			    .drain = true};
	struct http_request request = {.method = "POST", .target = "/exec"};
	assert_int_equal(exchange(&peer, &request, NULL, &stream, NULL), 101);
	assert_string_equal(str_text(&stream), "first");
	assert_true(str_ends_with(str_text(&peer.seen), "typed"));
	str_release(&stream);
	str_release(&peer.seen);
}

static void cancelled_and_late(void **state)
{
	(void)state;
	int fds[2];
	struct cancel *cancel = cancel_new();
	struct http_request request = {.method = "GET", .target = "/x"};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	struct http_connection *connection = http_connection_new(fds[0]);
	assert_true(http_connection_idle(connection));
	assert_int_equal(http_exchange(connection, &request, &(struct http_receiver){0}, NULL, 10, NULL), -ETIMEDOUT);
	cancel_request(cancel);
	assert_int_equal(http_exchange(connection, &request, &(struct http_receiver){0}, cancel, 0, NULL), -ECANCELED);
	assert_false(http_connection_idle(connection));
	http_connection_free(connection);
	close(fds[1]);
	cancel_unref(cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_answers),
		cmocka_unit_test(malformed_answers),
		cmocka_unit_test(limits),
		cmocka_unit_test(a_fixed_body),
		cmocka_unit_test(a_produced_body),
		cmocka_unit_test(an_early_answer_is_heard),
		cmocka_unit_test(an_upgraded_stream),
		cmocka_unit_test(what_breaks_is_told),
		cmocka_unit_test(cancelled_and_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
