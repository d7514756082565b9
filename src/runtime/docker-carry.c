/* What a docker session does by its agent: carrying, looking, checking. */
#include <errno.h>

#include "base/file.h"
#include "base/path.h"
#include "runtime/docker-session.h"

/* Who owns what; what names nobody is not carried. */
static int find_owners(struct session *s, const struct carry *carry, struct agent_item *items, struct cancel *cancel,
		       struct error *err)
{
	for (size_t i = 0; i < carry->len; i++) {
		const struct carry_item *item = &carry->items[i];
		CLEANUP(error_clear) struct error why = {0};
		if (!item->owner)
			continue;
		int r = owner_is_named(item->owner) ? docker_accounts(s, cancel, err) : 0;
		if (r < 0)
			return r;
		items[i].owner = true;
		items[i].owner_if_new = item->owner_if_new;
		if (owner_resolve(item->owner, &s->accounts, &items[i].uid, &items[i].gid, &why) < 0) {
			items[i].leave = true;
			items[i].code = EINVAL;
			items[i].words = steal(&why.message);
		}
	}
	return 0;
}

/* In words, with a way out, by the agent's reason. */
static const struct {
	enum wire_reason reason;
	const char *words, *help;
} reasons[] = {
	{WIRE_REASON_READ_ONLY, "its file system is read-only",
	 "run it without --read-only in development, or mount a writable volume there"},
	{WIRE_REASON_MOUNT, "something is mounted there", NULL},
	{WIRE_REASON_BUSY, "it is a program that runs, in a place where it can only be written over",
	 "rebuild the image"},
	{WIRE_REASON_DIRECTORY, "its directory may not be written", NULL},
	{WIRE_REASON_SPACE, "no space is left", NULL},
	{WIRE_REASON_EXPECTED,
	 "what is there is not what the sources say: the image's build, or the container, has changed it",
	 "a rebuild makes it anew"},
};

/* The line of a Dockerfile that would let the agent's user write there. */
static char *help_with_directory(const struct session *s, const char *dest)
{
	_cleanup_free_ char *above = path_dir(dest);
	const struct wire_message *hello = s->agent ? agent_hello(s->agent) : NULL;
	if (hello && hello->uid == 0)
		return xasprintf(
			"root lacks CAP_DAC_OVERRIDE in this container: give it that in development, or put `RUN "
			"chown root %s` into its Dockerfile, before USER",
			above);
	return xasprintf("put `RUN chown %s %s` into its Dockerfile, before USER, or copy with `--chown=%s`", s->user,
			 above, s->user);
}

static void explain(struct session *s, const char *dest, const struct agent_item *item, struct carry_result *result)
{
	struct looked looked = {.uid = item->above_uid, .gid = item->above_gid, .directory = true};
	const char *words = item->words ? item->words : strerror(item->code), *help = NULL;
	for (size_t i = 0; !item->words && i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].reason == item->reason) {
			words = reasons[i].words;
			help = reasons[i].help;
		}
	}
	_cleanup_free_ char *line = item->reason == WIRE_REASON_DIRECTORY ? help_with_directory(s, dest) : NULL;
	docker_explain(s, dest, item->words ? NULL : &looked, item->code, words, line ? line : help, result);
}

static int fill_report(struct session *s, const struct carry *carry, const struct agent_item *items,
		       struct carry_report *report, struct error *err)
{
	int r = 0;
	report->atomic = true;
	for (size_t i = 0; i < carry->len; i++) {
		struct carry_result *result = &report->results[i];
		result->skipped = items[i].skipped;
		result->unexpected = items[i].code && items[i].reason == WIRE_REASON_EXPECTED;
		result->hash = result->unexpected ? items[i].found : items[i].hash;
		if (items[i].code)
			explain(s, carry->items[i].dest, &items[i], result);
		if (result->unexpected)
			result->code = EEXIST; /* also where nothing is there */
		report->atomic = report->atomic && (items[i].code || items[i].skipped || items[i].atomic);
		if (items[i].code && r == 0)
			r = error_set(err, result->code, "%s", result->message);
	}
	return r;
}

struct applying {
	const struct carry *carry;
	struct agent_item *items;
	uint64_t bytes;
};

static int apply_work(struct session *s, struct agent *agent, void *data, struct cancel *cancel, struct error *err)
{
	struct applying *a = data;
	(void)s;
	return agent_carry(agent, a->carry, a->items, &a->bytes, cancel, err);
}

/* By the agent, where there is one. -ENOTSUP: by another way. */
static int apply_by_agent(struct session *s, const struct carry *carry, struct carry_report *report,
			  struct cancel *cancel, struct error *err)
{
	uint64_t start = monotonic_ns();
	struct applying a = {.carry = carry, .items = xcalloc(carry->len + 1, sizeof(*a.items))};
	int r = find_owners(s, carry, a.items, cancel, err);
	if (r >= 0)
		r = docker_with_agent(s, apply_work, &a, cancel, err);
	if (r >= 0) {
		*report = (struct carry_report){.results = xcalloc(carry->len + 1, sizeof(*report->results)),
						.len = carry->len,
						.bytes = a.bytes};
		r = fill_report(s, carry, a.items, report, err);
		report->transfer_us = (unsigned)((monotonic_ns() - start) / 1000);
	}
	for (size_t i = 0; i < carry->len; i++)
		free(a.items[i].words);
	free(a.items);
	return r;
}

int docker_runtime_apply(struct session *s, const struct carry *carry, struct carry_report *report,
			 struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	*report = (struct carry_report){0};
	for (size_t i = 0; i < carry->len; i++)
		if (!path_is_safe_destination(carry->items[i].dest))
			return error_set(err, EINVAL, "not a destination: %s", carry->items[i].dest);
	int r = carry->len ? apply_by_agent(s, carry, report, cancel, &why) : -ENOTSUP;
	/* What waits in a paused container's line would overwrite what came there by another way. */
	if (r < 0 && r != -EBUSY && !report->len && !cancel_requested(cancel))
		r = docker_archive_apply(s, carry, report, cancel, err);
	else if (r < 0)
		error_move(err, &why);
	if (report->len)
		report->note = steal(&s->agent_note);
	return r;
}

struct looking {
	const struct strv *dests;
	const struct instance_file *before;
	struct instance_file *found;
};

static int look_work(struct session *s, struct agent *agent, void *data, struct cancel *cancel, struct error *err)
{
	const struct looking *looking = data;
	(void)s;
	return agent_look(agent, looking->dests, looking->before, looking->found, cancel, err);
}

int docker_runtime_look(struct session *s, const struct strv *dests, const struct instance_file *before,
			struct instance_file *found, struct cancel *cancel, struct error *err)
{
	struct looking looking = {dests, before, found};
	return docker_with_agent(s, look_work, &looking, cancel, err);
}

struct checking {
	const struct strv *dests;
	struct agent_item *items;
};

static int check_work(struct session *s, struct agent *agent, void *data, struct cancel *cancel, struct error *err)
{
	const struct checking *checking = data;
	(void)s;
	memset(checking->items, 0, checking->dests->len * sizeof(*checking->items));
	return agent_check(agent, checking->dests, checking->items, cancel, err);
}

int docker_runtime_check(struct session *s, const struct strv *dests, struct carry_report *report,
			 struct cancel *cancel, struct error *err)
{
	struct checking checking = {dests, xcalloc(dests->len + 1, sizeof(*checking.items))};
	CLEANUP(carry_release) struct carry carry = {0};
	*report = (struct carry_report){0};
	int r = docker_with_agent(s, check_work, &checking, cancel, err);
	for (size_t i = 0; r >= 0 && i < dests->len; i++)
		vec_push(&carry, (struct carry_item){.dest = xstrdup(dests->items[i])});
	if (r >= 0) {
		*report = (struct carry_report){.results = xcalloc(dests->len + 1, sizeof(*report->results)),
						.len = dests->len};
		r = fill_report(s, &carry, checking.items, report, err);
	}
	free(checking.items);
	return r;
}

static int ping_work(struct session *s, struct agent *agent, void *data, struct cancel *cancel, struct error *err)
{
	(void)s, (void)data;
	return agent_ping(agent, cancel, err);
}

int docker_runtime_ping(struct session *s, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	int r = docker_with_agent(s, ping_work, NULL, cancel, &why);
	return r < 0 && r != -ENOTSUP ? error_move(err, &why) : 0;
}
