/* The world as it is: struct sync_world answered by the file system. */
#ifndef SYNC_WORLD_H
#define SYNC_WORLD_H

#include "sync/source.h"

extern const struct sync_world world_of_files;

#endif
