/* Generators in the answer to what a path is: what they made, what they read, and what the sync map tells. */
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/classify-internal.h"
#include "sync/jib.h"

/* By Jib's list, or before it is known by the names of its files; by the map's list. */
bool source_told_definition(const struct sync_source *s, const struct subject *p)
{
	if (s->input_kind == INPUTS_TOLD && !s->knowledge.has_files)
		return path_below(p->path, s->artifact->context) && jib_is_definition(p->rel);
	return (p->told & TOLD_BUILD && !(p->told & TOLD_EXCLUDED)) || p->told & TOLD_DEFINITION;
}

/* The destination of an output: a plain src is replaced by dest (a directory: with what follows), a pattern works as in manual rules. */
static char *output_destination(const struct source_rule *rule, const char *rel, bool directory)
{
	const char *rest = path_below(rel, rule->src.text);
	if (rest && *rest)
		return xasprintf("%s/%s", rule->written->dest.value, rest);
	if (rest)
		return str_ends_with(rule->written->dest.value, "/")
			       ? xasprintf("%s%s", rule->written->dest.value, path_base(rel))
			       : xstrdup(rule->written->dest.value);
	return glob_match(rule->src.glob, rel) ? source_rule_destination(rule->written, rel, directory) : NULL;
}

/* The map's entries of one kind that bring the path somewhere: of itself, then of the directories it is in. */
static bool by_map(const struct sync_source *s, struct subject *p, bool generated)
{
	if (p->directory || !(p->told & TOLD_ENTRY))
		return false;
	size_t before = p->dests.len;
	_cleanup_free_ char *src = xstrdup(p->path);
	for (char *slash; (slash = strrchr(src, '/')) && slash != src; *slash = '\0') {
		size_t position = 0;
		for (const struct syncmap_entry *entry; (entry = source_entry(s, src, &position));) {
			if (entry->generated != generated)
				continue;
			_cleanup_free_ char *dest = path_join(entry->dest, path_below(p->path, src));
			_cleanup_free_ char *path = path_normalize(dest);
			if (!path_is_safe_destination(path) || strv_contains(&p->dests, path))
				continue;
			if (p->dests.len == before)
				p->mode = entry->mode;
			strv_push_owned(&p->dests, steal(&path));
		}
	}
	return p->dests.len > before;
}

bool source_generator_makes(const struct sync_source *s, const struct source_generator *g, const char *path,
			    const char *rel)
{
	if (g->written == &s->map_program && source_told(s, path) & TOLD_ENTRY) {
		struct subject p = {.path = path, .rel = rel, .told = TOLD_ENTRY, .mode = MODE_HOST};
		bool made = by_map(s, &p, true);
		strv_release(&p.dests);
		if (made)
			return true;
	}
	for vec_each (rule, &g->outputs) {
		_cleanup_free_ char *dest = output_destination(rule, rel, false);
		if (dest)
			return true;
	}
	return false;
}

/* Who reads the file: the first that has to be run for it, else one that watches by itself. */
static const struct source_generator *reader(const struct sync_source *s, const struct subject *p,
					     const struct source_glob **which)
{
	const struct source_generator *watching = NULL;
	const struct source_glob *glob = NULL, *of_watching = NULL;
	for vec_each (g, &s->generators) {
		if (p->directory || !source_generator_reads(s, g, p->path, p->rel, &glob) ||
		    source_generator_makes(s, g, p->path, p->rel))
			continue;
		*which = source_is_jib(s, g->written) ? NULL : glob;
		if (!g->written->watch)
			return g;
		if (!watching)
			watching = g, of_watching = *which;
	}
	*which = of_watching;
	return watching;
}

/* A file that lands somewhere may be read by a generator, too: then that is what decides. */
void subject_tell_reader(const struct sync_source *s, struct subject *p)
{
	const struct source_glob *which = NULL;
	const struct source_generator *g = p->out ? reader(s, p, &which) : NULL;
	if (!g)
		return;
	p->out->generator = g->written;
	if (g->written->watch || p->kind == CHANGE_DELETED)
		return;
	subject_say(p, subject_at(p, which ? which->place : g->written->place), "%s is read by %s", p->shown, g->name);
}

/* 3. What a generator made. */
bool step_generated(const struct sync_source *s, struct subject *p, enum path_class *class_)
{
	*class_ = PATH_OUTPUT;
	const struct sync_generator *maker = NULL;
	struct place place = {0};
	if (!source_rules_count(s))
		return false;
	if (by_map(s, p, true)) {
		maker = &s->map_program;
		place = maker->place;
	}
	for vec_each (g, &s->generators)
		for vec_each (rule, &g->outputs) {
			_cleanup_free_ char *dest = output_destination(rule, p->rel, p->directory);
			if (!dest)
				continue;
			subject_add(s, p, dest, rule->written);
			if (!maker && p->dests.len > 0) {
				maker = g->written;
				place = rule->written->place;
			}
		}
	if (!maker)
		return false;
	if (p->out) {
		subject_say(p, subject_at(p, place), "%s is made by %s", p->shown, source_generator_name(s, maker));
	}
	subject_tell_reader(s, p);
	return true;
}

/* 4c. By the sync map. */
bool step_told_direct(const struct sync_source *s, struct subject *p)
{
	if (!by_map(s, p, false))
		return false;
	if (p->kind == CHANGE_DELETED) {
		p->written_rule = true;
		subject_obstacle(p, subject_at(p, s->map_program.place),
				 "%s was deleted, and auto sync carries no deletes", p->shown);
		return false;
	}
	subject_say(p, subject_at(p, s->map_program.place), "%s lands as it is, says the sync map", p->shown);
	return true;
}

static bool is_compiled(const char *path)
{
	static const char *const endings[] = {".java", ".kt", ".groovy", ".scala"};
	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		if (str_ends_with(path, endings[i]))
			return true;
	return false;
}

/* 5. What a generator reads. What it made of a deleted file may still lie there: then the answer is a rebuild. */
bool step_generator_input(const struct sync_source *s, struct subject *p, enum path_class *class_)
{
	*class_ = PATH_GENERATOR_INPUT;
	const struct source_glob *which = NULL;
	const struct source_generator *g = source_rules_count(s) ? reader(s, p, &which) : NULL;
	if (!g)
		return false;
	bool gone = p->kind == CHANGE_DELETED && !g->written->watch;
	struct place place = which ? which->place : g->written->place;
	if (gone)
		p->written_rule = true;
	if (!p->out)
		return !gone;
	if (gone) {
		subject_obstacle(p, subject_at(p, place), "%s was deleted, and what %s made of it may still be there",
				 p->shown, g->name);
		return false;
	}
	p->out->generator = g->written;
	bool compiled = source_is_jib(s, g->written) && is_compiled(p->path);
	subject_say(p, subject_at(p, place), "%s is %s by %s%s", p->shown, compiled ? "compiled" : "read", g->name,
		    g->written->watch ? ", which watches by itself" : "");
	return true;
}
