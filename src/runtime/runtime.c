#include "runtime/runtime.h"

#include <errno.h>

#include "base/str.h"
#include "runtime/docker.h"
#include "runtime/embedded.h"
#include "runtime/kubernetes.h"

static int open_docker(const struct runtime_options *options, struct runtime **runtime, struct cancel *cancel,
		       struct error *err)
{
	(void)options;
	return runtime_docker_open(runtime, cancel, err);
}

static int open_embedded(const struct runtime_options *options, struct runtime **runtime, struct cancel *cancel,
			 struct error *err)
{
	(void)options;
	return runtime_embedded_open(runtime, cancel, err);
}

static const struct {
	const char *name;
	bool by_name; /* only where it is named */
	int (*open)(const struct runtime_options *options, struct runtime **runtime, struct cancel *cancel,
		    struct error *err);
} runtimes[] = {
	/* in the order in which they are tried where none is named */
	{"kubernetes", true, runtime_kubernetes_open},
	{"docker", false, open_docker},
	{"embedded", false, open_embedded},
};

int runtime_open(const struct runtime_options *options, struct runtime **runtime, char **fallback,
		 struct cancel *cancel, struct error *err)
{
	if (fallback)
		*fallback = NULL;
	for (size_t i = 0; i < ARRAY_LEN(runtimes); i++) {
		if (options->name ? !str_equal(options->name, runtimes[i].name) : runtimes[i].by_name)
			continue;
		CLEANUP(error_clear) struct error why = {0};
		int r = runtimes[i].open(options, runtime, cancel, &why);
		if (r >= 0)
			return 0;
		if (options->name || r == -ECANCELED || i + 1 == ARRAY_LEN(runtimes))
			return error_move(err, &why);
		if (fallback)
			replace_string(fallback, why.message);
	}
	return error_set(err, EINVAL, "there is no runtime '%s' (docker, kubernetes, embedded)", options->name);
}
