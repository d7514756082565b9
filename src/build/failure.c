#include "build/generate.h"
#include "build/internal.h"

char *build_failure_text(const char *log, const char *context)
{
	(void)context;
	return build_failure_line(log);
}
