#include "build/prepare.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "build/cache.h"
#include "build/generate.h"

/* Sources that a COPY names are missing: what programs make is known only after their first run. */
static bool sources_are_missing(const struct sync_source *source)
{
	return sync_source_check(source, NULL) == -ENOENT;
}

static bool has_wildcard(const char *pattern)
{
	return strpbrk(pattern, "*?[{") != NULL;
}

/* Of a pattern nothing is known before the files are there: then it may go into the image. */
static bool makes_inputs(const struct sync_source *source, const struct sync_generator *generator)
{
	const char *context = sync_source_artifact(source)->context;
	for vec_each (rule, &generator->sync) {
		_cleanup_free_ char *joined = path_join(context, rule->src.value);
		_cleanup_free_ char *path = path_normalize(joined);
		_cleanup_free_ char *inside = path_join(path, "x");
		if (has_wildcard(rule->src.value) || sync_source_is_input(source, path) ||
		    sync_source_is_input(source, inside))
			return true;
	}
	return false;
}

/* What a map program makes is an input of the image if one of the files is. */
static bool map_makes_inputs(const struct sync_source *source)
{
	CLEANUP(inputs_release) struct inputs outputs = {0};
	if (sync_source_outputs(source, NULL, &outputs, NULL) < 0)
		return true;
	for (size_t i = 0; i < outputs.len; i++) {
		_cleanup_free_ char *path = path_join(sync_source_artifact(source)->context, outputs.items[i].rel);
		if (sync_source_is_input(source, path))
			return true;
	}
	return false;
}

static bool output_is_gone(const struct sync_source *source, const struct sync_generator *generator)
{
	for vec_each (rule, &generator->sync) {
		_cleanup_free_ char *path = path_join(sync_source_artifact(source)->context, rule->src.value);
		if (!has_wildcard(rule->src.value) && !file_exists(path))
			return true;
	}
	return false;
}

/* wanted[i]: its outputs go into the image, or are read by one whose outputs do. */
static bool *find_wanted(const struct sync_source *source, const struct sync_generator *const *all, size_t count)
{
	bool *wanted = xcalloc(count + 1, sizeof(*wanted));
	bool missing = count > 0 && sources_are_missing(source);
	for (size_t i = count; i-- > 0;) {
		switch (all[i]->kind) {
		case GENERATOR_COMMAND:
			wanted[i] = makes_inputs(source, all[i]);
			break;
		case GENERATOR_MAP:
			wanted[i] = missing || map_makes_inputs(source);
			break;
		case GENERATOR_TAR: /* what it makes beside the tar, it does not say */
			wanted[i] = true;
		}
		for (size_t to = i + 1; !wanted[i] && to < count; to++)
			wanted[i] = wanted[to] && sync_source_feeds(source, all[i], all[to]);
		wanted[i] = wanted[i] && !all[i]->watch;
	}
	return wanted;
}

static struct hash key_of(const struct sync_generator *generator)
{
	struct hasher *hasher = hasher_new();
	for (size_t i = 0; i < generator->command.len; i++)
		hasher_add_string(hasher, generator->command.items[i]);
	for vec_each (rule, &generator->sync)
		hasher_add_string(hasher, rule->src.value);
	return hasher_finish(hasher);
}

/* One generator as it is now. */
struct state {
	struct hash key, digest;
	bool stale;
};

static int look(const struct build_request *request, const struct sync_generator *generator, bool again,
		struct state *state, struct error *err)
{
	const struct sync_source *source = request->source;
	CLEANUP(inputs_release) struct inputs inputs = {0};
	int r = sync_source_generator_inputs(source, generator, &inputs, err);
	if (r < 0)
		return r;
	*state = (struct state){.key = key_of(generator), .digest = inputs_digest(&inputs)};
	state->stale = !build_cache_is_generated(request->artifact, state->key, state->digest) ||
		       (!again && (output_is_gone(source, generator) ||
				   (generator->kind != GENERATOR_COMMAND && sources_are_missing(source))));
	return 0;
}

/* Asks for none where Jib builds: it makes what it needs itself. */
static size_t generators_of(const struct build_request *request, const struct sync_generator *const **all)
{
	if (!request->source || request->artifact->builder == BUILDER_JIB)
		return 0;
	return sync_source_generators(request->source, all);
}

int build_needs_outputs(const struct build_request *request, bool again, bool *needed, struct error *err)
{
	const struct sync_generator *const *all = NULL;
	size_t count = generators_of(request, &all);
	_cleanup_free_ bool *wanted = find_wanted(request->source, all, count);
	*needed = false;
	for (size_t i = 0; i < count && !*needed; i++) {
		struct state state = {0};
		int r = wanted[i] ? look(request, all[i], again, &state, err) : 0;
		if (r < 0)
			return r;
		*needed = state.stale;
	}
	return 0;
}

static int run(const struct build_request *request, const struct sync_generator *generator, bool *taught,
	       struct error *err)
{
	CLEANUP(generated_release) struct generated generated = {0};
	struct kept *kept = NULL;
	int r = generator->kind == GENERATOR_TAR ? kept_open(&kept, err) : 0;
	const struct generate_request ask = {.artifact = request->artifact,
					     .generator = generator,
					     .kept = kept,
					     .line = request->line,
					     .data = request->data,
					     .cancel = request->cancel};
	if (r == 0)
		r = generate_run(&ask, &generated, err);
	kept_close(kept);
	if (r == 0 && generator->kind == GENERATOR_MAP && !generated.map.rebuild) {
		*taught = true;
		r = sync_source_teach_map(request->source, &generated.map, err);
	}
	return r;
}

int build_make_outputs(const struct build_request *request, bool again, struct error *err)
{
	const struct sync_generator *const *all = NULL;
	size_t count = generators_of(request, &all);
	_cleanup_free_ bool *wanted = find_wanted(request->source, all, count);
	bool taught = false; /* then the generators are others: the caller asks anew */
	int r = 0;
	for (size_t i = 0; i < count && r == 0 && !taught; i++) {
		struct state state = {0};
		r = wanted[i] ? look(request, all[i], again, &state, err) : 0;
		if (r < 0 || !state.stale)
			continue;
		r = run(request, all[i], &taught, err);
		if (r == 0)
			r = build_cache_generated(request->artifact, state.key, state.digest, err);
	}
	return r;
}
