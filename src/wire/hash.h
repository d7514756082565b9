/* Content hashes on the line: XXH3 of 128 bits, as base/hash.h has them. For both ends: no memory, no I/O. */
#ifndef WIRE_HASH_H
#define WIRE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_hash {
	uint64_t high, low;
};

struct wire_hasher { /* stays where it is: xxhash's state is at the first multiple of 64 in it, since not every stack aligns so far */
	unsigned char memory[640];
};

void wire_hasher_init(struct wire_hasher *hasher);
void wire_hasher_add(struct wire_hasher *hasher, const void *bytes, size_t len);
struct wire_hash wire_hasher_value(const struct wire_hasher *hasher); /* of all that was added; more may follow */

struct wire_hash wire_hash_bytes(const void *bytes, size_t len);
uint64_t wire_hash64(const void *bytes, size_t len); /* of a chunk */

static inline bool wire_hash_equal(struct wire_hash a, struct wire_hash b)
{
	return a.high == b.high && a.low == b.low;
}

#endif
