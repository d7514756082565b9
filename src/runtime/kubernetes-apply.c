/* Carrying where no agent can run: one exec of tar for all that comes, one of rm for all that goes, as the container's own user. */
#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "runtime/carry.h"
#include "runtime/kubernetes-session.h"
#include "runtime/tar.h"

enum {
	DELETE_BATCH = 200,	      /* paths a program gets at once: they travel in a URL */
	DELETE_BATCH_BYTES = 2 << 10, /* and their length together, as octal digits fourfold */
	WORDS_MAX = 4 << 10,
};

struct applying {
	struct session *session;
	const struct carry *carry;
	struct carry_report *report;
	struct tar_place *places;
	size_t *indices;
	struct cancel *cancel;
};

static void item_failed(struct applying *a, size_t index, int code, const char *words)
{
	kubernetes_explain(a->session, a->carry->items[index].dest, "", code, words, NULL, &a->report->results[index]);
}

/* Modes and times of what is replaced, where a shell can tell. */
static void look_around(struct applying *a)
{
	CLEANUP(strv_release) struct strv dests = {0};
	for (size_t i = 0; i < a->carry->len; i++)
		if (a->carry->items[i].kind != CARRY_DELETE)
			strv_push(&dests, a->carry->items[i].dest);
	asker_reset(&a->session->asker);
	ask_about(&a->session->asker, &dests, a->cancel);
	for (size_t i = 0; i < a->carry->len; i++) {
		const struct carry_item *item = &a->carry->items[i];
		const struct looked *looked = map_get(&a->session->asker.answers, item->dest);
		if (!looked)
			continue;
		a->places[i] = (struct tar_place){.after_ns = looked->mtime_ns,
						  .replaced = looked->mode,
						  .leave = item->kind == CARRY_DIRECTORY && looked->directory &&
							   (looked->link || item->mode == MODE_KEEP)};
	}
}

/* One tar; where it fails, halved until it is clear which item that is. 0, or what broke the line. */
static int send_items(struct applying *a, const size_t *indices, size_t count, struct error *err)
{
	static const char *const argv[] = {"tar", "-x", "-f", "-", "-o", "-C", "/", NULL};
	CLEANUP(carry_tar_free_cleanup)
	struct carry_tar *tar = carry_tar_new(a->carry, indices, count, "/", a->places, a->report->results);
	CLEANUP(str_release) struct str words = {.max = WORDS_MAX};
	struct kubernetes_exec exec = {.argv = argv,
				       .produce = carry_tar_produce,
				       .produce_data = tar,
				       .errors = &words};
	if (count == 0)
		return 0;
	int r = kubernetes_session_run(a->session, &exec, a->cancel, err);
	if (r == -ENOENT || r == -ENOEXEC) {
		error_clear(err);
		for (size_t i = 0; i < count; i++)
			item_failed(a, indices[i], ENOTSUP,
				    "the container has neither an agent nor tar to carry it with");
		return 0;
	}
	if (r < 0)
		return r;
	int code = r > 0 ? carry_meant(str_text(&words), EIO) : 0;
	if (r > 0 && count > 1 && code != ENOSPC) {
		r = send_items(a, indices, count / 2, err);
		return r < 0 ? r : send_items(a, indices + count / 2, count - count / 2, err);
	}
	for (size_t i = 0; r > 0 && i < count; i++)
		item_failed(a, indices[i], code, str_text(&words));
	a->report->bytes += r == 0 ? carry_tar_content(tar) : 0;
	return 0;
}

static int delete_batch(struct applying *a, const size_t *indices, size_t count, struct error *err)
{
	const char *const head[] = {"sh", "-c", carry_delete_script, "sh"};
	CLEANUP(strv_release) struct strv argv = {0};
	CLEANUP(str_release) struct str words = {.max = WORDS_MAX};
	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		strv_push(&argv, head[i]);
	for (size_t i = 0; i < count; i++)
		strv_push_owned(&argv, ask_octal(a->carry->items[indices[i]].dest));
	struct kubernetes_exec exec = {.argv = (const char *const *)argv.items, .output = &words, .errors = &words};
	int r = kubernetes_session_run(a->session, &exec, a->cancel, err);
	bool missing = r == -ENOENT || r == -ENOEXEC;
	if (r < 0 && !missing)
		return r;
	if (missing)
		error_clear(err);
	if (r > 0 && count > 1) {
		for (size_t i = 0; i < count; i++) {
			r = delete_batch(a, &indices[i], 1, err);
			if (r < 0)
				return r;
		}
		return 0;
	}
	for (size_t i = 0; r != 0 && i < count; i++)
		item_failed(a, indices[i], missing ? ENOTSUP : carry_meant(str_text(&words), EIO),
			    missing ? "the container has no sh and rm to delete it with" : str_text(&words));
	return 0;
}

static int delete_items(struct applying *a, struct error *err)
{
	size_t count = 0, bytes = 0;
	int r = 0;
	for (size_t i = 0; r >= 0 && i < a->carry->len; i++) {
		if (a->carry->items[i].kind == CARRY_DELETE) {
			a->indices[count++] = i;
			bytes += strlen(a->carry->items[i].dest) + 1;
		}
		if (count && (count == DELETE_BATCH || bytes >= DELETE_BATCH_BYTES || i + 1 == a->carry->len)) {
			r = delete_batch(a, a->indices, count, err);
			count = bytes = 0;
		}
	}
	return r;
}

int kubernetes_tar_apply(struct session *session, const struct carry *carry, struct carry_report *report,
			 struct cancel *cancel, struct error *err)
{
	uint64_t start = monotonic_ns();
	struct applying a = {.session = session, .carry = carry, .report = report, .cancel = cancel};
	size_t count = 0;
	*report =
		(struct carry_report){.results = xcalloc(carry->len + 1, sizeof(*report->results)), .len = carry->len};
	a.places = xcalloc(carry->len + 1, sizeof(*a.places));
	a.indices = xcalloc(carry->len + 1, sizeof(*a.indices));
	look_around(&a);
	for (size_t i = 0; i < carry->len; i++)
		if (carry->items[i].kind != CARRY_DELETE && !a.places[i].leave)
			a.indices[count++] = i;
	int r = send_items(&a, a.indices, count, err);
	if (r >= 0)
		r = delete_items(&a, err);
	free(a.places);
	free(a.indices);
	report->transfer_us = (unsigned)((monotonic_ns() - start) / 1000);
	if (r < 0) {
		carry_report_release(report);
		return r;
	}
	return carry_report_failure(report, err);
}
