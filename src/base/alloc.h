/* Memory and cleanup.
 *
 * Allocation does not return NULL here: a process that can't have memory ends with one line on stderr. What protects a
 * user is that everything that grows from outside input has a stated maximum (struct str, file_read, the parsers).
 *
 * Cleanup attributes: `_cleanup_free_ char *s = NULL;` frees when the scope ends. Always initialise at the declaration.
 * `steal(&s)` hands ownership on. */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define RETURNS_OWNED __attribute__((warn_unused_result, returns_nonnull))
#define CLEANUP(f) __attribute__((cleanup(f)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* All of these return memory that the caller frees with free(), and never NULL. */
void *xmalloc(size_t size) RETURNS_OWNED;
void *xcalloc(size_t count, size_t size) RETURNS_OWNED; /* zeroed; checks the product */
void *xreallocarray(void *p, size_t count, size_t size) RETURNS_OWNED;
char *xstrdup(const char *s) RETURNS_OWNED;
char *xstrndup(const char *s, size_t max) RETURNS_OWNED; /* at most max bytes, stops at a NUL */
void *xmemdup(const void *p, size_t size) RETURNS_OWNED;
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2) RETURNS_OWNED;
char *xvasprintf(const char *fmt, va_list ap) PRINTF_LIKE(1, 0) RETURNS_OWNED;

/* Memory that was freed goes back to the system, where the C library keeps it. Takes some milliseconds, in which others wait for memory. */
void alloc_trim(void);

/* NULL stays NULL. */
char *xstrdup_or_null(const char *s) __attribute__((warn_unused_result));

/* Frees *p, then points it to a copy of value (or NULL). */
void replace_string(char **p, const char *value);

static inline void *steal_pointer(void *pointer_to_pointer)
{
	void **pp = (void **)pointer_to_pointer;
	void *p = *pp;
	*pp = NULL;
	return p;
}
/* Takes the value out of a pointer variable, leaving NULL. */
#define steal(pp) ((__typeof__(*(pp)))steal_pointer(pp))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}
void cleanup_close(const int *fd); /* closes *fd if it is >= 0; keeps errno */

#define _cleanup_free_ CLEANUP(cleanup_free)
#define _cleanup_close_ CLEANUP(cleanup_close)

/* Defines a cleanup function for `type *` variables that calls free_fn where the variable is not NULL. */
#define DEFINE_CLEANUP(type, free_fn)                  \
	static inline void free_fn##_cleanup(type **p) \
	{                                              \
		if (*p)                                \
			free_fn(*p);                   \
	}

#endif
