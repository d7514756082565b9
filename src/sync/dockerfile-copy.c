/* COPY and ADD: from the context, from stages, from anywhere else. */
#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "sync/dockerfile-state.h"
#include "sync/pattern.h"

char *context_path(const char *source)
{
	_cleanup_free_ char *absolute = xasprintf("/%s", source), *normal = path_normalize(absolute);
	return xstrdup(normal[1] ? normal + 1 : ".");
}

static bool is_git(const char *source)
{
	size_t len = strcspn(source, "#");
	_cleanup_free_ char *repository = xstrndup(source, len);
	return str_starts_with(source, "git://") || str_starts_with(source, "ssh://") ||
	       str_starts_with(source, "git@") ||
	       (str_starts_with(source, "http") && strstr(source, "://") && str_ends_with(repository, ".git"));
}

static bool is_remote(const char *source)
{
	return str_starts_with(source, "http://") || str_starts_with(source, "https://") || is_git(source);
}

static bool has_wildcard(const char *source)
{
	return strpbrk(source, "*?[");
}

static bool is_archive(const char *path)
{
	struct copy_rule add = {.is_add = true};
	strv_push(&add.sources, path);
	bool archive = copy_rule_unsyncable(&add, path);
	strv_release(&add.sources);
	return archive;
}

/* The instruction with its words expanded. */
struct copy {
	const struct instruction *i;
	struct strv sources; /* as expanded */
	struct copy_rule to; /* destination and flags: what all its rules start from */
	bool uncertain;	     /* a source depends on a variable that is not known */
};

static void copy_release(struct copy *c)
{
	strv_release(&c->sources);
	copy_rule_release(&c->to);
}

/* Flags that leave the mapping as it is. */
static const char *const plain_flags[] = {"from", "chown", "chmod", "link", "keep-git-dir", "checksum"};

static const char *flags_unsyncable(const struct instruction *i)
{
	for (size_t f = 0; f < i->flags.len; f++) {
		const char *flag = i->flags.items[f] + 2;
		size_t len = strcspn(flag, "=");
		bool plain = false;
		for (size_t p = 0; p < ARRAY_LEN(plain_flags); p++)
			plain = plain || (strlen(plain_flags[p]) == len && strncmp(plain_flags[p], flag, len) == 0);
		if (plain || strcmp(flag, "parents=false") == 0)
			continue;
		return strncmp(flag, "parents", len) == 0   ? "--parents changes where files land"
		       : strncmp(flag, "exclude", len) == 0 ? "--exclude changes what is copied"
							    : "a flag that skiff does not know";
	}
	return NULL;
}

static int expand_flags(struct evaluation *e, struct copy *c, struct error *err)
{
	const char *chmod = instruction_flag(c->i, "chmod"), *chown = instruction_flag(c->i, "chown");
	c->to.chmod = -1;
	c->to.unsyncable = flags_unsyncable(c->i);
	int r = chown ? evaluation_expand(e, chown, NULL, &c->to.chown, err) : 0;
	if (r < 0 || !chmod)
		return r;
	_cleanup_free_ char *mode = NULL;
	r = evaluation_expand(e, chmod, NULL, &mode, err);
	if (r < 0)
		return r;
	char *end;
	long value = strtol(mode, &end, 8);
	if (*mode >= '0' && *mode <= '7' && *end == '\0' && value <= 07777)
		c->to.chmod = (int)value;
	else if (!c->to.unsyncable)
		c->to.unsyncable = "--chmod is no octal number";
	return 0;
}

static int expand_destination(struct evaluation *e, struct copy *c, struct error *err)
{
	_cleanup_free_ char *written = NULL;
	bool uncertain = false;
	int r = evaluation_expand(e, c->i->args.items[c->i->args.len - 1], &uncertain, &written, err);
	if (r < 0)
		return r;
	const char *last = path_base(written);
	bool several = c->i->args.len - 1 + c->i->heredocs.len > 1;
	c->to.dest_is_directory = several || *last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
	for (size_t s = 0; s < c->sources.len; s++)
		c->to.dest_is_directory = c->to.dest_is_directory ||
					  (!is_remote(c->sources.items[s]) && has_wildcard(c->sources.items[s]));
	_cleanup_free_ char *joined = path_join(current_state(e)->workdir, written), *dest = path_normalize(joined);
	if (path_is_absolute(dest) && !uncertain)
		c->to.dest = steal(&dest);
	else
		c->to.dest_relative = steal(&dest);
	if (uncertain && !c->to.unsyncable)
		c->to.unsyncable =
			"its destination holds a variable that the base image may set, and that is not at hand";
	return 0;
}

static int expand_copy(struct evaluation *e, struct copy *c, struct error *err)
{
	int r = expand_flags(e, c, err);
	for (size_t a = 0; a + 1 < c->i->args.len && r == 0; a++) {
		char *word = NULL;
		r = evaluation_expand(e, c->i->args.items[a], &c->uncertain, &word, err);
		if (r == 0)
			strv_push_owned(&c->sources, word);
	}
	c->to.line = e->line;
	c->to.is_add = c->i->kind == INSTRUCTION_ADD;
	return r < 0 ? r : expand_destination(e, c, err);
}

/* Something that is not from the context lands at dest: a file of that name in it where name is given, else who knows what. */
static int land_cover(struct evaluation *e, const struct copy *c, const char *name, struct error *err)
{
	CLEANUP(copy_rule_release) struct copy_rule cover = copy_rule_clone(&c->to);
	cover.exact = name && cover.dest;
	cover.unsyncable = NULL;
	if (cover.exact && cover.dest_is_directory) {
		char *file = path_join(cover.dest, name);
		free(cover.dest);
		cover.dest = file;
	}
	return land(e, current_state(e), &cover, NO_ORIGIN, err);
}

static int copy_remote(struct evaluation *e, const struct copy *c, const char *source, struct error *err)
{
	if (is_git(source))
		return land_cover(e, c, NULL, err);
	const char *path = strchr(strstr(source, "://") + 3, '/');
	_cleanup_free_ char *clean = xstrndup(path ? path : "", path ? strcspn(path, "?#") : 0);
	const char *name = path_base(clean);
	return land_cover(e, c, *name ? name : NULL, err);
}

static int copy_from_context(struct evaluation *e, const struct copy *c, const char *source, struct error *err)
{
	CLEANUP(copy_rule_release) struct copy_rule rule = copy_rule_clone(&c->to);
	char *path = context_path(c->uncertain ? "." : source);
	strv_push_owned(&rule.sources, path);
	rule.source_is_wildcard = has_wildcard(path);
	if (c->uncertain && !rule.unsyncable)
		rule.unsyncable = "its source holds a variable that the base image may set, and that is not at hand";
	CLEANUP(pattern_free_cleanup) struct pattern *check = NULL;
	if (rule.source_is_wildcard && pattern_compile(PATTERN_GO, path, &check, NULL, err) < 0) {
		error_wrap(err, "'%s'", source);
		return evaluation_fail(e, err, "%s: a bad wildcard '%s'", rule.is_add ? "ADD" : "COPY", source);
	}
	int r = 0;
	if (rule.unsyncable || (rule.is_add && is_archive(path)))
		r = land_cover(e, c, NULL, err);
	if (r < 0)
		return r;
	vec_push(&e->origins, (struct origin){.rule = copy_rule_clone(&rule), .stage = e->current});
	return land(e, current_state(e), &rule, e->origins.len - 1, err);
}

/* True if all of the stage's files came from the context, as its rules say. */
static bool is_pure(const struct stage_state *s)
{
	if (!s->scratch || s->has_run)
		return false;
	for vec_each (landed, &s->landed)
		if (landed->origin == NO_ORIGIN || landed->rule.unsyncable)
			return false;
	return true;
}

static int copy_from_stage(struct evaluation *e, const struct copy *c, const char *source,
			   const struct stage_state *from, struct error *err)
{
	_cleanup_free_ char *absolute = xasprintf("/%s", source), *path = path_normalize(absolute);
	int r = is_pure(from) ? 0 : land_cover(e, c, NULL, err);
	size_t count = from->landed.len;
	for (size_t l = 0; l < count && r == 0; l++) {
		struct rule_list followed = {0};
		r = rule_follow(&from->landed.items[l].rule, path, &c->to, &followed, err);
		for vec_each (rule, &followed) {
			if (r == 0)
				r = land(e, current_state(e), rule, from->landed.items[l].origin, err);
			copy_rule_release(rule);
		}
		vec_release(&followed);
	}
	return r;
}

static int copy_source(struct evaluation *e, const struct copy *c, const char *source, const char *from, long stage,
		       struct error *err)
{
	if (stage >= 0 && !c->uncertain)
		return copy_from_stage(e, c, source, &e->states[stage], err);
	if (from)
		return land_cover(e, c, NULL, err);
	if (is_remote(source))
		return copy_remote(e, c, source, err);
	return copy_from_context(e, c, source, err);
}

int evaluate_copy(struct evaluation *e, const struct instruction *i, struct error *err)
{
	const char *from = i->kind == INSTRUCTION_COPY ? instruction_flag(i, "from") : NULL;
	long stage = -1;
	if (from) {
		stage = find_stage(e->dockerfile, from, true, e->current);
		uint64_t number;
		if (stage < 0 && (parse_uint(from, UINT32_MAX, &number) == 0 ||
				  find_stage(e->dockerfile, from, false, e->dockerfile->stages.len) >= 0))
			return evaluation_fail(e, err, "COPY --from=%s: no stage before this one is called so", from);
		if (stage < 0 && !strv_contains(&e->map->bases, from))
			strv_push(&e->map->bases, from);
	}
	CLEANUP(copy_release) struct copy c = {.i = i};
	int r = expand_copy(e, &c, err);
	for (size_t s = 0; s < c.sources.len && r == 0; s++)
		r = copy_source(e, &c, c.sources.items[s], from, stage, err);
	for (size_t h = 0; h < i->heredocs.len && r == 0; h++)
		r = land_cover(e, &c, i->heredocs.items[h], err);
	return r;
}
