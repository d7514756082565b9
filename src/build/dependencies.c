/* What an image is built from, where only a program can tell: custom's dependencies.command, Jib's files goal. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "build/generate.h"
#include "build/internal.h"
#include "io/process.h"
#include "sync/jib.h"

enum {
	LISTING_MAX = 16 << 20,
	RUNS_MAX = 3,
	CLOCK_TICK_NS = 5000000, /* file systems stamp with a clock that lags by so much */
};

static int list_custom(const struct artifact *artifact, const char *command, struct sync_source *source,
		       struct cancel *cancel, struct error *err)
{
	CLEANUP(str_release) struct str output = {.max = LISTING_MAX};
	const struct process_spec spec = {
		.argv = (const char *const[]){"sh", "-c", command, NULL},
		.directory = artifact->base_dir,
		.output = &output,
		.cancel = cancel,
	};
	struct place place = artifact->custom.command.place;
	int status = process_run(&spec, err);
	if (status < 0)
		return status;
	if (status > 0)
		return error_at(err, place, EIO, "dependencies.command of %s failed (exit %d)", artifact->image.value,
				status);
	if (output.overflow)
		return error_at(err, place, E2BIG, "dependencies.command of %s prints more than %d MiB",
				artifact->image.value, LISTING_MAX >> 20);
	return sync_source_set_listing(source, str_text(&output), output.len, err);
}

static void keep_line(void *log, int stream, const char *line, size_t len)
{
	(void)stream;
	build_log_add(log, line, len);
}

static int ask_jib(const struct artifact *artifact, struct build_files *files, struct cancel *cancel, struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	int r = jib_files_command(artifact, &argv, err);
	if (r < 0)
		return r;
	CLEANUP(str_release) struct str output = {.max = LISTING_MAX}, log = {0};
	const struct process_spec spec = {
		.argv = (const char *const *)argv.items,
		.directory = artifact->context,
		.line = keep_line,
		.data = &log,
		.output = &output,
		.cancel = cancel,
	};
	CLEANUP(error_clear) struct error cause = {0};
	int status = process_run(&spec, &cause);
	if (status < 0)
		return build_cannot_start(&argv, artifact->place, &cause, err);
	if (status > 0)
		return build_command_failed(&argv, status, str_text(&log), artifact->context, err);
	r = build_files_parse(str_text(&output), output.len, artifact->context, files, &cause);
	if (r < 0) {
		_cleanup_free_ char *command = strv_join(&argv, " ");
		return error_at(err, artifact->place, EIO, "%s (the command was: %s)", cause.message, command);
	}
	return 0;
}

/* True if a build definition was written since: the answer may be the older one's. */
static bool changed_since(const struct strv *paths, uint64_t since_ns)
{
	for (size_t i = 0; i < paths->len; i++) {
		struct stat st;
		if (stat(paths->items[i], &st) < 0)
			continue;
		if ((uint64_t)st.st_ctim.tv_sec * 1000000000 + (uint64_t)st.st_ctim.tv_nsec >= since_ns)
			return true;
	}
	return false;
}

static int list_jib(const struct artifact *artifact, struct sync_source *source, struct cancel *cancel,
		    struct error *err)
{
	for (int runs = 1;; runs++) {
		struct build_files files = {0};
		uint64_t started_ns = realtime_ns() - CLOCK_TICK_NS;
		int r = ask_jib(artifact, &files, cancel, err);
		bool again = r == 0 && runs < RUNS_MAX && changed_since(&files.build, started_ns);
		if (r == 0 && !again)
			(void)sync_source_teach_files(source, &files, NULL); /* unsaved, it is known all the same */
		build_files_release(&files);
		if (!again)
			return r;
	}
}

int build_list_dependencies(const struct artifact *artifact, struct sync_source *source, struct cancel *cancel,
			    struct error *err)
{
	const char *command = sync_source_listing_command(source);
	if (command)
		return list_custom(artifact, command, source, cancel, err);
	return sync_source_needs_files(source) ? list_jib(artifact, source, cancel, err) : 0;
}
