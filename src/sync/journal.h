/* The journal of an image's containers: what was carried into them since they were started, on disk, so that a skiff that was killed and is started
 * again knows. One file a project, runtime and image in <state directory>/journal/. A line is appended, by one write, BEFORE what it tells of is sent:
 * what a container holds is in the journal, or in its image.
 *
 * Nothing is synced to the disk: a killed process loses nothing that it wrote, and a machine that loses its power ends the containers as well; those
 * that stopped are not adopted (dev/adopt.h). So a line costs microseconds. */
#ifndef SYNC_JOURNAL_H
#define SYNC_JOURNAL_H

#include "base/error.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/str.h"

#define JOURNAL_UNSETTLED UINT32_MAX

/* A destination that differs from what the image holds: the fields of struct owned (dev/owned.h). */
struct journal_owned {
	unsigned kind;
	char *src, *origin, *owner; /* NULL: none */
	bool generated, owner_if_new;
	int mode;
	unsigned host_mode;
	struct hash hash;
	uint64_t number, replaced;
};

/* A path of the host as it was when its last change had been dealt with; a path without one is as the baseline has it. */
struct journal_seen {
	unsigned mode; /* st_mode; 0: nothing was there; JOURNAL_UNSETTLED: a change of it is still to be dealt with */
	struct hash hash;
};

struct journal_state { /* zero-initialised is empty */
	char *base_id; /* of the image that all this is about */
	char *next_id; /* that was to take its place when the journal ends: what the containers run says whether it did; NULL: none */
	struct map owned; /* destination → struct journal_owned */
	struct map seen;  /* path → struct journal_seen */
};
void journal_state_release(struct journal_state *state);

/* The name of the journal, and of the kept bytes that belong to it. */
char *journal_name(const char *run_id, const char *runtime, const char *image) RETURNS_OWNED;

/* -ENOENT: there is none; -EBADMSG: damaged, or of another version: what the containers hold is not known. The end of a line that was not written to its
 * end is left out: nothing that it tells of was sent. */
int journal_load(const char *name, struct journal_state *state, struct error *err);
int journal_decode(const void *bytes, size_t len, struct journal_state *state, struct error *err);

/* Removes it. None there is success. */
void journal_remove(const char *name);
bool journal_exists(const char *name);

struct journal;
struct journal *journal_new(const char *name) RETURNS_OWNED; /* nothing is read or written yet */
void journal_close(struct journal *journal);		     /* what was put and not written is dropped; takes NULL */

/* Lines wait in memory until one of the two below. */
void journal_put_image(struct journal *journal, const char *base_id); /* the first of a file, only there */
void journal_put_owned(struct journal *journal, const char *dest, const struct journal_owned *owned);
void journal_put_seen(struct journal *journal, const char *path, const struct journal_seen *seen);
void journal_put_next(struct journal *journal, const char *next_id);

/* All of it at the end of the file, by one write. On failure (a full disk) the file is removed: half a journal is worse than none. From then on, as
 * before the first replacement, it writes nothing, and that is success. */
int journal_append(struct journal *journal, struct error *err);
/* All of it in the place of the file, atomically. */
int journal_replace(struct journal *journal, struct error *err);

/* Most of the file is old by now. */
bool journal_is_long(const struct journal *journal);

/* The bytes that wait, for tests. */
const struct str *journal_waiting(const struct journal *journal);

#endif
