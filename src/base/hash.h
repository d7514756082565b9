/* Content hashes: XXH3 of 128 bits, for finding changes; not for keeping attackers out. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct hash {
	uint64_t high, low;
};

enum { HASH_HEX_SIZE = 33 }; /* 32 digits and a NUL */

struct hash hash_bytes(const void *bytes, size_t len);
uint64_t hash64(const void *bytes, size_t len);

static inline bool hash_equal(struct hash a, struct hash b)
{
	return a.high == b.high && a.low == b.low;
}

/* Hashes what is left to read from fd (position moves). 0, or a negative errno. */
int hash_fd(int fd, struct hash *hash, struct error *err);

/* 32 lower-case hex digits, the canonical (big-endian) form of xxHash. */
void hash_to_hex(struct hash hash, char hex[HASH_HEX_SIZE]);
int hash_from_hex(const char *hex, struct hash *hash); /* 0 or -EINVAL */

/* A digest over many pieces; lengths are mixed in, so that ("ab","c") differs from ("a","bc"). */
struct hasher;
struct hasher *hasher_new(void) RETURNS_OWNED;
void hasher_add(struct hasher *h, const void *bytes, size_t len);
void hasher_add_string(struct hasher *h, const char *s); /* NULL differs from "" */
/* A piece without its length: pieces added only so give the hash_bytes of the whole. */
void hasher_add_piece(struct hasher *h, const void *bytes, size_t len);
struct hash hasher_finish(struct hasher *h); /* frees h */
void hasher_drop(struct hasher *h);	     /* frees h, which may be NULL */

#endif
