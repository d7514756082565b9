#include "build/engine.h"

#include <errno.h>
#include <string.h>

#include "build/internal.h"
#include "client/docker.h"
#include "io/process.h"

int engine_image_id(struct docker *docker, const char *reference, char **id, struct cancel *cancel, struct error *err)
{
	if (!docker)
		return error_set(err, ENOTCONN, "no container engine answers");
	_cleanup_free_ char *escaped = docker_escape(reference);
	_cleanup_free_ char *path = xasprintf("/images/%s/json", escaped);
	json_t *image = NULL;
	int r = docker_call(docker, "GET", path, NULL, &image, cancel, err);
	if (r < 0)
		return r;
	const char *found = json_string_value(json_object_get(image, "Id"));
	if (!found || !found[0])
		r = error_set(err, EPROTO, "the engine tells no id of the image %s", reference);
	else /* Podman leaves the algorithm away */
		*id = strchr(found, ':') ? xstrdup(found) : xasprintf("sha256:%s", found);
	json_decref(image);
	return r;
}

int engine_tag(struct docker *docker, const char *id, const char *reference, struct cancel *cancel, struct error *err)
{
	const char *slash = strrchr(reference, '/');
	const char *colon = strrchr(slash ? slash : reference, ':');
	_cleanup_free_ char *name = xstrndup(reference, colon ? (size_t)(colon - reference) : strlen(reference));
	_cleanup_free_ char *escaped_id = docker_escape(id), *repo = docker_escape(name),
			    *tag = docker_escape(colon ? colon + 1 : "latest");
	_cleanup_free_ char *path = xasprintf("/images/%s/tag?repo=%s&tag=%s", escaped_id, repo, tag);
	return docker_call(docker, "POST", path, NULL, NULL, cancel, err);
}

void engine_address(struct docker *docker, struct strv *env)
{
	const char *host = docker ? docker_host(docker) : "";
	if (str_starts_with(host, "unix://") || str_starts_with(host, "tcp://"))
		strv_pushf(env, "DOCKER_HOST=%s", host);
}

int engine_reuse(const struct build_request *request, const char *image_id, const char *tag, struct error *err)
{
	CLEANUP(error_clear) struct error missing = {0};
	_cleanup_free_ char *id = NULL, *tagged = NULL;
	int r = engine_image_id(request->docker, image_id, &id, request->cancel, &missing);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_move(err, &missing);
	if (engine_image_id(request->docker, tag, &tagged, request->cancel, NULL) == 0 && str_equal(tagged, id))
		return 1;
	r = engine_tag(request->docker, id, tag, request->cancel, err);
	return r < 0 ? r : 1;
}

int engine_program(struct docker *docker, char **program, char **host, struct error *err)
{
	const char *engine = docker ? docker_host(docker) : "";
	bool podman = strstr(engine, "podman") != NULL;
	*host = NULL;
	*program = process_find("docker");
	if (*program) {
		if (podman && !getenv("DOCKER_HOST"))
			*host = xstrdup(engine);
		return 0;
	}
	*program = podman ? process_find("podman") : NULL;
	if (*program)
		return 0;
	return error_set(err, ENOENT,
			 "building needs the engine's command line program, and there is no '%s' in PATH (Debian: "
			 "apt-get install %s)",
			 podman ? "podman" : "docker",
			 podman ? "podman" : "docker.io; elsewhere docs.docker.com/engine/install");
}
