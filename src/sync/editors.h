/* The temporary files of editors: swap files, locks, backups, and what is written beside a file before it is renamed onto it. They are never
 * synced and never a reason to rebuild (design.md, "One question", 1). */
#ifndef SYNC_EDITORS_H
#define SYNC_EDITORS_H

#include <stdbool.h>

/* name: the last element of a path. */
bool editors_temporary(const char *name);

#endif
