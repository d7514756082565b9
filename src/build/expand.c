#include "build/expand.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "format/template.h"

static const char *lookup(void *data, const char *name)
{
	const struct build_request *request = data;
	if (str_equal(name, "IMAGE_NAME"))
		return request->artifact->image.value;
	for vec_each (pair, &request->required) {
		if (str_equal(pair->name, name))
			return pair->value;
	}
	return getenv(name);
}

int build_expand(const struct build_request *request, const char *text, struct place place, char **out,
		 struct error *err)
{
	CLEANUP(error_clear) struct error inner = {0};
	const struct template_variables variables = {.lookup = lookup, .data = (void *)request};
	int r = template_expand(text, &variables, out, &inner);
	return r < 0 ? error_at(err, place, -r, "%s", inner.message) : 0;
}

/* "NAME=value" in the place of an earlier one of that name. */
static void set_argument(struct strv *out, const char *name, char *argument)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < out->len; i++) {
		if (strncmp(out->items[i], name, len) == 0 && (out->items[i][len] == '=' || !out->items[i][len])) {
			free(out->items[i]);
			out->items[i] = argument;
			return;
		}
	}
	strv_push_owned(out, argument);
}

int build_args_expand(const struct build_request *request, const struct strv *declared, struct strv *out,
		      struct error *err)
{
	static const char run_mode[] = "SKAFFOLD_RUN_MODE";
	if (strv_contains(declared, run_mode))
		strv_pushf(out, "%s=%s", run_mode, request->for_dev ? "dev" : "build");
	for vec_each (required, &request->required) {
		if (strv_contains(declared, required->name))
			set_argument(out, required->name, xasprintf("%s=%s", required->name, required->value));
	}
	for vec_each (pair, &request->artifact->docker.build_args) {
		if (!pair->value) {
			const char *value = getenv(pair->name);
			set_argument(out, pair->name,
				     value ? xasprintf("%s=%s", pair->name, value) : xstrdup(pair->name));
			continue;
		}
		_cleanup_free_ char *value = NULL;
		int r = build_expand(request, pair->value, pair->place, &value, err);
		if (r < 0)
			return r;
		set_argument(out, pair->name, xasprintf("%s=%s", pair->name, value));
	}
	strv_sort(out);
	return 0;
}

static void add_argument_names(const char *p, const char *end, struct strv *names)
{
	while (p < end) {
		while (p < end && isspace((unsigned char)*p))
			p++;
		const char *start = p;
		while (p < end && !isspace((unsigned char)*p) && *p != '=')
			p++;
		if (p > start)
			strv_push_owned(names, xstrndup(start, (size_t)(p - start)));
		while (p < end && !isspace((unsigned char)*p))
			p++;
	}
}

void build_args_declared(const char *text, struct strv *names)
{
	while (*text) {
		const char *end = strchrnul(text, '\n');
		while (text < end && isspace((unsigned char)*text))
			text++;
		if (end - text > 4 && strncasecmp(text, "ARG", 3) == 0 && isspace((unsigned char)text[3]))
			add_argument_names(text + 4, end, names);
		text = *end ? end + 1 : end;
	}
}
