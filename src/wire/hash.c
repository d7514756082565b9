#include "wire/hash.h"

#define XXH_INLINE_ALL /* the agent has no library to link */
#include <xxhash.h>

_Static_assert(sizeof(XXH3_state_t) <= sizeof(((struct wire_hasher *)0)->state), "the state fits");

static struct wire_hash from_xxh(XXH128_hash_t h)
{
	return (struct wire_hash){.high = h.high64, .low = h.low64};
}

void wire_hasher_init(struct wire_hasher *hasher)
{
	XXH3_128bits_reset((XXH3_state_t *)hasher->state);
}

void wire_hasher_add(struct wire_hasher *hasher, const void *bytes, size_t len)
{
	XXH3_128bits_update((XXH3_state_t *)hasher->state, bytes, len);
}

struct wire_hash wire_hasher_value(const struct wire_hasher *hasher)
{
	return from_xxh(XXH3_128bits_digest((const XXH3_state_t *)hasher->state));
}

struct wire_hash wire_hash_bytes(const void *bytes, size_t len)
{
	return from_xxh(XXH3_128bits(bytes, len));
}

uint64_t wire_hash64(const void *bytes, size_t len)
{
	return XXH3_64bits(bytes, len);
}
