/* Lanes whose containers another tool runs (deploy.attach): nothing is built, started or removed. What such a container holds when it is first seen is not
 * known, so each is surveyed: compared, by hash, with what the sync map says must be there. From then on it is one instance like any other. */
#ifndef DEV_ATTACH_H
#define DEV_ATTACH_H

#include "dev/lane.h"

/* survey.c: what destinations must hold that are not owned: the direct files of the sync map, and what Jib made where its map was asked for in this run.
 * Blocking, for a job. Shared by the surveys that use it. */
struct expected_list;
int expected_list_new(const struct lane *lane, const struct sync_source *source, const struct inputs *baseline,
		      struct expected_list **list, struct error *err);
void expected_list_unref(struct expected_list *list); /* takes NULL */

/* For the runtime: where the configuration's attached containers are found. */
void attach_queries(const struct config *config, struct attach_queries *queries);

/* True while the lane is not ready to plan: its tree is to be read (first, and for each image that the other tool makes), once the containers were listed. */
bool lane_attach(struct lane *lane);
/* survey.c: looks into containers where that was not done yet; what they lack is theirs at the next chance (`behind`). */
void lane_survey(struct lane *lane);
/* After a list: another image? The rebuild that was asked for may be in it. */
void lane_note_images(struct lane *lane);

/* False for an attached one that has ended, or is paused: it is carried to once the other tool lets it go on. */
bool instance_is_live(const struct lane_instance *instance);
bool lane_has_live(const struct lane *lane);

/* What no copy can do is told, once, and stands until the other tool has made a new container of another image. path (may be NULL): what asks for it. */
void lane_ask_rebuild(struct lane *lane, const char *path, const char *reason);
/* The same for those of `pending` that are rebuilds; the rest stays, and is planned. False: nothing alone was one, and the decision's copies can go on. */
bool lane_set_rebuilds_aside(struct lane *lane, const struct decision *decision);

/* Which containers are waited for, in words, for each lane that has none. */
void attach_tell_waiting(struct dev *dev);

#endif
