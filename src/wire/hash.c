#include "wire/hash.h"

#define XXH_INLINE_ALL /* the agent has no library to link */
#include <xxhash.h>

enum { ALIGNMENT = 64 }; /* of XXH3_state_t */

_Static_assert(sizeof(XXH3_state_t) + ALIGNMENT - 1 <= sizeof(struct wire_hasher), "the state fits");

static XXH3_state_t *state_of(const struct wire_hasher *hasher)
{
	uintptr_t start = (uintptr_t)hasher->memory;
	return (XXH3_state_t *)(hasher->memory + (-start & (ALIGNMENT - 1)));
}

static struct wire_hash from_xxh(XXH128_hash_t h)
{
	return (struct wire_hash){.high = h.high64, .low = h.low64};
}

void wire_hasher_init(struct wire_hasher *hasher)
{
	XXH3_128bits_reset(state_of(hasher));
}

void wire_hasher_add(struct wire_hasher *hasher, const void *bytes, size_t len)
{
	XXH3_128bits_update(state_of(hasher), bytes, len);
}

struct wire_hash wire_hasher_value(const struct wire_hasher *hasher)
{
	return from_xxh(XXH3_128bits_digest(state_of(hasher)));
}

struct wire_hash wire_hash_bytes(const void *bytes, size_t len)
{
	return from_xxh(XXH3_128bits(bytes, len));
}

uint64_t wire_hash64(const void *bytes, size_t len)
{
	return XXH3_64bits(bytes, len);
}
