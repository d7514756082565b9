#include <errno.h>

#include "base/path.h"
#include "runtime/docker-session.h"

/* The mount that holds the path, the deepest one; NULL: the root file system. */
static const struct docker_mount *mount_of(const struct session *session, const char *dest)
{
	const struct docker_mount *found = NULL;
	for vec_each (mount, &session->mounts)
		if (path_below(dest, mount->at) && (!found || strlen(mount->at) > strlen(found->at)))
			found = mount;
	return found;
}

static struct docker_route refuse(int code, const char *why, const char *help)
{
	return (struct docker_route){.way = WAY_REFUSED, .code = code, .why = why, .help = help};
}

struct docker_route docker_route(const struct session *session, const char *dest, const struct looked *looked)
{
	const struct docker_mount *mount = mount_of(session, dest);
	bool temporary = mount ? mount->temporary : looked && looked->temporary && !session->root_temporary;
	if (mount && !mount->writable)
		return refuse(EROFS, "it is in a mount that is read-only in the container",
			      "mount it writable, or change the file where it is mounted from");
	if (temporary && !session->running)
		return refuse(ENOTSUP, "it is in a tmpfs, which a container that does not run has lost",
			      "start the container; its files in a tmpfs are carried then");
	if (temporary)
		return (struct docker_route){.way = WAY_TAR};
	if (mount && str_equal(mount->at, dest))
		return (struct docker_route){.way = WAY_IN_PLACE};
	if (!session->read_only)
		return (struct docker_route){.way = WAY_ARCHIVE};
	if (mount)
		return (struct docker_route){.way = WAY_VOLUME, .base = mount->at};
	return refuse(EROFS, "the container's root file system is read-only",
		      "run it without --read-only in development, or mount a volume there");
}

/* What helps, by the kind of failure; the last one is for all others. */
static const struct {
	int code;
	const char *help;
} helps[] = {
	{EROFS, "run it without --read-only in development, or mount a writable volume there"},
	{ENOSPC, "the engine's disk is full: docker system df, docker system prune"},
	{ENOTDIR, "a directory on its way is a file in the container: a rebuild puts that right"},
	{EBUSY,
	 "it is the place of a mount in the container: mount it elsewhere, or change it where it is mounted from"},
	{EACCES, "make it readable for you, or writable for the engine's root"},
	{ENOTSUP, "rebuild the image"},
	{0, "rebuild the image; `docker logs` and the engine's log may say more"},
};

void docker_explain(const struct session *session, const char *dest, const struct looked *looked, int code,
		    const char *words, const char *help, struct carry_result *result)
{
	const struct docker_mount *mount = mount_of(session, dest);
	_cleanup_free_ char *room =
		code == ENOSPC && mount ? xasprintf("make room in what is mounted at %s", mount->at) : NULL;
	size_t i = 0;
	while (helps[i].code && helps[i].code != code)
		i++;
	_cleanup_free_ char *owner =
		looked ? xasprintf(" (%s %u:%u)", looked->exists ? "owned by" : "its directory is owned by",
				   looked->uid, looked->gid)
		       : xstrdup("");
	free(result->message);
	result->code = code;
	result->outside = mount != NULL;
	result->message = xasprintf("can't carry %s%s into %s, which runs as %s: %s; %s", dest, owner, session->name,
				    *session->user ? session->user : "root", words,
				    room   ? room
				    : help ? help
					   : helps[i].help);
}
