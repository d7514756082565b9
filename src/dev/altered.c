/* What an image's build changed after copying it (a RUN with sed, a minifier): a copy would undo that, so only a build can carry a change of it. */
#include <string.h>

#include "base/path.h"
#include "dev/lane.h"

static bool is_altered(const struct lane *lane, const char *dest)
{
	const struct owned *owned = map_get(&lane->owned, dest);
	return owned && owned->altered;
}

static char *reason(const char *dest)
{
	return xasprintf("the image's build changed %s after copying it: only a build can change it", dest);
}

/* It becomes a change again, that is decided by what is known now. An output would count as nothing new: what it was made for is done. */
static void build_instead(struct lane *lane, const char *path, const char *dest, bool generated,
			  uint64_t first_event_ns)
{
	if (generated) {
		_cleanup_free_ char *why = reason(dest);
		char *shown = lane->source ? xstrdup(sync_source_shown(lane->source, path)) : NULL;
		struct decision d = {.kind = DECISION_REBUILD, .reason = why, .deciding_path = shown};
		tell_decision(lane, &d);
		lane_want_build(lane, why);
		free(shown);
		return;
	}
	if (lane->pending.len == 0)
		lane->first_event_ns = first_event_ns;
	lane->pending_from_run = false;
	change_set_insert(&lane->pending, CHANGE_MODIFIED, false, path);
}

void lane_note_altered(struct lane *lane, const char *dest, uint64_t first_event_ns)
{
	struct owned *owned = map_get(&lane->owned, dest);
	if (!owned || owned->altered || !owned->src)
		return;
	owned->altered = true;
	build_instead(lane, owned->origin ? owned->origin : owned->src, dest, owned->generated, first_event_ns);
}

bool lane_refuse_altered(struct lane *lane, const struct candidate *c, uint64_t first_event_ns)
{
	if (!is_altered(lane, c->item.dest) || !c->item.src)
		return false;
	build_instead(lane, c->origin ? c->origin : c->item.src, c->item.dest, c->generated, first_event_ns);
	return true;
}

void lane_expect_nothing(struct lane *lane, const char *dest)
{
	struct owned *owned = map_get(&lane->owned, dest);
	if (owned)
		owned->expects = false;
}

void lane_decide_altered(const struct lane *lane, struct decision *d)
{
	if (d->kind != DECISION_COPY && d->kind != DECISION_GENERATE)
		return;
	for vec_each (copy, &d->copies)
		for (size_t i = 0; i < copy->dests.len; i++) {
			const char *dest = copy->dests.items[i];
			if (!is_altered(lane, dest))
				continue;
			d->kind = DECISION_REBUILD;
			free(d->reason);
			d->reason = reason(dest);
			replace_string(&d->deciding_path, copy->rel);
			free(steal(&d->deciding_where));
			return;
		}
}
