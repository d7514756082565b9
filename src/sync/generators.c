/* The generators of a source: where they come from, who reads what another one makes, and the order that follows. */
#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "sync/jib.h"
#include "sync/source-internal.h"

enum { LEARNED_GENERATORS_MAX = 256 };

void source_generators_release(struct source_generators *generators)
{
	for vec_each (g, generators) {
		source_globs_release(&g->inputs);
		source_rules_release(&g->outputs);
		vec_release(&g->feeds);
		free(g->name);
	}
	vec_release(generators);
}

bool source_is_jib(const struct sync_source *s, const struct sync_generator *generator)
{
	return generator == &s->map_program && s->artifact->builder == BUILDER_JIB;
}

bool source_generator_reads(const struct sync_source *s, const struct source_generator *g, const char *path,
			    const char *rel, const struct source_glob **which)
{
	if (source_is_jib(s, g->written))
		return source_is_input(s, path, rel, NULL);
	return source_globs_match(&g->inputs, rel, which);
}

bool sync_source_reads(const struct sync_source *s, const struct sync_generator *generator, const char *path)
{
	_cleanup_free_ char *owned = NULL;
	const char *rel = source_relative(s, path, &owned);
	for vec_each (g, &s->generators)
		if (g->written == generator)
			return source_generator_reads(s, g, path, rel, NULL) &&
			       !source_generator_makes(s, g, path, rel);
	return false;
}

bool sync_source_makes(const struct sync_source *s, const struct sync_generator *generator, const char *path)
{
	_cleanup_free_ char *owned = NULL;
	const char *rel = source_relative(s, path, &owned);
	for vec_each (g, &s->generators)
		if (g->written == generator)
			return source_generator_makes(s, g, path, rel);
	return false;
}

bool sync_source_feeds(const struct sync_source *s, const struct sync_generator *from, const struct sync_generator *to)
{
	for vec_each (g, &s->generators)
		for (size_t i = 0; g->written == from && i < g->feeds.len; i++)
			if (s->generators.items[g->feeds.items[i]].written == to)
				return true;
	return false;
}

static char *make_name(const struct sync_source *s, const struct sync_generator *generator)
{
	enum jib_tool tool;
	if (source_is_jib(s, generator) && jib_tool(s->artifact, &tool, NULL) == 0)
		return xstrdup(tool == JIB_MAVEN ? "Maven" : "Gradle");
	_cleanup_free_ char *text = sync_generator_name(generator);
	return xasprintf("`%s`", text);
}

const char *source_generator_name(const struct sync_source *s, const struct sync_generator *generator)
{
	for vec_each (g, &s->generators)
		if (g->written == generator)
			return g->name;
	return "";
}

/* Where they come from. */

static int add_generator(const struct sync_source *s, const struct sync_generator *written,
			 struct source_generators *out, struct error *err)
{
	struct source_generator *g = vec_add(out);
	g->written = written;
	g->name = make_name(s, written);
	int r = source_compile_globs(&written->inputs, &g->inputs, err);
	return r < 0 ? r : source_compile_rules(&written->sync, &g->outputs, err);
}

/* Jib's goal, map and tar in the shape of the others; they keep their addresses. */
static int make_programs(struct sync_source *s, struct error *err)
{
	const struct sync_config *sync = &s->artifact->sync;
	if (s->map_program.command.len == 0 && s->artifact->builder == BUILDER_JIB && source_asks_map(s)) {
		int r = jib_map_command(s->artifact, &s->jib_command, err);
		if (r < 0)
			return r;
		s->map_program =
			(struct sync_generator){.kind = GENERATOR_MAP, .command = s->jib_command, .place = sync->place};
	} else if (source_asks_map(s) && s->artifact->builder != BUILDER_JIB) {
		s->map_program = (struct sync_generator){.kind = GENERATOR_MAP,
							 .command = sync->map.command,
							 .inputs = sync->map.inputs,
							 .place = sync->map.place};
	}
	s->tar_program = (struct sync_generator){.kind = GENERATOR_TAR,
						 .command = sync->tar.command,
						 .inputs = sync->tar.inputs,
						 .place = sync->tar.place};
	return 0;
}

/* What the program told stands where the program does. */
static void place_learned(struct sync_source *s)
{
	for vec_each (g, &s->knowledge.map.generators) {
		g->place = s->map_program.place;
		for vec_each (input, &g->inputs)
			input->place = g->place;
		for vec_each (rule, &g->sync)
			rule->place = rule->src.place = rule->dest.place = g->place;
	}
}

static int collect(struct sync_source *s, struct source_generators *out, struct error *err)
{
	const struct sync_generator_list *learned = &s->knowledge.map.generators;
	int r = make_programs(s, err);
	place_learned(s);
	const struct sync_generator *const programs[] = {&s->map_program, &s->tar_program};
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(programs); i++)
		if (programs[i]->command.len > 0)
			r = add_generator(s, programs[i], out, err);
	for (size_t i = 0; r == 0 && i < s->artifact->sync.generated.len; i++)
		r = add_generator(s, &s->artifact->sync.generated.items[i], out, err);
	if (r == 0 && learned->len > LEARNED_GENERATORS_MAX)
		r = error_set(err, EINVAL, "the sync map has more than %d generators", LEARNED_GENERATORS_MAX);
	for (size_t i = 0; r == 0 && i < learned->len; i++)
		r = add_generator(s, &learned->items[i], out, err);
	return r;
}

/* Who reads what another makes. Whether the files of a folder match a pattern is not known before they are there: then it only may. */

enum reads { READS_NOT, READS_PERHAPS, READS_SURELY };

static bool has_wildcard(const char *pattern)
{
	return strpbrk(pattern, "*?[{\\") != NULL;
}

char *source_fixed_part(const char *pattern)
{
	size_t len = strcspn(pattern, "*?[{\\");
	if (pattern[len] == '\0')
		return xstrdup(pattern);
	while (len > 0 && pattern[len - 1] != '/')
		len--;
	return len > 1 ? xstrndup(pattern, len - 1) : xstrdup(".");
}

static enum reads output_is_read(const struct source_rule *output, const struct source_glob *input)
{
	const char *made = output->src.text;
	_cleanup_free_ char *folder = source_fixed_part(made), *read = source_fixed_part(input->text);
	bool anchored = strcmp(read, ".") != 0;
	if (strcmp(made, input->text) == 0)
		return READS_SURELY;
	if (has_wildcard(made))
		return path_below(folder, read) || path_below(read, folder) ? READS_PERHAPS : READS_NOT;
	if (glob_match_prefix(input->glob, made) || (anchored && path_below(read, made)))
		return READS_SURELY;
	return glob_may_match_below(input->glob, made) ? READS_PERHAPS : READS_NOT;
}

static enum reads entries_are_read(const struct sync_source *s, const struct source_generator *to)
{
	for vec_each (entry, &s->knowledge.map.entries) {
		_cleanup_free_ char *owned = NULL;
		if (entry->generated && source_globs_match(&to->inputs, source_relative(s, entry->src, &owned), NULL))
			return READS_SURELY;
	}
	return READS_NOT;
}

static enum reads is_read(const struct sync_source *s, const struct source_generator *from,
			  const struct source_generator *to)
{
	enum reads most = from->written == &s->map_program ? entries_are_read(s, to) : READS_NOT;
	for vec_each (output, &from->outputs) {
		if (source_is_jib(s, to->written)) {
			_cleanup_free_ char *joined = path_join(s->artifact->context, output->src.text);
			_cleanup_free_ char *path = path_normalize(joined);
			enum reads reads = source_is_input(s, path, output->src.text, NULL) ? READS_SURELY : READS_NOT;
			most = reads > most ? reads : most;
		}
		for vec_each (input, &to->inputs) {
			enum reads reads = output_is_read(output, input);
			most = reads > most ? reads : most;
		}
	}
	return most;
}

/* reads[from * n + to]. The first in the order of the files that needs none of those that are left. */
static size_t next_in_order(const unsigned char *reads, const bool *placed, size_t n, enum reads weakest)
{
	for (size_t to = 0; to < n; to++) {
		bool free_ = !placed[to];
		for (size_t from = 0; free_ && from < n; from++)
			free_ = placed[from] || from == to || reads[from * n + to] < weakest;
		if (free_)
			return to;
	}
	return n;
}

static int cycle(const struct source_generators *all, const unsigned char *reads, const bool *placed, struct error *err)
{
	size_t n = all->len, at = 0;
	while (placed[at])
		at++;
	/* Backwards for as many steps as there are generators: then it is on the cycle, and so is the one it needs. */
	size_t before = at;
	for (size_t i = 0; i <= n; i++) {
		at = before;
		for (before = 0; placed[before] || before == at || reads[before * n + at] < READS_SURELY;)
			before++;
	}
	const struct source_generator *a = &all->items[at], *b = &all->items[before];
	_cleanup_free_ char *place = place_format(b->written->place);
	return error_at(err, a->written->place, EINVAL,
			"%s reads what %s%s%s%s makes, which in turn needs what it makes itself", a->name, b->name,
			place ? " (" : "", place ? place : "", place ? ")" : "");
}

static int find_order(const struct sync_source *s, const struct source_generators *all, unsigned char *reads,
		      size_t *order, struct error *err)
{
	size_t n = all->len;
	_cleanup_free_ bool *placed = xcalloc(n + 1, sizeof(*placed));
	for (size_t from = 0; from < n; from++)
		for (size_t to = 0; to < n; to++)
			if (from != to)
				reads[from * n + to] = (unsigned char)is_read(s, &all->items[from], &all->items[to]);
	for (size_t i = 0; i < n; i++) {
		order[i] = next_in_order(reads, placed, n, READS_PERHAPS);
		if (order[i] == n)
			order[i] = next_in_order(reads, placed, n, READS_SURELY);
		if (order[i] == n)
			return cycle(all, reads, placed, err);
		placed[order[i]] = true;
	}
	return 0;
}

int source_make_generators(struct sync_source *s, struct error *err)
{
	struct source_generators all = {0};
	int r = collect(s, &all, err);
	size_t n = all.len;
	_cleanup_free_ unsigned char *reads = xcalloc(n * n + 1, sizeof(*reads));
	_cleanup_free_ size_t *order = xcalloc(n + 1, sizeof(*order));
	if (r == 0)
		r = find_order(s, &all, reads, order, err);
	if (r < 0) {
		source_generators_release(&all);
		return r;
	}
	source_generators_release(&s->generators);
	vec_clear(&s->generator_list);
	for (size_t i = 0; i < n; i++) {
		struct source_generator *g = &all.items[order[i]];
		for (size_t k = i + 1; k < n; k++)
			if (reads[order[i] * n + order[k]] == READS_SURELY)
				vec_push(&g->feeds, k);
		vec_push(&s->generators, *g);
		vec_push(&s->generator_list, g->written);
	}
	vec_release(&all);
	return 0;
}

size_t sync_source_generators(const struct sync_source *s, const struct sync_generator *const **generators)
{
	*generators = s->generator_list.items;
	return s->generator_list.len;
}
