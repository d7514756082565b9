#include "runtime/agent-keeper.h"

#include <errno.h>

#include "base/file.h"

enum {
	ATTEMPTS = 2,
	BACK_OFF_MS = 1000, /* before an agent that failed is tried again; doubled each time */
	BACK_OFF_SHIFT_MAX = 6,
	SLOW_MAX = 3, /* times that the patience is doubled */
};

void agent_keeper_reset(struct agent_keeper *k)
{
	agent_close(steal(&k->agent));
	k->stale = false;
}

void agent_keeper_release(struct agent_keeper *k)
{
	agent_close(steal(&k->agent));
	free(steal(&k->note));
}

/* Not now: once more after a while, twice as long each time. Told once. */
static void put_off(struct agent_keeper *k, const char *what, const struct error *why)
{
	unsigned shift = k->failures < BACK_OFF_SHIFT_MAX ? k->failures : BACK_OFF_SHIFT_MAX;
	bool told = k->told;
	k->unwanted = k->unwanted || why->code == ENOTSUP;
	k->after_ns = monotonic_ns() + ((uint64_t)BACK_OFF_MS << shift) * 1000000;
	k->failures++;
	k->told = true;
	if (told)
		return;
	free(k->note);
	k->note = xasprintf("the agent %s %s (%s): files are carried %s, slower, and a reader may see half a file",
			    what, k->name, why->message ? why->message : "its line broke", k->ops->other_way);
}

static bool may_start(const struct agent_keeper *k)
{
	return !k->unwanted && monotonic_ns() >= k->after_ns;
}

/* Started where it is not open yet. 0 with k->agent NULL: there can be none now. */
static int find(struct agent_keeper *k, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	if (k->agent || k->unwanted)
		return 0;
	int r = k->ops->look(k->session, k->stale, cancel, err);
	k->running = r > 0;
	if (r <= 0 || !may_start(k))
		return r < 0 ? r : 0;
	r = k->ops->start(k->session, AGENT_SILENCE_MS << k->slow, &k->agent, cancel, &why);
	if (r >= 0 || cancel_requested(cancel))
		return r < 0 ? error_move(err, &why) : 0;
	r = k->ops->look(k->session, true, cancel, err); /* what it is by now may be why */
	if (r > 0 && why.code == EAGAIN)
		return error_set(err, EAGAIN, "can't reach %s now, it is tried on: %s", k->name, why.message);
	if (r > 0)
		put_off(k, "can't run in", &why);
	return r < 0 ? r : 0;
}

int agent_keeper_with(struct agent_keeper *k,
		      int (*work)(struct agent *agent, void *data, struct cancel *cancel, struct error *err),
		      void *data, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	int r = 0;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		r = find(k, cancel, err);
		if (r < 0)
			return r;
		if (!k->agent)
			break;
		error_clear(&why);
		r = work(k->agent, data, cancel, &why);
		if (r >= 0) {
			k->failures = 0;
			return r;
		}
		agent_close(steal(&k->agent)); /* it is not known what was done: the line can't be used again */
		k->stale = true;
		if (r == -ETIMEDOUT && k->slow < SLOW_MAX)
			k->slow++;
		if (cancel_requested(cancel) || r == -EBUSY)
			return error_move(err, &why);
	}
	if (!why.code)
		return error_set(err, ENOTSUP, "no agent runs in %s", k->name);
	if (k->running && may_start(k)) /* in one that was ended it starts again with the container */
		put_off(k, "does not stay in", &why);
	return error_move(err, &why);
}

int agent_keeper_open(struct agent_keeper *k, struct cancel *cancel, struct error *err)
{
	int r = find(k, cancel, err);
	if (r != -EBUSY && r != -EAGAIN)
		return r;
	error_clear(err); /* what has to be carried finds out */
	return 0;
}

struct looking {
	const struct strv *dests;
	const struct instance_file *before;
	struct instance_file *found;
};

static int look_work(struct agent *agent, void *data, struct cancel *cancel, struct error *err)
{
	const struct looking *looking = data;
	return agent_look(agent, looking->dests, looking->before, looking->found, cancel, err);
}

int agent_keeper_look(struct agent_keeper *k, const struct strv *dests, const struct instance_file *before,
		      struct instance_file *found, struct cancel *cancel, struct error *err)
{
	struct looking looking = {dests, before, found};
	return agent_keeper_with(k, look_work, &looking, cancel, err);
}

static int ping_work(struct agent *agent, void *data, struct cancel *cancel, struct error *err)
{
	(void)data;
	return agent_ping(agent, cancel, err);
}

int agent_keeper_ping(struct agent_keeper *k, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	int r = agent_keeper_with(k, ping_work, NULL, cancel, &why);
	return r < 0 && r != -ENOTSUP ? error_move(err, &why) : 0;
}

static int supervise_work(struct agent *agent, void *data, struct cancel *cancel, struct error *err)
{
	int *signal = data, code = 0;
	int r = agent_supervise(agent, *signal, &code, cancel, err);
	*signal = code;
	return r;
}

int agent_keeper_supervise(struct agent_keeper *k, int signal, struct cancel *cancel, struct error *err)
{
	static const int unreachable[] = {ECONNREFUSED, EACCES, EPIPE};
	CLEANUP(error_clear) struct error why = {0};
	int code = signal;
	int r = agent_keeper_with(k, supervise_work, &code, cancel, &why);
	if (r < 0)
		return r == -EBUSY || r == -ECANCELED ? error_move(err, &why) : -ENOTSUP;
	for (size_t i = 0; i < ARRAY_LEN(unreachable); i++)
		if (code == unreachable[i])
			return -ENOTSUP;
	return code ? error_set(err, code,
				signal > 0 ? "can't signal the program in %s: %s"
					   : "the program in %s can't be started again: %s",
				k->name, strerror(code))
		    : 0;
}
