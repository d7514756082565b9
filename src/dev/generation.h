/* One round of generators, from the batch that made them stale to what is to be carried: the job, and what it finds. Part of dev/, for
 * lane-generate.c (on the loop) and generation.c (on the job's thread). */
#ifndef DEV_GENERATION_H
#define DEV_GENERATION_H

#include "dev/lane.h"

struct generation {
	struct lane *lane;
	struct cancel *cancel; /* its own: a rebuild ends it */
	char *reason;	       /* why, for a person */
	struct change_set changes;
	bool background;   /* after a build: only the map is wanted, nothing is carried */
	uint64_t built_ns; /* then: when (time of day) the image was built; 0: it was there already */
	struct sync_story story;
	char *path;				       /* story's */
	VEC(const struct sync_generator *) generators; /* the decision's */
	struct map stale;			       /* generator_key → struct stale: what is to run, or did */
	size_t looked_at; /* so many pending changes were planned already, and are no reason to end it */

	/* What it finds: */
	struct sync_source *source; /* that was taught a new map; NULL: the lane's still holds */
	struct strv preflight;	    /* where that is so (preflight.h) */
	bool watch_anew;	    /* the new map names folders that nobody watches */
	struct outputs outputs;	    /* `image` only in the background */
	struct candidate_list candidates;
	struct map seen;     /* the changes' paths as they were before the run (lane-journal.c) */
	struct strv command; /* of the first that ran */
	char *name;	     /* the same, for a person */
	char *rebuild;	     /* the reason, where a program asks for one */
	int r;
	struct error err;
};

struct generation *generation_new(struct lane *lane, const char *reason);
void generation_free(struct generation *g);
/* That generator is to run; path (NULL: none in particular) is what changed for it. */
void generation_mark(struct generation *g, const struct sync_generator *generator, const char *path,
		     enum change_kind kind);
void generation_work(void *data); /* the job */

#endif
