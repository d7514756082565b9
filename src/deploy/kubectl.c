#include "deploy/kubectl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "deploy/engine.h"
#include "deploy/manifest.h"
#include "deploy/render.h"
#include "io/process.h"

enum { AGAIN_MS = 250, AGAIN_MAX_MS = 10000, OUTPUT_MAX = 64 << 20 };

void kubectl_objects_release(struct kubectl_objects *objects)
{
	for vec_each (object, objects)
		free(object->text);
	vec_release(objects);
}

/* ---- one run of kubectl ---- */

struct run {
	const struct kubectl *kubectl;
	const char *verb; /* "apply" */
	const char *namespace_;
	const char *const *options; /* ends with NULL */
	const struct strv *flags;   /* of the configuration; may be NULL */
	const struct str *input;
	struct str *output; /* may be NULL */
	struct cancel *cancel;
};

static int run_once(const struct run *run, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	struct program_words words = {0};
	kubernetes_command(run->kubectl->kubernetes, &argv);
	strv_extend(&argv, &run->kubectl->config->global_flags);
	strv_push(&argv, run->verb);
	strv_pushf(&argv, "--namespace=%s", run->namespace_);
	for (const char *const *option = run->options; *option; option++)
		strv_push(&argv, *option);
	if (run->flags)
		strv_extend(&argv, run->flags);
	strv_push(&argv, "-f");
	strv_push(&argv, "-");
	const struct process_spec spec = {.argv = (const char *const *)argv.items,
					  .input = run->input->data,
					  .input_len = run->input->len,
					  .line = program_line,
					  .data = &words,
					  .output = run->output,
					  .cancel = run->cancel};
	_cleanup_free_ char *name = xasprintf("kubectl %s", run->verb);
	int r = process_run(&spec, err);
	if (r > 0)
		r = program_failed(&words, name, r, err);
	str_release(&words.text);
	return r;
}

/* What a new namespace or resource needs a moment for: the account that pods run under; the API that serves it. */
static bool may_come(const struct error *err)
{
	return err->message && (strstr(err->message, "no matches for kind") ||
				strstr(err->message, "error looking up service account") ||
				strstr(err->message, "the server could not find the requested resource"));
}

static int run_until_there(const struct run *run, bool patient, struct error *err)
{
	CLEANUP(error_clear) struct error inner = {0};
	struct pollfd fd = {.fd = cancel_fd(run->cancel), .events = POLLIN};
	int r = run_once(run, &inner);
	for (int waited = 0; r < 0 && patient && may_come(&inner) && waited < AGAIN_MAX_MS; waited += AGAIN_MS) {
		if (poll(&fd, 1, AGAIN_MS) > 0)
			return error_set(err, ECANCELED, "cancelled");
		error_clear(&inner);
		r = run_once(run, &inner);
	}
	return r < 0 ? error_move(err, &inner) : 0;
}

/* ---- many objects ---- */

static bool comes_first(const char *kind)
{
	return str_equal(kind, "Namespace") || str_equal(kind, "CustomResourceDefinition");
}

/* kubectl refuses an object whose namespace is not the one that it was told: so one run for each. */
static int run_groups(const struct run *run, const struct kubectl_objects *objects, bool first, bool patient,
		      struct error *err)
{
	CLEANUP(strv_release) struct strv done = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && i < objects->len; i++) {
		const struct kubectl_object *leader = &objects->items[i];
		CLEANUP(str_release) struct str text = {.max = STR_DEFAULT_MAX * 4};
		if (comes_first(leader->kind) != first || strv_contains(&done, leader->namespace_))
			continue;
		for (size_t k = i; k < objects->len; k++) {
			const struct kubectl_object *object = &objects->items[k];
			if (comes_first(object->kind) == first && str_equal(object->namespace_, leader->namespace_))
				str_add(&text, object->text);
		}
		if (text.overflow)
			return error_set(err, E2BIG, "too many manifests");
		strv_push(&done, leader->namespace_);
		struct run one = *run;
		one.namespace_ = leader->namespace_;
		one.input = &text;
		r = run_until_there(&one, patient, err);
	}
	return r;
}

static bool any_first(const struct kubectl_objects *objects)
{
	for vec_each (object, objects)
		if (comes_first(object->kind))
			return true;
	return false;
}

int kubectl_apply(const struct kubectl *kubectl, const struct kubectl_objects *objects, struct cancel *cancel,
		  struct error *err)
{
	const char *const options[] = {kubectl->config->disable_validation ? "--validate=false" : NULL, NULL};
	const struct run run = {.kubectl = kubectl,
				.verb = "apply",
				.options = options,
				.flags = &kubectl->config->apply_flags,
				.cancel = cancel};
	int r = run_groups(&run, objects, true, false, err);
	return r < 0 ? r : run_groups(&run, objects, false, any_first(objects), err);
}

int kubectl_delete(const struct kubectl *kubectl, const struct kubectl_objects *objects, bool wait,
		   struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *grace = xasprintf("--grace-period=%d", STOP_GRACE_S);
	const char *const options[] = {"--ignore-not-found", wait ? "--wait=true" : "--wait=false", wait ? grace : NULL,
				       NULL};
	const struct run run = {.kubectl = kubectl,
				.verb = "delete",
				.options = options,
				.flags = &kubectl->config->delete_flags,
				.cancel = cancel};
	int r = run_groups(&run, objects, false, false, err);
	return r < 0 ? r : run_groups(&run, objects, true, false, err);
}

/* One object as it is, several as a List; each run's answer follows the one before. */
static void collect(const struct str *output, json_t *found)
{
	const char *at = str_text(output), *end = at + output->len;
	while (at < end) {
		json_error_t error;
		json_t *answer = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK, &error), *item;
		const json_t *items = json_object_get(answer, "items");
		size_t i;
		if (!answer)
			return;
		json_array_foreach(items, i, item) json_array_append(found, item);
		if (!items)
			json_array_append(found, answer);
		json_decref(answer);
		at += error.position;
		while (at < end && strchr(" \n\t\r", *at))
			at++;
	}
}

int kubectl_get(const struct kubectl *kubectl, const struct kubectl_objects *objects, json_t *found,
		struct cancel *cancel, struct error *err)
{
	static const char *const options[] = {"--ignore-not-found", "--output=json", NULL};
	CLEANUP(str_release) struct str output = {.max = OUTPUT_MAX};
	const struct run run = {
		.kubectl = kubectl, .verb = "get", .options = options, .output = &output, .cancel = cancel};
	int r = run_groups(&run, objects, true, false, err);
	if (r == 0)
		r = run_groups(&run, objects, false, false, err);
	collect(&output, found);
	return r;
}
