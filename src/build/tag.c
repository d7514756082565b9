#include "build/tag.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/map.h"
#include "base/path.h"
#include "build/go-time.h"
#include "build/reference.h"
#include "format/template.h"
#include "io/process.h"

enum { PROGRAM_OUTPUT_MAX = 64 << 10, PROGRAM_TIMEOUT_MS = 10000 };

/* The trimmed output of a short program. */
static int ask(const char *const *argv, const char *directory, const char *const *env, struct cancel *cancel,
	       char **answer, struct error *err)
{
	CLEANUP(str_release) struct str output = {.max = PROGRAM_OUTPUT_MAX};
	const struct process_spec spec = {
		.argv = argv,
		.directory = directory,
		.env = env,
		.output = &output,
		.cancel = cancel,
		.timeout_ms = PROGRAM_TIMEOUT_MS,
	};
	int status = process_run(&spec, err);
	if (status < 0)
		return status;
	if (status > 0)
		return error_set(err, EIO, "%s %s: exit %d", argv[0], argv[1], status);
	while (output.len > 0 && isspace((unsigned char)output.data[output.len - 1]))
		output.data[--output.len] = '\0';
	*answer = str_steal(&output);
	return 0;
}

static int git(const struct build_request *request, char **answer, struct error *err, const char *const *arguments)
{
	const char *argv[8] = {"git"};
	size_t n = 1;
	for (; arguments[n - 1] && n < ARRAY_LEN(argv) - 1; n++)
		argv[n] = arguments[n - 1];
	return ask(argv, request->artifact->context, (const char *const[]){"LC_ALL=C", NULL}, request->cancel, answer,
		   err);
}
#define GIT(request, answer, err, ...) git(request, answer, err, (const char *const[]){__VA_ARGS__, NULL})

static int git_tree(const struct build_request *request, bool abbreviated, char **answer, struct error *err)
{
	_cleanup_free_ char *prefix = NULL;
	int r = GIT(request, &prefix, err, "rev-parse", "--show-prefix");
	if (r < 0)
		return r;
	_cleanup_free_ char *tree = xasprintf("HEAD:%s", prefix);
	return abbreviated ? GIT(request, answer, err, "rev-parse", "--short", tree)
			   : GIT(request, answer, err, "rev-parse", tree);
}

static int git_reference(const struct build_request *request, const char *variant, char **answer, struct error *err)
{
	if (!variant || !variant[0] || strcasecmp(variant, "Tags") == 0)
		return GIT(request, answer, err, "describe", "--tags", "--always");
	if (strcasecmp(variant, "CommitSha") == 0)
		return GIT(request, answer, err, "rev-list", "-1", "HEAD");
	if (strcasecmp(variant, "AbbrevCommitSha") == 0)
		return GIT(request, answer, err, "rev-list", "-1", "HEAD", "--abbrev-commit");
	if (strcasecmp(variant, "TreeSha") == 0)
		return git_tree(request, false, answer, err);
	if (strcasecmp(variant, "AbbrevTreeSha") == 0)
		return git_tree(request, true, answer, err);
	return error_set(err, EINVAL,
			 "'%s' is no variant of the gitCommit tag policy (Tags, CommitSha, AbbrevCommitSha, TreeSha, "
			 "AbbrevTreeSha)",
			 variant);
}

static int git_tag(const struct build_request *request, const struct tag_rule *rule, char **tag, struct error *err)
{
	_cleanup_free_ char *reference = NULL, *changes = NULL;
	int r = git_reference(request, rule->git_variant, &reference, err);
	if (r < 0)
		return r;
	if (!rule->git_ignore_changes) {
		r = GIT(request, &changes, err, "status", ".", "--porcelain");
		if (r < 0)
			return r;
	}
	_cleanup_free_ char *clean = reference_tag_from(reference);
	*tag = xasprintf("%s%s%s", rule->git_prefix ? rule->git_prefix : "", clean,
			 changes && changes[0] ? "-dirty" : "");
	return 0;
}

/* A time zone's offset and abbreviation at a moment, from `date`: the C library's own way is the environment of the whole process. */
static int zone_at(const struct build_request *request, const char *zone, struct go_time *time, char **abbreviation,
		   struct error *err)
{
	if (strstr(zone, "..") || zone[0] == '/')
		return error_set(err, EINVAL, "'%s' is no time zone", zone);
	_cleanup_free_ char *file = xasprintf("/usr/share/zoneinfo/%s", zone);
	if (!str_equal(zone, "Local") && !str_equal(zone, "UTC") && !file_exists(file))
		return error_set(err, EINVAL, "'%s' is no time zone known here (%s)", zone, file);
	_cleanup_free_ char *tz = str_equal(zone, "Local") ? NULL : xasprintf("TZ=%s", zone), *answer = NULL;
	_cleanup_free_ char *moment = xasprintf("@%lld", (long long)time->seconds);
	int r = ask((const char *const[]){"date", "-d", moment, "+%z %Z", NULL}, NULL,
		    (const char *const[]){"LC_ALL=C", tz, NULL}, request->cancel, &answer, err);
	if (r < 0)
		return r;
	int hours = 0, minutes = 0;
	char sign = '+', name[32] = "";
	if (sscanf(answer, "%c%2d%2d %31s", &sign, &hours, &minutes, name) != 4)
		return error_set(err, EPROTO, "date answers '%s'", answer);
	time->offset = (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	*abbreviation = xstrdup(name);
	return 0;
}

static int time_tag(const struct build_request *request, const struct tag_rule *rule, char **tag, struct error *err)
{
	uint64_t now = realtime_ns();
	struct go_time time = {.seconds = (int64_t)(now / 1000000000u), .nanoseconds = (unsigned)(now % 1000000000u)};
	_cleanup_free_ char *abbreviation = NULL;
	bool zone = rule->timezone && rule->timezone[0], layout = rule->template && rule->template[0];
	int r = zone_at(request, zone ? rule->timezone : "Local", &time, &abbreviation, err);
	if (r < 0)
		return r;
	time.zone = abbreviation;
	CLEANUP(str_release) struct str text = {0};
	go_time_format(&time, layout ? rule->template : "2006-01-02_15-04-05.999_MST", &text);
	*tag = str_steal(&text);
	return 0;
}

struct template_names {
	const char *image;
	const struct map *components; /* name → text */
};

/* A component, else the environment: customTemplate's components hide variables of the same name. */
static const char *lookup(void *data, const char *name)
{
	const struct template_names *names = data;
	const char *component = map_get(names->components, name);
	if (component)
		return component;
	return str_equal(name, "IMAGE_NAME") ? names->image : getenv(name);
}

static int template_tag(const struct build_request *request, const struct tag_rule *rule, const struct map *components,
			char **tag, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	struct template_names names = {request->artifact->image.value, components};
	const struct template_variables variables = {.lookup = lookup, .data = &names};
	int r = template_expand(rule->template ? rule->template : "", &variables, &text, err);
	if (r < 0)
		return error_wrap(err, "the tag of %s", names.image);
	/* Old files write the whole reference. */
	_cleanup_free_ char *prefix = xasprintf("%s:", names.image);
	*tag = xstrdup(str_starts_with(text, prefix) ? text + strlen(prefix) : text);
	return 0;
}

/* What a rule gives by itself; also a component of a customTemplate. */
static int rule_tag(const struct build_request *request, const struct tag_rule *rule, const char *digest, char **tag,
		    struct error *err)
{
	static const struct map none = {0};
	switch (rule->policy) {
	case TAG_GIT_COMMIT:
		return git_tag(request, rule, tag, err);
	case TAG_DATE_TIME:
		return time_tag(request, rule, tag, err);
	case TAG_ENV_TEMPLATE:
		return template_tag(request, rule, &none, tag, err);
	case TAG_INPUT_DIGEST:
		*tag = xstrdup(digest ? digest : "latest");
		return 0;
	case TAG_SHA256:
		*tag = xstrdup("latest");
		return 0;
	default:
		return error_set(err, EINVAL, "unknown tag policy");
	}
}

static void put_component(struct map *components, const char *name, char *text)
{
	free(map_set(components, name, text));
}

/* GIT, DATE and SHA are there without being configured; one of them that has no text (no git) is an error only where it is used. */
static int evaluate_components(const struct build_request *request, const char *digest, struct map *components,
			       struct error *err)
{
	static const struct tag_rule known[] = {{.name = (char *)"GIT", .policy = TAG_GIT_COMMIT},
						{.name = (char *)"DATE", .policy = TAG_DATE_TIME},
						{.name = (char *)"SHA", .policy = TAG_SHA256}};
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		char *text = NULL;
		if (rule_tag(request, &known[i], digest, &text, NULL) == 0)
			put_component(components, known[i].name, text);
	}
	for vec_each (rule, &request->config->tag_components) {
		char *text = NULL;
		int r = rule_tag(request, rule, digest, &text, err);
		if (r < 0)
			return error_wrap(err, "the component %s of the tag of %s", rule->name,
					  request->artifact->image.value);
		put_component(components, rule->name, text);
	}
	return 0;
}

static void free_components(struct map *components)
{
	map_release(components, free);
}

static int custom_tag(const struct build_request *request, const char *digest, char **tag, struct error *err)
{
	CLEANUP(free_components) struct map components = {0};
	int r = evaluate_components(request, digest, &components, err);
	return r < 0 ? r : template_tag(request, &request->config->tag, &components, tag, err);
}

static void say(const struct build_request *request, const char *text)
{
	if (request->line)
		request->line(request->data, 2, text, strlen(text));
}

static int policy_tag(const struct build_request *request, const char *digest, char **tag, struct error *err)
{
	const struct tag_rule *rule = &request->config->tag;
	CLEANUP(error_clear) struct error inner = {0};
	if (rule->policy == TAG_CUSTOM_TEMPLATE)
		return custom_tag(request, digest, tag, err);
	int r = rule_tag(request, rule, digest, tag, &inner);
	if (r == 0)
		return 0;
	if (rule->policy != TAG_GIT_COMMIT || r == -EINVAL || r == -ECANCELED)
		return error_move(err, &inner);
	_cleanup_free_ char *text = xasprintf("no git commit for the tag of %s (%s): tagged 'latest'",
					      request->artifact->image.value, inner.message);
	say(request, text);
	*tag = xstrdup("latest");
	return 0;
}

int tag_make(const struct build_request *request, const char *digest, char **tag, struct error *err)
{
	CLEANUP(reference_release) struct reference written = {0};
	_cleanup_free_ char *placed = NULL, *chosen = NULL;
	const struct text *image = &request->artifact->image;
	CLEANUP(error_clear) struct error inner = {0};
	int r = reference_place(request->default_repo, image->value, &placed, &inner);
	if (r < 0)
		return error_at(err, image->place, -r, "%s", inner.message);
	r = reference_parse(placed, &written, err);
	if (r < 0)
		return r;
	if (request->tag && request->tag[0]) {
		chosen = xstrdup(request->tag);
	} else if (written.tag) {
		chosen = steal(&written.tag);
	} else {
		r = policy_tag(request, digest, &chosen, err);
		if (r < 0)
			return r;
	}
	if (!reference_tag_valid(chosen)) {
		_cleanup_free_ char *shown = str_printable(chosen);
		return error_set(err, EINVAL,
				 "'%s' can't be a tag of %s: letters, digits, '_', '.', '-', at most 128, not starting "
				 "with '.' or '-'",
				 shown, written.name);
	}
	*tag = xasprintf("%s:%s", written.name, chosen);
	return 0;
}
