#include "format/diagnostics.h"

#include <string.h>

#define LINE_MAX_BYTES 160 /* of a longer line only so much is shown, most of it before the place */
#define LINE_BEFORE 100

static bool known(const struct diagnostics *d, enum severity severity, struct place place, const char *message)
{
	for (size_t i = 0; i < d->items.len; i++) {
		const struct diagnostic *item = &d->items.items[i];
		if (item->severity == severity && item->place.file == place.file && item->place.line == place.line &&
		    item->place.column == place.column && strcmp(item->message, message) == 0)
			return true;
	}
	return false;
}

PRINTF_LIKE(4, 0)
static void add(struct diagnostics *d, enum severity severity, struct place place, const char *fmt, va_list ap)
{
	if (d->counts[severity] >= DIAGNOSTICS_MAX) {
		d->counts[severity]++;
		return;
	}
	_cleanup_free_ char *raw = xvasprintf(fmt, ap);
	_cleanup_free_ char *message = str_printable(raw);
	if (known(d, severity, place, message))
		return;
	d->counts[severity]++;
	vec_push(&d->items, (struct diagnostic){.severity = severity, .place = place, .message = steal(&message)});
}

void diagnostics_error(struct diagnostics *d, struct place place, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(d, SEVERITY_ERROR, place, fmt, ap);
	va_end(ap);
}

void diagnostics_warning(struct diagnostics *d, struct place place, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(d, SEVERITY_WARNING, place, fmt, ap);
	va_end(ap);
}

/* The byte at which the column (counted in characters) starts. */
static size_t column_offset(const char *line, size_t len, unsigned column)
{
	size_t i = 0;
	for (unsigned c = 1; c < column && i < len; c++) {
		i++;
		while (i < len && ((unsigned char)line[i] & 0xc0) == 0x80)
			i++;
	}
	return i;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* The line and under it a caret; of a long line only what is around the place. */
static void add_snippet(const struct source *source, struct place place, struct str *out)
{
	size_t len = 0;
	const char *line = source_line(source, place.line, &len);
	if (!line || place.column == 0)
		return;
	size_t caret = column_offset(line, len, place.column), from = 0, to = len;
	if (len > LINE_MAX_BYTES && caret > LINE_BEFORE)
		from = caret - LINE_BEFORE;
	if (to - from > LINE_MAX_BYTES)
		to = from + LINE_MAX_BYTES;
	while (from < caret && is_continuation(line[from]))
		from++;
	while (to < len && is_continuation(line[to]))
		to--;
	struct str mark = {0};
	for (size_t i = from; i < to; i++) {
		unsigned char c = (unsigned char)line[i];
		str_add_char(out, c == '\t' || (c >= 0x20 && c != 0x7f) ? (char)c : '?');
		if (i < caret && !is_continuation((char)c))
			str_add_char(&mark, c == '\t' ? '\t' : ' ');
	}
	str_addf(out, "\n%s^\n", str_text(&mark));
	str_release(&mark);
}

void diagnostic_format(const struct diagnostics *d, const struct diagnostic *item, struct str *out)
{
	_cleanup_free_ char *where = place_format(item->place);
	_cleanup_free_ char *shown = where ? str_printable(where) : NULL;
	if (shown)
		str_addf(out, "%s: ", shown);
	str_addf(out, "%s: %s\n", item->severity == SEVERITY_ERROR ? "error" : "warning", item->message);
	const struct source *source =
		d->sources && item->place.file ? sources_find(d->sources, item->place.file) : NULL;
	if (source && utf8_valid(source->text, source->len))
		add_snippet(source, item->place, out);
}

static size_t source_order(const struct sources *sources, const char *file)
{
	for (size_t i = 0; sources && i < sources->len; i++)
		if (sources->items[i]->name == file)
			return i + 1;
	return 0;
}

static bool comes_after(const struct diagnostics *d, const struct diagnostic *a, const struct diagnostic *b)
{
	size_t file_a = source_order(d->sources, a->place.file), file_b = source_order(d->sources, b->place.file);
	if (file_a != file_b)
		return file_a > file_b;
	if (a->place.line != b->place.line)
		return a->place.line > b->place.line;
	return a->place.column > b->place.column;
}

/* Stable; there are at most a few hundred. */
static void sort(struct diagnostics *d)
{
	struct diagnostic *items = d->items.items;
	for (size_t i = 1; i < d->items.len; i++)
		for (size_t j = i; j > 0 && comes_after(d, &items[j - 1], &items[j]); j--) {
			struct diagnostic swap = items[j];
			items[j] = items[j - 1];
			items[j - 1] = swap;
		}
}

void diagnostics_format(struct diagnostics *d, enum severity severity, struct str *out)
{
	sort(d);
	for vec_each (item, &d->items)
		if (item->severity == severity)
			diagnostic_format(d, item, out);
	if (d->counts[severity] > DIAGNOSTICS_MAX)
		str_addf(out, "… and %zu more\n", d->counts[severity] - DIAGNOSTICS_MAX);
}

char *suggestion(const char *word, const char *const *candidates)
{
	const char *near = str_nearest(word, candidates);
	return near ? xasprintf(" (did you mean '%s'?)", near) : xstrdup("");
}

void diagnostics_release(struct diagnostics *d)
{
	for vec_each (item, &d->items)
		free(item->message);
	vec_release(&d->items);
	d->counts[SEVERITY_ERROR] = d->counts[SEVERITY_WARNING] = 0;
}
