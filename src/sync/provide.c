/* The other way round: a destination is given, which files do the rules bring there? */
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "sync/source-internal.h"

/* rule.dest as a place in the container; NULL where the WORKDIR is needed and not known. */
static char *absolute_dest(const struct sync_source *s, const struct sync_rule *rule)
{
	if (!path_is_absolute(rule->dest.value) && !s->workdir)
		return NULL;
	_cleanup_free_ char *joined = path_join(s->workdir ? s->workdir : "/", rule->dest.value);
	return path_normalize(joined);
}

static void add_if_there(const struct sync_source *s, const struct source_rule *rule, const char *rel, bool directory,
			 struct provider_list *out)
{
	_cleanup_free_ char *joined = path_join(s->artifact->context, rel), *path = path_normalize(joined);
	mode_t mode = s->world.mode(s->world.data, path);
	bool inside = directory && S_ISDIR(mode) && glob_may_match_below(rule->src.glob, rel);
	if (mode && (inside || glob_match(rule->src.glob, rel)))
		vec_push(out, (struct provider){steal(&path), S_ISDIR(mode)});
}

void sync_source_providers(const struct sync_source *s, const char *dest, bool directory, struct provider_list *out)
{
	for (size_t i = s->rules.len; i-- > 0;) {
		const struct source_rule *rule = &s->rules.items[i];
		const char *strip = rule->written->strip.value ? rule->written->strip.value : "";
		_cleanup_free_ char *root = absolute_dest(s, rule->written);
		const char *rest = root ? path_below(dest, root) : NULL;
		if (!rest)
			continue;
		_cleanup_free_ char *stripped = xasprintf("%s%s", strip, rest);
		if (*stripped)
			add_if_there(s, rule, stripped, directory, out);
		/* What does not begin with strip lands with all of its path. */
		if (*strip && *rest && !str_starts_with(rest, strip))
			add_if_there(s, rule, rest, directory, out);
	}
}

void provider_list_release(struct provider_list *list)
{
	for vec_each (provider, list)
		free(provider->path);
	vec_release(list);
}
