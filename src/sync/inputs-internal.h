/* Looking at one file after another: shared by the walk over the inputs and the one over the outputs, and by nobody else. */
#ifndef SYNC_INPUTS_INTERNAL_H
#define SYNC_INPUTS_INTERNAL_H

#include <sys/stat.h>

#include "sync/inputs.h"

struct inputs_reader {
	const struct sync_source *source;
	const struct inputs *before; /* NULL: none */
	struct inputs *inputs;
	size_t next; /* in `before`: where the next one is, if both are looked through in the same order */
	char *buffer;
	uint64_t now_ns;
};

void inputs_reader_init(struct inputs_reader *r, const struct sync_source *source, const struct inputs *before,
			struct inputs *inputs);
void inputs_reader_release(struct inputs_reader *r);

/* Adds one file, link or empty directory, read between two equal fstats. Sockets and the like are no inputs: the engine does not send them; what is
 * not there is left out. */
int inputs_look(struct inputs_reader *r, const char *path, int directory, const char *name, struct error *err);

/* The same, of a file that was looked at already. */
int inputs_take(struct inputs_reader *r, const char *path, int directory, const char *name, const struct stat *st,
		struct error *err);

/* Sorts, and gives back memory that is not needed: it is kept for as long as the image. */
void inputs_finish(struct inputs *inputs);

#endif
