#include <errno.h>

#include "base/file.h"
#include "base/ustar.h"
#include "runtime/docker-instances.h"
#include "runtime/docker-session.h"

enum {
	ATTEMPTS = 2,
	BACK_OFF_MS = 1000, /* before an agent that failed is tried again; doubled each time */
	BACK_OFF_SHIFT_MAX = 6,
	SLOW_MAX = 3,		/* times that the patience is doubled */
	SILENCE_LOOK_MS = 1000, /* without a byte, before the engine is asked how the container is */
};

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
static int look_why_silent(struct session *s, struct cancel *cancel, struct error *err)
{
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
	for (unsigned waited = 0;; waited += SILENCE_LOOK_MS) {
		unsigned left = timeout_ms - waited;
		CLEANUP(error_clear) struct error why = {0};
		int r = docker_stream_turn(line->stream, out, len, take, take_data, cancel,
					   left < SILENCE_LOOK_MS ? left : SILENCE_LOOK_MS, &why);
		if (r == -ETIMEDOUT && left > SILENCE_LOOK_MS)
			r = look_why_silent(line->session, cancel, &why);
		else if (r != -ETIMEDOUT)
			return r < 0 && why.code ? error_move(err, &why) : r; /* else said by who took the bytes */
		if (r == -ETIMEDOUT)
			return error_set(err, ETIMEDOUT, "the agent has said nothing for %u s", timeout_ms / 1000);
		if (r < 0)
			return error_move(err, &why);
	}
}

static void stream_close(void *data)
{
	struct agent_stream *line = data;
	docker_stream_close(line->stream);
	free(line);
}

static int start_agent(struct session *s, const struct agent_program *program, bool unlink, struct cancel *cancel,
		       struct error *err)
{
	const char *const argv[] = {AGENT_PATH, unlink ? "--unlink" : NULL, NULL};
	struct docker_exec exec = {.argv = argv, .user = "0"};
	struct docker_stream *stream = NULL;
	int r = docker_stream_open(s->docker, s->id, &exec, &stream, cancel, err);
	if (r < 0)
		return r;
	struct agent_stream *line = xmalloc(sizeof(*line));
	*line = (struct agent_stream){s, stream};
	struct agent_transport transport = {.data = line, .turn = stream_turn, .close = stream_close};
	return agent_open(transport, program, AGENT_SILENCE_MS << s->agent_slow, &s->agent, cancel, err);
}

/* The image's own, where it has one that is of this skiff; else one that is put there. It unlinks itself where the image has none. */
static int open_agent(struct session *s, struct cancel *cancel, struct error *err)
{
	const struct agent_program *program = NULL;
	CLEANUP(error_clear) struct error why = {0};
	if (s->image_agent == IMAGE_AGENT_SAME) {
		int r = start_agent(s, NULL, false, cancel, &why);
		if (r >= 0 || cancel_requested(cancel) || s->read_only)
			return r < 0 ? error_move(err, &why) : r;
	}
	if (s->read_only)
		return error_set(err, EROFS,
				 "its root file system is read-only, and its image has no agent of this skiff");
	int r = find_program(s, &program, cancel, err);
	if (r >= 0)
		r = put_there(s, program, cancel, err);
	return r < 0 ? r : start_agent(s, program, s->image_agent == IMAGE_AGENT_NONE, cancel, err);
}

/* Not now: once more after a while, twice as long each time. Told once. */
static void put_off(struct session *s, const char *what, const struct error *why)
{
	unsigned shift = s->agent_failures < BACK_OFF_SHIFT_MAX ? s->agent_failures : BACK_OFF_SHIFT_MAX;
	bool told = s->agent_told;
	s->no_agent = s->no_agent || why->code == ENOTSUP;
	s->agent_after_ns = monotonic_ns() + ((uint64_t)BACK_OFF_MS << shift) * 1000000;
	s->agent_failures++;
	s->agent_told = true;
	if (told)
		return;
	free(s->agent_note);
	s->agent_note =
		xasprintf("the agent %s %s (%s): files are carried through the engine's archive API, slower, and a "
			  "reader may see half a file",
			  what, s->name, why->message ? why->message : "its line broke");
}

static bool may_have_agent(const struct session *s)
{
	return !s->no_agent && s->running && monotonic_ns() >= s->agent_after_ns;
}

/* The session's agent, started where it is not open yet. 0 with s->agent NULL: there can be none now. */
static int find_agent(struct session *s, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	if (s->agent || s->no_agent)
		return 0;
	int r = s->running && !s->paused && !s->stale ? 0 : docker_refresh(s, cancel, err);
	if (r >= 0 && may_have_agent(s) && !s->paused) {
		r = open_agent(s, cancel, &why);
		if (r >= 0 || cancel_requested(cancel))
			return r < 0 ? error_move(err, &why) : 0;
		r = docker_refresh(s, cancel, err); /* what it is by now may be why */
		if (r >= 0 && s->running && !s->paused)
			put_off(s, "can't run in", &why);
	}
	return r >= 0 && s->paused ? error_set(err, EBUSY, "%s is paused: it is carried to once it goes on", s->name)
				   : r;
}

int docker_with_agent(struct session *s,
		      int (*work)(struct session *session, struct agent *agent, void *data, struct cancel *cancel,
				  struct error *err),
		      void *data, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	int r = 0;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		r = find_agent(s, cancel, err);
		if (r < 0)
			return r;
		if (!s->agent)
			break;
		error_clear(&why);
		r = work(s, s->agent, data, cancel, &why);
		if (r >= 0) {
			s->agent_failures = 0;
			return r;
		}
		agent_close(steal(&s->agent)); /* it is not known what was done: the line can't be used again */
		s->stale = true;
		if (r == -ETIMEDOUT && s->agent_slow < SLOW_MAX)
			s->agent_slow++;
		if (cancel_requested(cancel) || r == -EBUSY)
			return error_move(err, &why);
	}
	if (!why.code)
		return error_set(err, ENOTSUP, "no agent runs in %s", s->name);
	if (may_have_agent(s))
		put_off(s, "does not stay in", &why);
	return error_move(err, &why);
}

int docker_open_agent(struct session *s, struct cancel *cancel, struct error *err)
{
	int r = find_agent(s, cancel, err);
	if (r != -EBUSY)
		return r;
	error_clear(err);
	return 0;
}
