/* Everything that is wrong with what a person wrote, collected, to be told in one go:
 *
 *     skaffold.yaml:12:7: error: unknown field 'dests' (did you mean 'dest'?)
 *           dests: /app
 *           ^
 */
#ifndef FORMAT_DIAGNOSTICS_H
#define FORMAT_DIAGNOSTICS_H

#include <stdbool.h>

#include "base/str.h"
#include "format/source.h"

#define DIAGNOSTICS_MAX 100 /* of each severity; what comes after is only counted */

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

struct diagnostic {
	enum severity severity;
	struct place place;
	char *message;
};

struct diagnostics {
	const struct sources *sources; /* where the lines come from; set by the owner, must outlive this */
	VEC(struct diagnostic) items;  /* in the order found, each (place, message) once */
	size_t counts[2];	       /* by severity, those beyond the maximum too */
};

/* place.file may be NULL (nothing is known), line 0 (the file as a whole). Messages show bytes that could steer a terminal as escapes. */
void diagnostics_error(struct diagnostics *d, struct place place, const char *fmt, ...) PRINTF_LIKE(3, 4);
void diagnostics_warning(struct diagnostics *d, struct place place, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* True if anything was an error. */
static inline bool diagnostics_failed(const struct diagnostics *d)
{
	return d->counts[SEVERITY_ERROR] > 0;
}

/* One diagnostic as people see it, with its line and caret, ending in a newline. */
void diagnostic_format(const struct diagnostics *d, const struct diagnostic *item, struct str *out);

/* All of one severity, by file in the order of reading, then by line and column; says how many more there were. */
void diagnostics_format(struct diagnostics *d, enum severity severity, struct str *out);

/* " (did you mean 'x'?)", or "" where nothing is near. candidates ends with NULL. The caller frees. */
char *suggestion(const char *word, const char *const *candidates) RETURNS_OWNED;

void diagnostics_release(struct diagnostics *d);

#endif
