#include "format/source.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"

struct source *sources_add(struct sources *sources, const char *name, const char *path, char *text, size_t len)
{
	struct source *source = xcalloc(1, sizeof(*source));
	*source = (struct source){.name = xstrdup(name), .path = xstrdup(path), .text = text, .len = len};
	vec_push(sources, source);
	return source;
}

int sources_read(struct sources *sources, const char *name, const char *path, struct source **source, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	CLEANUP(error_clear) struct error cause = {0};
	int r = file_read(path, SOURCE_MAX_BYTES, &text, &len, &cause);
	if (r == -EFBIG)
		return error_set(err, EFBIG, "%s is larger than %zu MiB, which no configuration is", name,
				 SOURCE_MAX_BYTES >> 20);
	if (r == -ENOENT || r == -EACCES)
		return error_errno(err, -r, "can't read %s", name);
	if (r < 0)
		return error_move(err, &cause);
	*source = sources_add(sources, name, path, text, len);
	return 0;
}

const struct source *sources_find(const struct sources *sources, const char *file)
{
	for (size_t i = 0; i < sources->len; i++)
		if (sources->items[i]->name == file)
			return sources->items[i];
	return NULL;
}

const char *source_line(const struct source *source, unsigned line, size_t *len)
{
	const char *start = source->text, *end = source->text + source->len;
	if (line == 0)
		return NULL;
	for (unsigned i = 1; i < line; i++) {
		start = memchr(start, '\n', (size_t)(end - start));
		if (!start)
			return NULL;
		start++;
	}
	const char *newline = memchr(start, '\n', (size_t)(end - start));
	*len = (size_t)((newline ? newline : end) - start);
	if (*len > 0 && start[*len - 1] == '\r')
		(*len)--;
	return start;
}

void sources_release(struct sources *sources)
{
	for (size_t i = 0; i < sources->len; i++) {
		struct source *s = sources->items[i];
		free(s->name);
		free(s->path);
		free(s->text);
		free(s);
	}
	vec_release(sources);
}
