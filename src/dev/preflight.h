/* Before the first failure: can what the sync map names be written at all? Asked once a session and map, in the background. */
#ifndef DEV_PREFLIGHT_H
#define DEV_PREFLIGHT_H

#include "sync/inputs.h"

struct dev;
struct lane;

enum { PREFLIGHT_MAX = 256 };

/* Destinations that stand for all of those files: one in each directory that some land in, those nearest to the root first, PREFLIGHT_MAX of them. Appended.
 * For jobs; the source is not used by another meanwhile. */
void preflight_choose(const struct sync_source *source, const struct inputs *files, struct strv *dests);

/* From now on these are asked for. dests is taken over. */
void lane_set_preflight(struct lane *lane, struct strv *dests);

/* Asks where that is due and nothing else is at work. What can't be written is told once, as a warning. */
void preflight_start(struct dev *dev);

#endif
