#include "deploy/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static const char loopback[] = "127.0.0.1";

enum { PORT_MAX = 65535, CHOICES_MAX = 64 };

static void port_plan_release(struct port_plan *plan)
{
	free(plan->address);
	*plan = (struct port_plan){0};
}

void port_plans_release(struct port_plans *plans)
{
	for vec_each (plan, plans)
		free(plan->address);
	vec_release(plans);
}

static char *without_tag(const char *image)
{
	char *name = xstrdup(image);
	name[strcspn(name, "@")] = '\0';
	char *slash = strrchr(name, '/');
	char *colon = strchr(slash ? slash : name, ':');
	if (colon)
		*colon = '\0';
	return name;
}

char *image_base_name(const char *image)
{
	_cleanup_free_ char *name = without_tag(image);
	const char *slash = strrchr(name, '/');
	return xstrdup(slash ? slash + 1 : name);
}

bool image_is_named(const char *image, const char *name)
{
	_cleanup_free_ char *plain = without_tag(image), *base = image_base_name(image);
	return str_equal(image, name) || str_equal(plain, name) || str_equal(base, name);
}

static bool port_number(const char *text, unsigned *port)
{
	uint64_t value;
	if (parse_uint(text, PORT_MAX, &value) < 0 || value == 0)
		return false;
	*port = (unsigned)value;
	return true;
}

static bool valid_address(const char *address)
{
	struct in6_addr bytes;
	return inet_pton(AF_INET, address, &bytes) == 1 || inet_pton(AF_INET6, address, &bytes) == 1;
}

int port_parse(const char *text, struct port_plan *plan, struct error *err)
{
	CLEANUP(port_plan_release) struct port_plan parsed = {0};
	_cleanup_free_ char *rest = xstrdup(text);
	char *slash = strchr(rest, '/');
	bool valid = true;
	if (slash) {
		parsed.udp = str_equal(slash, "/udp");
		valid = parsed.udp || str_equal(slash, "/tcp");
		*slash = '\0';
	}
	char *container = strrchr(rest, ':');
	if (container)
		*container++ = '\0';
	valid = valid && port_number(container ? container : rest, &parsed.container);
	if (container) {
		char *host = strrchr(rest, ':');
		if (host) {
			*host++ = '\0';
			size_t len = strlen(rest);
			bool brackets = len > 2 && rest[0] == '[' && rest[len - 1] == ']';
			parsed.address = brackets ? xstrndup(rest + 1, len - 2) : xstrdup(rest);
			valid = valid && valid_address(parsed.address);
		}
		if (host && !*host) /* "ip::container" */
			parsed.wanted = 0;
		else
			valid = valid && port_number(host ? host : rest, &parsed.wanted);
		parsed.fixed = parsed.wanted != 0;
	}
	if (!valid)
		return error_set(
			err, EINVAL,
			"'%s' is no port: it is written 80, 8080:80 or 127.0.0.1:8080:80, with /udp where it is one",
			text);
	if (!parsed.address)
		parsed.address = xstrdup(loopback);
	*plan = parsed;
	parsed.address = NULL;
	return 0;
}

static int plan_texts(const struct strv *texts, bool *any, struct port_plans *plans, struct error *err)
{
	for (size_t i = 0; i < texts->len; i++) {
		struct port_plan plan;
		int r = port_parse(texts->items[i], &plan, err);
		if (r < 0)
			return r;
		vec_push(plans, plan);
		*any = true;
	}
	return 0;
}

int ports_plan(const struct config *config, const char *image, const struct run_config *run, const struct strv *exposed,
	       struct port_plans *plans, struct error *err)
{
	bool any = false;
	if (run) {
		CLEANUP(error_clear) struct error inner = {0};
		int r = plan_texts(&run->ports, &any, plans, &inner);
		if (r < 0)
			return error_at(err, run->place, -r, "%s", inner.message);
	}
	for vec_each (forward, &config->port_forward) {
		if (!forward->resource_type || strcasecmp(forward->resource_type, "container") != 0 ||
		    !forward->resource_name || !image_is_named(image, forward->resource_name) || forward->port == 0)
			continue;
		vec_push(plans, (struct port_plan){.address = xstrdup(forward->address ? forward->address : loopback),
						   .wanted = forward->local_port,
						   .container = forward->port});
		any = true;
	}
	bool ignored = false;
	return any ? 0 : plan_texts(exposed, &ignored, plans, err);
}

/* Binds for a moment; *port 0 becomes a free one. */
static bool bind_probe(const struct port_plan *plan, unsigned *port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)*port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
	bool is_v6 = inet_pton(AF_INET6, plan->address, &v6.sin6_addr) == 1;
	if (!is_v6 && inet_pton(AF_INET, plan->address, &v4.sin_addr) != 1)
		return false;
	struct sockaddr *address = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	socklen_t len = is_v6 ? sizeof(v6) : sizeof(v4);
	_cleanup_close_ int fd =
		socket(is_v6 ? AF_INET6 : AF_INET, (plan->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	int on = 1;
	if (fd < 0 || (!plan->udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0))
		return false;
	if (bind(fd, address, len) < 0)
		return errno != EADDRINUSE && *port != 0 &&
		       errno != EACCES; /* an address of another machine: the engine will say */
	if (*port == 0 && getsockname(fd, address, &len) == 0)
		*port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
	return true;
}

static bool usable(const struct port_plan *plan, unsigned port, bool (*taken)(void *data, unsigned port), void *data,
		   bool remote)
{
	return port && !taken(data, port) && (remote || bind_probe(plan, &port));
}

static bool choose_free(struct port_plan *plan, bool (*taken)(void *data, unsigned port), void *data)
{
	for (int i = 0; i < CHOICES_MAX; i++) {
		unsigned port = 0;
		if (bind_probe(plan, &port) && !taken(data, port)) {
			plan->local = port;
			return true;
		}
	}
	return false;
}

static unsigned held_before(const struct port_plans *before, const struct port_plan *plan)
{
	for (size_t i = 0; before && i < before->len; i++) {
		const struct port_plan *old = &before->items[i];
		if (old->container == plan->container && old->udp == plan->udp &&
		    str_equal(old->address, plan->address) && (!plan->fixed || old->local == plan->wanted))
			return old->local;
	}
	return 0;
}

static bool chosen_here(const struct port_plans *plans, unsigned port)
{
	for vec_each (plan, plans) {
		if (plan->local == port)
			return true;
	}
	return false;
}

int ports_choose(struct port_plans *plans, const struct port_plans *before, bool (*taken)(void *data, unsigned port),
		 void *data, bool remote, struct error *err)
{
	for vec_each (plan, plans)
		plan->local = 0;
	for vec_each (plan, plans) {
		unsigned held = held_before(before, plan);
		unsigned wanted = plan->wanted ? plan->wanted : plan->container;
		if (held && !taken(data, held) && !chosen_here(plans, held))
			plan->local = held;
		else if (!chosen_here(plans, wanted) && usable(plan, wanted, taken, data, remote))
			plan->local = wanted;
		else if (plan->fixed)
			return error_set(err, EADDRINUSE, "port %u of %s is taken by another program", wanted,
					 plan->address);
		else if (!choose_free(plan, taken, data))
			return error_set(err, EADDRINUSE, "no free port on %s for the container's port %u",
					 plan->address, plan->container);
	}
	return 0;
}
