/* What is asked of an evaluated Dockerfile. */
#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "sync/dockerfile-syntax.h"
#include "sync/pattern.h"

void copy_rule_release(struct copy_rule *rule)
{
	strv_release(&rule->sources);
	free(rule->rename);
	free(rule->dest);
	free(rule->dest_relative);
	free(rule->chown);
}

struct copy_rule copy_rule_clone(const struct copy_rule *rule)
{
	struct copy_rule clone = *rule;
	clone.sources = (struct strv){0};
	strv_extend(&clone.sources, &rule->sources);
	clone.rename = xstrdup_or_null(rule->rename);
	clone.dest = xstrdup_or_null(rule->dest);
	clone.dest_relative = xstrdup_or_null(rule->dest_relative);
	clone.chown = xstrdup_or_null(rule->chown);
	return clone;
}

void copy_map_release(struct copy_map *map)
{
	for vec_each (rule, &map->rules)
		copy_rule_release(rule);
	vec_release(&map->rules);
	free(map->name);
	free(map->workdir);
	free(map->unknown_base);
	strv_release(&map->bind_mounts);
	strv_release(&map->bases);
	strv_release(&map->env);
	strv_release(&map->entrypoint);
	strv_release(&map->cmd);
	strv_release(&map->exposed);
	strv_release(&map->volumes);
	free(map->user);
	free(map->stop_signal);
	*map = (struct copy_map){0};
}

void base_image_release(struct base_image *image)
{
	free(image->workdir);
	strv_release(&image->env);
	strv_release(&image->onbuild);
	strv_release(&image->labels);
	*image = (struct base_image){0};
}

static bool matches(const char *pattern, const char *path)
{
	CLEANUP(pattern_free_cleanup) struct pattern *p = NULL;
	return pattern_compile(PATTERN_GO, pattern, &p, NULL, NULL) == 0 && pattern_match(p, path);
}

/* What a source makes of a path: not its business, the source itself, or below it. *matched is the length of the path that the source took. */
enum relation { UNRELATED, IS_SOURCE, BELOW_SOURCE };

static enum relation relate(const struct copy_rule *rule, const char *path, const char **rest)
{
	if (rule->sources.len == 0)
		return UNRELATED;
	const char *source = rule->sources.items[0];
	if (!rule->source_is_wildcard) {
		*rest = path_below(path, source);
		return !*rest ? UNRELATED : **rest ? BELOW_SOURCE : IS_SOURCE;
	}
	/* One level each: as many elements of the path as the pattern has. */
	const char *end = path;
	for (const char *slash = source; (slash = strchr(slash, '/')); slash++) {
		end = strchr(end, '/');
		if (!end)
			return UNRELATED;
		end++;
	}
	end += strcspn(end, "/");
	_cleanup_free_ char *head = xstrndup(path, (size_t)(end - path));
	if (!matches(source, head))
		return UNRELATED;
	*rest = *end ? end + 1 : end;
	return *end ? BELOW_SOURCE : IS_SOURCE;
}

static bool applies(const struct copy_rule *rule, enum relation relation)
{
	return (relation == IS_SOURCE && rule->part != COPY_TREE) ||
	       (relation == BELOW_SOURCE && rule->part != COPY_FILE);
}

bool copy_rule_covers(const struct copy_rule *rule, const char *path)
{
	const char *rest;
	return applies(rule, relate(rule, path, &rest));
}

bool copy_rule_destination(const struct copy_rule *rule, const char *path, char **dest)
{
	const char *rest;
	enum relation relation = relate(rule, path, &rest);
	*dest = NULL;
	if (!applies(rule, relation))
		return true;
	if (!rule->dest)
		return false;
	if (relation == BELOW_SOURCE)
		*dest = path_join(rule->dest, rest);
	else if (rule->dest_is_directory)
		*dest = path_join(rule->dest, rule->rename ? rule->rename : path_base(path));
	else
		*dest = xstrdup(rule->dest);
	return true;
}

const char *copy_rule_unsyncable(const struct copy_rule *rule, const char *path)
{
	static const char *const archives[] = {".tar",	".tar.gz", ".tgz", ".tar.bz2",
					       ".tbz2", ".tar.xz", ".txz", ".tar.zst"};
	if (rule->unsyncable)
		return rule->unsyncable;
	const char *rest;
	if (rule->is_add && relate(rule, path, &rest) == IS_SOURCE)
		for (size_t i = 0; i < ARRAY_LEN(archives); i++)
			if (str_ends_with(path, archives[i]))
				return "ADD extracts an archive";
	return NULL;
}

bool copy_rule_counts(const struct copy_rule *rule, enum copy_use use)
{
	if (!rule->final)
		return false;
	return use == COPY_FOR_AUTO ||
	       (!rule->inherited && !(rule->lineage && (rule->stage_run_line > 0 || rule->unsyncable)));
}

/* Expanding wildcards in the tree: the paths that match, in the order in which a build copies them. */
static void expand_wildcard(const struct copy_tree *tree, const char *done, const char *pattern, struct strv *out)
{
	size_t len = strcspn(pattern, "/");
	_cleanup_free_ char *element = xstrndup(pattern, len);
	CLEANUP(strv_release) struct strv names = {0};
	tree->list(tree->data, *done ? done : ".", &names);
	strv_sort_unique(&names);
	for (size_t i = 0; i < names.len; i++) {
		if (!matches(element, names.items[i]))
			continue;
		_cleanup_free_ char *path = path_join(done, names.items[i]);
		enum copy_entry kind = tree->kind(tree->data, path);
		if (pattern[len] == '\0' && kind != COPY_ENTRY_NONE)
			strv_push(out, path);
		else if (pattern[len] && kind == COPY_ENTRY_DIRECTORY)
			expand_wildcard(tree, path, pattern + len + 1, out);
	}
}

/* The paths that are now at the rule's source. */
static void rule_sources(const struct copy_rule *rule, const struct copy_tree *tree, struct strv *out)
{
	if (rule->sources.len == 0)
		return;
	const char *source = rule->sources.items[0];
	if (rule->source_is_wildcard)
		expand_wildcard(tree, "", source, out);
	else if (tree->kind(tree->data, source) != COPY_ENTRY_NONE)
		strv_push(out, source);
}

/* Byte order of paths, element by element. */
static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	unsigned char x = (unsigned char)(*a == '/' ? 1 : *a), y = (unsigned char)(*b == '/' ? 1 : *b);
	return x < y ? -1 : x > y;
}

/* True if the rule puts a file of the tree at dest. after: only paths behind this one count (in the rule that it came by itself); NULL: all. */
static bool puts_at(const struct copy_rule *rule, const char *dest, const struct copy_tree *tree, const char *after)
{
	const char *below = rule->dest ? path_below(dest, rule->dest) : NULL;
	if (!below || rule->sources.len == 0 || (after && !rule->source_is_wildcard))
		return false;
	CLEANUP(strv_release) struct strv sources = {0};
	rule_sources(rule, tree, &sources);
	for (size_t i = 0; i < sources.len; i++) {
		const char *source = sources.items[i];
		_cleanup_free_ char *path =
			*below ? (strcmp(source, ".") == 0 ? xstrdup(below) : path_join(source, below))
			       : xstrdup(source);
		char *const candidates[] = {xstrdup(source), steal(&path)};
		bool found = false;
		for (size_t c = 0; c < ARRAY_LEN(candidates); c++) {
			_cleanup_free_ char *candidate = candidates[c], *lands = NULL;
			if (found || (after && compare_paths(candidate, after) <= 0))
				continue;
			copy_rule_destination(rule, candidate, &lands);
			found = str_equal(lands, dest) && tree->kind(tree->data, candidate) == COPY_ENTRY_FILE;
		}
		if (found)
			return true;
	}
	return false;
}

static bool covers_destination(const struct copy_rule *cover, const char *dest, enum copy_use use)
{
	if (cover->exact)
		return str_equal(cover->dest, dest);
	if (use == COPY_FOR_INFER)
		return false;
	return !cover->dest || path_below(dest, cover->dest);
}

bool copy_map_overridden(const struct copy_map *map, size_t rule, const char *path, const char *dest, enum copy_use use,
			 const struct copy_tree *tree, unsigned *line)
{
	for (size_t i = rule; i < map->rules.len; i++) {
		const struct copy_rule *later = &map->rules.items[i];
		bool wins = false;
		if (i == rule)
			wins = puts_at(later, dest, tree, path);
		else if (copy_rule_counts(later, use))
			wins = later->sources.len && later->dest ? puts_at(later, dest, tree, NULL)
								 : covers_destination(later, dest, use);
		if (wins) {
			if (line)
				*line = later->line;
			return true;
		}
	}
	return false;
}

struct asking {
	struct copy_answer *answer;
	bool has_mode;		/* a destination gave the answer its mode and owner */
	unsigned replaced_line; /* of what replaced the path at some destination */
};

static void needs_rebuild(struct copy_answer *answer, unsigned line, char *reason)
{
	if (answer->reason) {
		free(reason);
		return;
	}
	answer->line = line;
	answer->reason = reason;
}

/* True if a later rule puts the same path at dest again. */
static bool put_again(const struct copy_map *map, size_t index, enum copy_use use, const char *path, const char *dest)
{
	for (size_t i = index + 1; i < map->rules.len; i++) {
		_cleanup_free_ char *again = NULL;
		if (copy_rule_counts(&map->rules.items[i], use) &&
		    copy_rule_destination(&map->rules.items[i], path, &again) && str_equal(again, dest))
			return true;
	}
	return false;
}

static void forget_destination(struct copy_answer *answer, const char *dest)
{
	size_t kept = 0;
	for (size_t i = 0; i < answer->dests.len; i++) {
		if (str_equal(answer->dests.items[i], dest))
			free(answer->dests.items[i]);
		else
			answer->dests.items[kept++] = answer->dests.items[i];
	}
	answer->dests.len = kept;
	if (answer->dests.items)
		answer->dests.items[kept] = NULL;
}

/* A destination that the rule gives. A path that is put at one place twice keeps the first one's order, and the last one's mode. */
static void ask_destination(const struct copy_map *map, size_t index, enum copy_use use, const char *path,
			    const char *dest, const struct copy_tree *tree, struct asking *asking)
{
	const struct copy_rule *rule = &map->rules.items[index];
	struct copy_answer *answer = asking->answer;
	unsigned later = 0;
	if (!copy_map_overridden(map, index, path, dest, use, tree, &later)) {
		if (asking->has_mode && (answer->chmod != rule->chmod || !str_equal(answer->chown, rule->chown)))
			needs_rebuild(answer, rule->line, xstrdup("its copies differ in mode or owner"));
		asking->has_mode = true;
		answer->chmod = rule->chmod;
		answer->chown = rule->chown;
		answer->run_follows = answer->run_follows || rule->run_line || rule->stage_run_line;
	} else if (!put_again(map, index, use, path, dest)) {
		forget_destination(answer, dest);
		asking->replaced_line = later;
		if (use == COPY_FOR_AUTO)
			needs_rebuild(answer, later, xasprintf("line %u may replace it", later));
		return;
	}
	if (!strv_contains(&answer->dests, dest))
		strv_push(&answer->dests, dest);
	if (!answer->line)
		answer->line = rule->line;
}

/* One rule's part of the answer. */
static void ask_rule(const struct copy_map *map, size_t index, enum copy_use use, const char *path,
		     const struct copy_tree *tree, struct asking *asking)
{
	const struct copy_rule *rule = &map->rules.items[index];
	struct copy_answer *answer = asking->answer;
	const char *unsyncable = copy_rule_unsyncable(rule, path);
	if (use == COPY_FOR_AUTO && rule->run_line)
		needs_rebuild(answer, rule->run_line, xasprintf("the RUN at line %u may have read it", rule->run_line));
	if (!copy_rule_counts(rule, use))
		return;
	if (unsyncable) {
		needs_rebuild(answer, rule->line, xasprintf("%s (line %u)", unsyncable, rule->line));
		return;
	}
	_cleanup_free_ char *dest = NULL;
	if (copy_rule_destination(rule, path, &dest)) {
		ask_destination(map, index, use, path, dest, tree, asking);
		return;
	}
	answer->workdir_unknown = answer->workdir_unknown || !answer->reason;
	needs_rebuild(answer, rule->line,
		      xasprintf("where it lands is not known: the base image %s is not at hand",
				map->unknown_base ? map->unknown_base : ""));
}

void copy_map_ask(const struct copy_map *map, enum copy_use use, const char *path, const struct copy_tree *tree,
		  struct copy_answer *answer)
{
	*answer = (struct copy_answer){.chmod = -1};
	struct asking asking = {.answer = answer};
	for (size_t i = 0; i < map->bind_mounts.len; i++) {
		if (!path_below(path, map->bind_mounts.items[i]))
			continue;
		answer->input = true;
		if (use == COPY_FOR_AUTO)
			needs_rebuild(answer, 0, xstrdup("a RUN mounts it"));
	}
	for (size_t i = 0; i < map->rules.len; i++) {
		if (!copy_rule_covers(&map->rules.items[i], path))
			continue;
		answer->input = true;
		ask_rule(map, i, use, path, tree, &asking);
	}
	if (answer->input && answer->dests.len == 0 && asking.replaced_line)
		needs_rebuild(answer, asking.replaced_line, xasprintf("line %u replaces it", asking.replaced_line));
	else if (answer->input && answer->dests.len == 0)
		needs_rebuild(answer, 0, xstrdup("the final stage does not copy it"));
	if (answer->reason)
		strv_release(&answer->dests);
}

void copy_answer_release(struct copy_answer *answer)
{
	strv_release(&answer->dests);
	free(answer->reason);
	*answer = (struct copy_answer){.chmod = -1};
}

int copy_map_check_sources(const struct copy_map *map, const struct copy_tree *tree, struct error *err)
{
	for vec_each (rule, &map->rules) {
		if (rule->sources.len == 0 || rule->part != COPY_WHOLE || rule->lineage || rule->unsyncable)
			continue;
		CLEANUP(strv_release) struct strv found = {0};
		rule_sources(rule, tree, &found);
		if (found.len == 0)
			return error_at(err, (struct place){.file = map->name, .line = rule->line}, ENOENT,
					"%s '%s' is not in the context",
					rule->is_add ? "ADD: the source" : "COPY: the source", rule->sources.items[0]);
	}
	return 0;
}
