/* What a program printed, line by line, for the parsers of the open protocol (docs/protocol.md). */
#ifndef SYNC_PRINTED_H
#define SYNC_PRINTED_H

#include <stdbool.h>
#include <stddef.h>

struct printed { /* a cursor over the text: `struct printed p = {text, text + len}` */
	const char *at, *end;
};

struct printed_line { /* without its end ("\n" or "\r\n"); points into the text, not NUL-terminated */
	const char *text;
	size_t len;
};

/* The next line; false at the end. Without the "[INFO] [stdout] " that Maven's daemon puts before what a plugin prints. */
bool printed_next(struct printed *printed, struct printed_line *line);

/* True for exactly this text; blanks at the end do not count. */
bool printed_is(struct printed_line line, const char *text);

/* True for a line "WORD" or "WORD rest"; rest: without blanks around it, perhaps empty. */
bool printed_after(struct printed_line line, const char *word, struct printed_line *rest);

/* The reason of a line "REBUILD reason" ("" where it gives none), as UTF-8 of at most PRINTED_REASON_MAX bytes; NULL for any other line. The caller
 * frees. */
enum { PRINTED_REASON_MAX = 1000 };
char *printed_rebuild(struct printed_line line);

#endif
