/* Carrying and checking by a kept agent (agent-keeper.h), and what a person is told of it. */
#include <errno.h>

#include "base/file.h"
#include "base/path.h"
#include "runtime/agent-keeper.h"
#include "runtime/carry.h"

/* Who owns what; what names nobody is not carried. */
static int find_owners(struct agent_keeper *k, const struct carry *carry, struct agent_item *items,
		       struct cancel *cancel, struct error *err)
{
	static const struct accounts none = {0};
	for (size_t i = 0; i < carry->len; i++) {
		const struct carry_item *item = &carry->items[i];
		const struct accounts *accounts = &none;
		CLEANUP(error_clear) struct error why = {0};
		if (!item->owner)
			continue;
		int r = owner_is_named(item->owner) ? k->ops->accounts(k->session, &accounts, cancel, err) : 0;
		if (r < 0)
			return r;
		items[i].owner = true;
		items[i].owner_if_new = item->owner_if_new;
		if (owner_resolve(item->owner, accounts, &items[i].uid, &items[i].gid, &why) < 0) {
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
	{WIRE_REASON_READ_ONLY, "its file system is read-only", NULL}, /* the way out is the runtime's, by EROFS */
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
static char *help_with_directory(const struct agent_keeper *k, const char *dest)
{
	_cleanup_free_ char *above = path_dir(dest);
	const struct wire_message *hello = k->agent ? agent_hello(k->agent) : NULL;
	if (hello && hello->uid == 0)
		return xasprintf(
			"root lacks CAP_DAC_OVERRIDE in this container: give it that in development, or put `RUN "
			"chown root %s` into its Dockerfile, before USER",
			above);
	return xasprintf("put `RUN chown %s %s` into its Dockerfile, before USER, or copy with `--chown=%s`", k->user,
			 above, k->user);
}

static void explain(struct agent_keeper *k, const char *dest, const struct agent_item *item,
		    struct carry_result *result)
{
	const char *words = item->words ? item->words : strerror(item->code), *help = NULL;
	for (size_t i = 0; !item->words && i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].reason == item->reason) {
			words = reasons[i].words;
			help = reasons[i].help;
		}
	}
	_cleanup_free_ char *line = item->reason == WIRE_REASON_DIRECTORY ? help_with_directory(k, dest) : NULL;
	k->ops->explain(k->session, dest, item, words, line ? line : help, result);
}

static int fill_report(struct agent_keeper *k, const struct carry *carry, const struct agent_item *items,
		       struct carry_report *report, struct error *err)
{
	report->atomic = true;
	for (size_t i = 0; i < carry->len; i++) {
		struct carry_result *result = &report->results[i];
		result->skipped = items[i].skipped;
		result->unexpected = items[i].code && items[i].reason == WIRE_REASON_EXPECTED;
		result->hash = result->unexpected ? items[i].found : items[i].hash;
		if (items[i].code)
			explain(k, carry->items[i].dest, &items[i], result);
		if (result->unexpected)
			result->code = EEXIST; /* also where nothing is there */
		report->atomic = report->atomic && (items[i].code || items[i].skipped || items[i].atomic);
	}
	return carry_report_failure(report, err);
}

struct applying {
	const struct carry *carry;
	struct agent_item *items;
	uint64_t bytes;
};

static int apply_work(struct agent *agent, void *data, struct cancel *cancel, struct error *err)
{
	struct applying *a = data;
	return agent_carry(agent, a->carry, a->items, &a->bytes, cancel, err);
}

int agent_keeper_apply(struct agent_keeper *k, const struct carry *carry, struct carry_report *report,
		       struct cancel *cancel, struct error *err)
{
	uint64_t start = monotonic_ns();
	struct applying a = {.carry = carry, .items = xcalloc(carry->len + 1, sizeof(*a.items))};
	int r = find_owners(k, carry, a.items, cancel, err);
	if (r >= 0)
		r = agent_keeper_with(k, apply_work, &a, cancel, err);
	if (r >= 0) {
		*report = (struct carry_report){.results = xcalloc(carry->len + 1, sizeof(*report->results)),
						.len = carry->len,
						.bytes = a.bytes};
		r = fill_report(k, carry, a.items, report, err);
		report->transfer_us = (unsigned)((monotonic_ns() - start) / 1000);
	}
	for (size_t i = 0; i < carry->len; i++)
		free(a.items[i].words);
	free(a.items);
	return r;
}

struct checking {
	const struct strv *dests;
	struct agent_item *items;
};

static int check_work(struct agent *agent, void *data, struct cancel *cancel, struct error *err)
{
	const struct checking *checking = data;
	memset(checking->items, 0, checking->dests->len * sizeof(*checking->items));
	return agent_check(agent, checking->dests, checking->items, cancel, err);
}

int agent_keeper_check(struct agent_keeper *k, const struct strv *dests, struct carry_report *report,
		       struct cancel *cancel, struct error *err)
{
	struct checking checking = {dests, xcalloc(dests->len + 1, sizeof(*checking.items))};
	CLEANUP(carry_release) struct carry carry = {0};
	*report = (struct carry_report){0};
	int r = agent_keeper_with(k, check_work, &checking, cancel, err);
	for (size_t i = 0; r >= 0 && i < dests->len; i++)
		vec_push(&carry, (struct carry_item){.dest = xstrdup(dests->items[i])});
	if (r >= 0) {
		*report = (struct carry_report){.results = xcalloc(dests->len + 1, sizeof(*report->results)),
						.len = dests->len};
		r = fill_report(k, &carry, checking.items, report, err);
	}
	free(checking.items);
	return r;
}
