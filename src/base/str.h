/* Growing byte strings with a stated maximum, and small helpers on C strings. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"

/* data is NUL-terminated and never NULL after the first addition (use str_text to read an untouched one). `max` = 0 means
 * STR_DEFAULT_MAX. What would grow past max is not added, `overflow` becomes true and stays so, and the call returns
 * -EOVERFLOW: a caller may add many pieces and look once at the end. */
struct str {
	char *data;
	size_t len;
	size_t cap;
	size_t max;
	bool overflow;
};

#define STR_DEFAULT_MAX ((size_t)64 << 20)

int str_add_bytes(struct str *s, const void *bytes, size_t len);
int str_add(struct str *s, const char *text);
int str_add_char(struct str *s, char c);
int str_addf(struct str *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
int str_vaddf(struct str *s, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/* Makes room for `extra` more bytes and returns a pointer to them, or NULL past the maximum; the caller then adds to len. */
char *str_reserve(struct str *s, size_t extra);

/* Removes the first n bytes (n <= len). */
void str_consume(struct str *s, size_t n);

/* The text, "" for an untouched one; valid until the next change. */
const char *str_text(const struct str *s);

/* Hands over the text (never NULL; the caller frees) and leaves an empty string. */
char *str_steal(struct str *s) RETURNS_OWNED;

void str_clear(struct str *s);	 /* empty, keeps the memory, resets overflow */
void str_release(struct str *s); /* frees; the struct may be used again */

/* A list of owned strings. Zero-initialised is empty. items[len] is NULL once something was pushed, so that items serves
 * as argv. */
struct strv {
	char **items;
	size_t len;
	size_t cap;
};

void strv_push(struct strv *v, const char *s); /* copies */
void strv_push_owned(struct strv *v, char *s); /* takes over */
void strv_pushf(struct strv *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strv_extend(struct strv *v, const struct strv *other); /* copies */
bool strv_contains(const struct strv *v, const char *s);
void strv_sort(struct strv *v);	       /* by bytes */
void strv_sort_unique(struct strv *v); /* by bytes, without repeats */
char *strv_join(const struct strv *v, const char *separator) RETURNS_OWNED;
void strv_clear(struct strv *v);
void strv_release(struct strv *v);

/* Splits at every `separator`; empty pieces are kept, except that "" gives none. */
void str_split(const char *text, char separator, struct strv *out);

bool str_starts_with(const char *s, const char *prefix);
bool str_ends_with(const char *s, const char *suffix);
static inline bool str_equal(const char *a, const char *b)
{
	return a == b || (a && b && __builtin_strcmp(a, b) == 0);
}

/* Decimal, no sign, no spaces, all of the text. 0, or -EINVAL / -ERANGE (above max). */
int parse_uint(const char *text, uint64_t max, uint64_t *value);

/* UTF-8 (RFC 3629; no surrogates, no overlong forms). */
bool utf8_valid(const char *s, size_t len);
/* Invalid bytes become U+FFFD each. */
char *utf8_replace_invalid(const char *s, size_t len) RETURNS_OWNED;

/* RFC 4648 base 64 with padding, one line. */
char *base64_encode(const void *bytes, size_t len) RETURNS_OWNED;

/* For a terminal: control bytes (also newline, escape, invalid UTF-8) shown as \n, \x1b and so on, so that a file's name can't
 * steer the terminal or forge lines. */
char *str_printable(const char *s) RETURNS_OWNED;

/* The candidate nearest to word (Damerau-Levenshtein, at most a third of its length, at most 3), or NULL: for "did you
 * mean". candidates ends with NULL. */
const char *str_nearest(const char *word, const char *const *candidates);

#endif
