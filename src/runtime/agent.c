#include <errno.h>

#include "runtime/agent-line.h"

enum {
	HELLO_MS = 30000,	/* for a container's engine to start a program where much else goes on */
	SILENCE_LOOK_MS = 1000, /* without a byte, before it is asked how the container is */
};

void agent_begin(struct agent *agent, size_t count,
		 void (*take)(void *data, size_t index, const struct wire_message *message), void *data,
		 struct cancel *cancel, struct error *err)
{
	agent->take = take;
	agent->data = data;
	agent->base = agent->next_id;
	agent->count = count;
	agent->next_id += (uint32_t)count;
	agent->cancel = cancel;
	agent->err = err;
	str_clear(&agent->out);
}

void agent_end(struct agent *agent)
{
	agent->take = NULL;
	agent->cancel = NULL;
	agent->err = NULL;
}

void agent_take_result(struct agent_item *item, const struct wire_message *m)
{
	item->settled = true;
	item->code = agent_code(m->value);
	item->reason = (enum wire_reason)m->reason;
	item->atomic = m->flags & WIRE_ATOMIC;
	item->found = (struct hash){m->hash.high, m->hash.low};
	item->above_mode = m->mode;
	item->above_uid = m->uid;
	item->above_gid = m->gid;
}

static int take_message(struct agent *agent, const struct wire_message *m)
{
	size_t index = m->id - agent->base;
	if (m->type == WIRE_HELLO)
		agent->hello = *m;
	else if (m->type == WIRE_BYE)
		return error_set(agent->err, EPIPE, "the agent ended: %.*s", (int)m->text.len,
				 m->text.len ? (const char *)m->text.data : "");
	else if (agent->take && index < agent->count) /* else: of a call that was given up */
		agent->take(agent->data, index, m);
	return 0;
}

static int take_bytes(void *data, const void *bytes, size_t len)
{
	struct agent *agent = data;
	const char *at = bytes;
	while (len) {
		struct wire_message m;
		size_t room;
		void *space = wire_input_space(&agent->input, &room);
		size_t take = len < room ? len : room;
		memcpy(space, at, take);
		wire_input_filled(&agent->input, take);
		at += take;
		len -= take;
		int r;
		while ((r = wire_input_next(&agent->input, &m)) == 1) {
			r = take_message(agent, &m);
			if (r < 0)
				return r;
		}
		if (r < 0)
			return error_set(agent->err, EPROTO,
					 r == -EPROTONOSUPPORT ? "the agent speaks another version"
							       : "what answers is no agent");
	}
	return 0;
}

/* Sends *out, or waits for what comes. */
static int turn(struct agent *agent, const char **out, size_t *len)
{
	const struct agent_transport *line = &agent->transport;
	for (unsigned waited = 0;; waited += SILENCE_LOOK_MS) {
		unsigned left = agent->patience_ms - waited;
		bool last = !line->silent || left <= SILENCE_LOOK_MS;
		CLEANUP(error_clear) struct error why = {0};
		int r = line->turn(line->data, out, len, take_bytes, agent, agent->cancel,
				   last ? left : SILENCE_LOOK_MS, &why);
		if (r == -ETIMEDOUT && last)
			return error_set(agent->err, ETIMEDOUT, "the agent has said nothing for %u s",
					 agent->patience_ms / 1000);
		if (r != -ETIMEDOUT)
			return r < 0 && why.code ? error_move(agent->err, &why) : r; /* else said by take_bytes */
		r = line->silent(line->data, agent->cancel, agent->err);
		if (r < 0)
			return r;
	}
}

int agent_flush(struct agent *agent)
{
	const char *out = str_text(&agent->out);
	size_t len = agent->out.len;
	int r = 0;
	while (r >= 0 && len)
		r = turn(agent, &out, &len);
	str_clear(&agent->out);
	return r;
}

int agent_wait(struct agent *agent, const bool *flag, const bool *other)
{
	const char *out = "";
	size_t len = 0;
	int r = agent_flush(agent);
	while (r >= 0 && !*flag && !(other && *other))
		r = turn(agent, &out, &len);
	return r;
}

int agent_say(struct agent *agent, const struct wire_message *message)
{
	size_t room = WIRE_FRAME_MAX - WIRE_DATA_MAX + message->data.len;
	char *at = str_reserve(&agent->out, room);
	int n = at ? wire_encode(message, at, room) : -ENOBUFS;
	if (n < 0)
		return error_set(agent->err, EINVAL, "this can't be said to an agent: %.*s", (int)message->path.len,
				 message->path.len ? (const char *)message->path.data : "");
	agent->out.len += (size_t)n;
	return agent->out.len >= AGENT_GATHER ? agent_flush(agent) : 0;
}

void agent_close(struct agent *agent)
{
	if (!agent)
		return;
	agent->transport.close(agent->transport.data);
	free(agent->input.buffer);
	str_release(&agent->out);
	free(agent);
}

const struct wire_message *agent_hello(const struct agent *agent)
{
	return &agent->hello;
}

/* Where it can't read its own program (no /proc), it is believed. */
static bool is_ours(const struct wire_message *hello, const struct agent_program *program)
{
	if (!program)
		program = agent_program_for(hello->value == WIRE_ARCH_AARCH64 ? "arm64" : "amd64");
	bool told = hello->hash.high || hello->hash.low;
	return program && (!told || wire_hash_equal(hello->hash, wire_hash_bytes(program->bytes, program->len)));
}

int agent_open(struct agent_transport transport, const struct agent_program *program, unsigned patience_ms,
	       struct agent **opened, struct cancel *cancel, struct error *err)
{
	struct agent *agent = xcalloc(1, sizeof(*agent));
	agent->transport = transport;
	agent->next_id = 1; /* 0 is nobody's question */
	agent_begin(agent, 0, NULL, NULL, cancel, err);
	wire_input_init(&agent->input, xmalloc(AGENT_BUFFER), AGENT_BUFFER, WIRE_FROM_AGENT);
	int r = agent_say(agent, &(struct wire_message){.type = WIRE_HELLO,
							.version_min = WIRE_VERSION_MIN,
							.version = WIRE_VERSION});
	agent->patience_ms = patience_ms > HELLO_MS ? patience_ms : HELLO_MS;
	if (r >= 0)
		r = agent_wait(agent, &agent->input.greeted, NULL);
	agent->patience_ms = patience_ms;
	if (r >= 0 && !is_ours(&agent->hello, program))
		r = error_set(err, EPROTO, "the agent in the container is not this skiff's");
	if (r < 0) {
		agent_close(agent);
		return r;
	}
	*opened = agent;
	return 0;
}
