/* Where a path leads: directories as the container sees them, links on the way followed, the last element never. */
#ifndef AGENT_PLACE_H
#define AGENT_PLACE_H

#include "sys.h"
#include "wire/wire.h"

struct place {
	int dir; /* the nearest directory that is there, O_PATH; valid until the next place_find or place_forget */
	size_t dir_len;	    /* how much of the path it is; 0: "/" */
	bool complete;	    /* it is the path's parent */
	const char *name;   /* the path's last element */
	struct statx above; /* of dir */
	bool exists;	    /* with complete: something is there */
	struct statx old;   /* then */
};

/* path: valid (wire_path_valid), NUL-terminated. 0, or a negative errno (ELOOP, EACCES, …). */
int place_find(const char *path, struct place *place);

/* The same without looking at the path itself: `exists` stays false. place_look_at fills it and `old` in, of a place that is complete. */
int place_reach(const char *path, struct place *place);
int place_look_at(struct place *place);

/* What stood where may have changed: after a wait, and after a directory or a link was switched. place_made: something was made where nothing was. */
void place_forget(void);
void place_made(void);

/* What is there, as STATE and RESULT say it; path need not be there. hash: of a file's content or a link's target, where `content`. */
struct found {
	enum wire_kind kind;
	struct statx st;
	struct wire_hash hash;
};
int place_look(const char *path, bool content, struct found *found);

/* How a file could be written there: 0 and *atomic, or a negative errno. */
int place_check(const char *path, struct place *place, bool *atomic, enum wire_reason *reason);

/* Removes what is there with all that is below, not what is mounted in it (-EBUSY). Nothing there is success. */
int place_remove(int dir, const char *name);

static inline bool is_directory(const struct statx *st)
{
	return S_ISDIR(st->stx_mode);
}

static inline bool is_regular(const struct statx *st)
{
	return S_ISREG(st->stx_mode);
}

/* Bytes to work with for a moment, shared by all. */
enum { SCRATCH_SIZE = 512 << 10 };
extern unsigned char scratch[SCRATCH_SIZE];

#endif
