#include "deploy/kubernetes-ports.h"

#include <ctype.h>
#include <strings.h>

#include "deploy/ports.h"

static const char loopback[] = "127.0.0.1";

void held_ports_release(struct held_ports *held)
{
	for vec_each (port, held) {
		free(port->image);
		free(port->namespace_);
		free(port->resource);
		free(port->address);
		free(port->port);
	}
	vec_release(held);
}

static bool is_taken(void *data, unsigned port)
{
	const struct held_ports *held = data;
	for vec_each (other, held)
		if (other->local == port)
			return true;
	return false;
}

struct wish {
	const char *image, *namespace_, *address, *port;
	char *resource; /* taken over */
	unsigned container, wanted;
};

static int hold(struct held_ports *held, const struct wish *wish, struct error *err)
{
	_cleanup_free_ char *resource = wish->resource;
	for vec_each (port, held)
		if (str_equal(port->namespace_, wish->namespace_) && str_equal(port->resource, resource) &&
		    str_equal(port->port, wish->port) && str_equal(port->address, wish->address))
			return 0;
	struct port_plans plans = {0};
	vec_push(&plans, (struct port_plan){.address = xstrdup(wish->address),
					    .wanted = wish->wanted,
					    .container = wish->container});
	int r = ports_choose(&plans, NULL, is_taken, held, false, err);
	if (r == 0)
		vec_push(held, (struct held_port){.image = xstrdup(wish->image),
						  .namespace_ = xstrdup(wish->namespace_),
						  .resource = steal(&resource),
						  .address = xstrdup(wish->address),
						  .port = xstrdup(wish->port),
						  .local = plans.items[0].local,
						  .container = wish->container});
	port_plans_release(&plans);
	return r;
}

static char *resource_name(const char *kind, const char *name)
{
	char *resource = xasprintf("%s/%s", kind, name);
	for (char *p = resource; *p != '/'; p++)
		*p = (char)tolower((unsigned char)*p);
	return resource;
}

static const struct deploy_object *object_of(const struct deploy_objects *objects, const struct port_forward *forward)
{
	for vec_each (object, objects)
		if (strcasecmp(object->manifest->kind, forward->resource_type) == 0 &&
		    str_equal(object->manifest->name, forward->resource_name) &&
		    (!forward->namespace_ || str_equal(forward->namespace_, object->namespace_)))
			return object;
	return NULL;
}

/* Of the container engine's: ports.h. */
static bool is_resource(const struct port_forward *forward)
{
	return forward->resource_type && forward->resource_name && strcasecmp(forward->resource_type, "container") != 0;
}

static int plan_written(struct held_ports *held, const struct port_forward *forward,
			const struct deploy_objects *objects, const char *image, const char *namespace_,
			struct error *err)
{
	const struct deploy_object *object = object_of(objects, forward);
	bool anybody = !object || object->images.len + object->serves.len == 0;
	if (!anybody && !strv_contains(&object->images, image) && !strv_contains(&object->serves, image))
		return 0;
	_cleanup_free_ char *number = xasprintf("%u", forward->port);
	const struct wish wish = {
		.image = image,
		.namespace_ = forward->namespace_ ? forward->namespace_
			      : object		  ? object->namespace_
						  : namespace_,
		.address = forward->address ? forward->address : loopback,
		.port = forward->port_name ? forward->port_name : number,
		.resource = resource_name(forward->resource_type, forward->resource_name),
		.container = forward->port,
		.wanted = forward->local_port,
	};
	return hold(held, &wish, err);
}

static bool can_be_forwarded(const char *kind)
{
	static const char *const kinds[] = {"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_equal(kind, kinds[i]))
			return true;
	return false;
}

static int plan_exposed(struct held_ports *held, const struct deploy_object *object, const char *image,
			struct error *err)
{
	struct port_numbers numbers = {0};
	int r = 0;
	if (object->manifest->name && can_be_forwarded(object->manifest->kind))
		manifest_ports(object->manifest, image, &numbers);
	for (size_t i = 0; r == 0 && i < numbers.len; i++) {
		_cleanup_free_ char *number = xasprintf("%u", numbers.items[i]);
		const struct wish wish = {.image = image,
					  .namespace_ = object->namespace_,
					  .address = loopback,
					  .port = number,
					  .resource = resource_name(object->manifest->kind, object->manifest->name),
					  .container = numbers.items[i]};
		r = hold(held, &wish, err);
	}
	vec_release(&numbers);
	return r;
}

int held_ports_plan(struct held_ports *held, const struct config *config, const struct deploy_objects *objects,
		    const char *image, const char *namespace_, struct error *err)
{
	bool written = false;
	int r = 0;
	for (size_t i = 0; r == 0 && i < config->port_forward.len; i++) {
		const struct port_forward *forward = &config->port_forward.items[i];
		if (!is_resource(forward))
			continue;
		written = true;
		r = plan_written(held, forward, objects, image, namespace_, err);
	}
	for (size_t i = 0; r == 0 && !written && i < objects->len; i++)
		r = plan_exposed(held, &objects->items[i], image, err);
	return r;
}
