#include "runtime-fixture.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/file.h"
#include "io/process.h"
#include "runtime/docker.h"

struct runtime *runtime;
char *run_id;
char *folder;

char *host(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *line = xvasprintf(fmt, ap);
	va_end(ap);
	struct str output = {0};
	struct error err = {0};
	struct process_spec spec = {.argv = (const char *[]){"sh", "-c", line, NULL},
				    .output = &output,
				    .directory = folder};
	int r = process_run(&spec, &err);
	if (r != 0)
		fail_msg("%s: %d %s", line, r, err.message ? err.message : "");
	while (output.len && output.data[output.len - 1] == '\n')
		output.data[--output.len] = 0;
	return str_steal(&output);
}

void assert_host(const char *expected, const char *line)
{
	_cleanup_free_ char *got = host("%s", line);
	assert_string_equal(got, expected);
}

void assert_inside(struct fixture *f, const char *expected, const char *line)
{
	struct str output = {0};
	struct error err = {0};
	int r = runtime->ops->run(f->session, (const char *[]){"sh", "-c", line, NULL}, &output, NULL, &err);
	if (r < 0)
		fail_msg("%s: %s", line, err.message);
	while (output.len && output.data[output.len - 1] == '\n')
		output.data[--output.len] = 0;
	assert_string_equal(str_text(&output), expected);
	str_release(&output);
}

void start(struct fixture *f, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *options = xvasprintf(fmt, ap);
	va_end(ap);
	host_do("docker run -d --network none --label skiff.run=%s --label skiff.image=web %s", run_id, options);
	assert_int_equal(runtime->ops->list(runtime, run_id, &f->instances, NULL, &f->err), 0);
	assert_int_equal(f->instances.len, 1);
	assert_int_equal(runtime->ops->open(runtime, &f->instances.items[0], &f->session, NULL, &f->err), 0);
	if (f->blind)
		look_close(&f->session->look);
}

const char *container(const struct fixture *f)
{
	return f->instances.items[0].id;
}

int set_up(void **state)
{
	*state = xcalloc(1, sizeof(struct fixture));
	host_do("rm -rf src && mkdir src");
	return 0;
}

int set_up_blind(void **state)
{
	set_up(state);
	((struct fixture *)*state)->blind = true;
	return 0;
}

int tear_down(void **state)
{
	struct fixture *f = *state;
	if (f->session)
		runtime->ops->close(f->session);
	host_do("docker ps -aq --filter label=skiff.run=%s | xargs -r docker rm -fv >/dev/null", run_id);
	instances_release(&f->instances);
	carry_release(&f->carry);
	carry_report_release(&f->report);
	error_clear(&f->err);
	free(f);
	return 0;
}

void add(struct fixture *f, enum carry_kind kind, const char *src, const char *dest, int mode)
{
	char *from = src ? xasprintf("%s/src/%s", folder, src) : NULL;
	vec_push(&f->carry, (struct carry_item){.kind = kind, .dest = xstrdup(dest), .src = from, .mode = mode});
}

int apply(struct fixture *f)
{
	carry_report_release(&f->report);
	error_clear(&f->err);
	int r = runtime->ops->apply(f->session, &f->carry, &f->report, NULL, &f->err);
	carry_release(&f->carry);
	return r;
}

void assert_applied(struct fixture *f)
{
	int r = apply(f);
	if (r < 0)
		fail_msg("apply: %d %s", r, f->err.message);
}

void carry_text(struct fixture *f, const char *text, const char *dest)
{
	host_do("printf %%s '%s' > src/one", text);
	add(f, CARRY_FILE, "one", dest, MODE_HOST);
}

bool with_agent;

int open_engine(void **state)
{
	(void)state;
	CLEANUP(error_clear) struct error err = {0};
	char template[] = "/tmp/skiff-runtime-XXXXXX";
	folder = xstrdup(mkdtemp(template));
	run_id = xasprintf("test-%d", (int)getpid());
	if (runtime_docker_open(&runtime, NULL, &err) < 0) {
		print_error("no engine (script/engine up): %s\n", err.message);
		return -1;
	}
	runtime->no_agent = !with_agent;
	host_do("%s", getenv("SKIFF_BASE_IMAGE"));
	return 0;
}

int close_engine(void **state)
{
	(void)state;
	if (runtime)
		runtime->ops->free(runtime);
	file_remove_tree(folder, NULL);
	free(folder);
	free(run_id);
	return 0;
}
