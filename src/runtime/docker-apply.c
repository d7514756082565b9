#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/path.h"
#include "runtime/carry.h"
#include "runtime/docker-session.h"
#include "runtime/source.h"
#include "runtime/tar.h"

enum {
	DELETE_BATCH = 500,		/* paths a program gets at once */
	DELETE_BATCH_BYTES = 100 << 10, /* and their length together */
	WORDS_MAX = 4 << 10,
};

/* One call of docker_archive_apply. */
struct applying {
	struct session *session;
	const struct carry *carry;
	struct carry_report *report;
	struct docker_route *routes;
	struct looked *looks;
	bool *known; /* looks[i] says something */
	struct tar_place *places;
	struct strv words; /* of routes */
	struct cancel *cancel;
};

/* The item's looks for a message. */
static const struct looked *look_of(const struct applying *a, size_t index)
{
	return a->known[index] ? &a->looks[index] : NULL;
}

static void item_failed(struct applying *a, size_t index, int code, const char *words, const char *help)
{
	docker_explain(a->session, a->carry->items[index].dest, look_of(a, index), code, words, help,
		       &a->report->results[index]);
}

/* True for an error of the engine about what was sent; else the line or the container is gone, or it was cancelled. */
static bool is_refusal(int r)
{
	static const int refusals[] = {EIO, EACCES, EINVAL, EEXIST, ENOSYS};
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		if (r == -refusals[i])
			return true;
	return false;
}

static int send_tar(struct applying *a, const size_t *indices, size_t count, const char *base, enum docker_way way,
		    struct error *err)
{
	struct session *s = a->session;
	CLEANUP(carry_tar_free_cleanup)
	struct carry_tar *tar = carry_tar_new(a->carry, indices, count, base, a->places, a->report->results);
	int r;
	if (way == WAY_TAR) {
		static const char *const argv[] = {"tar", "-x", "-f", "-", "-C", "/", NULL};
		CLEANUP(str_release) struct str words = {.max = WORDS_MAX};
		struct docker_exec exec = {
			.argv = argv, .user = "0", .produce = carry_tar_produce, .produce_data = tar, .errors = &words};
		r = docker_exec_run(s->docker, s->id, &exec, a->cancel, err);
		if (r > 0)
			r = error_set(err, EIO, "tar: %s", str_text(&words));
		else if (r == -ENOENT)
			r = error_set(err, EIO, "it is in a tmpfs, and the container has no tar to carry it with");
	} else {
		r = docker_archive_put(s->docker, s->id, base, carry_tar_produce, tar, a->cancel, err);
	}
	if (r >= 0)
		a->report->bytes += carry_tar_content(tar);
	return r;
}

/* Sends the items; where the engine refuses, halves them until it is clear which. 0, or what broke the line. */
static int send_items(struct applying *a, const size_t *indices, size_t count, const char *base, enum docker_way way,
		      struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	int r = send_tar(a, indices, count, base, way, &why);
	if (r >= 0)
		return 0;
	if (!is_refusal(r))
		return error_move(err, &why);
	int code = carry_meant(why.message, -r);
	if (count > 1 && code != ENOSPC) {
		r = send_items(a, indices, count / 2, base, way, err);
		return r < 0 ? r : send_items(a, indices + count / 2, count - count / 2, base, way, err);
	}
	for (size_t i = 0; i < count; i++)
		item_failed(a, indices[i], code, why.message, NULL);
	return 0;
}

static bool same_way(const struct docker_route *a, const struct docker_route *b)
{
	return a->way == b->way && str_equal(a->base, b->base);
}

/* All items of one way together, in their order. */
static int send_group(struct applying *a, size_t first, size_t *indices, bool *done, struct error *err)
{
	const struct docker_route *route = &a->routes[first];
	size_t count = 0;
	for (size_t i = first; i < a->carry->len; i++) {
		if (done[i] || a->carry->items[i].kind == CARRY_DELETE || !same_way(route, &a->routes[i]))
			continue;
		done[i] = true;
		if (!a->places[i].leave)
			indices[count++] = i;
	}
	return count ? send_items(a, indices, count, route->base ? route->base : "/", route->way, err) : 0;
}

struct source_reader {
	struct source *source;
	size_t taken;
};

static ssize_t read_source(void *data, void *buffer, size_t cap)
{
	struct source_reader *reader = data;
	if (reader->source->fd >= 0)
		return source_read(reader->source, buffer, cap, NULL);
	size_t left = reader->source->size - reader->taken;
	size_t take = left < cap ? left : cap;
	memcpy(buffer, reader->source->bytes + reader->taken, take);
	reader->taken += take;
	return (ssize_t)take;
}

/* Over the file that is mounted there: it can't be replaced. */
static int write_in_place(struct applying *a, size_t index, struct error *err)
{
	const struct carry_item *item = &a->carry->items[index];
	struct carry_result *result = &a->report->results[index];
	CLEANUP(source_release) struct source source = {.fd = -1};
	CLEANUP(error_clear) struct error why = {0};
	CLEANUP(str_release) struct str words = {.max = WORDS_MAX};
	int r = source_open(item, &source, &why);
	if (r == -ENOENT) {
		result->skipped = true;
		return 0;
	}
	if (r >= 0 && source.kind != CARRY_FILE)
		return item_failed(a, index, EBUSY, "a file is mounted there", NULL), 0;
	struct source_reader reader = {.source = &source};
	const char *argv[] = {"sh", "-c", "cat >\"$1\"", "sh", item->dest, NULL};
	struct docker_exec exec = {
		.argv = argv, .user = "0", .produce = read_source, .produce_data = &reader, .errors = &words};
	if (r >= 0)
		r = docker_exec_run(a->session->docker, a->session->id, &exec, a->cancel, &why);
	if (r == 0) {
		source_settled(&source);
		result->hash = source.hash;
		a->report->bytes += source.size;
		return 0;
	}
	if (r < 0 && r != -ENOENT && !is_refusal(r))
		return error_move(err, &why);
	item_failed(a, index, r > 0 ? carry_meant(str_text(&words), EIO) : EBUSY,
		    r > 0 ? str_text(&words) : why.message, NULL);
	return 0;
}

/* rm of paths. The exit status; -ENOENT: there is no rm. */
static int run_rm(struct applying *a, const size_t *indices, size_t count, struct str *words, struct error *err)
{
	bool plain = true;
	CLEANUP(strv_release) struct strv argv = {0};
	for (size_t i = 0; i < count; i++) {
		const char *dest = a->carry->items[indices[i]].dest;
		plain = plain && utf8_valid(dest, strlen(dest));
	}
	const char *const plain_head[] = {"rm", "-rf", "--", NULL}, *const script_head[] = {"sh", "-c",
											    carry_delete_script, "sh",
											    NULL};
	for (const char *const *word = plain ? plain_head : script_head; *word; word++)
		strv_push(&argv, *word);
	for (size_t i = 0; i < count; i++) {
		const char *dest = a->carry->items[indices[i]].dest;
		strv_push_owned(&argv, plain ? xstrdup(dest) : ask_octal(dest));
	}
	struct docker_exec exec = {.argv = (const char *const *)argv.items,
				   .user = "0",
				   .errors = words,
				   .output = words};
	return docker_exec_run(a->session->docker, a->session->id, &exec, a->cancel, err);
}

/* Deletes a batch; where some can't be, each on its own, to know which. */
static int delete_batch(struct applying *a, const size_t *indices, size_t count, struct error *err)
{
	CLEANUP(str_release) struct str words = {.max = WORDS_MAX};
	CLEANUP(error_clear) struct error why = {0};
	int r = run_rm(a, indices, count, &words, &why);
	if (r == 0)
		return 0;
	if (r < 0 && r != -ENOENT && !is_refusal(r))
		return error_move(err, &why);
	if (r > 0 && count > 1) {
		for (size_t i = 0; i < count; i++) {
			r = delete_batch(a, &indices[i], 1, err);
			if (r < 0)
				return r;
		}
		return 0;
	}
	bool missing = r == -ENOENT && why.message && !strstr(why.message, "No such container");
	if (r == -ENOENT && !missing)
		return error_move(err, &why);
	int code = missing ? ENOTSUP : r > 0 ? carry_meant(str_text(&words), EIO) : carry_meant(why.message, -r);
	for (size_t i = 0; i < count; i++)
		item_failed(a, indices[i], code,
			    missing ? "the container has no rm to delete it with"
			    : r > 0 ? str_text(&words)
				    : why.message,
			    NULL);
	return 0;
}

static int delete_items(struct applying *a, size_t *indices, struct error *err)
{
	size_t count = 0, bytes = 0;
	int r = 0;
	for (size_t i = 0; r >= 0 && i < a->carry->len; i++) {
		if (a->carry->items[i].kind == CARRY_DELETE && !a->session->running)
			item_failed(a, i, ENOTSUP, "nothing can be deleted in a container that does not run",
				    "start it, or rebuild the image");
		else if (a->carry->items[i].kind == CARRY_DELETE && a->routes[i].way == WAY_REFUSED)
			item_failed(a, i, a->routes[i].code, a->routes[i].why, a->routes[i].help);
		else if (a->carry->items[i].kind == CARRY_DELETE && !(a->known[i] && !a->looks[i].exists)) {
			indices[count++] = i;
			bytes += strlen(a->carry->items[i].dest) + 1;
		}
		if (count && (count == DELETE_BATCH || bytes >= DELETE_BATCH_BYTES || i + 1 == a->carry->len)) {
			r = delete_batch(a, indices, count, err);
			count = bytes = 0;
		}
	}
	return r;
}

static bool keeps_mode(const struct carry_item *item)
{
	return item->kind != CARRY_DELETE && item->mode == MODE_KEEP;
}

/* A remembered answer that this item can't be decided by is asked for again. */
static void forget_stale(struct applying *a, const struct carry_item *item)
{
	const struct looked *asked = map_get(&a->session->asker.answers, item->dest);
	if (asked && asked->mode_stale && keeps_mode(item))
		free(map_remove(&a->session->asker.answers, item->dest));
}

/* What was carried may have a mode of its own now; what kept the mode of a file has it still. */
static void mark_stale(struct applying *a)
{
	for (size_t i = 0; i < a->carry->len; i++) {
		struct looked *asked = map_get(&a->session->asker.answers, a->carry->items[i].dest);
		if (asked)
			asked->mode_stale = !keeps_mode(&a->carry->items[i]) || !S_ISREG(asked->mode);
	}
}

/* Where the root can't be looked at: is it worth an exec? Not for files of a container that runs as root and has no tmpfs but the usual
 * ones: there the answer is nearly always root. */
static bool worth_asking(const struct applying *a)
{
	const char *user = a->session->user;
	bool root = !*user || str_equal(user, "root") || str_equal(user, "0") || str_starts_with(user, "0:");
	bool worth = !root;
	for vec_each (mount, &a->session->mounts)
		worth = worth || (mount->temporary && !mount->usual);
	for (size_t i = 0; i < a->carry->len; i++)
		worth = worth || a->carry->items[i].kind == CARRY_DIRECTORY || keeps_mode(&a->carry->items[i]);
	return worth && a->session->running;
}

/* What is known of the destinations: from here, or by asking the container. A deletion is never decided by an earlier answer. */
static void look_around(struct applying *a)
{
	_cleanup_close_ int root = look_root(&a->session->look);
	CLEANUP(strv_release) struct strv unknown = {0};
	for (size_t i = 0; i < a->carry->len; i++) {
		a->known[i] = look_at(root, a->carry->items[i].dest, &a->looks[i]);
		if (root >= 0 || a->carry->items[i].kind == CARRY_DELETE)
			continue;
		forget_stale(a, &a->carry->items[i]);
		strv_push(&unknown, a->carry->items[i].dest);
	}
	if (unknown.len && worth_asking(a))
		ask_about(&a->session->asker, &unknown, a->cancel);
	for (size_t i = 0; unknown.len && i < a->carry->len; i++) {
		const struct carry_item *item = &a->carry->items[i];
		const struct looked *asked = map_get(&a->session->asker.answers, item->dest);
		if (asked && item->kind != CARRY_DELETE)
			a->looks[i] = *asked;
		a->known[i] = a->known[i] || (asked && item->kind != CARRY_DELETE) ||
			      (keeps_mode(item) && docker_peek(a->session, item->dest, &a->looks[i], a->cancel));
	}
}

/* Who will own the item: what is there keeps its owner, what is new takes its directory's (root's where that is not known), unless
 * the item says better. */
static int find_owner(struct applying *a, size_t index, struct error *err)
{
	const struct carry_item *item = &a->carry->items[index];
	const struct looked *looked = look_of(a, index);
	struct tar_place *place = &a->places[index];
	CLEANUP(error_clear) struct error why = {0};
	uint32_t uid, gid;
	if (looked) {
		place->uid = looked->uid;
		place->gid = looked->gid;
	}
	if (!item->owner || (item->owner_if_new && looked && looked->exists))
		return 0;
	int r = owner_is_named(item->owner) ? docker_accounts(a->session, a->cancel, err) : 0;
	if (r < 0)
		return r;
	if (owner_resolve(item->owner, &a->session->accounts, &uid, &gid, &why) < 0) {
		strv_push(&a->words, why.message);
		a->routes[index] = (struct docker_route){.way = WAY_REFUSED,
							 .code = EINVAL,
							 .why = a->words.items[a->words.len - 1]};
		return 0;
	}
	place->uid = uid;
	place->gid = gid;
	return 0;
}

/* Where each item goes, and who will own it. */
static int find_routes(struct applying *a, struct error *err)
{
	int r = 0;
	look_around(a);
	for (size_t i = 0; r == 0 && i < a->carry->len; i++) {
		const struct carry_item *item = &a->carry->items[i];
		const struct looked *looked = look_of(a, i);
		a->routes[i] = docker_route(a->session, item->dest, looked);
		if (looked)
			a->places[i] = (struct tar_place){.after_ns = looked->mtime_ns,
							  .replaced = looked->mode,
							  .leave = item->kind == CARRY_DIRECTORY && looked->directory &&
								   (looked->link || keeps_mode(item))};
		if (a->routes[i].way != WAY_REFUSED)
			r = find_owner(a, i, err);
	}
	return r;
}

static int apply_all(struct applying *a, size_t *indices, bool *done, struct error *err)
{
	int r = find_routes(a, err);
	for (size_t i = 0; r >= 0 && i < a->carry->len; i++) {
		if (done[i] || a->carry->items[i].kind == CARRY_DELETE)
			continue;
		switch (a->routes[i].way) {
		case WAY_REFUSED:
			item_failed(a, i, a->routes[i].code, a->routes[i].why, a->routes[i].help);
			break;
		case WAY_IN_PLACE:
			if (a->carry->items[i].kind != CARRY_DIRECTORY)
				r = write_in_place(a, i, err);
			break;
		default:
			r = send_group(a, i, indices, done, err);
		}
	}
	return r < 0 ? r : delete_items(a, indices, err);
}

int docker_archive_apply(struct session *session, const struct carry *carry, struct carry_report *report,
			 struct cancel *cancel, struct error *err)
{
	uint64_t start = monotonic_ns();
	size_t len = carry->len + 1;
	struct applying a = {.session = session, .carry = carry, .report = report, .cancel = cancel};
	_cleanup_free_ size_t *indices = xcalloc(len, sizeof(*indices));
	_cleanup_free_ bool *done = xcalloc(len, sizeof(*done));
	*report = (struct carry_report){.results = xcalloc(len, sizeof(*report->results)), .len = carry->len};
	a.routes = xcalloc(len, sizeof(*a.routes));
	a.looks = xcalloc(len, sizeof(*a.looks));
	a.known = xcalloc(len, sizeof(*a.known));
	a.places = xcalloc(len, sizeof(*a.places));
	int r = apply_all(&a, indices, done, err);
	mark_stale(&a);
	free(a.routes);
	free(a.looks);
	free(a.known);
	free(a.places);
	strv_release(&a.words);
	report->transfer_us = (unsigned)((monotonic_ns() - start) / 1000);
	if (r < 0) {
		carry_report_release(report);
		return r;
	}
	return carry_report_failure(report, err);
}
