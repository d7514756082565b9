/* Law 2 while running: before `idle` is told, what was carried to is looked at. What an instance holds instead is its own doing, drift: told once a path,
 * named in `idle`, left alone. */
#ifndef DEV_VERIFY_H
#define DEV_VERIFY_H

#include <jansson.h>

#include "dev/owned.h"

struct dev;

/* Is what was found there what the item brings about? hash, host_mode: of what it carries. What can't be told (an error other than that nothing is
 * there) is neither: *unknown. */
bool verify_holds(const struct carry_item *item, struct hash hash, unsigned host_mode,
		  const struct instance_file *found, bool *unknown);

/* A copy of what the last look found to be drift at the destination, since that of owned was carried; NULL: none. The caller frees. */
struct instance_file *verify_drift(const struct lane_instance *instance, const char *dest, const struct owned *owned);
bool verify_same_file(const struct instance_file *a, const struct instance_file *b);

/* Starts looking where that is due. True while `idle` has to wait for it: VERIFY_PATIENCE_MS at most. */
bool verify_before_idle(struct dev *dev);
void verify_patience_over(void *dev); /* the timer's */

/* What the last looks found in the instances that run. */
struct verified {
	size_t equal;	   /* destinations */
	struct strv drift; /* sorted, each once */
};
void verified_of(const struct dev *dev, struct verified *out); /* the caller releases drift */

void verify_forget(struct lane_instance *instance); /* frees what is kept of its looks */

#endif
