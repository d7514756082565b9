/* What generators make for the image: before an image is built that copies it, it is made anew where it is not what the sources say now. */
#ifndef BUILD_PREPARE_H
#define BUILD_PREPARE_H

#include "build/internal.h"

/* True if a generator must run: its outputs are inputs of the image (or a source of a COPY is missing, and it may be what makes it), and its inputs or outputs are not
 * what they were at its last good run here: an output may be gone, or made of other sources by somebody else (again: only the inputs count, as it was run a moment ago). Jib's goals and `watch: true` are not meant: they look after themselves. */
int build_needs_outputs(const struct build_request *request, bool again, bool *needed, struct error *err);

/* Runs them, in order; what a map program prints is taught to request->source. The caller holds the context's lock. -EIO: the command's own words.
 * What changes while one runs makes it stale again: ask anew. */
int build_make_outputs(const struct build_request *request, bool again, struct error *err);

/* After the last of them: what they made is what the next build expects to find. */
int build_keep_outputs(const struct build_request *request, struct error *err);

#endif
