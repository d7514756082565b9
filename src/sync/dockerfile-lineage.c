/* Lineage: a file that a COPY put into a stage, and a COPY --from took out of it, is still the context's file. Given where the first one puts it and
 * what the second one takes, this says which context paths land where, again as rules. What it can't say, it marks as unsyncable: then a
 * change is a rebuild. */
#include <errno.h>
#include <string.h>

#include "base/owner.h"
#include "base/path.h"
#include "sync/dockerfile-syntax.h"
#include "sync/pattern.h"

struct follow {
	const struct copy_rule *rule; /* of the stage copied from; one part of it at a time */
	const struct copy_rule *to;
	const char *source;   /* absolute; without its last element where that is a wildcard */
	const char *wildcard; /* that element, or NULL */
	struct rule_list *out;
};

static bool has_wildcard(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' && text[1])
			text++;
		else if (strchr("*?[", *text))
			return true;
	}
	return false;
}

static bool matches(const char *pattern, const char *name)
{
	CLEANUP(pattern_free_cleanup) struct pattern *p = NULL;
	return pattern_compile(PATTERN_GO, pattern, &p, NULL, NULL) == 0 && pattern_match(p, name);
}

/* The text as a pattern that matches just itself. */
static void add_quoted(struct str *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("*?[\\", *text))
			str_add_char(out, '\\');
		str_add_char(out, *text);
	}
}

/* The rule's source with something below it: `name` as text, then `wildcard` as a pattern (either may be NULL). */
static void set_source(const struct follow *f, struct copy_rule *new, const char *base, const char *name,
		       const char *wildcard)
{
	struct str text = {0};
	bool pattern = f->rule->source_is_wildcard || wildcard;
	if (strcmp(base, ".") != 0) {
		if (f->rule->source_is_wildcard || !pattern)
			str_add(&text, base);
		else
			add_quoted(&text, base);
	}
	if (name) {
		str_add(&text, text.len ? "/" : "");
		if (pattern)
			add_quoted(&text, name);
		else
			str_add(&text, name);
	}
	if (wildcard)
		str_addf(&text, "%s%s", text.len ? "/" : "", wildcard);
	strv_clear(&new->sources);
	strv_push_owned(&new->sources, str_steal(&text));
	new->source_is_wildcard = pattern;
}

static void set_destination(struct copy_rule *rule, const char *dest)
{
	replace_string(&rule->dest, path_is_absolute(dest) ? dest : NULL);
	replace_string(&rule->dest_relative, path_is_absolute(dest) ? NULL : dest);
}

static const char *destination(const struct copy_rule *rule)
{
	return rule->dest ? rule->dest : rule->dest_relative;
}

/* A new rule of the kind `part`, landing in `to`'s destination, or at `below` in it. */
static struct copy_rule *emit(const struct follow *f, enum copy_part part, const char *below)
{
	struct copy_rule *new = vec_add(f->out);
	*new = copy_rule_clone(f->rule);
	new->part = part;
	new->lineage = true;
	new->inherited = false;
	new->exact = false;
	new->stage_run_line = f->rule->run_line;
	new->chmod = f->to->chmod >= 0 ? f->to->chmod : f->rule->chmod;
	if (f->to->chown)
		replace_string(&new->chown, f->to->chown);
	else if (new->chown && owner_is_named(new->chown) && !new->unsyncable)
		new->unsyncable = "--chown names an owner of another stage";
	if (f->to->unsyncable)
		new->unsyncable = f->to->unsyncable;
	_cleanup_free_ char *dest = *below ? path_join(destination(f->to), below) : xstrdup(destination(f->to));
	_cleanup_free_ char *clean = path_normalize(dest);
	set_destination(new, clean);
	return new;
}

/* A file lands at exactly `below` in `to`'s destination ("": where `to` puts a single file of that name). */
static struct copy_rule *emit_file(const struct follow *f, const char *below, const char *name)
{
	struct copy_rule *new = emit(f, COPY_FILE, below);
	new->dest_is_directory = *below == '\0' && f->to->dest_is_directory;
	replace_string(&new->rename, new->dest_is_directory ? name : NULL);
	return new;
}

static void emit_unfollowed(const struct follow *f, const char *why)
{
	struct copy_rule *new = emit(f, f->rule->part, "");
	new->dest_is_directory = true;
	new->unsyncable = why;
}

/* What of `path` the source takes: *below is where in the destination that lands. A wildcard takes elements in its directory, and of a directory its
 * contents; *whole is then set where the element is the path itself. */
static bool takes(const struct follow *f, const char *path, const char **below, bool *whole)
{
	const char *rest = path_below(path, f->source);
	if (!rest)
		return false;
	*whole = *rest == '\0';
	*below = rest;
	if (!f->wildcard)
		return true;
	size_t len = strcspn(rest, "/");
	_cleanup_free_ char *element = xstrndup(rest, len);
	if (len == 0 || !matches(f->wildcard, element))
		return false;
	*whole = rest[len] == '\0';
	*below = rest[len] ? rest + len + 1 : "";
	return true;
}

/* A single file whose place in the stage is known. */
static void follow_named_file(const struct follow *f, const char *place)
{
	const char *below;
	bool whole;
	if (!takes(f, place, &below, &whole))
		return;
	emit_file(f, whole ? "" : below, path_base(place));
}

/* Files that a wildcard named: each is in dest under its own name. */
static void follow_named_by_wildcard(const struct follow *f)
{
	const char *source = f->rule->sources.items[0], *last = path_base(source), *below;
	_cleanup_free_ char *directory = path_dir(source);
	bool whole;
	if (f->wildcard && strcmp(f->source, f->rule->dest) == 0) {
		bool any = strcmp(f->wildcard, "*") == 0;
		if (!any && strcmp(last, "*") != 0) {
			emit_unfollowed(f, "COPY --from with a wildcard of what a wildcard copied");
			return;
		}
		struct copy_rule *new = emit(f, COPY_FILE, "");
		new->dest_is_directory = true;
		if (!any)
			set_source(f, new, directory, NULL, f->wildcard);
	} else if (takes(f, f->rule->dest, &below, &whole)) {
		emit(f, COPY_FILE, whole ? "" : below)->dest_is_directory = true;
	} else if (!f->wildcard) {
		const char *name = path_below(f->source, f->rule->dest);
		if (name && !strchr(name, '/') && matches(last, name))
			set_source(f, emit_file(f, "", name), directory, name, NULL);
	}
}

/* The contents of a directory (or of those that a wildcard named). */
static void follow_tree(const struct follow *f)
{
	const char *below;
	bool whole;
	const char *inner = path_below(f->source, f->rule->dest);
	const char *base = f->rule->sources.items[0];
	if (f->wildcard && inner) {
		for (int part = COPY_FILE; part <= COPY_TREE; part++) {
			struct copy_rule *new = emit(f, (enum copy_part)part, "");
			new->dest_is_directory = true;
			replace_string(&new->rename, NULL);
			set_source(f, new, base, *inner ? inner : NULL, f->wildcard);
		}
	} else if (takes(f, f->rule->dest, &below, &whole)) {
		struct copy_rule *new = emit(f, COPY_TREE, whole ? "" : below);
		new->dest_is_directory = true;
	} else if (inner && *inner) {
		set_source(f, emit_file(f, "", path_base(inner)), base, inner, NULL);
		struct copy_rule *new = emit(f, COPY_TREE, "");
		new->dest_is_directory = true;
		set_source(f, new, base, inner, NULL);
	}
}

int rule_follow(const struct copy_rule *rule, const char *source, const struct copy_rule *to, struct rule_list *out,
		struct error *err)
{
	struct follow f = {.rule = rule, .to = to, .source = source, .out = out};
	_cleanup_free_ char *directory = NULL;
	if (rule->sources.len == 0)
		return 0;
	if (!rule->dest) {
		emit_unfollowed(&f, "COPY --from of a place that is not known (the base image's WORKDIR is missing)");
		return 0;
	}
	if (has_wildcard(source)) {
		f.source = directory = path_dir(source);
		f.wildcard = path_base(source);
		CLEANUP(pattern_free_cleanup) struct pattern *check = NULL;
		if (pattern_compile(PATTERN_GO, source, &check, NULL, err) < 0)
			return error_wrap(err, "'%s'", source);
		if (has_wildcard(directory)) {
			emit_unfollowed(&f, "COPY --from with a wildcard that is not the last element");
			return 0;
		}
	}
	/* The source "." is always a directory, so is what has a "/" behind it; else it may be either. */
	if (rule->part != COPY_TREE && strcmp(rule->sources.items[0], ".") != 0) {
		bool named = rule->rename || !rule->dest_is_directory;
		if (rule->source_is_wildcard && !named) {
			follow_named_by_wildcard(&f);
		} else {
			_cleanup_free_ char *place =
				rule->dest_is_directory
					? path_join(rule->dest,
						    rule->rename ? rule->rename : path_base(rule->sources.items[0]))
					: xstrdup(rule->dest);
			follow_named_file(&f, place);
		}
	}
	if (rule->part != COPY_FILE)
		follow_tree(&f);
	return 0;
}
