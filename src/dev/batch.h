/* A batch under way: what lane-sync.c prepares, and lane-apply.c carries into one instance after the other's session. On the loop, but for what a job
 * only reads. */
#ifndef DEV_BATCH_H
#define DEV_BATCH_H

#include "dev/lane.h"

/* Shared by the jobs of its instances, read-only once prepared. */
struct batch {
	struct lane *lane;
	struct candidate_list candidates;
	struct carry carry; /* borrows what candidates hold (16 MB at most): both go with the last user */
	struct sync_story story;
	char *path, *name;	   /* story's: what a generator was run for */
	struct strv command;	   /* story's: of that generator */
	struct change_set changes; /* story's: what it was run for */
	bool prepared;		   /* all was looked at already */
	unsigned users; /* the lane, until it goes on; each instance that is under way, or has the batch as its next */
	unsigned under_way; /* instances still being carried to */
	bool any_done;	    /* one of them has ended, well or not */
	bool late;	    /* BARRIER_MS are over */
	bool all_hang;	    /* ALL_HANG_MS too */
	bool passed;	    /* the lane goes on, or runs what follows the batch: who is still under way catches up */
	int r;		    /* of the host's hooks */
	struct error err;
};
void batch_unref(struct batch *batch);

/* Carries the batch to an instance whose session is free, or all of owned where that is behind. lane-apply.c */
void batch_carry_to(struct batch *batch, struct lane_instance *instance);

/* An instance that was under way has ended. May free the batch. lane-sync.c */
void batch_instance_done(struct batch *batch);

#endif
