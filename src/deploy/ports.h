/* Which ports of a container are published where. Parsing and planning are pure; choosing asks the kernel which are free. */
#ifndef DEPLOY_PORTS_H
#define DEPLOY_PORTS_H

#include "config/config.h"

struct port_plan {
	char *address;	 /* of the host, "127.0.0.1" where nothing else is written */
	unsigned wanted; /* local port asked for, 0: the container's if that is free */
	unsigned local;	 /* chosen; 0: not yet */
	unsigned container;
	bool udp;
	bool fixed; /* the person wrote "host:container": that port or an error */
};

VEC_TYPE(port_plans, struct port_plan);
void port_plans_release(struct port_plans *plans);

/* "container", "host:container", "ip:host:container", "[ip6]:host:container", each with "/tcp" or "/udp" behind. -EINVAL. */
int port_parse(const char *text, struct port_plan *plan, struct error *err);

/* What is to be published for an image: `ports` of run (may be NULL) and portForward entries for the container of that image; where there are neither, all
 * that the image exposes ("8080/tcp"). */
int ports_plan(const struct config *config, const char *image, const struct run_config *run, const struct strv *exposed,
	       struct port_plans *plans, struct error *err);

/* Fills in each `local`: as `before` had it (held by the container that is replaced), else as wanted, else a free one. taken: ports that others of this
 * run hold or that the engine refused. remote: the engine is on another machine, what is free there is not known. -EADDRINUSE for a fixed one that is taken. */
int ports_choose(struct port_plans *plans, const struct port_plans *before, bool (*taken)(void *data, unsigned port),
		 void *data, bool remote, struct error *err);

/* portForward's resourceName and the like: the image as written, without its tag, or its last element. */
bool image_is_named(const char *image, const char *name);

/* The last element of an image's name, without tag and digest. */
char *image_base_name(const char *image) RETURNS_OWNED;

#endif
