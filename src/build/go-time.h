/* Go's time layouts (pkg.go.dev/time#pkg-constants), which skaffold.yaml uses for tags: the layout shows the moment
 * Mon Jan 2 15:04:05 MST 2006. */
#ifndef BUILD_GO_TIME_H
#define BUILD_GO_TIME_H

#include "base/str.h"

struct go_time {
	int64_t seconds; /* since 1970 */
	unsigned nanoseconds;
	int offset;	  /* of the zone, seconds east of UTC */
	const char *zone; /* its abbreviation, "UTC" */
};

void go_time_format(const struct go_time *time, const char *layout, struct str *out);

#endif
