/* One error convention for the whole program.
 *
 * A function that can fail returns int: 0 (or a count) on success, a negative errno on failure; its last parameter is
 * `struct error *err`. On failure err says what happened in words for a person; on success err is untouched, so that calls
 * chain. err may be NULL where nobody wants the words. Callers add context with error_wrap while unwinding.
 *
 *     CLEANUP(error_clear) struct error err = {0};
 *     if (file_read(path, limit, &text, &err) < 0)
 *             return error_wrap(&err, "can't read the state"), -1; */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/alloc.h"

/* A place in a file that a person wrote. line and column count from 1; 0 = unknown. The file name is owned by whoever
 * made the place (for configuration: the loaded configuration, which outlives all that points into it). */
struct place {
	const char *file;
	unsigned line;
	unsigned column;
};

struct error {
	int code;      /* positive errno value; 0 = no error */
	char *message; /* owned */
	char *where;   /* owned, "file:line:column", or NULL */
};

/* Sets the error (replacing an earlier one) and returns -code. code is a positive errno. */
int error_set(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same, with the text of strerror(code) behind the message: "can't open a: No such file or directory". */
int error_errno(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same as error_set, with a place. */
int error_at(struct error *err, struct place place, int code, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Puts "context: " in front of the message; returns -err->code (or -EIO if err is NULL). */
int error_wrap(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "place: message" or "message", for printing; "" where there is no error. The caller frees. */
char *error_format(const struct error *err) RETURNS_OWNED;

/* Moves src into dst (dst is cleared first; dst may be NULL), leaving src empty. Returns -code. */
int error_move(struct error *dst, struct error *src);

void error_clear(struct error *err);

/* "file:line:column", "file:line" or "file", whatever is known; NULL if nothing is. The caller frees. */
char *place_format(struct place place);

#if defined(__clang_analyzer__) && !defined(ERROR_IMPLEMENTATION) /* it looks at one file: a failure is negative */
#define error_set(...) (error_set(__VA_ARGS__), -1)
#define error_errno(...) (error_errno(__VA_ARGS__), -1)
#define error_at(...) (error_at(__VA_ARGS__), -1)
#define error_wrap(...) (error_wrap(__VA_ARGS__), -1)
#define error_move(...) (error_move(__VA_ARGS__), -1)
#endif

#endif
