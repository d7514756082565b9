/* What each instruction does to the state of its stage. COPY and ADD are in dockerfile-copy.c. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/path.h"
#include "sync/dockerfile-state.h"

enum { VARIABLES_MAX = 1000 }; /* of one stage */

const char *build_argument(const struct evaluation *e, const char *name)
{
	size_t len = strlen(name);
	for (const char *const *arg = e->context->build_args; arg && *arg; arg++)
		if (strncmp(*arg, name, len) == 0 && (*arg)[len] == '=')
			return *arg + len + 1;
	return NULL;
}

int set_variable(struct evaluation *e, struct variables *v, const char *name, const char *value, bool uncertain,
		 struct error *err)
{
	if (v->len >= VARIABLES_MAX && !variables_get(v, name))
		return evaluation_fail(e, err, "more than %d variables", VARIABLES_MAX);
	variables_set(v, name, value, uncertain);
	return 0;
}

int evaluate_arg(struct evaluation *e, const char *word, bool before_from, struct error *err)
{
	_cleanup_free_ char *name = xstrndup(word, strcspn(word, "=")), *expanded = NULL;
	const char *given = build_argument(e, name);
	bool uncertain = false;
	if (!given && word[strlen(name)] == '=') {
		const char *value = word + strlen(name) + 1;
		struct expander meta = {.env = &e->meta, .escape = e->dockerfile->escape};
		int r = before_from ? expand_with(e, &meta, value, NULL, &expanded, err)
				    : evaluation_expand(e, value, &uncertain, &expanded, err);
		if (r < 0)
			return r;
		given = expanded;
	} else if (!given && !before_from) {
		const struct variable *outer = variables_get(&e->meta, name);
		given = outer ? outer->value : NULL;
	}
	return given ? set_variable(e, before_from ? &e->meta : &current_state(e)->args, name, given, uncertain, err)
		     : 0;
}

static int apply_arg(struct evaluation *e, const struct instruction *i, struct error *err)
{
	int r = 0;
	for (size_t a = 0; a < i->args.len && r == 0; a++)
		r = evaluate_arg(e, i->args.items[a], false, err);
	return r;
}

/* All values of one ENV see the variables as they were before it. */
static int apply_env(struct evaluation *e, const struct instruction *i, struct error *err)
{
	CLEANUP(variables_release) struct variables new = {0};
	int r = 0;
	for (size_t a = 0; a + 1 < i->args.len && r == 0; a += 2) {
		bool uncertain = false;
		_cleanup_free_ char *name = NULL, *value = NULL;
		r = evaluation_expand(e, i->args.items[a], NULL, &name, err);
		if (r == 0)
			r = evaluation_expand(e, i->args.items[a + 1], &uncertain, &value, err);
		if (r == 0)
			r = set_variable(e, &new, name, value, uncertain, err);
	}
	for vec_each (variable, &new)
		if (r == 0)
			r = set_variable(e, &current_state(e)->env, variable->name, variable->value,
					 variable->uncertain, err);
	return r;
}

static int apply_workdir(struct evaluation *e, const struct instruction *i, struct error *err)
{
	struct stage_state *s = current_state(e);
	bool uncertain = false;
	_cleanup_free_ char *path = NULL;
	int r = evaluation_expand(e, i->args.items[0], &uncertain, &path, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *joined = uncertain ? xstrdup(".") : path_join(s->workdir, path);
	free(s->workdir);
	s->workdir = path_normalize(joined);
	return 0;
}

static int expand_list(struct evaluation *e, const struct strv *words, struct strv *out, struct error *err)
{
	int r = 0;
	for (size_t a = 0; a < words->len && r == 0; a++) {
		char *word = NULL;
		r = evaluation_expand(e, words->items[a], NULL, &word, err);
		if (r == 0)
			strv_push_owned(out, word);
	}
	return r;
}

static int apply_expose(struct evaluation *e, const struct instruction *i, struct error *err)
{
	CLEANUP(strv_release) struct strv ports = {0};
	int r = expand_list(e, &i->args, &ports, err);
	for (size_t p = 0; p < ports.len; p++) {
		_cleanup_free_ char *port =
			xasprintf("%s%s", ports.items[p], strchr(ports.items[p], '/') ? "" : "/tcp");
		for (char *c = port; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		if (!strv_contains(&current_state(e)->exposed, port))
			strv_push(&current_state(e)->exposed, port);
	}
	return r;
}

static int apply_volume(struct evaluation *e, const struct instruction *i, struct error *err)
{
	return expand_list(e, &i->args, &current_state(e)->volumes, err);
}

static int apply_user(struct evaluation *e, const struct instruction *i, struct error *err)
{
	char *user = NULL;
	int r = evaluation_expand(e, i->args.items[0], NULL, &user, err);
	free(current_state(e)->user);
	current_state(e)->user = user;
	return r;
}

static int apply_stop_signal(struct evaluation *e, const struct instruction *i, struct error *err)
{
	char *signal = NULL;
	int r = evaluation_expand(e, i->args.items[0], NULL, &signal, err);
	free(current_state(e)->stop_signal);
	current_state(e)->stop_signal = signal;
	return r;
}

/* The exec form of a command as written. */
static void set_command(const struct stage_state *s, const struct instruction *i, struct strv *out)
{
	strv_clear(out);
	if (!i->json && i->args.len) {
		if (s->shell.len) {
			strv_extend(out, &s->shell);
		} else {
			strv_push(out, "/bin/sh");
			strv_push(out, "-c");
		}
	}
	strv_extend(out, &i->args);
}

static int apply_shell(struct evaluation *e, const struct instruction *i, struct error *err)
{
	if (!i->json)
		return evaluation_fail(e, err, "SHELL: it needs a JSON array");
	strv_clear(&current_state(e)->shell);
	strv_extend(&current_state(e)->shell, &i->args);
	return 0;
}

static int apply_cmd(struct evaluation *e, const struct instruction *i, struct error *err)
{
	(void)err;
	set_command(current_state(e), i, &current_state(e)->cmd);
	current_state(e)->cmd_is_own = true;
	return 0;
}

static int apply_entrypoint(struct evaluation *e, const struct instruction *i, struct error *err)
{
	(void)err;
	struct stage_state *s = current_state(e);
	set_command(s, i, &s->entrypoint);
	if (!s->cmd_is_own) /* the base image's CMD were arguments for its own entry point */
		strv_clear(&s->cmd);
	return 0;
}

static int apply_onbuild(struct evaluation *e, const struct instruction *i, struct error *err)
{
	(void)err;
	vec_push(&current_state(e)->triggers, i->trigger);
	return 0;
}

int mark_read(struct evaluation *e, struct stage_state *s, size_t first, struct error *err)
{
	int r = 0;
	for (size_t l = first; l < s->landed.len && r == 0; l++) {
		struct landed *landed = &s->landed.items[l];
		if (!landed->rule.run_line)
			landed->rule.run_line = e->line;
		if (landed->origin == NO_ORIGIN || !e->reachable[e->current])
			continue;
		struct origin *origin = &e->origins.items[landed->origin];
		if (!landed->rule.lineage) {
			origin->run_line = origin->run_line ? origin->run_line : e->line;
		} else if (!origin->run_line) {
			r = evaluation_spend(e, sizeof(struct copy_rule) + strlen(landed->rule.sources.items[0]) + 64,
					     err);
			vec_push(&e->reads, copy_rule_clone(&landed->rule));
			e->reads.items[e->reads.len - 1].run_line = e->line;
		}
	}
	return r;
}

struct mount {
	char *type, *from, *source;
};

static void mount_release(struct mount *m)
{
	free(m->type);
	free(m->from);
	free(m->source);
}

/* "type=bind,source=a,target=/b": comma-separated, a field may stand in double quotes. Values as written. */
static void parse_mount(const char *text, struct mount *m)
{
	while (*text) {
		struct str field = {0};
		bool quoted = *text == '"';
		for (text += quoted; *text && (quoted || *text != ','); text++) {
			if (quoted && *text == '"') {
				quoted = false;
				continue;
			}
			str_add_char(&field, *text);
		}
		text += *text == ',';
		_cleanup_free_ char *pair = str_steal(&field);
		char *equals = strchr(pair, '=');
		if (!equals)
			continue;
		*equals = '\0';
		if (strcasecmp(pair, "type") == 0)
			replace_string(&m->type, equals + 1);
		else if (strcasecmp(pair, "from") == 0)
			replace_string(&m->from, equals + 1);
		else if (strcasecmp(pair, "source") == 0 || strcasecmp(pair, "src") == 0)
			replace_string(&m->source, equals + 1);
	}
}

static const char *mount_flag(const struct instruction *i, size_t flag)
{
	const char *text = i->flags.items[flag];
	return i->kind == INSTRUCTION_RUN && str_starts_with(text, "--mount=") ? text + strlen("--mount=") : NULL;
}

char *instruction_mount_from(const struct instruction *i, size_t flag)
{
	CLEANUP(mount_release) struct mount m = {0};
	if (mount_flag(i, flag))
		parse_mount(mount_flag(i, flag), &m);
	return steal(&m.from);
}

static int apply_mount(struct evaluation *e, const char *text, struct error *err)
{
	CLEANUP(mount_release) struct mount m = {0};
	parse_mount(text, &m);
	_cleanup_free_ char *type = NULL, *source = NULL;
	bool uncertain = false;
	int r = evaluation_expand(e, m.type ? m.type : "bind", NULL, &type, err);
	if (r == 0)
		r = evaluation_expand(e, m.source ? m.source : "", &uncertain, &source, err);
	if (r < 0)
		return r;
	long stage = m.from ? find_stage(e->dockerfile, m.from, true, e->current) : -1;
	if (stage >= 0) {
		r = mark_read(e, &e->states[stage], 0, err);
	} else if (!m.from && strcasecmp(type, "bind") == 0) {
		char *path = uncertain ? xstrdup(".") : context_path(source);
		if (strv_contains(&e->map->bind_mounts, path))
			free(path);
		else
			strv_push_owned(&e->map->bind_mounts, path);
	}
	return r;
}

static int apply_run(struct evaluation *e, const struct instruction *i, struct error *err)
{
	struct stage_state *s = current_state(e);
	s->has_run = true;
	if (!s->first_run_line)
		s->first_run_line = e->line;
	int r = mark_read(e, s, s->marked, err);
	s->marked = s->landed.len;
	for (size_t f = 0; f < i->flags.len && r == 0; f++)
		if (mount_flag(i, f))
			r = apply_mount(e, mount_flag(i, f), err);
	return r;
}

static int (*const appliers[INSTRUCTION_KINDS])(struct evaluation *e, const struct instruction *i,
						struct error *err) = {
	[INSTRUCTION_ADD] = evaluate_copy,
	[INSTRUCTION_ARG] = apply_arg,
	[INSTRUCTION_CMD] = apply_cmd,
	[INSTRUCTION_COPY] = evaluate_copy,
	[INSTRUCTION_ENTRYPOINT] = apply_entrypoint,
	[INSTRUCTION_ENV] = apply_env,
	[INSTRUCTION_EXPOSE] = apply_expose,
	[INSTRUCTION_ONBUILD] = apply_onbuild,
	[INSTRUCTION_RUN] = apply_run,
	[INSTRUCTION_SHELL] = apply_shell,
	[INSTRUCTION_STOPSIGNAL] = apply_stop_signal,
	[INSTRUCTION_USER] = apply_user,
	[INSTRUCTION_VOLUME] = apply_volume,
	[INSTRUCTION_WORKDIR] = apply_workdir,
};

int instruction_apply(struct evaluation *e, const struct instruction *i, struct error *err)
{
	return appliers[i->kind] ? appliers[i->kind](e, i, err) : 0;
}
