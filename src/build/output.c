#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "build/internal.h"

void build_log_add(struct str *log, const char *line, size_t len)
{
	size_t kept = len < BUILD_LOG_MAX / 4 ? len : BUILD_LOG_MAX / 4;
	if (log->len + kept + 1 > BUILD_LOG_MAX) { /* make room by whole lines, a quarter at a time */
		size_t cut = log->len < BUILD_LOG_MAX / 4 + kept ? log->len : BUILD_LOG_MAX / 4 + kept;
		const char *end = memchr(log->data + cut, '\n', log->len - cut);
		str_consume(log, end ? (size_t)(end + 1 - log->data) : log->len);
	}
	str_add_bytes(log, line, kept);
	str_add_char(log, '\n');
}

void build_line(void *data, int stream, const char *line, size_t len)
{
	struct build_job *job = data;
	build_log_add(job->log, line, len);
	if (job->request->line)
		job->request->line(job->request->data, stream, line, len);
}

/* Behind BuildKit's "#12 0.345 ", if it is there. */
static const char *without_step(const char *line, const char *end)
{
	const char *p = line;
	if (p == end || *p++ != '#')
		return line;
	const char *digits = p;
	while (p < end && isdigit((unsigned char)*p))
		p++;
	if (p == digits || p == end || *p++ != ' ')
		return line;
	const char *time = p;
	while (p < end && (isdigit((unsigned char)*p) || *p == '.'))
		p++;
	return p > time && p < end && *p == ' ' ? p + 1 : time;
}

bool build_reads_like_error(const char *text)
{
	bool instruction =
		text[0] == '[' || str_starts_with(text, "Step "); /* the command itself, shown before it runs */
	return !instruction &&
	       (strstr(text, ": error: ") || strstr(text, ": fatal error: ") || str_starts_with(text, "error: "));
}

char *build_failure_line(const char *log)
{
	char *last = NULL;
	for (const char *line = log; *line;) {
		const char *end = strchrnul(line, '\n');
		const char *from = without_step(line, end), *to = end;
		while (from < to && isspace((unsigned char)*from))
			from++;
		while (to > from && isspace((unsigned char)to[-1]))
			to--;
		if (to > from) {
			free(last);
			last = xstrndup(from, (size_t)(to - from));
			if (build_reads_like_error(last))
				return last;
		}
		line = *end ? end + 1 : end;
	}
	return last;
}

int build_failed(const struct build_job *job, const char *what, int status, struct error *err)
{
	_cleanup_free_ char *words = build_failure_line(str_text(job->log));
	_cleanup_free_ char *shown = words ? str_printable(words) : NULL;
	if (shown)
		return error_set(err, EIO, "%s failed (exit %d): %s", what, status, shown);
	return error_set(err, EIO, "%s failed (exit %d) without a word", what, status);
}
