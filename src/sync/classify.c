/* One question: what is this path? The steps below are tried in the order of design.md; the first that holds answers. */
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/editors.h"
#include "sync/jib.h"
#include "sync/kodata.h"
#include "sync/source-internal.h"

/* The path that is asked about, and what the steps found out so far. */
struct subject {
	const char *path;  /* absolute */
	const char *rel;   /* relative to the context, for globs */
	const char *shown; /* for people */
	enum change_kind kind;
	bool directory;
	struct classification *out; /* NULL: only the class is wanted */
	struct strv dests;
	int mode;
	unsigned told;	   /* enum told */
	bool written_rule; /* a rule that the person wrote matches, though it can't be carried out */
	char *obstacle;	   /* why it can't be synced though a rule matches */
	char *obstacle_where;
};

static void say(struct subject *p, char *where, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void obstacle(struct subject *p, char *where, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The answer's words; takes `where` over. */
static void say(struct subject *p, char *where, const char *fmt, ...)
{
	if (!p->out) {
		free(where);
		return;
	}
	va_list ap;
	va_start(ap, fmt);
	free(p->out->reason);
	p->out->reason = xvasprintf(fmt, ap);
	va_end(ap);
	free(p->out->where);
	p->out->where = where;
}

/* The first obstacle is the one that is told. */
static void obstacle(struct subject *p, char *where, const char *fmt, ...)
{
	if (p->obstacle) {
		free(where);
		return;
	}
	va_list ap;
	va_start(ap, fmt);
	p->obstacle = xvasprintf(fmt, ap);
	va_end(ap);
	p->obstacle_where = where;
}

static char *at(const struct subject *p, struct place place)
{
	return p->out ? place_format(place) : NULL;
}

static char *at_line(const struct subject *p, const struct sync_source *s, unsigned line)
{
	return p->out && line ? source_dockerfile_place(s, line) : NULL;
}

/* Inputs: what the build reads, by the builder's own list. *line: of the ignore file, where that excludes it. */
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

static bool in_kodata(const struct sync_source *s, const char *path)
{
	return s->kodata && path_below(path, s->kodata);
}

static bool is_input(const struct sync_source *s, const char *path, const char *rel, unsigned *ignored_line)
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
		return (source_globs_match(&s->input_paths, rel, NULL) || in_kodata(s, path)) &&
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

bool source_is_input(const struct sync_source *s, const char *path, const char *rel)
{
	return is_input(s, path, rel, NULL);
}

bool sync_source_is_input(const struct sync_source *s, const char *path)
{
	_cleanup_free_ char *owned = NULL;
	const char *rel = source_relative(s, path, &owned);
	return source_is_definition(s, path) ||
	       (!editors_temporary(path_base(path)) && !source_globs_match(&s->ignored, rel, NULL) &&
		is_input(s, path, rel, NULL));
}

/* Adds a destination, joined to the WORKDIR where it is relative. */
static void add_destination(const struct sync_source *s, struct subject *p, const char *dest,
			    const struct sync_rule *rule)
{
	if (!path_is_absolute(dest) && !s->workdir) {
		p->written_rule = true;
		obstacle(p, at(p, rule->place),
			 "%s lands below the WORKDIR of %s, which is not known (the image is not at hand)", p->shown,
			 s->unknown_base ? s->unknown_base : s->artifact->image.value);
		return;
	}
	_cleanup_free_ char *joined = path_join(s->workdir ? s->workdir : "/", dest);
	_cleanup_free_ char *path = path_normalize(joined);
	if (!path_is_safe_destination(path)) {
		p->written_rule = true;
		obstacle(p, at(p, rule->place), "%s can't be carried to %s", p->shown, path);
	} else if (!strv_contains(&p->dests, path)) {
		strv_push_owned(&p->dests, steal(&path));
	}
}

/* dest + (path minus the prefix `strip`). A directory that is the prefix itself is what dest stands for: NULL, nothing of its own. */
static char *rule_destination(const struct sync_rule *rule, const char *rel, bool directory)
{
	const char *strip = rule->strip.value ? rule->strip.value : "";
	if (directory) {
		_cleanup_free_ char *slashed = xasprintf("%s/", rel);
		if (*strip && strcmp(slashed, strip) == 0)
			return NULL;
	}
	const char *rest = str_starts_with(rel, strip) ? rel + strlen(strip) : rel;
	return *rest ? xasprintf("%s/%s", rule->dest.value, rest) : xstrdup(rule->dest.value);
}

/* 1. What nobody wants. */
static bool ignored(const struct sync_source *s, struct subject *p, enum path_class *class_)
{
	const struct source_glob *g = NULL;
	*class_ = PATH_IGNORED;
	if (source_globs_match(&s->ignored, p->rel, &g)) {
		say(p, at(p, g->place), "%s is ignored", p->shown);
		return true;
	}
	if (editors_temporary(path_base(p->rel))) {
		say(p, NULL, "%s is a temporary file of an editor", p->shown);
		return true;
	}
	if (p->told & TOLD_IGNORED) {
		say(p, at(p, s->map_program.place), "%s is ignored, says the sync map", p->shown);
		return true;
	}
	if (!source_is_git_folder(p->rel) || source_names_git_folder(&s->rules) || is_input(s, p->path, p->rel, NULL))
		return false;
	say(p, NULL, "%s belongs to git", p->shown);
	return true;
}

/* By Jib's list, or before it is known by the names of its files; by the map's list. */
static bool told_definition(const struct sync_source *s, const struct subject *p)
{
	if (s->input_kind == INPUTS_TOLD && !s->knowledge.has_files)
		return path_below(p->path, s->artifact->context) && jib_is_definition(p->rel);
	return (p->told & TOLD_BUILD && !(p->told & TOLD_EXCLUDED)) || p->told & TOLD_DEFINITION;
}

/* 2. What says how to build: it beats every rule. */
static bool build_definition(const struct sync_source *s, struct subject *p, enum path_class *class_)
{
	const struct source_glob *g = NULL;
	*class_ = PATH_BUILD_DEFINITION;
	bool by_rule = source_globs_match(&s->rebuild, p->rel, &g);
	if (p->directory || (!by_rule && !source_is_definition(s, p->path) && !told_definition(s, p)))
		return false;
	struct place told = p->told & TOLD_DEFINITION ? s->map_program.place : (struct place){0};
	say(p, at(p, by_rule ? g->place : told), "%s is a build definition", p->shown);
	return true;
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
	return glob_match(rule->src.glob, rel) ? rule_destination(rule->written, rel, directory) : NULL;
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
static void tell_reader(const struct sync_source *s, struct subject *p)
{
	const struct source_glob *which = NULL;
	const struct source_generator *g = p->out ? reader(s, p, &which) : NULL;
	if (!g)
		return;
	p->out->generator = g->written;
	if (g->written->watch || p->kind == CHANGE_DELETED)
		return;
	_cleanup_free_ char *name = source_generator_name(s, g->written);
	say(p, at(p, which ? which->place : g->written->place), "%s is read by %s", p->shown, name);
}

/* 3. What a generator made. */
static bool generated(const struct sync_source *s, struct subject *p, enum path_class *class_)
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
			add_destination(s, p, dest, rule->written);
			if (!maker && p->dests.len > 0) {
				maker = g->written;
				place = rule->written->place;
			}
		}
	if (!maker)
		return false;
	if (p->out) {
		_cleanup_free_ char *name = source_generator_name(s, maker);
		say(p, at(p, place), "%s is made by %s", p->shown, name);
	}
	tell_reader(s, p);
	return true;
}

/* 4a. Rules that the person wrote; they beat .dockerignore. */
static bool by_rules(const struct sync_source *s, struct subject *p)
{
	bool manual = s->artifact->sync.mode == SYNC_MANUAL;
	const struct source_rule *first = NULL;
	for vec_each (rule, &s->rules) {
		if (!glob_match(rule->src.glob, p->rel) || (rule->by_label && !is_input(s, p->path, p->rel, NULL)))
			continue;
		_cleanup_free_ char *dest = rule_destination(rule->written, p->rel, p->directory);
		if (!dest)
			continue;
		first = first ? first : rule;
		add_destination(s, p, dest, rule->written);
	}
	if (first && p->kind == CHANGE_DELETED && !manual && !first->by_label) {
		p->written_rule = true;
		obstacle(p, at(p, first->written->place), "%s was deleted, and only manual rules carry deletes",
			 p->shown);
	}
	if (!first || p->obstacle)
		return false;
	say(p, at(p, first->written->place), "%s matches the %s rule %s", p->shown,
	    first->by_label ? "image's"
	    : manual	    ? "manual"
			    : "direct",
	    first->src.text);
	return true;
}

/* Which COPY or ADD makes it an input: the place to look at where no rule matched. */
static char *copy_place(const struct sync_source *s, const struct subject *p)
{
	for vec_each (rule, &s->copies.rules)
		if (copy_rule_covers(rule, p->rel))
			return at_line(p, s, rule->line);
	return NULL;
}

/* A source of a COPY that is a link is followed by the engine, and one of ADD that is an archive is extracted: neither lands as it is. */
static bool copied_otherwise(const struct sync_source *s, struct subject *p)
{
	_cleanup_free_ char *above = path_dir(p->rel);
	for vec_each (link, &s->links)
		if (path_below(p->rel, link->target)) {
			obstacle(p, at_line(p, s, link->rule->line), "%s is copied through the link %s", p->shown,
				 link->rule->sources.len ? link->rule->sources.items[0] : "");
			return true;
		}
	mode_t mode = s->world.mode(s->world.data, p->path);
	if (S_ISREG(mode) && mode & (S_ISUID | S_ISGID)) { /* kept by BuildKit, dropped by the classic builder */
		obstacle(p, copy_place(s, p), "%s has a set-user-id or set-group-id bit, and builders differ in it",
			 p->shown);
		return true;
	}
	for vec_each (rule, &s->copies.rules) {
		if (!copy_rule_covers(rule, p->rel) || copy_rule_covers(rule, above))
			continue;
		if (S_ISLNK(mode)) {
			obstacle(p, at_line(p, s, rule->line), "%s is a link, and COPY follows it", p->shown);
			return true;
		}
		if (rule->is_add && s->world.is_archive(s->world.data, p->path)) {
			obstacle(p, at_line(p, s, rule->line), "%s is an archive, and ADD extracts it", p->shown);
			return true;
		}
	}
	return false;
}

/* A directory that is a source itself gives its contents; the image has dest as it was before, or made it without asking the source. */
static bool stands_for_contents(const struct sync_source *s, const struct subject *p, const char *dest)
{
	_cleanup_free_ char *above = path_dir(p->rel);
	for vec_each (rule, &s->copies.rules)
		if (str_equal(rule->dest, dest) && copy_rule_covers(rule, p->rel) &&
		    (strcmp(p->rel, ".") == 0 || !copy_rule_covers(rule, above)))
			return true;
	return false;
}

/* 4b. Destinations by the Dockerfile: infer (with the person's word that no RUN matters) and auto (where none can). */
static bool by_dockerfile(const struct sync_source *s, struct subject *p, enum copy_use use, struct place glob)
{
	if (!is_input(s, p->path, p->rel, NULL) || copied_otherwise(s, p))
		return false;
	/* A directory's destination is the one above that of anything in it. */
	_cleanup_free_ char *inside =
		p->directory ? path_join(strcmp(p->rel, ".") ? p->rel : "", "x") : xstrdup(p->rel);
	struct copy_tree tree = source_tree(s);
	CLEANUP(copy_answer_release) struct copy_answer answer = {0};
	copy_map_ask(&s->copies, use, inside, &tree, &answer);
	for (size_t i = 0; i < answer.dests.len; i++) {
		char *dest = p->directory ? path_dir(answer.dests.items[i]) : xstrdup(answer.dests.items[i]);
		if (path_is_safe_destination(dest) && !(p->directory && stands_for_contents(s, p, dest)))
			strv_push_owned(&p->dests, dest);
		else
			free(dest);
	}
	p->mode = p->directory ? -1 : answer.chmod;
	if (p->out && (answer.chown || !answer.run_follows)) {
		replace_string(&p->out->owner, answer.chown ? answer.chown : "0:0");
		p->out->owner_if_new = !answer.chown;
	}
	if (answer.reason || p->dests.len == 0) {
		obstacle(p, answer.line ? at_line(p, s, answer.line) : copy_place(s, p), "%s: %s", p->shown,
			 answer.reason ? answer.reason : "it has no destination");
		return false;
	}
	if (p->kind == CHANGE_DELETED) {
		p->written_rule = true; /* also of a directory */
		obstacle(p, use == COPY_FOR_INFER ? at(p, glob) : at_line(p, s, answer.line),
			 "%s was deleted, and %s sync carries no deletes", p->shown,
			 use == COPY_FOR_INFER ? "inferred" : "auto");
		return false;
	}
	if (use == COPY_FOR_INFER)
		say(p, at(p, glob), "%s is copied by line %u of the Dockerfile", p->shown, answer.line);
	else
		say(p, at_line(p, s, answer.line), "%s is copied, and no later RUN could have read it", p->shown);
	return true;
}

/* 4c. By the sync map. */
static bool told_direct(const struct sync_source *s, struct subject *p)
{
	if (!by_map(s, p, false))
		return false;
	if (p->kind == CHANGE_DELETED) {
		p->written_rule = true;
		obstacle(p, at(p, s->map_program.place), "%s was deleted, and auto sync carries no deletes", p->shown);
		return false;
	}
	say(p, at(p, s->map_program.place), "%s lands as it is, says the sync map", p->shown);
	return true;
}

/* 4d. ko's static data: every file lands with ko's own mode, and what a link names is put in its place. */
static bool by_kodata(const struct sync_source *s, struct subject *p, const struct source_glob *glob)
{
	const char *rest = in_kodata(s, p->path) ? path_below(p->path, s->kodata) : "";
	bool made_by_files = p->directory && p->kind != CHANGE_DELETED; /* ko puts no directories into the image */
	if (!*rest || made_by_files || !is_input(s, p->path, p->rel, NULL))
		return false;
	if (S_ISLNK(s->world.mode(s->world.data, p->path))) {
		obstacle(p, at(p, glob->place), "%s is a link, and ko follows it", p->shown);
		return false;
	}
	_cleanup_free_ char *joined = path_join(s->kodata_root, rest), *dest = path_normalize(joined);
	if (!path_is_safe_destination(dest))
		return false;
	strv_push_owned(&p->dests, steal(&dest));
	p->mode = p->directory ? -1 : KODATA_MODE;
	if (p->out) {
		replace_string(&p->out->owner, "0:0");
		p->out->owner_if_new = true;
	}
	say(p, at(p, glob->place), "%s is static data of ko, and matches the infer pattern %s", p->shown, glob->text);
	return true;
}

/* 4. What is copied as it is. */
static bool direct(const struct sync_source *s, struct subject *p, enum path_class *class_)
{
	const struct sync_config *sync = &s->artifact->sync;
	*class_ = PATH_DIRECT;
	if (!source_rules_count(s))
		return false;
	if (by_rules(s, p))
		return true;
	if (!p->obstacle && told_direct(s, p))
		return true;
	if (p->obstacle || (s->input_kind != INPUTS_DOCKERFILE && !s->kodata))
		return false;
	if (sync->mode == SYNC_AUTO && !s->kodata && by_dockerfile(s, p, COPY_FOR_AUTO, sync->place)) {
		tell_reader(s, p);
		return true;
	}
	if (sync->mode == SYNC_INFER)
		for vec_each (g, &s->infer)
			if (glob_match(g->glob, p->rel) || (s->kodata && p->directory))
				return s->kodata ? by_kodata(s, p, g) : by_dockerfile(s, p, COPY_FOR_INFER, g->place);
	return false;
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
static bool generator_input(const struct sync_source *s, struct subject *p, enum path_class *class_)
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
	_cleanup_free_ char *name = source_generator_name(s, g->written);
	if (gone) {
		obstacle(p, at(p, place), "%s was deleted, and what %s made of it may still be there", p->shown, name);
		return false;
	}
	p->out->generator = g->written;
	bool compiled = source_is_jib(s, g->written) && is_compiled(p->path);
	say(p, at(p, place), "%s is %s by %s%s", p->shown, compiled ? "compiled" : "read", name,
	    g->written->watch ? ", which watches by itself" : "");
	return true;
}

/* 6. What the build never sees. */
static bool no_input(const struct sync_source *s, struct subject *p, enum path_class *class_)
{
	unsigned line = 0;
	*class_ = PATH_NO_INPUT;
	if (p->written_rule)
		return false;
	if (p->directory) {
		say(p, NULL, "%s is a directory that no rule copies", p->shown);
		return true;
	}
	if (is_input(s, p->path, p->rel, &line))
		return false;
	if (line)
		say(p, p->out ? xasprintf("%s:%u", s->ignore_shown, line) : NULL, "%s is excluded by %s", p->shown,
		    path_base(s->ignore_shown));
	else
		say(p, NULL, "%s is not an input of %s", p->shown, s->artifact->image.value);
	return true;
}

static const char *required_by(const struct sync_source *s)
{
	for (size_t i = 0; s->config && i < s->config->artifacts.len; i++) {
		const struct artifact *a = s->config->artifacts.items[i];
		for vec_each (required, &a->requires_)
			if (str_equal(required->image, s->artifact->image.value))
				return a->image.value;
	}
	return "another artifact";
}

/* Why no rule of the image's label holds. */
static void unknown_to_label(const struct sync_source *s, struct subject *p)
{
	char *where = at(p, s->artifact->sync.place);
	if (s->label_error)
		say(p, where, "%s is an input, and %s", p->shown, s->label_error);
	else if (!s->image_known)
		say(p, where, "%s is an input, and the image %s, whose label has the rules, is not at hand", p->shown,
		    s->artifact->image.value);
	else
		say(p, where, "%s is an input, and %s", p->shown,
		    s->label_rules.len ? "matches no rule of the image's label" : "the image's label has no rules");
}

/* 7. What the build reads, and no rule explains. */
static bool unknown(const struct sync_source *s, struct subject *p, enum path_class *class_)
{
	const struct artifact *a = s->artifact;
	*class_ = PATH_UNKNOWN;
	if (a->required_by_others && a->sync.mode != SYNC_NONE)
		say(p, at(p, a->sync.place), "%s requires %s: its sync rules do not count, both are rebuilt",
		    required_by(s), a->image.value);
	else if (p->obstacle)
		say(p, steal(&p->obstacle_where), "%s", p->obstacle);
	else if (s->input_kind == INPUTS_LISTING && !s->listed && a->sync.mode == SYNC_NONE)
		say(p, at(p, a->custom.command.place), "%s may be an input: the dependencies' command has not been run",
		    p->shown);
	else if (a->sync.mode == SYNC_NONE)
		say(p, copy_place(s, p), "%s is an input, and no sync is configured", p->shown);
	else if (a->sync.mode == SYNC_MANUAL)
		say(p, at(p, a->sync.place), "%s is an input, and matches no manual rule", p->shown);
	else if (a->sync.mode == SYNC_INFER && a->builder == BUILDER_KO && !in_kodata(s, p->path))
		say(p, at(p, a->sync.place), "%s is an input, and ko's static data is %s", p->shown,
		    s->kodata ? sync_source_shown(s, s->kodata) : "not known (ko.main is a pattern)");
	else if (source_asks_label(s))
		unknown_to_label(s, p);
	else if (a->sync.mode == SYNC_INFER && (s->input_kind == INPUTS_DOCKERFILE || s->kodata))
		say(p, at(p, a->sync.place), "%s is an input, and matches no infer pattern", p->shown);
	else if (source_asks_map(s) && !s->knowledge.has_map)
		say(p, at(p, s->map_program.place), "%s is an input, and the sync map is not known yet", p->shown);
	else
		say(p, at(p, a->sync.place), "%s is an input, and nothing says where it lands", p->shown);
	return true;
}

typedef bool step(const struct sync_source *s, struct subject *p, enum path_class *class_);

static step *const steps[] = {ignored, build_definition, generated, direct, generator_input, no_input, unknown};

static enum path_class classify(const struct sync_source *s, const char *path, enum change_kind kind, bool directory,
				struct classification *out)
{
	_cleanup_free_ char *owned = NULL;
	struct subject p = {.path = path,
			    .rel = source_relative(s, path, &owned),
			    .shown = sync_source_shown(s, path),
			    .told = source_told(s, path),
			    .kind = kind,
			    .directory = directory,
			    .out = out,
			    .mode = -1};
	enum path_class class_ = PATH_UNKNOWN;
	for (size_t i = 0; i < ARRAY_LEN(steps) && !steps[i](s, &p, &class_); i++)
		;
	if (out) {
		out->class_ = class_;
		out->mode = p.mode;
		if (class_ == PATH_DIRECT || class_ == PATH_OUTPUT) {
			out->dests = p.dests;
			p.dests = (struct strv){0};
		}
	}
	strv_release(&p.dests);
	free(p.obstacle);
	free(p.obstacle_where);
	return class_;
}

void sync_source_classify(const struct sync_source *s, const char *path, enum change_kind kind, bool directory,
			  struct classification *out)
{
	*out = (struct classification){.mode = -1};
	classify(s, path, kind, directory, out);
}

enum path_class sync_source_class(const struct sync_source *s, const char *path, enum change_kind kind, bool directory)
{
	return classify(s, path, kind, directory, NULL);
}
