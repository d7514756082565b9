/* The agent in a Docker container, and what a session does by it. */
#include <errno.h>

#include "base/ustar.h"
#include "runtime/carry.h"
#include "runtime/docker-instances.h"
#include "runtime/docker-session.h"

static ssize_t give_tar(void *data, void *buffer, size_t cap)
{
	struct str *tar = data;
	size_t take = tar->len < cap ? tar->len : cap;
	memcpy(buffer, str_text(tar), take);
	str_consume(tar, take);
	return (ssize_t)take;
}

static int put_there(struct session *s, const struct agent_program *program, struct cancel *cancel, struct error *err)
{
	CLEANUP(str_release) struct str tar = {0};
	ustar_add_directory(&tar, ".skiff/");
	ustar_add_file(&tar, ".skiff/agent", 0755, program->bytes, program->len);
	ustar_finish(&tar);
	return docker_archive_put(s->docker, s->id, "/", give_tar, &tar, cancel, err);
}

/* The program for the container's image. */
static int find_program(struct session *s, const struct agent_program **program, struct cancel *cancel,
			struct error *err)
{
	_cleanup_free_ char *name = docker_escape(s->image_id);
	_cleanup_free_ char *path = xasprintf("/images/%s/json", name);
	json_t *image = NULL;
	int r = docker_call(s->docker, "GET", path, NULL, &image, cancel, err);
	*program = agent_program_for(docker_text(image, "Architecture"));
	if (r >= 0 && !*program)
		r = error_set(err, ENOTSUP, "there is no agent for %s", docker_text(image, "Architecture"));
	json_decref(image);
	return r;
}

/* A line to an agent: an exec's, and who to ask what it means that nothing comes. */
struct agent_stream {
	struct session *session;
	struct docker_stream *stream;
};

/* A container that is paused, or ended, will not answer. */
static int look_why_silent(void *data, struct cancel *cancel, struct error *err)
{
	struct session *s = ((struct agent_stream *)data)->session;
	CLEANUP(error_clear) struct error why = {0};
	bool paused = false, running = false;
	int r = docker_state(s, &running, &paused, cancel, &why);
	if (r == -ENOENT || (r >= 0 && !running))
		return error_set(err, EPIPE, "%s does not run any more", s->name);
	if (r >= 0 && paused)
		return error_set(err, EBUSY, "%s is paused", s->name);
	return r == -ECANCELED ? error_move(err, &why) : 0;
}

static int stream_turn(void *data, const char **out, size_t *len,
		       int (*take)(void *data, const void *bytes, size_t len), void *take_data, struct cancel *cancel,
		       unsigned timeout_ms, struct error *err)
{
	struct agent_stream *line = data;
	return docker_stream_turn(line->stream, out, len, take, take_data, cancel, timeout_ms, err);
}

static void stream_close(void *data)
{
	struct agent_stream *line = data;
	docker_stream_close(line->stream);
	free(line);
}

static int start_agent(struct session *s, const struct agent_program *program, bool unlink, unsigned patience_ms,
		       struct agent **agent, struct cancel *cancel, struct error *err)
{
	const char *const argv[] = {AGENT_PATH, unlink ? "--unlink" : NULL, NULL};
	struct docker_exec exec = {.argv = argv, .user = "0"};
	struct docker_stream *stream = NULL;
	int r = docker_stream_open(s->docker, s->id, &exec, &stream, cancel, err);
	if (r < 0)
		return r;
	struct agent_stream *line = xmalloc(sizeof(*line));
	*line = (struct agent_stream){s, stream};
	struct agent_transport transport = {.data = line,
					    .turn = stream_turn,
					    .silent = look_why_silent,
					    .close = stream_close};
	return agent_open(transport, program, patience_ms, agent, cancel, err);
}

/* The image's own, where it has one that is of this skiff; else one that is put there. It unlinks itself where the image has none. */
static int docker_agent_start(struct session *s, unsigned patience_ms, struct agent **agent, struct cancel *cancel,
			      struct error *err)
{
	const struct agent_program *program = NULL;
	CLEANUP(error_clear) struct error why = {0};
	if (s->image_agent == IMAGE_AGENT_SAME) {
		int r = start_agent(s, NULL, false, patience_ms, agent, cancel, &why);
		if (r >= 0 || cancel_requested(cancel) || s->read_only)
			return r < 0 ? error_move(err, &why) : r;
	}
	if (s->read_only)
		return error_set(err, EROFS,
				 "its root file system is read-only, and its image has no agent of this skiff");
	int r = find_program(s, &program, cancel, err);
	if (r >= 0)
		r = put_there(s, program, cancel, err);
	return r < 0 ? r : start_agent(s, program, s->image_agent == IMAGE_AGENT_NONE, patience_ms, agent, cancel, err);
}

static int docker_agent_look(struct session *s, bool anew, struct cancel *cancel, struct error *err)
{
	int r = s->running && !s->paused && !anew ? 0 : docker_refresh(s, cancel, err);
	if (r >= 0 && s->paused)
		return error_set(err, EBUSY, "%s is paused: it is carried to once it goes on", s->name);
	return r < 0 ? r : s->running;
}

static int docker_agent_accounts(struct session *s, const struct accounts **accounts, struct cancel *cancel,
				 struct error *err)
{
	*accounts = &s->accounts;
	return docker_accounts(s, cancel, err);
}

static void docker_agent_explain(struct session *s, const char *dest, const struct agent_item *item, const char *words,
				 const char *help, struct carry_result *result)
{
	struct looked looked = {.uid = item->above_uid, .gid = item->above_gid, .directory = true};
	docker_explain(s, dest, item->words ? NULL : &looked, item->code, words, help, result);
}

const struct agent_keeper_ops docker_agent_ops = {
	.look = docker_agent_look,
	.start = docker_agent_start,
	.accounts = docker_agent_accounts,
	.explain = docker_agent_explain,
	.other_way = "through the engine's archive API",
};

/* By the agent, where there is one. */
int docker_runtime_apply(struct session *s, const struct carry *carry, struct carry_report *report,
			 struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	*report = (struct carry_report){0};
	int r = carry_check(carry, err);
	if (r < 0)
		return r;
	r = carry->len ? agent_keeper_apply(&s->keeper, carry, report, cancel, &why) : -ENOTSUP;
	/* What waits in a paused container's line would overwrite what came there by another way. */
	if (r < 0 && r != -EBUSY && !report->len && !cancel_requested(cancel))
		r = docker_archive_apply(s, carry, report, cancel, err);
	else if (r < 0)
		error_move(err, &why);
	if (report->len)
		report->note = steal(&s->keeper.note);
	return r;
}

int docker_runtime_look(struct session *s, const struct strv *dests, const struct instance_file *before,
			struct instance_file *found, struct cancel *cancel, struct error *err)
{
	return agent_keeper_look(&s->keeper, dests, before, found, cancel, err);
}

int docker_runtime_check(struct session *s, const struct strv *dests, struct carry_report *report,
			 struct cancel *cancel, struct error *err)
{
	return agent_keeper_check(&s->keeper, dests, report, cancel, err);
}

int docker_runtime_ping(struct session *s, struct cancel *cancel, struct error *err)
{
	return agent_keeper_ping(&s->keeper, cancel, err);
}
