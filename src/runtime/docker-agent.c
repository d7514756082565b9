#include <errno.h>

#include "base/file.h"
#include "base/ustar.h"
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

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

/* The program for the container's image. */
static int find_program(struct session *s, const struct agent_program **program, struct cancel *cancel,
			struct error *err)
{
	_cleanup_free_ char *id = docker_escape(s->id);
	_cleanup_free_ char *path = xasprintf("/containers/%s/json", id);
	json_t *container = NULL, *image = NULL;
	int r = docker_call(s->docker, "GET", path, NULL, &container, cancel, err);
	_cleanup_free_ char *name = docker_escape(text_at(container, "Image"));
	_cleanup_free_ char *image_path = xasprintf("/images/%s/json", name);
	if (r >= 0)
		r = docker_call(s->docker, "GET", image_path, NULL, &image, cancel, err);
	*program = agent_program_for(text_at(image, "Architecture"));
	if (r >= 0 && !*program)
		r = error_set(err, ENOTSUP, "there is no agent for %s", text_at(image, "Architecture"));
	json_decref(container);
	json_decref(image);
	return r;
}

static int stream_turn(void *data, const char **out, size_t *len,
		       int (*take)(void *data, const void *bytes, size_t len), void *take_data, struct cancel *cancel,
		       unsigned timeout_ms, struct error *err)
{
	return docker_stream_turn(data, out, len, take, take_data, cancel, timeout_ms, err);
}

static void stream_close(void *data)
{
	docker_stream_close(data);
}

static int start_agent(struct session *s, const struct agent_program *program, bool unlink, struct agent **agent,
		       struct cancel *cancel, struct error *err)
{
	const char *const argv[] = {AGENT_PATH, unlink ? "--unlink" : NULL, NULL};
	struct docker_exec exec = {.argv = argv, .user = "0"};
	struct docker_stream *stream = NULL;
	int r = docker_stream_open(s->docker, s->id, &exec, &stream, cancel, err);
	if (r < 0)
		return r;
	struct agent_transport transport = {.data = stream, .turn = stream_turn, .close = stream_close};
	return agent_open(transport, program, agent, cancel, err);
}

int docker_agent(struct session *s, struct agent **agent, struct cancel *cancel, struct error *err)
{
	const struct agent_program *program = NULL;
	CLEANUP(error_clear) struct error why = {0};
	*agent = s->agent;
	if (s->agent || s->no_agent || !s->running)
		return 0;
	int r = find_program(s, &program, cancel, &why);
	bool put = s->image_agent != IMAGE_AGENT_SAME &&
		   !s->read_only; /* where that is read-only it may be there all the same */
	if (r >= 0 && put)
		r = put_there(s, program, cancel, &why);
	if (r >= 0)
		r = start_agent(s, program, put && s->image_agent == IMAGE_AGENT_NONE, agent, cancel, &why);
	if (r >= 0) {
		s->agent = *agent;
		return 0;
	}
	if (cancel_requested(cancel))
		return error_move(err, &why);
	s->no_agent = true;
	free(s->agent_note);
	s->agent_note =
		xasprintf("no agent can run in %s (%s): its files are carried through the engine's archive API, "
			  "slower, and a reader may see half a file",
			  s->name, why.message ? why.message : "it did not start");
	*agent = NULL;
	return 0;
}

/* The agent was lost twice: this container is served without one. */
static void give_up(struct session *s, const struct error *why)
{
	s->no_agent = true;
	free(s->agent_note);
	s->agent_note = xasprintf(
		"the agent in %s does not stay (%s): files are carried through the engine's archive API, slower, and a "
		"reader may see half a file",
		s->name, why->message ? why->message : "its line broke");
}

int docker_with_agent(struct session *s,
		      int (*work)(struct session *session, struct agent *agent, void *data, struct cancel *cancel,
				  struct error *err),
		      void *data, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	int r = 0;
	for (int attempt = 0; attempt < 2; attempt++) {
		struct agent *agent = NULL;
		error_clear(&why);
		r = docker_agent(s, &agent, cancel, &why);
		if (r >= 0 && !agent)
			return error_set(err, ENOTSUP, "no agent runs in %s", s->name);
		if (r >= 0)
			r = work(s, agent, data, cancel, &why);
		if (r >= 0)
			return r;
		if (agent)
			agent_close(steal(&s->agent)); /* it is not known what was done: the line can't be used again */
		if (cancel_requested(cancel))
			return error_move(err, &why);
	}
	give_up(s, &why);
	return error_move(err, &why);
}
