#include <errno.h>

#include "base/path.h"
#include "build/build.h"
#include "io/process.h"

struct hook_output { /* hands the lines on, and keeps the last for a failure */
	void (*line)(void *data, int stream, const char *line, size_t len);
	void *data;
	char *last;
};

static void hook_line(void *data, int stream, const char *line, size_t len)
{
	struct hook_output *output = data;
	if (len > 0)
		replace_string(&output->last, line);
	if (output->line)
		output->line(output->data, stream, line, len);
}

static bool runs_here(const struct hook *hook)
{
	return !hook->container && (hook->os.len == 0 || strv_contains(&hook->os, "linux"));
}

static int run_hook(const struct hook *hook, const char *base_dir, const char *const *env, struct hook_output *output,
		    struct cancel *cancel, struct error *err)
{
	_cleanup_free_ char *directory = hook->dir ? path_join(base_dir, hook->dir) : xstrdup(base_dir);
	const struct process_spec spec = {
		.argv = (const char *const *)hook->command.items,
		.directory = directory,
		.env = env,
		.line = hook_line,
		.data = output,
		.cancel = cancel,
	};
	int status = process_run(&spec, err);
	if (status == 0)
		return 0;
	_cleanup_free_ char *command = strv_join(&hook->command, " ");
	if (status == -ECANCELED)
		return status;
	if (status < 0)
		return error_wrap(err, "hook '%s'", command);
	_cleanup_free_ char *last = output->last ? str_printable(output->last) : xstrdup("it said nothing");
	return error_at(err, hook->place, EIO, "hook '%s' failed (exit %d): %s", command, status, last);
}

int hooks_run_host(const struct hook_list *hooks, const char *base_dir, const char *const *extra_env,
		   void (*line)(void *data, int stream, const char *line, size_t len), void *data,
		   struct cancel *cancel, struct error *err)
{
	for vec_each (hook, hooks) {
		if (!runs_here(hook))
			continue;
		struct hook_output output = {.line = line, .data = data};
		int r = run_hook(hook, base_dir, extra_env, &output, cancel, err);
		free(output.last);
		if (r < 0)
			return r;
	}
	return 0;
}
