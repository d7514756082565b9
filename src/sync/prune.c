/* Which folders can be left alone: what the watcher needs not watch, and a walk needs not enter. */
#include <string.h>

#include "base/path.h"
#include "sync/kodata.h"
#include "sync/pattern.h"
#include "sync/source-internal.h"

static bool may_match(const struct source_glob *g, const char *rel, bool covers)
{
	return (covers ? glob_match_prefix(g->glob, rel) : glob_match(g->glob, rel)) ||
	       glob_may_match_below(g->glob, rel);
}

/* covers: a match of the directory takes in what is below it. */
static bool globs_below(const struct source_globs *globs, const char *rel)
{
	for vec_each (g, globs)
		if (may_match(g, rel, true))
			return true;
	return false;
}

static bool rules_below(const struct source_rules *rules, const char *rel, bool covers)
{
	for vec_each (rule, rules)
		if (may_match(&rule->src, rel, covers))
			return true;
	return false;
}

/* True if the source of a COPY is the directory, above it or below it. */
static bool copies_below(const struct copy_rule *rule, const char *rel)
{
	_cleanup_free_ char *inside = path_join(strcmp(rel, ".") ? rel : "", "x");
	if (copy_rule_covers(rule, inside))
		return true;
	for (size_t i = 0; i < rule->sources.len; i++) {
		const char *source = rule->sources.items[i];
		CLEANUP(pattern_free_cleanup) struct pattern *pattern = NULL;
		if (path_below(source, rel))
			return true;
		if (!rule->source_is_wildcard || pattern_compile(PATTERN_GO, source, &pattern, NULL, NULL) < 0)
			continue;
		if (pattern_test(pattern, rel) & (PATTERN_MATCHES | PATTERN_MATCHES_ABOVE | PATTERN_MAY_BELOW))
			return true;
	}
	return false;
}

static bool dockerfile_below(const struct sync_source *s, const char *rel)
{
	if (ignore_prunes(s->ignore, rel))
		return false;
	for vec_each (rule, &s->copies.rules)
		if (copies_below(rule, rel))
			return true;
	for (size_t i = 0; i < s->copies.bind_mounts.len; i++)
		if (path_below(rel, s->copies.bind_mounts.items[i]) || path_below(s->copies.bind_mounts.items[i], rel))
			return true;
	for vec_each (link, &s->links)
		if (path_below(rel, link->target) || path_below(link->target, rel))
			return true;
	return false;
}

static bool listing_below(const struct sync_source *s, const char *path)
{
	if (source_listed(s, path))
		return true;
	for map_each (entry, &s->listing)
		if (path_below(entry->key, path))
			return true;
	return false;
}

/* What defines ko's build, or its static data. */
static bool ko_below(const struct sync_source *s, const char *path)
{
	if (s->artifact->builder != BUILDER_KO)
		return false;
	_cleanup_free_ char *directory = ko_directory(s->artifact);
	return path_below(directory, path) ||
	       (s->kodata && (path_below(s->kodata, path) || path_below(path, s->kodata)));
}

bool source_inputs_below(const struct sync_source *s, const char *path, const char *rel)
{
	const char *const definitions[] = {s->dockerfile, s->general_ignore, s->specific_ignore};
	for (size_t i = 0; i < ARRAY_LEN(definitions); i++)
		if (definitions[i] && path_below(definitions[i], path))
			return true;
	bool inside = path_below(path, s->artifact->context) || path_below(s->artifact->context, path);
	switch (s->input_kind) {
	case INPUTS_DOCKERFILE:
		return inside && dockerfile_below(s, rel);
	case INPUTS_GLOBS:
		return (globs_below(&s->input_paths, rel) || ko_below(s, path)) &&
		       !source_globs_match(&s->input_ignore, rel, NULL);
	case INPUTS_LISTING:
		return s->listed ? listing_below(s, path) : inside;
	case INPUTS_TOLD:
		if (s->knowledge.has_files) {
			unsigned told = source_told(s, path);
			return told & TOLD_BELOW_READ || (told & (TOLD_INPUT | TOLD_BUILD) && !(told & TOLD_EXCLUDED));
		}
		return inside;
	case INPUTS_CONTEXT:
		return inside;
	}
	return true;
}

bool sync_source_prunes(const struct sync_source *s, const char *path, bool directory)
{
	if (!directory) {
		enum path_class class_ = sync_source_class(s, path, CHANGE_MODIFIED, false);
		return class_ == PATH_IGNORED || class_ == PATH_NO_INPUT;
	}
	if (path_below(s->artifact->context, path))
		return false;
	_cleanup_free_ char *owned = NULL;
	const char *rel = source_relative(s, path, &owned);
	if (source_globs_match(&s->ignored, rel, NULL))
		return true;
	if (source_is_git_folder(rel) && s->input_kind != INPUTS_DOCKERFILE && !source_names_git_folder(&s->rules))
		return sync_source_class(s, path, CHANGE_MODIFIED, false) == PATH_IGNORED;
	unsigned told = source_told(s, path);
	if (told & TOLD_IGNORED)
		return true;
	if (source_inputs_below(s, path, rel) || globs_below(&s->rebuild, rel) ||
	    told & (TOLD_BELOW | TOLD_ENTRY | TOLD_DEFINITION))
		return false;
	if (source_is_git_folder(rel) && !source_names_git_folder(&s->rules))
		return true;
	for vec_each (g, &s->generators)
		if (globs_below(&g->inputs, rel) || rules_below(&g->outputs, rel, true))
			return false;
	return !rules_below(&s->rules, rel, false);
}
