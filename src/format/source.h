/* Texts that people wrote, kept so that messages can show the line they speak of. */
#ifndef FORMAT_SOURCE_H
#define FORMAT_SOURCE_H

#include "base/error.h"
#include "base/vec.h"

#define SOURCE_MAX_BYTES ((size_t)1 << 20)

struct source {
	char *name; /* as the person named it; what `place.file` of its nodes points to */
	char *path; /* absolute, normalised */
	char *text; /* NUL-terminated */
	size_t len;
};

/* Owns its sources; their addresses stay, so that places may point into them as long as the set lives. */
struct sources {
	struct source **items;
	size_t len;
	size_t cap;
};

/* Takes over text (malloc'd, NUL-terminated behind len bytes); name and path are copied. Never fails. */
struct source *sources_add(struct sources *sources, const char *name, const char *path, char *text, size_t len);

/* Reads a regular file of at most SOURCE_MAX_BYTES. -EFBIG above, otherwise what file_read returns. */
int sources_read(struct sources *sources, const char *name, const char *path, struct source **source,
		 struct error *err);

/* The source whose name pointer this is (places are compared by address), or NULL. */
const struct source *sources_find(const struct sources *sources, const char *file);

/* The line (from 1) without its end, or NULL if there is none. */
const char *source_line(const struct source *source, unsigned line, size_t *len);

void sources_release(struct sources *sources);

#endif
