#include "runtime/runtime.h"

#include <errno.h>

#include "base/str.h"
#include "runtime/docker.h"
#include "runtime/embedded.h"

static const struct {
	const char *name;
	int (*open)(struct runtime **runtime, struct cancel *cancel, struct error *err);
} runtimes[] = {
	/* in the order in which they are tried where none is named */
	{"docker", runtime_docker_open},
	{"embedded", runtime_embedded_open},
};

int runtime_open(const char *name, struct runtime **runtime, char **fallback, struct cancel *cancel, struct error *err)
{
	if (fallback)
		*fallback = NULL;
	for (size_t i = 0; i < ARRAY_LEN(runtimes); i++) {
		if (name && !str_equal(name, runtimes[i].name))
			continue;
		CLEANUP(error_clear) struct error why = {0};
		int r = runtimes[i].open(runtime, cancel, &why);
		if (r >= 0)
			return 0;
		if (name || r == -ECANCELED || i + 1 == ARRAY_LEN(runtimes))
			return error_move(err, &why);
		if (fallback)
			replace_string(fallback, why.message);
	}
	return error_set(err, EINVAL, "there is no runtime '%s' (docker, embedded)", name);
}
