/* Typed growing arrays: `VEC(struct change) changes = {0}; vec_push(&changes, c); changes.items[0]; vec_release(&changes);`
 * Zero-initialised is empty. The vector owns its array, never what the items point to. */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include "base/alloc.h"

#define VEC(type)            \
	struct {             \
		type *items; \
		size_t len;  \
		size_t cap;  \
	}

/* A named vector type: `VEC_TYPE(change_list, struct change);` declares struct change_list. */
#define VEC_TYPE(name, type) \
	struct name {        \
		type *items; \
		size_t len;  \
		size_t cap;  \
	}

#define vec_reserve(v, n)                                                                      \
	do {                                                                                   \
		if ((n) > (v)->cap) {                                                          \
			(v)->cap = (v)->cap * 2 > (n) ? (v)->cap * 2 : (n) < 4 ? 4 : (n);      \
			(v)->items = xreallocarray((v)->items, (v)->cap, sizeof(*(v)->items)); \
		}                                                                              \
	} while (0)

#define vec_push(v, ...)                                \
	do {                                            \
		vec_reserve((v), (v)->len + 1);         \
		(v)->items[(v)->len++] = (__VA_ARGS__); \
	} while (0)

/* A zeroed new last item; the expression is a pointer to it. */
#define vec_add(v)                                                                                               \
	((v)->len + 1 > (v)->cap ? (void)((v)->cap = (v)->cap ? (v)->cap * 2 : 4,                                \
					  (v)->items = xreallocarray((v)->items, (v)->cap, sizeof(*(v)->items))) \
				 : (void)0,                                                                      \
	 (v)->len++, (v)->items[(v)->len - 1] = (__typeof__(*(v)->items)){0}, &(v)->items[(v)->len - 1])

#define vec_clear(v) ((void)((v)->len = 0))
#define vec_release(v) (free((v)->items), (v)->items = NULL, (v)->len = (v)->cap = 0)

/* for (struct change *c; ...): walks pointers to the items. */
#define vec_each(item, v) (__typeof__((v)->items[0]) *item = (v)->items; item && item < (v)->items + (v)->len; item++)

#endif
