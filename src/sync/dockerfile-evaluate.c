/* Stages, one after the other → the copy map. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#include "base/path.h"
#include "sync/dockerfile-state.h"

enum {
	SPEND_MAX = 64 << 20, /* bytes */
};

int evaluation_fail(const struct evaluation *e, struct error *err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *words = xvasprintf(fmt, ap);
	va_end(ap);
	return error_at(err, (struct place){.file = e->dockerfile->name, .line = e->line}, EINVAL, "%s", words);
}

int evaluation_spend(struct evaluation *e, size_t bytes, struct error *err)
{
	e->spent += bytes;
	return e->spent > SPEND_MAX
		       ? evaluation_fail(e, err, "what the stages copy from each other grows past all bounds")
		       : 0;
}

int expand_with(struct evaluation *e, struct expander *expander, const char *word, bool *uncertain, char **result,
		struct error *err)
{
	_cleanup_free_ char *mistake = NULL;
	if (expand_word(expander, word, result, &mistake) < 0)
		return evaluation_fail(e, err, "'%.100s': %s", word, mistake);
	if (uncertain)
		*uncertain = *uncertain || expander->uncertain;
	int r = evaluation_spend(e, strlen(*result), err);
	if (r < 0) {
		free(*result);
		*result = NULL;
	}
	return r;
}

int evaluation_expand(struct evaluation *e, const char *word, bool *uncertain, char **result, struct error *err)
{
	struct stage_state *s = current_state(e);
	struct expander expander = {.env = &s->env,
				    .args = &s->args,
				    .escape = e->dockerfile->escape,
				    .base_unknown = s->unknown_base};
	return expand_with(e, &expander, word, uncertain, result, err);
}

long find_stage(const struct dockerfile *d, const char *name, bool numbers, size_t limit)
{
	uint64_t number;
	if (numbers && parse_uint(name, d->stages.len, &number) == 0)
		return number < limit ? (long)number : -1;
	for (size_t i = limit; i-- > 0;)
		if (d->stages.items[i].name && strcasecmp(d->stages.items[i].name, name) == 0)
			return (long)i;
	return -1;
}

int land(struct evaluation *e, struct stage_state *s, const struct copy_rule *rule, size_t origin, struct error *err)
{
	size_t size = sizeof(struct landed) + (rule->sources.len ? strlen(rule->sources.items[0]) : 0) +
		      (rule->dest ? strlen(rule->dest) : 0);
	int r = evaluation_spend(e, size + 64, err);
	if (r < 0)
		return r;
	struct landed *landed = vec_add(&s->landed);
	*landed = (struct landed){.rule = copy_rule_clone(rule), .origin = origin};
	return 0;
}

/* FROM an earlier stage: goes on where that one ended. */
static int continue_stage(struct evaluation *e, const struct stage_state *from, struct error *err)
{
	struct stage_state *s = current_state(e);
	size_t variables = 0;
	for vec_each (variable, &from->env)
		variables += strlen(variable->value) + 64;
	int r = evaluation_spend(e, variables, err);
	variables_copy(&s->env, &from->env);
	variables_copy(&s->args, &from->args);
	s->workdir = xstrdup(from->workdir);
	s->unknown_base = xstrdup_or_null(from->unknown_base);
	s->scratch = from->scratch;
	s->has_run = from->has_run;
	s->base_line = from->base_line;
	s->first_run_line = from->first_run_line;
	for vec_each (landed, &from->landed) {
		if (r == 0)
			r = land(e, s, &landed->rule, landed->origin, err);
		if (r == 0)
			s->landed.items[s->landed.len - 1].rule.inherited = true;
	}
	strv_extend(&s->shell, &from->shell);
	strv_extend(&s->entrypoint, &from->entrypoint);
	strv_extend(&s->cmd, &from->cmd);
	strv_extend(&s->exposed, &from->exposed);
	strv_extend(&s->volumes, &from->volumes);
	s->user = xstrdup_or_null(from->user);
	s->stop_signal = xstrdup_or_null(from->stop_signal);
	for vec_each (trigger, &from->triggers)
		if (r == 0)
			r = instruction_apply(e, *trigger, err);
	return r;
}

static int apply_trigger_line(struct evaluation *e, const char *line, const char *image, struct error *err)
{
	struct instruction i = {0};
	struct place place = {.file = e->dockerfile->name, .line = e->line};
	int r = instruction_parse(&i, line, '\\', place, err);
	if (r < 0)
		error_wrap(err, "an ONBUILD trigger of %s", image);
	else
		r = instruction_apply(e, &i, err);
	instruction_release(&i);
	return r;
}

static int start_from_image(struct evaluation *e, const char *name, struct error *err)
{
	struct stage_state *s = current_state(e);
	CLEANUP(base_image_release) struct base_image image = {0};
	s->base_line = e->line;
	if (!strv_contains(&e->map->bases, name))
		strv_push(&e->map->bases, name);
	if (e->context->base_image)
		e->context->base_image(e->context->data, name, &image);
	if (!image.known) {
		s->unknown_base = xstrdup(name);
		s->workdir = xstrdup(".");
		return 0;
	}
	_cleanup_free_ char *workdir = path_join("/", image.workdir ? image.workdir : "");
	s->workdir = path_normalize(workdir);
	int r = 0;
	for (size_t i = 0; i < image.env.len && r == 0; i++) {
		const char *equals = strchr(image.env.items[i], '=');
		_cleanup_free_ char *key = xstrndup(image.env.items[i], strcspn(image.env.items[i], "="));
		r = set_variable(e, &s->env, key, equals ? equals + 1 : "", false, err);
	}
	for (size_t i = 0; i < image.onbuild.len && r == 0; i++)
		r = apply_trigger_line(e, image.onbuild.items[i], name, err);
	return r;
}

static int start_stage(struct evaluation *e, const struct stage *stage, struct error *err)
{
	struct expander expander = {.env = &e->meta, .escape = e->dockerfile->escape};
	_cleanup_free_ char *base = NULL;
	int r = expand_with(e, &expander, stage->base, NULL, &base, err);
	if (r < 0)
		return r;
	if (*base == '\0')
		return evaluation_fail(e, err, "FROM %s: nothing is left of the name; a build argument is missing",
				       stage->base);
	long earlier = find_stage(e->dockerfile, base, false, e->current);
	if (earlier >= 0)
		return continue_stage(e, &e->states[earlier], err);
	if (strcmp(base, "scratch") != 0)
		return start_from_image(e, base, err);
	current_state(e)->scratch = true;
	current_state(e)->workdir = xstrdup("/");
	return 0;
}

/* What every build has, before what the file and the person set. */
static void set_platform(struct evaluation *e)
{
	static const struct {
		const char *machine, *architecture, *variant;
	} machines[] = {{"x86_64", "amd64", ""},
			{"aarch64", "arm64", ""},
			{"armv7l", "arm", "v7"},
			{"armv6l", "arm", "v6"},
			{"i686", "386", ""}};
	struct utsname host;
	const char *architecture = "amd64", *variant = "";
	if (uname(&host) == 0) {
		architecture = host.machine;
		for (size_t m = 0; m < ARRAY_LEN(machines); m++)
			if (strcmp(machines[m].machine, host.machine) == 0) {
				architecture = machines[m].architecture;
				variant = machines[m].variant;
			}
	}
	_cleanup_free_ char *platform = xasprintf("linux/%s%s%s", architecture, *variant ? "/" : "", variant);
	const char *const values[][2] = {{"PLATFORM", platform},
					 {"OS", "linux"},
					 {"ARCH", architecture},
					 {"VARIANT", variant}};
	static const char *const prefixes[] = {"BUILD", "TARGET"};
	for (size_t p = 0; p < ARRAY_LEN(prefixes); p++) {
		for (size_t v = 0; v < ARRAY_LEN(values); v++) {
			_cleanup_free_ char *name = xasprintf("%s%s", prefixes[p], values[v][0]);
			const char *given = build_argument(e, name);
			variables_set(&e->meta, name, given ? given : values[v][1], false);
		}
	}
}

/* Which stages the target needs. Stages refer to earlier ones only. */
static int find_reachable(struct evaluation *e, struct error *err)
{
	const struct dockerfile *d = e->dockerfile;
	e->reachable[e->target] = true;
	for (size_t s = e->target + 1; s-- > 0;) {
		if (!e->reachable[s])
			continue;
		struct expander expander = {.env = &e->meta, .escape = d->escape};
		_cleanup_free_ char *base = NULL;
		e->line = d->instructions.items[d->stages.items[s].from].line;
		int r = expand_with(e, &expander, d->stages.items[s].base, NULL, &base, err);
		if (r < 0)
			return r;
		long other = find_stage(d, base, false, s);
		if (other >= 0)
			e->reachable[other] = true;
		for (size_t n = d->stages.items[s].from; n < d->stages.items[s].end; n++) {
			const struct instruction *i = &d->instructions.items[n];
			const char *from = i->kind == INSTRUCTION_COPY ? instruction_flag(i, "from") : NULL;
			other = from ? find_stage(d, from, true, s) : -1;
			if (other >= 0)
				e->reachable[other] = true;
			for (size_t f = 0; f < i->flags.len; f++) {
				_cleanup_free_ char *mounted = instruction_mount_from(i, f);
				other = mounted ? find_stage(d, mounted, true, s) : -1;
				if (other >= 0)
					e->reachable[other] = true;
			}
		}
	}
	return 0;
}

static int evaluate_stages(struct evaluation *e, struct error *err)
{
	const struct dockerfile *d = e->dockerfile;
	set_platform(e);
	int r = 0;
	for (size_t n = 0; n < d->stages.items[0].from && r == 0; n++) {
		e->line = d->instructions.items[n].line;
		for (size_t a = 0; a < d->instructions.items[n].args.len && r == 0; a++)
			r = evaluate_arg(e, d->instructions.items[n].args.items[a], true, err);
	}
	if (r == 0)
		r = find_reachable(e, err);
	for (e->current = 0; e->current <= e->target && r == 0; e->current++) {
		const struct stage *stage = &d->stages.items[e->current];
		e->line = d->instructions.items[stage->from].line;
		r = start_stage(e, stage, err);
		for (size_t n = stage->from + 1; n < stage->end && r == 0; n++) {
			e->line = d->instructions.items[n].line;
			r = instruction_apply(e, &d->instructions.items[n], err);
		}
	}
	return r;
}

static void push_rule(struct copy_map *map, const struct copy_rule *rule, bool final, unsigned run_line)
{
	struct copy_rule *new = vec_add(&map->rules);
	*new = copy_rule_clone(rule);
	new->final = final;
	new->run_line = run_line;
}

static void collect_rules(struct evaluation *e)
{
	const struct stage_state *last = &e->states[e->target];
	_cleanup_free_ bool *lands_itself = xcalloc(e->origins.len + 1, sizeof(bool));
	for vec_each (landed, &last->landed)
		if (landed->origin != NO_ORIGIN && !landed->rule.lineage)
			lands_itself[landed->origin] = true;
	for (size_t o = 0; o < e->origins.len; o++)
		if (!lands_itself[o])
			push_rule(e->map, &e->origins.items[o].rule, false, e->origins.items[o].run_line);
	for vec_each (read, &e->reads)
		push_rule(e->map, read, false, read->run_line);
	for vec_each (landed, &last->landed) {
		unsigned run_line = landed->rule.run_line;
		if (!run_line && landed->origin != NO_ORIGIN)
			run_line = e->origins.items[landed->origin].run_line;
		push_rule(e->map, &landed->rule, true, run_line);
	}
}

static void collect_configuration(struct evaluation *e)
{
	struct stage_state *last = &e->states[e->target];
	struct copy_map *map = e->map;
	map->workdir_known = path_is_absolute(last->workdir);
	if (map->workdir_known)
		map->workdir = xstrdup(last->workdir);
	map->unknown_base = steal(&last->unknown_base);
	map->scratch = last->scratch;
	map->has_run = last->has_run;
	map->base_line = last->base_line;
	map->first_run_line = last->first_run_line;
	for vec_each (variable, &last->env)
		strv_pushf(&map->env, "%s=%s", variable->name, variable->value);
	map->entrypoint = last->entrypoint;
	map->cmd = last->cmd;
	map->exposed = last->exposed;
	map->volumes = last->volumes;
	last->entrypoint = last->cmd = last->exposed = last->volumes = (struct strv){0};
	map->user = steal(&last->user);
	map->stop_signal = steal(&last->stop_signal);
}

static void state_release(struct stage_state *s)
{
	variables_release(&s->env);
	variables_release(&s->args);
	free(s->workdir);
	free(s->unknown_base);
	for vec_each (landed, &s->landed)
		copy_rule_release(&landed->rule);
	vec_release(&s->landed);
	vec_release(&s->triggers);
	strv_release(&s->shell);
	strv_release(&s->entrypoint);
	strv_release(&s->cmd);
	strv_release(&s->exposed);
	strv_release(&s->volumes);
	free(s->user);
	free(s->stop_signal);
}

static void evaluation_release(struct evaluation *e)
{
	for (size_t s = 0; s <= e->target; s++)
		state_release(&e->states[s]);
	free(e->states);
	free(e->reachable);
	for vec_each (origin, &e->origins)
		copy_rule_release(&origin->rule);
	vec_release(&e->origins);
	for vec_each (read, &e->reads)
		copy_rule_release(read);
	vec_release(&e->reads);
	variables_release(&e->meta);
}

int dockerfile_evaluate(const struct dockerfile *d, const struct dockerfile_context *context, struct copy_map *map,
			struct error *err)
{
	size_t target = d->stages.len - 1;
	if (context->target && *context->target) {
		long found = find_stage(d, context->target, true, d->stages.len);
		if (found < 0)
			return error_at(err, (struct place){.file = d->name}, EINVAL, "there is no stage '%s'",
					context->target);
		target = (size_t)found;
	}
	struct copy_map result = {.name = xstrdup(d->name)};
	CLEANUP(evaluation_release)
	struct evaluation e = {
		.dockerfile = d,
		.context = context,
		.map = &result,
		.target = target,
		.reachable = xcalloc(target + 1, sizeof(bool)),
		.states = xcalloc(target + 1, sizeof(struct stage_state)),
	};
	int r = evaluate_stages(&e, err);
	if (r < 0) {
		copy_map_release(&result);
		return r;
	}
	collect_rules(&e);
	collect_configuration(&e);
	*map = result;
	return 0;
}
