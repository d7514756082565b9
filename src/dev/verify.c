#include "dev/verify.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "dev/lane.h"

enum {
	VERIFY_AT_ONCE = 512, /* destinations: a change that comes meanwhile waits for no more */
	VERIFY_PATIENCE_MS = 1000,
	DRIFT_TOLD = 3, /* paths that a warning names */
};

/* What the last look found at a destination. */
struct seen {
	struct instance_file file;
	uint64_t number; /* of owned, then */
	enum { SEEN_UNKNOWN, SEEN_EQUAL, SEEN_DRIFT } as;
};

bool verify_same_file(const struct instance_file *a, const struct instance_file *b)
{
	if (a->code || b->code)
		return a->code == b->code;
	return a->kind == b->kind && a->special == b->special && a->mode == b->mode && hash_equal(a->hash, b->hash);
}

bool verify_holds(const struct carry_item *item, struct hash hash, unsigned host_mode,
		  const struct instance_file *found, bool *unknown)
{
	*unknown = found->code != 0 && found->code != ENOENT;
	if (found->code)
		return found->code == ENOENT && item->kind == CARRY_DELETE;
	if (found->special || found->kind != item->kind)
		return false;
	if (item->kind == CARRY_SYMLINK)
		return hash_equal(found->hash, hash);
	unsigned mode = item->mode == MODE_HOST ? host_mode & 07777 : (unsigned)item->mode;
	bool same_mode = item->mode == MODE_KEEP || found->mode == mode;
	return same_mode && (item->kind == CARRY_DIRECTORY || hash_equal(found->hash, hash));
}

struct instance_file *verify_drift(const struct lane_instance *instance, const char *dest, const struct owned *owned)
{
	const struct seen *seen = map_get(&instance->seen, dest);
	if (!seen || seen->as != SEEN_DRIFT || seen->number != owned->number)
		return NULL;
	struct instance_file *copy = xmalloc(sizeof(*copy));
	*copy = seen->file;
	return copy;
}

void verify_forget(struct lane_instance *instance)
{
	map_release(&instance->seen, free);
}

/* ---- one look: a job for each VERIFY_AT_ONCE of its destinations ---- */

struct verify {
	struct lane_instance *instance;
	struct strv dests;
	uint64_t number;  /* the last of owned then: all until that was carried there */
	size_t from;	  /* the first that this job looks at */
	struct strv part; /* those: borrowed of dests */
	struct instance_file *before, *found;
	struct strv drift; /* not told yet */
	int r;
	struct error err;
};

static void look_work(void *data)
{
	struct verify *verify = data;
	struct dev *dev = verify->instance->lane->dev;
	verify->r = dev->runtime->ops->look(verify->instance->session, &verify->part, verify->before, verify->found,
					    dev->cancel, &verify->err);
}

static void look_done(void *data);

static void look_at_next(struct verify *verify)
{
	struct lane_instance *instance = verify->instance;
	size_t left = verify->dests.len - verify->from, count = left < VERIFY_AT_ONCE ? left : VERIFY_AT_ONCE;
	verify->part = (struct strv){.items = verify->dests.items + verify->from, .len = count};
	memset(verify->before, 0, VERIFY_AT_ONCE * sizeof(*verify->before));
	for (size_t i = 0; i < count; i++) {
		const struct seen *seen = map_get(&instance->seen, verify->part.items[i]);
		if (seen)
			verify->before[i] = seen->file;
		else
			verify->before[i].code = ENOENT;
	}
	dev_job(instance->lane->dev, look_work, look_done, verify);
}

static void verify_free(struct verify *verify)
{
	strv_release(&verify->dests);
	strv_release(&verify->drift);
	free(verify->before);
	free(verify->found);
	error_clear(&verify->err);
	free(verify);
}

/* One destination was looked at. It may have got something else to hold meanwhile: then that is looked at in its turn. */
static void take_one(struct verify *verify, const char *dest, const struct instance_file *found)
{
	struct lane_instance *instance = verify->instance;
	struct owned *owned = map_get(&instance->lane->owned, dest);
	if (!owned || owned->number > verify->number || !owned_is_current(instance->lane, dest, owned))
		return;
	bool unknown;
	struct carry_item item = {.kind = owned->kind, .mode = owned->mode};
	bool equal = verify_holds(&item, owned->hash, owned->host_mode, found, &unknown);
	struct seen *seen = map_get(&instance->seen, dest);
	if (!seen) {
		seen = xcalloc(1, sizeof(*seen));
		map_set(&instance->seen, dest, seen);
	}
	bool was_told = seen->as == SEEN_DRIFT && seen->number == owned->number;
	*seen = (struct seen){.file = *found,
			      .number = owned->number,
			      .as = equal     ? SEEN_EQUAL
				    : unknown ? SEEN_UNKNOWN
					      : SEEN_DRIFT};
	if (seen->as != SEEN_DRIFT)
		return;
	owned->drifted = true;
	if (!was_told)
		strv_push(&verify->drift, dest);
}

static void tell_drift(const struct verify *verify)
{
	const struct strv *drift = &verify->drift;
	CLEANUP(str_release) struct str text = {0};
	if (drift->len == 0)
		return;
	for (size_t i = 0; i < drift->len && i < DRIFT_TOLD; i++)
		str_addf(&text, "%s%s", i ? ", " : "", drift->items[i]);
	if (drift->len > DRIFT_TOLD)
		str_addf(&text, " and %zu more", drift->len - DRIFT_TOLD);
	bool one = drift->len == 1;
	_cleanup_free_ char *message =
		xasprintf("%s: %s %s changed by the container itself; %s so until %s saved again",
			  verify->instance->info.name, str_text(&text), one ? "was" : "were",
			  one ? "it stays" : "they stay", one ? "it is" : "they are");
	tell_warning(verify->instance->lane->dev, message);
}

static void forget_what_is_not_owned(struct lane_instance *instance)
{
	for map_each (entry, &instance->seen)
		if (!map_has(&instance->lane->owned, entry->key))
			free(map_remove(&instance->seen, entry->key));
}

static void look_done(void *data)
{
	struct verify *verify = data;
	struct lane_instance *instance = verify->instance;
	struct dev *dev = instance->lane->dev;
	bool stopping = dev->phase == DEV_STOPPING || dev->reload;
	for (size_t i = 0; verify->r == 0 && i < verify->part.len; i++)
		take_one(verify, verify->part.items[i], &verify->found[i]);
	verify->from += verify->part.len;
	bool whole = verify->from >= verify->dests.len;
	if (verify->r == 0 && !whole && !instance->next && !instance->gone && !stopping) {
		look_at_next(verify);
		dev_job_done(dev);
		return;
	}
	if (verify->r < 0)
		verify_forget(instance);
	if (verify->r < 0 || whole)
		instance->unverified = false; /* without an answer: until it is carried to again */
	if (whole)
		forget_what_is_not_owned(instance);
	if (!stopping)
		tell_drift(verify);
	bool broken = verify->r < 0 && verify->r != -ENOTSUP && verify->r != -EBUSY && !stopping;
	verify_free(verify);
	if (broken)
		session_lost(instance);
	session_give_back(instance);
	dev_step_all(dev);
	dev_job_done(dev);
}

static void verify_start(struct lane_instance *instance)
{
	const struct lane *lane = instance->lane;
	struct verify *verify = xcalloc(1, sizeof(*verify));
	verify->instance = instance;
	verify->number = lane->carried;
	for map_each (entry, &lane->owned)
		if (owned_is_current(lane, entry->key, entry->value))
			strv_push(&verify->dests, entry->key);
	if (verify->dests.len == 0) {
		instance->unverified = false;
		verify_free(verify);
		return;
	}
	verify->before = xcalloc(VERIFY_AT_ONCE, sizeof(*verify->before));
	verify->found = xcalloc(VERIFY_AT_ONCE, sizeof(*verify->found));
	instance->use = SESSION_LOOKING;
	look_at_next(verify);
}

/* ---- before idle ---- */

bool verify_before_idle(struct dev *dev)
{
	bool waits = false;
	for vec_each (lane, &dev->lanes)
		for vec_each (each, &(*lane)->instances) {
			struct lane_instance *instance = *each;
			waits = waits || instance->use == SESSION_CHECKING;
			if (!instance->unverified || !instance->info.running || !instance->session || instance->behind)
				continue;
			if (instance->use == SESSION_FREE)
				verify_start(instance);
			waits = waits || instance->unverified;
		}
	if (!waits) {
		timer_stop(dev->patience);
		dev->impatient = false;
		return false;
	}
	if (!dev->impatient && !timer_running(dev->patience))
		timer_start(dev->patience, VERIFY_PATIENCE_MS);
	return !dev->impatient;
}

void verify_patience_over(void *data)
{
	struct dev *dev = data;
	dev->impatient = true;
	dev_step_all(dev);
}

void verified_of(const struct dev *dev, struct verified *out)
{
	for vec_each (lane, &dev->lanes)
		for vec_each (each, &(*lane)->instances) {
			const struct lane_instance *instance = *each;
			for map_each (entry, &instance->seen) {
				const struct seen *seen = entry->value;
				const struct owned *owned = map_get(&(*lane)->owned, entry->key);
				if (!instance->info.running || !owned || owned->number != seen->number)
					continue;
				out->equal += seen->as == SEEN_EQUAL;
				if (seen->as == SEEN_DRIFT)
					strv_push(&out->drift, entry->key);
			}
		}
	strv_sort_unique(&out->drift);
}
