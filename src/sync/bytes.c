#include "sync/bytes.h"

#include <limits.h>
#include <string.h>

void bytes_put(struct str *out, uint64_t value, size_t size)
{
	char little[8];
	for (size_t i = 0; i < size; i++)
		little[i] = (char)(value >> (8 * i));
	str_add_bytes(out, little, size);
}

uint64_t bytes_get(struct cursor *c, size_t size)
{
	uint64_t value = 0;
	if ((size_t)(c->end - c->at) < size) {
		c->short_ = true;
		return 0;
	}
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)c->at[i] << (8 * i);
	c->at += size;
	return value;
}

bool bytes_get_text(struct cursor *c, struct str *text, size_t keep, size_t len)
{
	if (c->short_ || (size_t)(c->end - c->at) < len || keep > text->len || keep + len >= PATH_MAX ||
	    memchr(c->at, '\0', len))
		return false;
	text->len = keep;
	str_add_bytes(text, c->at, len);
	c->at += len;
	return true;
}
