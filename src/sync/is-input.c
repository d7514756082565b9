/* Inputs: what the build reads, by the builder's own list. */
#include <string.h>

#include "base/path.h"
#include "sync/editors.h"
#include "sync/source-internal.h"

static bool copied(const struct sync_source *s, const char *rel)
{
	for vec_each (rule, &s->copies.rules)
		if (copy_rule_covers(rule, rel))
			return true;
	for (size_t i = 0; i < s->copies.bind_mounts.len; i++)
		if (path_below(rel, s->copies.bind_mounts.items[i]))
			return true;
	for vec_each (link, &s->links)
		if (path_below(rel, link->target))
			return true;
	return false;
}

bool source_listed(const struct sync_source *s, const char *path)
{
	_cleanup_free_ char *up = xstrdup(path);
	while (!map_has(&s->listing, up)) {
		if (strcmp(up, "/") == 0)
			return false;
		char *parent = path_dir(up);
		free(up);
		up = parent;
	}
	return true;
}

bool source_is_git_folder(const char *rel)
{
	return path_below(rel, ".git") != NULL;
}

bool source_names_git_folder(const struct source_rules *rules)
{
	for vec_each (rule, rules)
		if (str_starts_with(rule->src.text, ".git"))
			return true;
	return false;
}

static bool named_by(const struct source_globs *globs, const char *folder)
{
	for vec_each (g, globs)
		if (str_starts_with(g->text, folder))
			return true;
	return false;
}

bool source_in_kodata(const struct sync_source *s, const char *path)
{
	return s->kodata && path_below(path, s->kodata);
}

bool source_is_input(const struct sync_source *s, const char *path, const char *rel, unsigned *ignored_line)
{
	if (ignored_line)
		*ignored_line = 0;
	bool inside = path_below(path, s->artifact->context) != NULL;
	switch (s->input_kind) {
	case INPUTS_DOCKERFILE:
		return inside && !ignore_excludes(s->ignore, rel, ignored_line) && copied(s, rel);
	case INPUTS_GLOBS:
		if ((source_is_git_folder(rel) && !named_by(&s->input_paths, ".git")) ||
		    (!inside && !named_by(&s->input_paths, "..")))
			return false;
		return (source_globs_match(&s->input_paths, rel, NULL) || source_in_kodata(s, path)) &&
		       !source_globs_match(&s->input_ignore, rel, NULL);
	case INPUTS_LISTING:
		if (s->listed)
			return source_listed(s, path);
		return inside && !source_is_git_folder(rel);
	case INPUTS_TOLD:
		if (s->knowledge.has_files) {
			unsigned told = source_told(s, path);
			return told & (TOLD_INPUT | TOLD_BUILD) && !(told & TOLD_EXCLUDED);
		}
		return inside && !source_is_git_folder(rel);
	case INPUTS_CONTEXT:
		return inside && !source_is_git_folder(rel);
	}
	return false;
}

bool sync_source_is_input(const struct sync_source *s, const char *path)
{
	_cleanup_free_ char *owned = NULL;
	const char *rel = source_relative(s, path, &owned);
	return source_is_definition(s, path) ||
	       (!editors_temporary(path_base(path)) && !source_globs_match(&s->ignored, rel, NULL) &&
		source_is_input(s, path, rel, NULL));
}
