#include "sync/printed.h"

#include <string.h>

#include "base/str.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* "[INFO] [stdout] text", also with the module's name in front: the daemon makes log lines of System.out. */
static void drop_daemon_prefix(struct printed_line *line)
{
	static const char STDOUT[] = "[stdout] ";
	const char *at = line->text, *end = line->text + line->len;
	while (at < end && *at == '[') {
		size_t left = (size_t)(end - at);
		const char *close = memchr(at, ']', left);
		if (left >= strlen(STDOUT) && memcmp(at, STDOUT, strlen(STDOUT)) == 0) {
			line->text = at + strlen(STDOUT);
			line->len = (size_t)(end - line->text);
			return;
		}
		if (!close || end - close < 2 || close[1] != ' ')
			return;
		at = close + 2;
	}
}

bool printed_next(struct printed *printed, struct printed_line *line)
{
	if (printed->at == printed->end)
		return false;
	size_t left = (size_t)(printed->end - printed->at);
	const char *newline = memchr(printed->at, '\n', left);
	line->text = printed->at;
	line->len = newline ? (size_t)(newline - printed->at) : left;
	printed->at = newline ? newline + 1 : printed->end;
	if (line->len > 0 && line->text[line->len - 1] == '\r')
		line->len--;
	drop_daemon_prefix(line);
	return true;
}

bool printed_is(struct printed_line line, const char *text)
{
	while (line.len > 0 && is_blank(line.text[line.len - 1]))
		line.len--;
	return line.len == strlen(text) && memcmp(line.text, text, line.len) == 0;
}

bool printed_after(struct printed_line line, const char *word, struct printed_line *rest)
{
	size_t len = strlen(word);
	if (line.len < len || memcmp(line.text, word, len) != 0 || (line.len > len && !is_blank(line.text[len])))
		return false;
	const char *at = line.text + len, *end = line.text + line.len;
	while (at < end && is_blank(*at))
		at++;
	while (end > at && is_blank(end[-1]))
		end--;
	*rest = (struct printed_line){.text = at, .len = (size_t)(end - at)};
	return true;
}

char *printed_rebuild(struct printed_line line)
{
	struct printed_line rest;
	if (!printed_after(line, "REBUILD", &rest))
		return NULL;
	return utf8_replace_invalid(rest.text, rest.len < PRINTED_REASON_MAX ? rest.len : PRINTED_REASON_MAX);
}
