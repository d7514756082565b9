/* One file, link or directory beside its destination: unseen (O_TMPFILE), or where the file system has no such thing under a hidden name
 * (.skiff-new-H, H made of the path); with owner, mode and time as they will be. What an agent that was killed left under such
 * a name goes when something comes for that path again, or when it is looked at: what was on its way may have come by another. */
#ifndef AGENT_STAGE_H
#define AGENT_STAGE_H

#include "batch.h"

void stage_init(void);	/* once */
void stage_reset(void); /* a new batch begins */

/* place: found (place_find) for the op's path, as stage_settle wants it too. */
int stage_open(struct op *op, const struct place *place);
int stage_write(struct op *op, const void *bytes, size_t len);

/* All of a small file: found, opened, written, settled. What fails is told (batch_fail). */
void stage_file(struct op *op, const void *bytes, size_t len);

/* The same, for several threads at once: as an unseen file, else not at all. It is not counted as open: ask first whether there is room for so many, and
 * count it after (stage_counts). */
int stage_unseen(struct op *op, const struct place *place, const void *bytes, size_t len);
bool stage_has_room(size_t count);
void stage_counts(const struct op *op);

/* All bytes are there: owner, mode, time. */
int stage_settle(struct op *op, const struct place *place);

/* Gives what is staged (a file, else the link op->text) a hidden name in the place's directory. */
int stage_hide(struct op *op, const struct place *place);

/* Gives a file that is unseen its own name; -EEXIST: one is there by now; -EOPNOTSUPP: it has to be hidden first. */
int stage_link(struct op *op, const struct place *place);

/* Gives a file that is unseen a name there. Also for several threads at once, each with a file of its own. */
int stage_name(const struct op *op, int dir, const char *name);

/* Closes and removes what is staged. */
void stage_drop(struct op *op);

/* Closes what has its name by now, and counts as open until the batch ends. Also for several threads. */
void stage_close(struct op *op);

/* Removes what a killed agent may have left beside the path. place: found for it. Not while something else is staged for the path. */
void stage_clear(const char *path, const struct place *place);

/* Over the file that is there: a reader may see half of it. */
int stage_write_in_place(struct op *op);

/* True for an errno after which writing in place may still be possible. */
bool stage_may_be_in_place(int code, const struct place *place);

/* Owner and mode of a directory or link just made. kept: the mode where WIRE_MODE_KEEP is asked. */
int stage_dress(struct op *op, const struct place *place, const char *name, uint32_t kept);

enum { HIDDEN_SIZE = 48 };
void hidden_name(const struct op *op, char name[HIDDEN_SIZE]);

extern uint32_t agent_uid, agent_gid;

#endif
