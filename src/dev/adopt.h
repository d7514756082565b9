/* Containers that an earlier skiff of this project left: taken over instead of built and started anew, where it is known what is in them.
 *
 * Known it is by three things: the label LABEL_CONFIG says that an equal configuration would start the same; the baseline of the image LABEL_BASE says what it was
 * built from; the journal says what was carried since. Then what differs from the two on disk now is a change like any other, deletes included, and the
 * container is `behind`: it is looked into, and gets what it lacks.
 *
 * One that has stopped is not taken over but started anew from its image, without a build: what ended it may be in its files, and after a power cut the journal
 * may lack its last lines; the journal still says what the new one has to get. */
#ifndef DEV_ADOPT_H
#define DEV_ADOPT_H

#include "dev/lane.h"

struct adoption { /* of one artifact's container */
	struct left_container container;
	struct journal_state state;
	struct inputs baseline;
};
void adoption_free(struct adoption *adoption);

/* Takes the run, and finds for each artifact what can be adopted, into dev->adoptions; the rest is removed, unless dev->options->once. Blocking. -EBUSY where
 * another skiff lives. */
int adopt_find(struct dev *dev, struct error *err);

/* Begins it; takes the adoption over. What can't be done after all is built. */
void lane_adopt(struct lane *lane, struct adoption *adoption);

#endif
