/* Questions that change nothing but the program under `agent supervise`, and what a killed agent left: each is sent at once, and the answers are counted. */
#include <errno.h>

#include "base/file.h"
#include "runtime/agent-line.h"

struct asking {
	bool *due; /* per question */
	size_t left;
	bool answered; /* all are */
	void (*take)(struct asking *asking, size_t index, const struct wire_message *message);
	uint8_t type; /* of the answers */
	const struct instance_file *before;
	struct instance_file *found;
	struct agent_item *items;
	int code;
};

static void take_answer(void *data, size_t index, const struct wire_message *m)
{
	struct asking *asking = data;
	if (m->type != asking->type || !asking->due[index])
		return;
	asking->due[index] = false;
	asking->left--;
	asking->answered = asking->left == 0;
	asking->take(asking, index, m);
}

static int ask(struct agent *agent, struct asking *asking, size_t index, struct wire_message *m)
{
	m->id = agent->base + (uint32_t)index;
	asking->due[index] = true;
	asking->left++;
	asking->answered = false;
	return cancel_requested(agent->cancel) ? error_set(agent->err, ECANCELED, "cancelled") : agent_say(agent, m);
}

static int wait_for_all(struct agent *agent, struct asking *asking)
{
	asking->answered = asking->left == 0;
	return agent_wait(agent, &asking->answered, NULL);
}

/* Asked without content at first: the hash that was found before may still hold. */
static bool may_hold(const struct asking *asking, size_t index)
{
	const struct instance_file *before = asking->before ? &asking->before[index] : NULL;
	return before && before->code == 0 && !before->special && before->kind != CARRY_DIRECTORY && before->mtime_ns;
}

static void take_state(struct asking *asking, size_t index, const struct wire_message *m)
{
	struct instance_file *found = &asking->found[index];
	*found = (struct instance_file){.code = agent_code(m->value),
					.special = m->kind == WIRE_OTHER,
					.kind = m->kind == WIRE_DIRECTORY ? CARRY_DIRECTORY
						: m->kind == WIRE_LINK	  ? CARRY_SYMLINK
									  : CARRY_FILE,
					.mode = m->mode,
					.size = m->size,
					.mtime_ns = m->mtime,
					.hash = {m->hash.high, m->hash.low}};
	if (m->kind == WIRE_ABSENT && !found->code)
		found->code = ENOENT;
}

/* True where the first question was enough. */
static bool holds(const struct asking *asking, size_t index)
{
	const struct instance_file *before = &asking->before[index];
	struct instance_file *found = &asking->found[index];
	if (found->code || found->special || found->kind == CARRY_DIRECTORY)
		return true;
	if (found->kind != before->kind || found->size != before->size || found->mtime_ns != before->mtime_ns)
		return false;
	found->hash = before->hash;
	return true;
}

static int look_at(struct agent *agent, struct asking *asking, const char *path, size_t index, uint32_t flags)
{
	struct wire_message m = {.type = WIRE_STAT, .path = agent_path(path), .flags = flags};
	if (wire_path_valid(path, m.path.len))
		return ask(agent, asking, index, &m);
	asking->found[index] = (struct instance_file){.code = ENAMETOOLONG};
	return 0;
}

int agent_look(struct agent *agent, const struct strv *paths, const struct instance_file *before,
	       struct instance_file *found, struct cancel *cancel, struct error *err)
{
	struct asking asking = {.take = take_state, .type = WIRE_STATE, .before = before, .found = found};
	_cleanup_free_ bool *due = asking.due = xcalloc(paths->len + 1, sizeof(bool));
	uint64_t recent = realtime_ns() - RUNTIME_RACY_NS;
	int r = 0;
	agent_begin(agent, paths->len, take_answer, &asking, cancel, err);
	for (size_t i = 0; r >= 0 && i < paths->len; i++)
		r = look_at(agent, &asking, paths->items[i], i, may_hold(&asking, i) ? WIRE_NO_CONTENT : 0);
	if (r >= 0)
		r = wait_for_all(agent, &asking);
	for (size_t i = 0; r >= 0 && i < paths->len; i++)
		if (may_hold(&asking, i) && !holds(&asking, i))
			r = look_at(agent, &asking, paths->items[i], i, 0);
	if (r >= 0)
		r = wait_for_all(agent, &asking);
	agent_end(agent);
	for (size_t i = 0; i < paths->len; i++)
		if (found[i].mtime_ns > recent)
			found[i].mtime_ns = 0;
	return r;
}

static void take_check(struct asking *asking, size_t index, const struct wire_message *m)
{
	agent_take_result(&asking->items[index], m);
}

int agent_check(struct agent *agent, const struct strv *paths, struct agent_item *items, struct cancel *cancel,
		struct error *err)
{
	struct asking asking = {.take = take_check, .type = WIRE_RESULT, .items = items};
	_cleanup_free_ bool *due = asking.due = xcalloc(paths->len + 1, sizeof(bool));
	int r = 0;
	agent_begin(agent, paths->len, take_answer, &asking, cancel, err);
	for (size_t i = 0; r >= 0 && i < paths->len; i++) {
		struct wire_message m = {.type = WIRE_CHECK, .path = agent_path(paths->items[i])};
		if (wire_path_valid(paths->items[i], m.path.len))
			r = ask(agent, &asking, i, &m);
		else
			items[i].code = ENAMETOOLONG;
	}
	if (r >= 0)
		r = wait_for_all(agent, &asking);
	agent_end(agent);
	return r;
}

static void take_code(struct asking *asking, size_t index, const struct wire_message *m)
{
	(void)index;
	asking->code = agent_code(m->value);
}

/* One question. The answer's value, or what broke the line. */
static int ask_one(struct agent *agent, struct wire_message *m, uint8_t answer, struct cancel *cancel,
		   struct error *err)
{
	bool due[1] = {false};
	struct asking asking = {.take = take_code, .type = answer, .due = due};
	agent_begin(agent, 1, take_answer, &asking, cancel, err);
	int r = ask(agent, &asking, 0, m);
	if (r >= 0)
		r = wait_for_all(agent, &asking);
	agent_end(agent);
	return r < 0 ? r : asking.code;
}

int agent_ping(struct agent *agent, struct cancel *cancel, struct error *err)
{
	struct wire_message m = {.type = WIRE_PING};
	int r = ask_one(agent, &m, WIRE_PONG, cancel, err);
	return r < 0 ? r : 0;
}

int agent_supervise(struct agent *agent, int signal, int *code, struct cancel *cancel, struct error *err)
{
	struct wire_message m = {.type = WIRE_SUPERVISE, .value = (uint32_t)signal};
	int r = ask_one(agent, &m, WIRE_RESULT, cancel, err);
	*code = r;
	return r < 0 ? r : 0;
}
