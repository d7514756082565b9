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

/* A map program that was not asked under these definitions may make anything. */
static bool must_ask(const struct sync_source *source, const struct sync_generator *generator)
{
	return generator->kind == GENERATOR_MAP && sync_source_needs_map(source);
}

/* wanted[i]: its outputs go into the image, or are read by one whose outputs do. */
static bool *find_wanted(const struct sync_source *source, const struct sync_generator *const *all, size_t count)
{
	bool *wanted = xcalloc(count + 1, sizeof(*wanted));
	bool missing = count > 0 && sources_are_missing(source);
	for (size_t i = count; i-- > 0;) {
		switch (all[i]->kind) {
		case GENERATOR_COMMAND:
			wanted[i] = sync_source_builds_with(source, all[i]);
			break;
		case GENERATOR_MAP:
			wanted[i] = missing || must_ask(source, all[i]) || sync_source_builds_with(source, all[i]);
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

/* What its files are kept under. */
static struct hash key_of(const struct sync_generator *generator, enum generator_files which)
{
	struct hasher *hasher = hasher_new();
	for (size_t i = 0; i < generator->command.len; i++)
		hasher_add_string(hasher, generator->command.items[i]);
	for vec_each (rule, &generator->sync)
		hasher_add_string(hasher, rule->src.value);
	hasher_add_string(hasher, which == GENERATOR_MAKES ? "outputs" : "inputs");
	return hasher_finish(hasher);
}

static int digest_of(const struct sync_source *source, const struct sync_generator *generator,
		     enum generator_files which, struct hash *digest, struct error *err)
{
	CLEANUP(inputs_release) struct inputs files = {0};
	int r = sync_source_generator_files(source, generator, which, &files, err);
	*digest = inputs_digest(&files);
	return r;
}

static bool is_kept(const struct build_request *request, const struct sync_generator *generator,
		    enum generator_files which, struct hash digest)
{
	return build_cache_is_generated(request->artifact, key_of(generator, which), digest);
}

/* One generator as it is now. */
struct state {
	struct hash inputs;
	bool stale;
};

static int look(const struct build_request *request, const struct sync_generator *generator, bool again,
		struct state *state, struct error *err)
{
	const struct sync_source *source = request->source;
	struct hash outputs;
	int r = digest_of(source, generator, GENERATOR_READS, &state->inputs, err);
	if (r < 0)
		return r;
	state->stale = !is_kept(request, generator, GENERATOR_READS, state->inputs);
	if (state->stale || again)
		return 0;
	r = digest_of(source, generator, GENERATOR_MAKES, &outputs, err);
	state->stale = !is_kept(request, generator, GENERATOR_MAKES, outputs) || must_ask(source, generator) ||
		       (generator->kind != GENERATOR_COMMAND && sources_are_missing(source));
	return r;
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
	int r = generator->kind == GENERATOR_TAR ? kept_open(NULL, &kept, err) : 0;
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
			r = build_cache_generated(request->artifact, key_of(all[i], GENERATOR_READS), state.inputs,
						  err);
	}
	return r;
}

int build_keep_outputs(const struct build_request *request, struct error *err)
{
	const struct sync_generator *const *all = NULL;
	size_t count = generators_of(request, &all);
	_cleanup_free_ bool *wanted = find_wanted(request->source, all, count);
	int r = 0;
	for (size_t i = 0; i < count && r == 0; i++) {
		struct hash outputs;
		r = wanted[i] ? digest_of(request->source, all[i], GENERATOR_MAKES, &outputs, err) : 0;
		if (r == 0 && wanted[i])
			r = build_cache_generated(request->artifact, key_of(all[i], GENERATOR_MAKES), outputs, err);
	}
	return r;
}
