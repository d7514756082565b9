#include "build/generate.h"

#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "build/internal.h"
#include "io/process.h"

enum { LIST_MAX = 64 << 10 }; /* bytes of a list of paths: the kernel refuses 128 KiB of one variable */

void generated_release(struct generated *generated)
{
	syncmap_release(&generated->map);
	delta_release(&generated->delta);
	str_release(&generated->log);
	*generated = (struct generated){0};
}

/* False where the list can't be told: too long, or a name with a newline. */
static bool add_list(const struct artifact *artifact, const char *variable, const struct strv *paths, struct strv *env)
{
	CLEANUP(str_release) struct str list = {.max = LIST_MAX};
	str_addf(&list, "%s=", variable);
	for (size_t i = 0; i < paths->len; i++) {
		const char *below = path_below(paths->items[i], artifact->context);
		const char *shown = !below ? paths->items[i] : below[0] ? below : ".";
		if (strchr(shown, '\n'))
			return false;
		str_addf(&list, "%s%s", i > 0 ? "\n" : "", shown);
	}
	if (!list.overflow)
		strv_push_owned(env, str_steal(&list));
	return !list.overflow;
}

/* What steers a program must not come from the environment that skiff itself was started in: what is not set is unset. */
static void environment(const struct generate_request *request, struct strv *env)
{
	const struct artifact *artifact = request->artifact;
	CLEANUP(strv_release) struct strv lists = {0};
	strv_pushf(env, "SKIFF_IMAGE=%s", artifact->image.value);
	strv_pushf(env, "SKIFF_CONTEXT=%s", artifact->context);
	if (request->tag)
		strv_pushf(env, "SKIFF_TAG=%s", request->tag);
	else
		strv_push(env, "SKIFF_TAG");
	static const struct strv none = {0};
	bool told = request->changed || request->deleted;
	told = told && add_list(artifact, "SKIFF_CHANGED", request->changed ? request->changed : &none, &lists) &&
	       add_list(artifact, "SKIFF_DELETED", request->deleted ? request->deleted : &none, &lists);
	if (told) {
		strv_extend(env, &lists);
		strv_push(env, "SKIFF_CHANGED_ALL");
	} else {
		strv_push(env, "SKIFF_CHANGED");
		strv_push(env, "SKIFF_DELETED");
		strv_push(env, "SKIFF_CHANGED_ALL=1");
	}
}

struct run {
	const struct generate_request *request;
	struct generated *generated;
	bool block; /* the next line of stdout is the block's, for programs: a person need not see it */
};

static void take_line(void *data, int stream, const char *line, size_t len)
{
	struct run *run = data;
	bool marker = stream == 1 && run->request->generator->kind == GENERATOR_MAP &&
		      (str_starts_with(line, "BEGIN JIB JSON") || str_starts_with(line, "BEGIN SYNCMAP/"));
	bool hidden = marker || (stream == 1 && run->block);
	if (stream == 1)
		run->block = marker;
	if (hidden)
		return;
	build_log_add(&run->generated->log, line, len);
	if (run->request->line)
		run->request->line(run->request->data, stream, line, len);
}

static int read_map(const struct run *run, const struct str *output, struct error *err)
{
	int r = syncmap_parse(str_text(output), output->len, run->request->artifact->context, &run->generated->map,
			      err);
	return r;
}

static int read_tar(const struct run *run, const struct str *output, struct error *err)
{
	_cleanup_free_ char *tar = NULL;
	int r = delta_parse(str_text(output), output->len, run->request->artifact->context, &tar,
			    &run->generated->delta.rebuild, err);
	if (r == 0 && tar)
		r = delta_read(tar, run->request->kept, &run->generated->delta, err);
	return r;
}

static int read_output(const struct run *run, const struct str *output, struct error *err)
{
	const struct sync_generator *generator = run->request->generator;
	_cleanup_free_ char *name = build_command_name(&generator->command);
	if (generator->kind == GENERATOR_COMMAND)
		return 0;
	if (output->overflow)
		return error_set(err, EIO, "%s prints more than %d MiB", name, SYNCMAP_TEXT_MAX >> 20);
	CLEANUP(error_clear) struct error inner = {0};
	int r = generator->kind == GENERATOR_MAP ? read_map(run, output, &inner) : read_tar(run, output, &inner);
	return r < 0 ? error_set(err, EIO, "%s: %s", name, inner.message) : 0;
}

int generate_run(const struct generate_request *request, struct generated *generated, struct error *err)
{
	const struct sync_generator *generator = request->generator;
	*generated = (struct generated){0};
	struct run run = {.request = request, .generated = generated};
	CLEANUP(strv_release) struct strv env = {0};
	CLEANUP(str_release) struct str output = {.max = SYNCMAP_TEXT_MAX};
	environment(request, &env);
	const struct process_spec spec = {
		.argv = (const char *const *)generator->command.items,
		.directory = request->artifact->context,
		.env = (const char *const *)env.items,
		.line = take_line,
		.data = &run,
		.output = generator->kind == GENERATOR_COMMAND ? NULL : &output,
		.cancel = request->cancel,
	};
	CLEANUP(error_clear) struct error cause = {0};
	int status = process_run(&spec, &cause);
	if (status < 0)
		return build_cannot_start(&generator->command, generator->place, &cause, err);
	if (status > 0)
		return build_command_failed(&generator->command, status, str_text(&generated->log),
					    request->artifact->context, err);
	return read_output(&run, &output, err);
}
