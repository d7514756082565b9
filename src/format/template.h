/* The part of Go's text/template that people use in a skaffold.yaml:
 *
 *     {{.NAME}}  {{ .NAME | default "y" }}  {{default "y" .NAME}}  {{"text"}}  {{- .NAME -}} (trims white space)
 *
 * Everything else (calls such as `cmd`, conditions, loops) is a clear error: a configuration runs no program when it is read. */
#ifndef FORMAT_TEMPLATE_H
#define FORMAT_TEMPLATE_H

#include "base/error.h"
#include "base/str.h"

#define TEMPLATE_MAX_BYTES ((size_t)1 << 20) /* of the result */

struct template_variables {
	/* The value of a name, or NULL where it has none (an error without a default). The result must live until the expansion ends. */
	const char *(*lookup)(void *data, const char *name);
	void *data;
};

/* Looks names up in the environment. */
extern const struct template_variables template_environment;

/* Expands into *out (the caller frees). -EINVAL: not in the language above, or a name without value; -E2BIG. */
int template_expand(const char *text, const struct template_variables *variables, char **out, struct error *err);

/* The syntax alone. *offset (may be NULL): the byte of the mistake. */
int template_check(const char *text, size_t *offset, struct error *err);

#endif
