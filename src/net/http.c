#include "net/http.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

const char *http_response_header(const struct http_response *response, const char *name)
{
	for vec_each (header, &response->headers)
		if (strcasecmp(header->name, name) == 0)
			return header->value;
	return NULL;
}

static bool list_has_token(const char *list, const char *token)
{
	size_t len = strlen(token);
	while (*list) {
		list += strspn(list, " \t,");
		size_t element = strcspn(list, ",");
		size_t trimmed = element;
		while (trimmed && (list[trimmed - 1] == ' ' || list[trimmed - 1] == '\t'))
			trimmed--;
		if (trimmed == len && strncasecmp(list, token, len) == 0)
			return true;
		list += element;
	}
	return false;
}

bool http_response_has_token(const struct http_response *response, const char *name, const char *token)
{
	for vec_each (header, &response->headers)
		if (strcasecmp(header->name, name) == 0 && list_has_token(header->value, token))
			return true;
	return false;
}

static void response_release(struct http_response *response)
{
	for vec_each (header, &response->headers) {
		free(header->name);
		free(header->value);
	}
	vec_release(&response->headers);
	free(steal(&response->reason));
	response->status = 0;
	response->keep_alive = false;
}

void http_parser_init(struct http_parser *parser, bool head_request)
{
	*parser = (struct http_parser){.head_request = head_request, .line = {.max = HTTP_LINE_MAX}};
}

void http_parser_release(struct http_parser *parser)
{
	response_release(&parser->response);
	str_release(&parser->line);
}

/* Collects a line in parser->line, without its end. 1: it is complete, 0: more input is needed. */
static int take_line(struct http_parser *parser, struct bytes *input, struct error *err)
{
	const char *end = input->len ? memchr(input->data, '\n', input->len) : NULL;
	size_t take = end ? (size_t)(end - input->data) : input->len;
	parser->head_bytes += take + 1;
	if (str_add_bytes(&parser->line, input->data, take) < 0 || parser->head_bytes > HTTP_HEAD_MAX)
		return error_set(err, EPROTO, "the HTTP response has too long a head");
	input->data += take + (end != NULL);
	input->len -= take + (end != NULL);
	if (!end)
		return 0;
	struct str *line = &parser->line;
	if (line->len && line->data[line->len - 1] == '\r')
		line->data[--line->len] = 0;
	if (line->len && (memchr(line->data, '\r', line->len) || memchr(line->data, 0, line->len)))
		return error_set(err, EPROTO, "the HTTP response has a control byte in its head");
	return 1;
}

static int parse_status_line(struct http_parser *parser, struct error *err)
{
	const char *line = str_text(&parser->line);
	bool good = str_starts_with(line, "HTTP/1.") && (line[7] == '0' || line[7] == '1') && line[8] == ' ' &&
		    isdigit(line[9]) && isdigit(line[10]) && isdigit(line[11]) && (line[12] == ' ' || line[12] == 0);
	unsigned status = good ? (unsigned)((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0')) : 0;
	if (status < 100 || status > 599)
		return error_set(err, EPROTO, "the answer is not HTTP/1.1");
	response_release(&parser->response);
	parser->minor = (unsigned)(line[7] - '0');
	parser->response.status = status;
	parser->response.reason = xstrdup(line[12] ? line + 13 : "");
	return 0;
}

static bool is_token_char(unsigned char c) /* RFC 9110, 5.6.2 */
{
	return isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int parse_header(struct http_parser *parser, struct error *err)
{
	const char *line = str_text(&parser->line);
	size_t name = 0;
	while (is_token_char((unsigned char)line[name]))
		name++;
	if (!name || line[name] != ':')
		return error_set(err, EPROTO, "the HTTP response has a malformed header");
	if (parser->response.headers.len == HTTP_HEADERS_MAX)
		return error_set(err, EPROTO, "the HTTP response has too many headers");
	const char *value = line + name + 1;
	value += strspn(value, " \t");
	size_t len = strlen(value);
	while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	vec_push(&parser->response.headers, (struct http_header){xstrndup(line, name), xstrndup(value, len)});
	return 0;
}

/* The length that all Content-Length headers agree on. 1: there is one, 0: there is none. */
static int content_length(const struct http_response *response, uint64_t *length, struct error *err)
{
	bool found = false;
	for vec_each (header, &response->headers) {
		uint64_t value;
		if (strcasecmp(header->name, "Content-Length") != 0)
			continue;
		if (parse_uint(header->value, INT64_MAX, &value) < 0 || (found && value != *length))
			return error_set(err, EPROTO, "the HTTP response has a bad Content-Length");
		*length = value;
		found = true;
	}
	return found;
}

/* The head is complete: how long is the body (RFC 9112, 6.3)? */
static int frame_body(struct http_parser *parser, struct error *err)
{
	struct http_response *response = &parser->response;
	const char *encoding = http_response_header(response, "Transfer-Encoding");
	int has_length = content_length(response, &parser->left, err);
	if (has_length < 0)
		return has_length;
	if (encoding && (strcasecmp(encoding, "chunked") != 0 || has_length || parser->minor == 0))
		return error_set(err, EPROTO, "the HTTP response has an unknown framing");
	response->keep_alive = parser->minor == 1 && !http_response_has_token(response, "Connection", "close");
	if (response->status == 101)
		parser->state = HTTP_STATE_UPGRADED;
	else if (parser->head_request || response->status == 204 || response->status == 304)
		parser->state = HTTP_STATE_FINISHING;
	else if (encoding)
		parser->state = HTTP_STATE_CHUNK_SIZE;
	else if (has_length)
		parser->state = parser->left ? HTTP_STATE_LENGTH : HTTP_STATE_FINISHING;
	else
		parser->state = HTTP_STATE_UNTIL_CLOSE;
	if (parser->state == HTTP_STATE_UNTIL_CLOSE || parser->state == HTTP_STATE_UPGRADED)
		response->keep_alive = false;
	return 0;
}

/* An empty line after headers: HTTP_HEAD, or the next response after an interim one. */
static int finish_head(struct http_parser *parser, struct error *err)
{
	unsigned status = parser->response.status;
	if (status >= 200 || status == 101) {
		int r = frame_body(parser, err);
		return r < 0 ? r : HTTP_HEAD;
	}
	if (++parser->interim > HTTP_INTERIM_MAX)
		return error_set(err, EPROTO, "the HTTP response has too many interim responses");
	parser->state = HTTP_STATE_STATUS;
	return HTTP_NEED_MORE;
}

static int parse_chunk_size(struct http_parser *parser, struct error *err)
{
	const char *line = str_text(&parser->line);
	uint64_t size = 0;
	size_t digits = 0;
	for (; isxdigit((unsigned char)line[digits]); digits++) {
		if (size >> 56)
			return error_set(err, EPROTO, "the HTTP response has too large a chunk");
		unsigned char c = (unsigned char)line[digits];
		size = size << 4 | (unsigned)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	if (!digits || (line[digits] && !strchr("; \t", line[digits])))
		return error_set(err, EPROTO, "the HTTP response has a malformed chunk");
	parser->left = size;
	parser->head_bytes = 0;
	parser->state = size ? HTTP_STATE_CHUNK_DATA : HTTP_STATE_TRAILERS;
	return 0;
}

/* A state that reads one line. Returns an event, HTTP_NEED_MORE meaning: look at the state again. */
static int use_line(struct http_parser *parser, struct error *err)
{
	bool empty = parser->line.len == 0;
	switch (parser->state) {
	case HTTP_STATE_STATUS:
		parser->state = HTTP_STATE_HEADERS;
		return parse_status_line(parser, err);
	case HTTP_STATE_HEADERS:
		return empty ? finish_head(parser, err) : parse_header(parser, err);
	case HTTP_STATE_CHUNK_SIZE:
		return parse_chunk_size(parser, err);
	case HTTP_STATE_CHUNK_END:
		if (!empty)
			return error_set(err, EPROTO, "the HTTP response has a chunk that is longer than it said");
		parser->state = HTTP_STATE_CHUNK_SIZE;
		return 0;
	default: /* trailers: read and dropped */
		if (empty)
			parser->state = HTTP_STATE_FINISHING;
		return 0;
	}
}

static int take_body(struct http_parser *parser, struct bytes *input, struct bytes *body)
{
	size_t take = input->len;
	if (parser->state != HTTP_STATE_UNTIL_CLOSE) {
		if (take > parser->left)
			take = (size_t)parser->left;
		parser->left -= take;
		if (!parser->left)
			parser->state =
				parser->state == HTTP_STATE_LENGTH ? HTTP_STATE_FINISHING : HTTP_STATE_CHUNK_END;
	}
	*body = (struct bytes){input->data, take};
	input->data += take;
	input->len -= take;
	return HTTP_BODY;
}

int http_parser_step(struct http_parser *parser, struct bytes *input, struct bytes *body, struct error *err)
{
	for (;;) {
		int r;
		switch (parser->state) {
		case HTTP_STATE_LENGTH:
		case HTTP_STATE_UNTIL_CLOSE:
		case HTTP_STATE_CHUNK_DATA:
			return input->len ? take_body(parser, input, body) : HTTP_NEED_MORE;
		case HTTP_STATE_FINISHING:
			parser->state = HTTP_STATE_DONE;
			return HTTP_END;
		case HTTP_STATE_UPGRADED:
			parser->state = HTTP_STATE_DONE;
			return HTTP_UPGRADED;
		case HTTP_STATE_DONE:
			return HTTP_NEED_MORE;
		default:
			if (!input->len)
				return HTTP_NEED_MORE;
			r = take_line(parser, input, err);
			if (r <= 0)
				return r;
			r = use_line(parser, err);
			str_clear(&parser->line);
			if (r != HTTP_NEED_MORE)
				return r;
		}
	}
}

int http_parser_eof(struct http_parser *parser, struct error *err)
{
	if (parser->state != HTTP_STATE_UNTIL_CLOSE)
		return error_set(err, EPIPE, "the connection was closed in the middle of an answer");
	parser->state = HTTP_STATE_DONE;
	return HTTP_END;
}
