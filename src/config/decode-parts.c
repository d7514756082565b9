/* Sync, hooks, deploying and the small settings. */
#include "config/decode.h"

#include <ctype.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

const char *sync_mode_name(enum sync_mode mode)
{
	static const char *const names[] = {"none", "manual", "infer", "auto"};
	return (size_t)mode < ARRAY_LEN(names) ? names[mode] : "unknown";
}

void decode_auto(struct decoder *d, const struct yaml_node *value, void *target)
{
	if (value->kind == YAML_MAPPING)
		decode_section(d, &section_sync_auto, value, target);
}

void decode_container_hook(struct decoder *d, const struct yaml_node *value, void *target)
{
	struct hook *hook = target;
	hook->container = true;
	decode_section(d, &section_container_hook, value, target);
}

void finish_hook(struct decoder *d, const struct yaml_node *node, void *target)
{
	const struct hook *hook = target;
	if (node && hook->command.len == 0)
		diagnostics_error(d->d, node->place, "a hook without a command");
}

static void check_command(struct decoder *d, const struct yaml_node *node, const struct strv *command)
{
	const struct yaml_node *written = yaml_get(node, "command");
	const char *word = yaml_text(written) ? yaml_text(written) : command->len ? command->items[0] : NULL;
	if (word && word[strspn(word, " \t\n")] == '\0')
		diagnostics_error(d->d, written->place, "a command without a word");
}

void finish_generator(struct decoder *d, const struct yaml_node *node, void *target)
{
	const struct sync_generator *generator = target;
	const struct yaml_node *sync = yaml_get(node, "sync");
	check_command(d, node, &generator->command);
	if (sync && generator->sync.len == 0)
		diagnostics_error(d->d, sync->place, "'sync' names nothing that the command writes");
}

void finish_sync_program(struct decoder *d, const struct yaml_node *node, void *target)
{
	const struct sync_program *program = target;
	if (node)
		check_command(d, node, &program->command);
}

void finish_sync_rule(struct decoder *d, const struct yaml_node *node, void *target)
{
	(void)node;
	const struct sync_rule *rule = target;
	if (rule->strip.value && rule->src.value && !str_starts_with(rule->src.value, rule->strip.value))
		diagnostics_error(d->d, rule->strip.place, "strip '%s' is not what src '%s' starts with",
				  rule->strip.value, rule->src.value);
}

/* Restarting after a sync. */

static const struct {
	const char *name;
	int number;
} signals[] = {
	{"HUP", SIGHUP},   {"INT", SIGINT},	{"QUIT", SIGQUIT}, {"KILL", SIGKILL},
	{"USR1", SIGUSR1}, {"USR2", SIGUSR2},	{"TERM", SIGTERM}, {"CONT", SIGCONT},
	{"STOP", SIGSTOP}, {"WINCH", SIGWINCH}, {"ALRM", SIGALRM},
};

static void choose_restart(struct artifact *a, enum restart_kind kind, int number)
{
	a->restart = kind;
	a->signal = number;
}

void decode_restart(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)d;
	bool on = false;
	if (yaml_bool(value, &on) && on)
		choose_restart(target, RESTART_CONTAINER, 0);
}

void decode_signal(struct decoder *d, const struct yaml_node *value, void *target)
{
	const char *text = yaml_text(value), *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	const char *names[ARRAY_LEN(signals) + 1] = {NULL};
	uint64_t number = 0;
	if (parse_uint(text, 64, &number) == 0 && number > 0) {
		choose_restart(target, RESTART_SIGNAL, (int)number);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		names[i] = signals[i].name;
		if (strcasecmp(name, signals[i].name) == 0) {
			choose_restart(target, RESTART_SIGNAL, signals[i].number);
			return;
		}
	}
	_cleanup_free_ char *hint = suggestion(name, names);
	diagnostics_error(d->d, value->place, "no signal has the name '%s'%s", text, hint);
}

/* Ports. */

static bool is_port(int64_t number)
{
	return number > 0 && number <= 65535;
}

void decode_port(struct decoder *d, const struct yaml_node *value, void *target)
{
	struct port_forward *forward = target;
	int64_t number = 0;
	if (!yaml_int(value, &number)) {
		replace_string(&forward->port_name, yaml_text(value));
		return;
	}
	if (is_port(number))
		forward->port = (unsigned)number;
	else
		diagnostics_error(d->d, value->place, "no port has the number %s (1 to 65535)", value->text);
}

void finish_port_forward(struct decoder *d, const struct yaml_node *node, void *target)
{
	struct port_forward *forward = target;
	const struct yaml_node *local = yaml_get(node, "localPort");
	if (local && forward->local_port > 65535)
		diagnostics_error(d->d, local->place, "no port has the number %s (1 to 65535)", local->text);
	if (!forward->address)
		forward->address = xstrdup("127.0.0.1");
}

/* Small settings. */

void decode_local_push(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	d->config->local.push_set = yaml_bool(value, &d->config->local.push);
}

void decode_local_buildkit(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	d->config->local.use_buildkit_set = yaml_bool(value, &d->config->local.use_buildkit);
}

void decode_status_check(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	d->config->status_check_set = yaml_bool(value, &d->config->status_check);
}

/* The files were read before anything is decoded; here only what is not followed is told. */
void decode_requires(struct decoder *d, const struct yaml_node *value, void *target)
{
	for vec_each (item, &value->items)
		decode_section(d, &section_config_dependency, *item, target);
}

void decode_run(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	for vec_each (pair, &value->pairs) {
		struct run_config *run = vec_add(&d->config->run);
		decode_section(d, &section_run, pair->value, run);
		run->image = xstrdup(pair->key->text);
		run->place = pair->key->place;
	}
}

/* Tag policies. */

static bool choose_policy(const struct yaml_node *node, struct tag_rule *rule)
{
	static const struct {
		const char *key;
		enum tag_policy policy;
	} policies[] = {{"inputDigest", TAG_INPUT_DIGEST},
			{"gitCommit", TAG_GIT_COMMIT},
			{"sha256", TAG_SHA256},
			{"dateTime", TAG_DATE_TIME},
			{"envTemplate", TAG_ENV_TEMPLATE},
			{"customTemplate", TAG_CUSTOM_TEMPLATE}};
	for (size_t i = 0; i < ARRAY_LEN(policies); i++)
		if (yaml_pair(node, policies[i].key)) {
			rule->policy = policies[i].policy;
			return true;
		}
	return false;
}

void finish_tag_policy(struct decoder *d, const struct yaml_node *node, void *target)
{
	(void)d;
	choose_policy(node, target);
}

void finish_tag_component(struct decoder *d, const struct yaml_node *node, void *target)
{
	struct tag_rule *rule = target;
	if (!rule->name)
		rule->name = xstrdup("");
	if (!choose_policy(node, rule))
		diagnostics_error(d->d, node->place, "the component '%s' has no tag policy", rule->name);
	for vec_each (other, &d->config->tag_components)
		if (other != rule && str_equal(other->name, rule->name))
			diagnostics_error(d->d, node->place, "two components have the name '%s'", rule->name);
}

void decode_custom_template(struct decoder *d, const struct yaml_node *value, void *target)
{
	struct config *config = d->config;
	for vec_each (component, &config->tag_components)
		tag_rule_release(component);
	vec_clear(&config->tag_components);
	decode_section(d, &section_custom_template, value, target);
	const struct yaml_node *components = yaml_get(value, "components");
	for (size_t i = 0; components && i < components->items.len; i++)
		decode_section(d, &section_tag_component, components->items.items[i], vec_add(&config->tag_components));
}

void decode_nested_template(struct decoder *d, const struct yaml_node *value, void *target)
{
	(void)target;
	diagnostics_error(d->d, value->place, "a component of a customTemplate can't be a customTemplate itself");
}
