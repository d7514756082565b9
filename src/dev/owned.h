/* What destinations hold and what they must hold, and the one item of a batch: a candidate, which is carried only where the two differ. */
#ifndef DEV_OWNED_H
#define DEV_OWNED_H

#include "runtime/runtime.h"
#include "sync/plan.h"

struct lane;
struct lane_instance;

/* A destination that differs from what the image holds. */
struct owned {
	enum carry_kind kind;
	char *src;    /* absolute; NULL for a delete */
	char *origin; /* what a generator made: the host's path, src being the kept copy; else NULL */
	bool generated;
	int mode;    /* as struct carry_item has it */
	char *owner; /* the same */
	bool owner_if_new;
	struct hash hash; /* of what was last prepared for it */
	unsigned host_mode;
	uint64_t number;   /* counts what was carried: which of two came later */
	uint64_t replaced; /* the number with which it was last no directory; 0: it always was one */
	bool unsure; /* a destination may hold something else: the source changed, went, or could not be written meanwhile */
	bool drifted; /* the same, by a container's own doing: what is saved is carried, also where it is what was carried before */
	/* Its first write to a container that is as its image made it finds this content there: what the build read. Where the build changed it
	 * afterwards (`altered`), only a build can carry the change. */
	bool expects, altered;
	struct hash expected;
};
void owned_free(void *owned);

/* A line of the journal for a job: the item that brings it about, and what is there then. */
struct wanted {
	struct carry_item item; /* first */
	struct hash hash;
	unsigned host_mode;
	bool unsure;
	struct instance_file *drift; /* what an instance put there itself, and was told of: it stays. NULL: nothing */
};
VEC_TYPE(wanted_list, struct wanted);
void wanted_release(struct wanted_list *list);

struct candidate {
	struct carry_item item;
	char *origin;	/* as struct owned has it */
	bool generated; /* its bytes are kept: the host's copy may go */
	bool kept;	/* that was done already: item.src is the copy; hash and host_mode are set */
	unsigned host_mode;
	struct hash hash;
	struct held_file *held; /* owned: of a small file, what hash is of. NULL: the file is read again to be sent */
	bool expects;		/* known is what the image's build read: it may have changed it since */
	bool known;		/* what the destination holds: */
	enum carry_kind known_kind;
	unsigned known_mode;
	struct hash known_hash;
	bool skip; /* same, gone by now, or nothing that can be carried (a socket) */
	bool gone; /* of these */
};
VEC_TYPE(candidate_list, struct candidate);
void candidates_release(struct candidate_list *candidates);

/* Adds one; all is copied. */
struct candidate *candidate_add(struct candidate_list *list, const char *src, const char *dest,
				const struct classification *c);
void candidate_add_delete(struct candidate_list *list, const char *dest);

/* Fills in what the destination is known to hold: what was carried there, else what the image's build read. */
void candidate_look_up(const struct lane *lane, struct candidate *c);
/* True if it is known to hold just this. */
bool candidate_is_there(const struct candidate *c);

/* A decision's copies and deletes. What a generator made is marked so. */
void candidates_of_decision(const struct lane *lane, const struct decision *decision, struct candidate_list *out);

/* Looks at the source: kind, mode, hash; what is generated is kept (kept may be NULL: then it is not). Blocking, for jobs.
 *
 * The content of any other small file (SOURCE_SMALL_MAX) that is to be carried stays in `held`, where there is room for it: *room counts the bytes that may
 * be held still, and gets less. NULL: none is held. */
struct kept;
void candidate_prepare(struct candidate *c, struct kept *kept, size_t *room);

/* Content of a file, target of a link; zero for a directory. */
int source_hash(const char *path, unsigned mode, struct hash *hash);

/* On the loop. The journal's line of one destination, written before it is sent. */
const struct owned *lane_own(struct lane *lane, const struct candidate *c);
/* One item more: the line that lane_own made of the candidate. It borrows what the candidate holds, which has to outlive the carry. first: to a container
 * that is there as its image made it. */
void carry_owned(struct carry *carry, const struct candidate *c, const struct owned *owned, bool first);
void carry_sort(struct carry *carry); /* as struct carry wants it */
/* Everything that is to be in an instance, sorted as a carry is. Nothing of it is held. */
void lane_all_owned(const struct lane *lane, const struct lane_instance *instance, struct wanted_list *all);
/* What was carried there is there still, as far as skiff knows: nothing came in its place, or in that of a directory above. */
bool owned_is_current(const struct lane *lane, const char *dest, const struct owned *owned);
/* The image's build changed the destination after copying there: its source is pending again, and decided by that. */
void lane_note_altered(struct lane *lane, const char *dest, uint64_t first_event_ns);
/* The same for a candidate that was never carried; false: it may be. */
bool lane_refuse_altered(struct lane *lane, const struct candidate *c, uint64_t first_event_ns);
/* Makes a decision that copies there a rebuild. */
void lane_decide_altered(const struct lane *lane, struct decision *decision);
/* It is in a mount: what is carried there replaces whatever it is. */
void lane_expect_nothing(struct lane *lane, const char *dest);
/* Forgets what the new image holds by itself; the rest is owed to its instances. */
void lane_prune_owned(struct lane *lane);

/* True if the image's build puts this file there too: then a rebuild can do what a copy can't. */
bool lane_image_holds(const struct lane *lane, const char *src, const char *dest);

/* The lane's kept bytes, opened at their first use. For the job of the moment (SYNCING, GENERATING). */
int lane_open_kept(struct lane *lane, struct kept **kept, struct error *err);

#endif
