/* Numbers and texts in files of skiff's own: little-endian, each read checked against what is there. */
#ifndef SYNC_BYTES_H
#define SYNC_BYTES_H

#include <stdbool.h>

#include "base/str.h"

void bytes_put(struct str *out, uint64_t value, size_t size);

struct cursor {
	const unsigned char *at, *end;
	bool short_; /* more was asked for than there is: what was read is nothing */
};

uint64_t bytes_get(struct cursor *c, size_t size); /* 0 where too few are left */

/* Appends so many bytes to text, cut to `keep` before. False: they aren't there, or hold a NUL, or the text would reach PATH_MAX. */
bool bytes_get_text(struct cursor *c, struct str *text, size_t keep, size_t len);

#endif
