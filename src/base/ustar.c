#include "base/ustar.h"

#include <string.h>

enum {
	BLOCK = 512,
	NAME = 100,
	MODE = 100,
	UID = 108,
	GID = 116,
	SIZE = 124,
	MTIME = 136,
	CHECKSUM = 148,
	TYPE = 156,
	MAGIC = 257
};

static void add_header(struct str *tar, const char *name, char type, unsigned mode, size_t size)
{
	char block[BLOCK + 1] = {0};
	unsigned sum = 0;
	snprintf(block, NAME, "%s", name);
	snprintf(block + MODE, 8, "%07o", mode & 07777);
	snprintf(block + UID, 8, "%07o", 0U);
	snprintf(block + GID, 8, "%07o", 0U);
	snprintf(block + SIZE, 12, "%011zo", size);
	snprintf(block + MTIME, 12, "%011o", 0U);
	memset(block + CHECKSUM, ' ', 8); /* as which it counts */
	block[TYPE] = type;
	memcpy(block + MAGIC, "ustar\00000", 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += (unsigned char)block[i];
	snprintf(block + CHECKSUM, 8, "%06o", sum);
	str_add_bytes(tar, block, BLOCK);
}

static void add_zeros(struct str *tar, size_t len)
{
	static const char zeros[2 * BLOCK] = {0};
	str_add_bytes(tar, zeros, len);
}

void ustar_add_directory(struct str *tar, const char *name)
{
	add_header(tar, name, '5', 0755, 0);
}

void ustar_add_file(struct str *tar, const char *name, unsigned mode, const void *bytes, size_t len)
{
	add_header(tar, name, '0', mode, len);
	str_add_bytes(tar, bytes, len);
	add_zeros(tar, (BLOCK - len % BLOCK) % BLOCK);
}

void ustar_finish(struct str *tar)
{
	add_zeros(tar, 2 * BLOCK);
}
