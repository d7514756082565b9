#include <errno.h>

#include "base/file.h"
#include "base/path.h"
#include "runtime/docker-session.h"

#define AGENT_PATH "/.skiff/agent"

enum { TAR_BLOCK = 512, TAR_CHECKSUM = 148 };

/* One header of a tar file (POSIX ustar), owned by root. */
static void add_header(struct str *tar, const char *name, char type, size_t size)
{
	char block[TAR_BLOCK + 1] = {0};
	unsigned sum = 0;
	memcpy(block, name, strlen(name));
	snprintf(block + 100, 8, "%07o", 0755U);
	snprintf(block + 108, 8, "%07o", 0U);
	snprintf(block + 116, 8, "%07o", 0U);
	snprintf(block + 124, 12, "%011zo", size);
	snprintf(block + 136, 12, "%011o", 0U);
	memset(block + TAR_CHECKSUM, ' ', 8);
	block[156] = type;
	memcpy(block + 257, "ustar\00000", 8);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += (unsigned char)block[i];
	snprintf(block + TAR_CHECKSUM, 8, "%06o", sum);
	str_add_bytes(tar, block, TAR_BLOCK);
}

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
	static const char zeros[3 * TAR_BLOCK] = {0};
	CLEANUP(str_release) struct str tar = {0};
	add_header(&tar, ".skiff/", '5', 0);
	add_header(&tar, ".skiff/agent", '0', program->len);
	str_add_bytes(&tar, program->bytes, program->len);
	str_add_bytes(&tar, zeros, TAR_BLOCK - program->len % TAR_BLOCK + 2 * TAR_BLOCK);
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
	if (r >= 0 && !s->read_only) /* where the root is read-only it may be in the image */
		r = put_there(s, program, cancel, &why);
	if (r >= 0)
		r = start_agent(s, program, !s->read_only, agent, cancel, &why);
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
};

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
	docker_explain(s, dest, item->words ? NULL : &looked, item->code, words, help, result);
}

static int fill_report(struct session *s, const struct carry *carry, const struct agent_item *items,
		       struct carry_report *report, struct error *err)
{
	int r = 0;
	report->atomic = true;
	for (size_t i = 0; i < carry->len; i++) {
		struct carry_result *result = &report->results[i];
		result->skipped = items[i].skipped;
		if (items[i].code)
			explain(s, carry->items[i].dest, &items[i], result);
		else
			result->hash = items[i].hash;
		report->atomic = report->atomic && (items[i].code || items[i].skipped || items[i].atomic);
		if (items[i].code && r == 0)
			r = error_set(err, items[i].code, "%s", result->message);
	}
	return r;
}

int docker_agent_apply(struct session *s, struct agent *agent, const struct carry *carry, struct carry_report *report,
		       struct cancel *cancel, struct error *err)
{
	uint64_t start = monotonic_ns(), bytes = 0;
	struct agent_item *items = xcalloc(carry->len + 1, sizeof(*items));
	int r = find_owners(s, carry, items, cancel, err);
	if (r >= 0)
		r = agent_carry(agent, carry, items, &bytes, cancel, err);
	if (r < 0) { /* it is not known what was done: the line can't be used again */
		s->agent = NULL;
		agent_close(agent);
	} else {
		*report = (struct carry_report){.results = xcalloc(carry->len + 1, sizeof(*report->results)),
						.len = carry->len,
						.bytes = bytes};
		r = fill_report(s, carry, items, report, err);
		report->transfer_us = (unsigned)((monotonic_ns() - start) / 1000);
	}
	for (size_t i = 0; i < carry->len; i++)
		free(items[i].words);
	free(items);
	return r;
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

/* By the agent, where there is one. A line that broke is opened once more: all may be carried again. False: by another way. */
static bool apply_by_agent(struct session *s, const struct carry *carry, struct carry_report *report, int *result,
			   struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	for (int attempt = 0; attempt < 2; attempt++) {
		struct agent *agent = NULL;
		error_clear(&why);
		*result = docker_agent(s, &agent, cancel, &why);
		if (*result >= 0 && !agent)
			return false;
		if (*result >= 0)
			*result = docker_agent_apply(s, agent, carry, report, cancel, &why);
		if (report->len || cancel_requested(cancel)) {
			if (*result < 0)
				error_move(err, &why);
			return true;
		}
	}
	give_up(s, &why);
	return false;
}

int docker_runtime_apply(struct session *s, const struct carry *carry, struct carry_report *report,
			 struct cancel *cancel, struct error *err)
{
	int r = 0;
	*report = (struct carry_report){0};
	for (size_t i = 0; i < carry->len; i++)
		if (!path_is_safe_destination(carry->items[i].dest))
			return error_set(err, EINVAL, "not a destination: %s", carry->items[i].dest);
	if (!carry->len || !apply_by_agent(s, carry, report, &r, cancel, err))
		r = docker_archive_apply(s, carry, report, cancel, err);
	if (report->len)
		report->note = steal(&s->agent_note);
	return r;
}
