#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

static struct hash from_xxh(XXH128_hash_t h)
{
	return (struct hash){.high = h.high64, .low = h.low64};
}

struct hash hash_bytes(const void *bytes, size_t len)
{
	return from_xxh(XXH3_128bits(bytes, len));
}

uint64_t hash64(const void *bytes, size_t len)
{
	return XXH3_64bits(bytes, len);
}

int hash_fd(int fd, struct hash *hash, struct error *err)
{
	enum { CHUNK = 128 << 10 };
	_cleanup_free_ char *chunk = xmalloc(CHUNK);
	ssize_t n = read(fd, chunk, CHUNK);
	if (n >= 0 && n < CHUNK) { /* most source files: one read tells all, unless it was a short one */
		char extra;
		ssize_t more = read(fd, &extra, 1);
		if (more == 0) {
			*hash = hash_bytes(chunk, (size_t)n);
			return 0;
		}
		if (more < 0)
			return error_errno(err, errno, "can't read");
		chunk[n++] = extra;
	}
	XXH3_state_t *state = XXH3_createState();
	if (!state)
		return error_errno(err, ENOMEM, "can't hash");
	XXH3_128bits_reset(state);
	while (n > 0) {
		XXH3_128bits_update(state, chunk, (size_t)n);
		do
			n = read(fd, chunk, CHUNK);
		while (n < 0 && errno == EINTR);
	}
	int code = n < 0 ? errno : 0;
	*hash = from_xxh(XXH3_128bits_digest(state));
	XXH3_freeState(state);
	return code ? error_errno(err, code, "can't read") : 0;
}

void hash_to_hex(struct hash hash, char hex[HASH_HEX_SIZE])
{
	snprintf(hex, HASH_HEX_SIZE, "%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
}

int hash_from_hex(const char *hex, struct hash *hash)
{
	uint64_t part[2] = {0, 0};
	if (strlen(hex) != HASH_HEX_SIZE - 1)
		return -EINVAL;
	for (int i = 0; i < 32; i++) {
		char c = hex[i];
		unsigned digit;
		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else
			return -EINVAL;
		part[i / 16] = part[i / 16] << 4 | digit;
	}
	*hash = (struct hash){.high = part[0], .low = part[1]};
	return 0;
}

struct hasher {
	XXH3_state_t *state;
};

struct hasher *hasher_new(void)
{
	struct hasher *h = xcalloc(1, sizeof(*h));
	h->state = XXH3_createState();
	if (!h->state)
		abort();
	XXH3_128bits_reset(h->state);
	return h;
}

void hasher_add(struct hasher *h, const void *bytes, size_t len)
{
	uint64_t n = len;
	XXH3_128bits_update(h->state, &n, sizeof(n));
	XXH3_128bits_update(h->state, bytes, len);
}

void hasher_add_string(struct hasher *h, const char *s)
{
	if (s) {
		hasher_add(h, s, strlen(s));
	} else {
		uint64_t none = UINT64_MAX;
		XXH3_128bits_update(h->state, &none, sizeof(none));
	}
}

void hasher_add_piece(struct hasher *h, const void *bytes, size_t len)
{
	XXH3_128bits_update(h->state, bytes, len);
}

struct hash hasher_finish(struct hasher *h)
{
	struct hash hash = from_xxh(XXH3_128bits_digest(h->state));
	hasher_drop(h);
	return hash;
}

void hasher_drop(struct hasher *h)
{
	if (!h)
		return;
	XXH3_freeState(h->state);
	free(h);
}
