/* Small tar files (POSIX ustar) in memory: what skiff itself gives to an engine. Everything belongs to root and is as old as the epoch, so that equal
 * content gives equal bytes. Names: at most 99 bytes; files: less than 8 GiB. */
#ifndef BASE_USTAR_H
#define BASE_USTAR_H

#include "base/str.h"

void ustar_add_directory(struct str *tar, const char *name); /* "dir/", mode 0755 */
void ustar_add_file(struct str *tar, const char *name, unsigned mode, const void *bytes, size_t len);
void ustar_finish(struct str *tar);

#endif
