#include <ctype.h>
#include <string.h>

#include "build/docker.h"
#include "build/expand.h"

static void add_options(struct strv *argv, const char *option, const struct strv *values)
{
	for (size_t i = 0; i < values->len; i++) {
		strv_push(argv, option);
		strv_push(argv, values->items[i]);
	}
}

static void add_option(struct strv *argv, const char *option, const char *value)
{
	if (value && value[0]) {
		strv_push(argv, option);
		strv_push(argv, value);
	}
}

static void add_secrets(struct strv *argv, const struct docker_config *docker)
{
	for (size_t i = 0; i < docker->secrets_len; i++) {
		strv_push(argv, "--secret");
		if (docker->secrets[i].src)
			strv_pushf(argv, "id=%s,src=%s", docker->secrets[i].id, docker->secrets[i].src);
		else if (docker->secrets[i].env)
			strv_pushf(argv, "id=%s,env=%s", docker->secrets[i].id, docker->secrets[i].env);
		else
			strv_pushf(argv, "id=%s", docker->secrets[i].id);
	}
}

int docker_build_argv(const struct build_request *request, const struct docker_build *build, struct strv *argv,
		      struct error *err)
{
	const struct artifact *artifact = request->artifact;
	const struct docker_config *docker = &artifact->docker;
	CLEANUP(strv_release) struct strv declared = {0}, arguments = {0};
	build_args_declared(build->dockerfile_text, &declared);
	int r = build_args_expand(request, &declared, &arguments, err);
	if (r < 0)
		return r;

	strv_push(argv, build->program);
	strv_push(argv, "build");
	strv_push(argv, artifact->context);
	add_option(argv, "--file", build->dockerfile);
	add_option(argv, "--tag", build->tag);
	add_option(argv, "--iidfile", build->id_file);
	strv_push(argv,
		  "--force-rm"); /* the classic builder keeps the container of a RUN that failed; BuildKit has none */
	add_options(argv, "--build-arg", &arguments);
	add_options(argv, "--add-host", &docker->add_host);
	add_options(argv, "--cache-from", &docker->cache_from);
	add_options(argv, "--cache-to", &docker->cache_to);
	strv_extend(argv, &docker->cli_flags);
	add_option(argv, "--target", docker->target);
	if (docker->network) {
		_cleanup_free_ char *network = xstrdup(docker->network);
		for (char *p = network; *p && !strchr(network, ':'); p++)
			*p = (char)tolower(
				(unsigned char)*p); /* "Host", "None" and "Bridge" are how the schema writes them */
		add_option(argv, "--network", network);
	}
	if (docker->no_cache)
		strv_push(argv, "--no-cache");
	if (docker->squash)
		strv_push(argv, "--squash");
	if (docker->pull_parent)
		strv_push(argv, "--pull");
	add_secrets(argv, docker);
	add_option(argv, "--ssh", docker->ssh);
	_cleanup_free_ char *platforms = strv_join(&artifact->platforms, ",");
	add_option(argv, "--platform", platforms);
	return 0;
}
