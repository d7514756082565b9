#include "net/connection.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BUFFER_SIZE = 128 << 10,
	CHUNK_HEAD = 10,      /* "0001f400\r\n" */
	CHUNK_ROOM = 4 << 10, /* less is not worth another call of the producer */
};

struct http_connection {
	int fd;
	bool reusable;
	struct bytes leftover; /* in `in`: came with a 101 */
	char in[BUFFER_SIZE];
	char out[BUFFER_SIZE + 64];
};

/* What is being sent: first what is in `ready`, then what the producer makes. */
struct sender {
	struct http_connection *connection;
	struct bytes ready[2];		    /* the head, or filled chunks; a fixed body */
	const struct http_request *request; /* its producer, where `producing` */
	bool producing;
	bool chunked;
	bool broken; /* the other end takes no more */
};

int socket_connect_unix(const char *path, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, ENAMETOOLONG, "the socket's path is too long: %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, errno, "can't make a socket");
	int r;
	do
		r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return error_errno(err, errno, "can't connect to %s", path);
	r = fd;
	fd = -1;
	return r;
}

struct http_connection *http_connection_new(int fd)
{
	struct http_connection *connection = xmalloc(sizeof(*connection));
	connection->fd = fd;
	connection->reusable = true;
	connection->leftover = (struct bytes){0};
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return connection;
}

void http_connection_free(struct http_connection *connection)
{
	if (!connection)
		return;
	close(connection->fd);
	free(connection);
}

bool http_connection_idle(const struct http_connection *connection)
{
	struct pollfd look = {.fd = connection->fd, .events = POLLIN};
	return connection->reusable && poll(&look, 1, 0) == 0;
}

/* Waits for one of the events on the socket; returns those that came, or a negative errno. */
static int wait_for(const struct http_connection *connection, short events, struct cancel *cancel, unsigned timeout_ms,
		    struct error *err)
{
	struct pollfd fds[] = {{.fd = connection->fd, .events = events}, {.fd = cancel_fd(cancel), .events = POLLIN}};
	int r;
	do
		r = poll(fds, ARRAY_LEN(fds), timeout_ms ? (int)timeout_ms : -1);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return error_errno(err, errno, "can't wait for an answer");
	if (r == 0)
		return error_set(err, ETIMEDOUT, "no answer for %u s", timeout_ms / 1000);
	if (fds[1].revents)
		return error_set(err, ECANCELED, "cancelled");
	return fds[0].revents;
}

/* Fills the out buffer from the producer, until it is full or the producer has come to its end. */
static int fill(struct sender *sender)
{
	char *out = sender->connection->out;
	size_t frame = sender->chunked ? CHUNK_HEAD : 0;
	size_t used = sender->ready[0].len;
	if (used && sender->ready[0].data != out)
		memmove(out, sender->ready[0].data, used);
	while (sender->producing && used + frame + CHUNK_ROOM < BUFFER_SIZE) {
		char *data = out + used + frame;
		ssize_t n = sender->request->produce(sender->request->produce_data, data, BUFFER_SIZE - used - frame);
		if (n < 0)
			return (int)n;
		if (sender->chunked) {
			char head[CHUNK_HEAD + 1];
			snprintf(head, sizeof(head), "%08x\r\n", (unsigned)n);
			memcpy(out + used, head, CHUNK_HEAD);
			memcpy(data + n, "\r\n", 2);
			used += 2;
		}
		used += frame + (size_t)n;
		sender->producing = n > 0;
	}
	sender->ready[0] = (struct bytes){out, used};
	return 0;
}

static bool sender_done(const struct sender *sender)
{
	return sender->broken || (!sender->ready[0].len && !sender->ready[1].len && !sender->producing);
}

/* Sends what the socket takes now. 0 also where the other end takes no more: what it answered is still to be read. */
static int send_some(struct sender *sender)
{
	while (!sender_done(sender)) {
		if (sender->producing) {
			int r = fill(sender);
			if (r < 0)
				return r;
		}
		struct bytes *next = sender->ready[0].len ? &sender->ready[0] : &sender->ready[1];
		ssize_t n = send(sender->connection->fd, next->data, next->len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0) {
			sender->broken = true;
			return 0;
		}
		next->data += n;
		next->len -= (size_t)n;
	}
	return 0;
}

static int give_body(const struct http_receiver *receiver, struct bytes body)
{
	return receiver->body && body.len ? receiver->body(receiver->data, body.data, body.len) : 0;
}

/* All events that the input gives. 1: the answer is complete. */
static int parse_input(struct http_connection *connection, struct http_parser *parser, struct bytes input,
		       struct sender *sender, const struct http_receiver *receiver, struct error *err)
{
	for (;;) {
		struct bytes body = {0};
		int event = http_parser_step(parser, &input, &body, err);
		int r = 0;
		switch (event) {
		case HTTP_NEED_MORE:
			return 0;
		case HTTP_HEAD:
			if (!sender_done(sender)) { /* an early answer: the rest of the request is of no use */
				sender->broken = true;
				parser->response.keep_alive = false;
			}
			r = receiver->head ? receiver->head(receiver->data, &parser->response) : 0;
			break;
		case HTTP_BODY:
			r = give_body(receiver, body);
			break;
		case HTTP_END:
			connection->reusable = parser->response.keep_alive && !input.len;
			return 1;
		case HTTP_UPGRADED:
			connection->leftover = input;
			return 1;
		default:
			return event;
		}
		if (r < 0)
			return r;
	}
}

/* Reads once. > 0: bytes; 0: the other end closed; -EAGAIN: nothing there; else what went wrong, said in err. */
static ssize_t read_some(struct http_connection *connection, struct error *err)
{
	ssize_t n;
	do
		n = recv(connection->fd, connection->in, BUFFER_SIZE, 0);
	while (n < 0 && errno == EINTR);
	if (n >= 0 || errno == EAGAIN)
		return n >= 0 ? n : -EAGAIN;
	return errno == ECONNRESET ? 0 : error_errno(err, errno, "can't read from the connection");
}

static int converse(struct http_connection *connection, struct sender *sender, struct http_parser *parser,
		    const struct http_receiver *receiver, struct cancel *cancel, unsigned timeout_ms, struct error *err)
{
	for (;;) {
		int r = send_some(sender);
		if (r < 0)
			return error_set(err, -r, "the request was given up");
		r = wait_for(connection, sender_done(sender) ? POLLIN : POLLIN | POLLOUT, cancel, timeout_ms, err);
		if (r < 0)
			return r;
		if (!(r & ~POLLOUT))
			continue;
		ssize_t n = read_some(connection, err);
		if (n == -EAGAIN)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0) {
			r = http_parser_eof(parser, err);
			return r < 0 ? r : (int)parser->response.status;
		}
		r = parse_input(connection, parser, (struct bytes){connection->in, (size_t)n}, sender, receiver, err);
		if (r < 0 && err && !err->code)
			error_set(err, -r, "the answer was given up");
		if (r)
			return r < 0 ? r : (int)parser->response.status;
	}
}

static bool is_plain(const char *text, bool spaces)
{
	for (const char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c) || (*c == ' ' && !spaces))
			return false;
	return *text != 0;
}

static int request_head(const struct http_request *request, struct str *head, struct error *err)
{
	if (!is_plain(request->method, false) || !is_plain(request->target, false))
		return error_set(err, EINVAL, "not a valid request: %s", request->target);
	str_addf(head, "%s %s HTTP/1.1\r\nHost: localhost\r\n", request->method, request->target);
	for (const char *const *header = request->headers; header && *header; header++) {
		if (!is_plain(*header, true))
			return error_set(err, EINVAL, "not a valid request header");
		str_addf(head, "%s\r\n", *header);
	}
	if (request->produce)
		str_add(head, "Transfer-Encoding: chunked\r\n");
	else if (request->body || str_equal(request->method, "POST") || str_equal(request->method, "PUT"))
		str_addf(head, "Content-Length: %zu\r\n", request->body_len);
	if (str_add(head, "\r\n") < 0 || head->overflow)
		return error_set(err, E2BIG, "the request's head is too long");
	return 0;
}

int http_exchange(struct http_connection *connection, const struct http_request *request,
		  const struct http_receiver *receiver, struct cancel *cancel, unsigned timeout_ms, struct error *err)
{
	CLEANUP(str_release) struct str head = {.max = HTTP_HEAD_MAX / 2};
	int r = request_head(request, &head, err);
	if (r < 0)
		return r;
	struct sender sender = {.connection = connection,
				.request = request,
				.producing = request->produce,
				.chunked = true};
	sender.ready[0] = (struct bytes){head.data, head.len};
	if (!sender.producing)
		sender.ready[1] = (struct bytes){request->body, request->body_len};
	CLEANUP(http_parser_release) struct http_parser parser;
	http_parser_init(&parser, str_equal(request->method, "HEAD"));
	connection->reusable = false;
	return converse(connection, &sender, &parser, receiver, cancel, timeout_ms, err);
}

int http_stream(struct http_connection *connection, const struct http_request *input,
		const struct http_receiver *receiver, struct cancel *cancel, unsigned timeout_ms, struct error *err)
{
	struct sender sender = {.connection = connection, .request = input, .producing = input->produce};
	sender.ready[1] = (struct bytes){input->body, input->body_len};
	struct bytes leftover = connection->leftover;
	connection->leftover = (struct bytes){0};
	int r = give_body(receiver, leftover);
	bool closed = false;
	while (r >= 0) {
		r = send_some(&sender);
		if (r < 0)
			return error_set(err, -r, "the input was given up");
		if (sender_done(&sender) && !closed) {
			shutdown(connection->fd, SHUT_WR);
			closed = true;
		}
		r = wait_for(connection, closed ? POLLIN : POLLIN | POLLOUT, cancel, timeout_ms, err);
		if (r < 0 || !(r & ~POLLOUT))
			continue;
		ssize_t n = read_some(connection, err);
		if (n == 0)
			return 0;
		if (n < 0 && n != -EAGAIN)
			return (int)n;
		if (n > 0)
			r = give_body(receiver, (struct bytes){connection->in, (size_t)n});
	}
	return r;
}

/* What came, handed on. -EAGAIN: nothing is there. */
static int receive_turn(struct http_connection *connection, const struct http_receiver *receiver, struct error *err)
{
	ssize_t n = read_some(connection, err);
	if (n == 0)
		return error_set(err, EPIPE, "the other end closed the line");
	return n < 0 ? (int)n : give_body(receiver, (struct bytes){connection->in, (size_t)n});
}

int http_stream_turn(struct http_connection *connection, struct bytes *out, const struct http_receiver *receiver,
		     struct cancel *cancel, unsigned timeout_ms, struct error *err)
{
	if (connection->leftover.len) {
		struct bytes leftover = connection->leftover;
		connection->leftover = (struct bytes){0};
		return give_body(receiver, leftover);
	}
	ssize_t sent = out->len ? send(connection->fd, out->data, out->len, MSG_NOSIGNAL) : 0;
	if (sent > 0) {
		out->data += sent;
		out->len -= (size_t)sent;
		return 0; /* what came meanwhile is read when there is nothing to send, or no room for it */
	}
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return error_errno(err, errno == ECONNRESET ? EPIPE : errno, "the line is broken");
	int r = wait_for(connection, out->len ? POLLIN | POLLOUT : POLLIN, cancel, timeout_ms, err);
	if (r < 0 || !(r & ~POLLOUT))
		return r < 0 ? r : 0;
	r = receive_turn(connection, receiver, err);
	return r == -EAGAIN ? 0 : r;
}
