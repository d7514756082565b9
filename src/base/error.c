#define ERROR_IMPLEMENTATION
#include "base/error.h"

#include <errno.h>
#include <string.h>

static int set_message(struct error *err, int code, char *message, char *where)
{
	if (!err) {
		free(message);
		free(where);
		return -code;
	}
	error_clear(err);
	err->code = code;
	err->message = message;
	err->where = where;
	return -code;
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *message = xvasprintf(fmt, ap);
	va_end(ap);
	return set_message(err, code, message, NULL);
}

int error_errno(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *text = xvasprintf(fmt, ap);
	va_end(ap);
	return set_message(err, code, xasprintf("%s: %s", text, strerror(code)), NULL);
}

int error_at(struct error *err, struct place place, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *message = xvasprintf(fmt, ap);
	va_end(ap);
	return set_message(err, code, message, place_format(place));
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	if (!err)
		return -EIO;
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *context = xvasprintf(fmt, ap);
	va_end(ap);
	char *message = xasprintf("%s: %s", context, err->message ? err->message : "unknown error");
	free(err->message);
	err->message = message;
	if (err->code == 0)
		err->code = EIO;
	return -err->code;
}

char *error_format(const struct error *err)
{
	const char *message = err->message ? err->message : "";
	return err->where ? xasprintf("%s: %s", err->where, message) : xstrdup(message);
}

int error_move(struct error *dst, struct error *src)
{
	int code = src->code ? src->code : EIO;
	if (dst) {
		error_clear(dst);
		*dst = *src;
		*src = (struct error){0};
	} else {
		error_clear(src);
	}
	return -code;
}

void error_clear(struct error *err)
{
	free(err->message);
	free(err->where);
	*err = (struct error){0};
}

char *place_format(struct place place)
{
	if (!place.file)
		return NULL;
	if (!place.line)
		return xstrdup(place.file);
	if (!place.column)
		return xasprintf("%s:%u", place.file, place.line);
	return xasprintf("%s:%u:%u", place.file, place.line, place.column);
}
