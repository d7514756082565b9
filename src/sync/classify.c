/* One question: what is this path? The steps below are tried in the order of design.md; the first that holds answers. */
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/classify-internal.h"
#include "sync/editors.h"
#include "sync/kodata.h"

/* The answer's words; takes `where` over. */
void subject_say(struct subject *p, char *where, const char *fmt, ...)
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
void subject_obstacle(struct subject *p, char *where, const char *fmt, ...)
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

char *subject_at(const struct subject *p, struct place place)
{
	return p->out ? place_format(place) : NULL;
}

char *subject_line(const struct subject *p, const struct sync_source *s, unsigned line)
{
	return p->out && line ? source_dockerfile_place(s, line) : NULL;
}

void subject_add(const struct sync_source *s, struct subject *p, const char *dest, const struct sync_rule *rule)
{
	if (!path_is_absolute(dest) && !s->workdir) {
		p->written_rule = true;
		subject_obstacle(p, subject_at(p, rule->place),
				 "%s lands below the WORKDIR of %s, which is not known (the image is not at hand)",
				 p->shown, s->unknown_base ? s->unknown_base : s->artifact->image.value);
		return;
	}
	_cleanup_free_ char *joined = path_join(s->workdir ? s->workdir : "/", dest);
	_cleanup_free_ char *path = path_normalize(joined);
	if (!path_is_safe_destination(path)) {
		p->written_rule = true;
		subject_obstacle(p, subject_at(p, rule->place), "%s can't be carried to %s", p->shown, path);
	} else if (!strv_contains(&p->dests, path)) {
		strv_push_owned(&p->dests, steal(&path));
	}
}

char *source_rule_destination(const struct sync_rule *rule, const char *rel, bool directory)
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
		subject_say(p, subject_at(p, g->place), "%s is ignored", p->shown);
		return true;
	}
	if (editors_temporary(path_base(p->rel))) {
		subject_say(p, NULL, "%s is a temporary file of an editor", p->shown);
		return true;
	}
	if (p->told & TOLD_IGNORED) {
		subject_say(p, subject_at(p, s->map_program.place), "%s is ignored, says the sync map", p->shown);
		return true;
	}
	if (!source_is_git_folder(p->rel) || source_names_git_folder(&s->rules) ||
	    source_is_input(s, p->path, p->rel, NULL))
		return false;
	subject_say(p, NULL, "%s belongs to git", p->shown);
	return true;
}

/* 2. What says how to build: it beats every rule. */
static bool build_definition(const struct sync_source *s, struct subject *p, enum path_class *class_)
{
	const struct source_glob *g = NULL;
	*class_ = PATH_BUILD_DEFINITION;
	bool by_rule = source_globs_match(&s->rebuild, p->rel, &g);
	if (p->directory || (!by_rule && !source_is_definition(s, p->path) && !source_told_definition(s, p)))
		return false;
	struct place told = p->told & TOLD_DEFINITION ? s->map_program.place : (struct place){0};
	subject_say(p, subject_at(p, by_rule ? g->place : told), "%s is a build definition", p->shown);
	return true;
}

/* 4a. Rules that the person wrote; they beat .dockerignore. */
static bool by_rules(const struct sync_source *s, struct subject *p)
{
	bool manual = s->artifact->sync.mode == SYNC_MANUAL;
	const struct source_rule *first = NULL;
	for vec_each (rule, &s->rules) {
		if (!glob_match(rule->src.glob, p->rel) ||
		    (rule->by_label && !source_is_input(s, p->path, p->rel, NULL)))
			continue;
		_cleanup_free_ char *dest = source_rule_destination(rule->written, p->rel, p->directory);
		if (!dest)
			continue;
		first = first ? first : rule;
		subject_add(s, p, dest, rule->written);
	}
	if (first && p->kind == CHANGE_DELETED && !manual && !first->by_label) {
		p->written_rule = true;
		subject_obstacle(p, subject_at(p, first->written->place),
				 "%s was deleted, and only manual rules carry deletes", p->shown);
	}
	if (!first || p->obstacle)
		return false;
	subject_say(p, subject_at(p, first->written->place), "%s matches the %s rule %s", p->shown,
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
			return subject_line(p, s, rule->line);
	return NULL;
}

/* A source of a COPY that is a link is followed by the engine, and one of ADD that is an archive is extracted: neither lands as it is. */
static bool copied_otherwise(const struct sync_source *s, struct subject *p)
{
	_cleanup_free_ char *above = path_dir(p->rel);
	for vec_each (link, &s->links)
		if (path_below(p->rel, link->target)) {
			subject_obstacle(p, subject_line(p, s, link->rule->line), "%s is copied through the link %s",
					 p->shown, link->rule->sources.len ? link->rule->sources.items[0] : "");
			return true;
		}
	mode_t mode = s->world.mode(s->world.data, p->path);
	if (S_ISREG(mode) && mode & (S_ISUID | S_ISGID)) { /* kept by BuildKit, dropped by the classic builder */
		subject_obstacle(p, copy_place(s, p),
				 "%s has a set-user-id or set-group-id bit, and builders differ in it", p->shown);
		return true;
	}
	for vec_each (rule, &s->copies.rules) {
		if (!copy_rule_covers(rule, p->rel) || copy_rule_covers(rule, above))
			continue;
		if (S_ISLNK(mode)) {
			subject_obstacle(p, subject_line(p, s, rule->line), "%s is a link, and COPY follows it",
					 p->shown);
			return true;
		}
		if (rule->is_add && s->world.is_archive(s->world.data, p->path)) {
			subject_obstacle(p, subject_line(p, s, rule->line), "%s is an archive, and ADD extracts it",
					 p->shown);
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
	if (!source_is_input(s, p->path, p->rel, NULL) || copied_otherwise(s, p))
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
	if (p->directory && p->dests.len == 0 && !answer.reason)
		return false; /* a source itself: what is in it counts */
	if (answer.reason || p->dests.len == 0) {
		subject_obstacle(p, answer.line ? subject_line(p, s, answer.line) : copy_place(s, p), "%s: %s",
				 p->shown, answer.reason ? answer.reason : "it has no destination");
		return false;
	}
	if (p->kind == CHANGE_DELETED) {
		p->written_rule = true; /* also of a directory */
		subject_obstacle(p, use == COPY_FOR_INFER ? subject_at(p, glob) : subject_line(p, s, answer.line),
				 "%s was deleted, and %s sync carries no deletes", p->shown,
				 use == COPY_FOR_INFER ? "inferred" : "auto");
		return false;
	}
	if (use == COPY_FOR_INFER)
		subject_say(p, subject_at(p, glob), "%s is copied by line %u of the Dockerfile", p->shown, answer.line);
	else
		subject_say(p, subject_line(p, s, answer.line), "%s is copied, and no later RUN could have read it",
			    p->shown);
	return true;
}

/* 4d. ko's static data: every file lands with ko's own mode, and what a link names is put in its place. */
static bool by_kodata(const struct sync_source *s, struct subject *p, const struct source_glob *glob)
{
	const char *rest = source_in_kodata(s, p->path) ? path_below(p->path, s->kodata) : "";
	bool made_by_files = p->directory && p->kind != CHANGE_DELETED; /* ko puts no directories into the image */
	if (!*rest || made_by_files || !source_is_input(s, p->path, p->rel, NULL))
		return false;
	if (S_ISLNK(s->world.mode(s->world.data, p->path))) {
		subject_obstacle(p, subject_at(p, glob->place), "%s is a link, and ko follows it", p->shown);
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
	subject_say(p, subject_at(p, glob->place), "%s is static data of ko, and matches the infer pattern %s",
		    p->shown, glob->text);
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
	if (!p->obstacle && step_told_direct(s, p))
		return true;
	if (p->obstacle || (s->input_kind != INPUTS_DOCKERFILE && !s->kodata))
		return false;
	if (sync->mode == SYNC_AUTO && !s->kodata && by_dockerfile(s, p, COPY_FOR_AUTO, sync->place)) {
		subject_tell_reader(s, p);
		return true;
	}
	if (sync->mode == SYNC_INFER)
		for vec_each (g, &s->infer)
			if (glob_match(g->glob, p->rel) || (s->kodata && p->directory))
				return s->kodata ? by_kodata(s, p, g) : by_dockerfile(s, p, COPY_FOR_INFER, g->place);
	return false;
}

/* 6. What the build never sees. */
static bool no_input(const struct sync_source *s, struct subject *p, enum path_class *class_)
{
	unsigned line = 0;
	*class_ = PATH_NO_INPUT;
	if (p->written_rule)
		return false;
	if (p->directory && p->obstacle) /* the image has it, even empty */
		return false;
	if (p->directory) {
		subject_say(p, NULL, "%s is a directory that no rule copies", p->shown);
		return true;
	}
	if (source_is_input(s, p->path, p->rel, &line))
		return false;
	if (line)
		subject_say(p, p->out ? xasprintf("%s:%u", s->ignore_shown, line) : NULL, "%s is excluded by %s",
			    p->shown, path_base(s->ignore_shown));
	else
		subject_say(p, NULL, "%s is not an input of %s", p->shown, s->artifact->image.value);
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
	char *where = subject_at(p, s->artifact->sync.place);
	if (s->label_error)
		subject_say(p, where, "%s is an input, and %s", p->shown, s->label_error);
	else if (!s->image_known)
		subject_say(p, where, "%s is an input, and the image %s, whose label has the rules, is not at hand",
			    p->shown, s->artifact->image.value);
	else
		subject_say(p, where, "%s is an input, and %s", p->shown,
			    s->label_rules.len ? "matches no rule of the image's label"
					       : "the image's label has no rules");
}

/* 7. What the build reads, and no rule explains. */
static bool unknown(const struct sync_source *s, struct subject *p, enum path_class *class_)
{
	const struct artifact *a = s->artifact;
	*class_ = PATH_UNKNOWN;
	if (a->required_by_others && a->sync.mode != SYNC_NONE)
		subject_say(p, subject_at(p, a->sync.place),
			    "%s requires %s: its sync rules do not count, both are rebuilt", required_by(s),
			    a->image.value);
	else if (p->obstacle)
		subject_say(p, steal(&p->obstacle_where), "%s", p->obstacle);
	else if (s->input_kind == INPUTS_LISTING && !s->listed && a->sync.mode == SYNC_NONE)
		subject_say(p, subject_at(p, a->custom.command.place),
			    "%s may be an input: the dependencies' command has not been run", p->shown);
	else if (a->sync.mode == SYNC_NONE)
		subject_say(p, copy_place(s, p), "%s is an input, and no sync is configured", p->shown);
	else if (a->sync.mode == SYNC_MANUAL)
		subject_say(p, subject_at(p, a->sync.place), "%s is an input, and matches no manual rule", p->shown);
	else if (a->sync.mode == SYNC_INFER && a->builder == BUILDER_KO && !source_in_kodata(s, p->path))
		subject_say(p, subject_at(p, a->sync.place), "%s is an input, and ko's static data is %s", p->shown,
			    s->kodata ? sync_source_shown(s, s->kodata) : "not known (ko.main is a pattern)");
	else if (source_asks_label(s))
		unknown_to_label(s, p);
	else if (a->sync.mode == SYNC_INFER && (s->input_kind == INPUTS_DOCKERFILE || s->kodata))
		subject_say(p, subject_at(p, a->sync.place), "%s is an input, and matches no infer pattern", p->shown);
	else if (source_asks_map(s) && !s->knowledge.has_map)
		subject_say(p, subject_at(p, s->map_program.place), "%s is an input, and the sync map is not known yet",
			    p->shown);
	else
		subject_say(p, subject_at(p, a->sync.place), "%s is an input, and nothing says where it lands",
			    p->shown);
	return true;
}

typedef bool step(const struct sync_source *s, struct subject *p, enum path_class *class_);

static step *const steps[] = {ignored,	build_definition, step_generated, direct, step_generator_input,
			      no_input, unknown};

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
