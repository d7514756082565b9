#include "runtime/embedded.h"

#include <errno.h>

#include "client/embedded.h"
#include "runtime/embedded-apply.h"

struct session {
	struct embedded_instance instance;
	struct embedded_roots roots;
};

static int embedded_runtime_list(struct runtime *rt, const char *run_id, struct instances *out, struct cancel *cancel,
				 struct error *err)
{
	(void)rt, (void)cancel;
	struct embedded_instances all = {0};
	int r = embedded_list(run_id, &all, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < all.len; i++) {
		const struct embedded_instance *in = &all.items[i];
		vec_push(out, (struct instance){.id = xstrdup(in->id),
						.name = xstrdup(in->image),
						.image = xstrdup(in->image),
						.running = in->running,
						.exit_code = in->exit_code});
	}
	embedded_instances_release(&all);
	return 0;
}

static void embedded_runtime_close(struct session *session)
{
	if (!session)
		return;
	cleanup_close(&session->roots.seen);
	cleanup_close(&session->roots.disk);
	embedded_instance_release(&session->instance);
	free(session);
}

static int embedded_runtime_open(struct runtime *rt, const struct instance *instance, struct session **session,
				 struct cancel *cancel, struct error *err)
{
	(void)rt, (void)cancel;
	struct session *s = xcalloc(1, sizeof(*s));
	s->roots.seen = s->roots.disk = -1;
	int r = embedded_load(instance->id, &s->instance, err);
	if (r == 0) {
		s->roots.read_only = s->instance.read_only;
		r = s->roots.seen = embedded_open_root(&s->instance, false, err);
	}
	if (r >= 0)
		r = s->roots.disk = embedded_open_root(&s->instance, true, err);
	if (r < 0) {
		embedded_runtime_close(s);
		return r;
	}
	*session = s;
	return 0;
}

static int embedded_runtime_apply(struct session *session, const struct carry *carry, struct carry_report *report,
				  struct cancel *cancel, struct error *err)
{
	*report = (struct carry_report){0};
	struct embedded_instance now;
	/* A removed instance's root would still take files, for nobody. */
	if (embedded_load(session->instance.id, &now, NULL) < 0)
		return error_set(err, EPIPE, "%s is gone", session->instance.image);
	embedded_instance_release(&now);
	return embedded_apply(&session->roots, &session->instance, carry, report, cancel, err);
}

static int embedded_runtime_look(struct session *session, const struct strv *dests, const struct instance_file *before,
				 struct instance_file *found, struct cancel *cancel, struct error *err)
{
	return embedded_look(&session->roots, dests, before, found, cancel, err);
}

static int embedded_runtime_check(struct session *session, const struct strv *dests, struct carry_report *report,
				  struct cancel *cancel, struct error *err)
{
	return embedded_check(&session->roots, &session->instance, dests, report, cancel, err);
}

static int embedded_runtime_ping(struct session *session, struct cancel *cancel, struct error *err)
{
	(void)session, (void)cancel, (void)err;
	return 0;
}

static int embedded_runtime_run(struct session *session, const char *const *argv, struct str *output,
				struct cancel *cancel, struct error *err)
{
	return embedded_exec(&session->instance, argv, output, cancel, err);
}

static int embedded_runtime_restart(struct session *session, int signal, struct cancel *cancel, struct error *err)
{
	return embedded_signal(&session->instance, signal, cancel, err);
}

static int embedded_runtime_follow(struct runtime *rt, const char *run_id, void (*changed)(void *data), void *data,
				   struct cancel *cancel, struct error *err)
{
	(void)rt;
	return embedded_follow(run_id, changed, data, cancel, err);
}

static int embedded_runtime_logs(struct runtime *rt, const struct instance *instance,
				 void (*line)(void *data, int stream, const char *line, size_t len), void *data,
				 struct cancel *cancel, struct error *err)
{
	(void)rt;
	struct embedded_instance in;
	int r = embedded_load(instance->id, &in, err);
	if (r < 0)
		return r;
	r = embedded_logs(&in, line, data, cancel, err);
	embedded_instance_release(&in);
	return r;
}

static void embedded_runtime_free(struct runtime *rt)
{
	attach_queries_release(&rt->attach);
	free(rt);
}

static const struct runtime_ops ops = RUNTIME_OPS(embedded);

int runtime_embedded_open(struct runtime **runtime, struct cancel *cancel, struct error *err)
{
	(void)cancel, (void)err;
	*runtime = xcalloc(1, sizeof(**runtime));
	(*runtime)->ops = &ops;
	return 0;
}
