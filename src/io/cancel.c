#include "io/cancel.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"

struct cancel {
	atomic_uint references;
	atomic_bool requested;
	int fd; /* an eventfd; -1 where the process was out of descriptors: then only cancel_requested tells */
};

struct cancel *cancel_new(void)
{
	struct cancel *c = xcalloc(1, sizeof(*c));
	atomic_init(&c->references, 1);
	atomic_init(&c->requested, false);
	c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return c;
}

struct cancel *cancel_ref(struct cancel *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
	return c;
}

void cancel_unref(struct cancel *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) > 1)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

void cancel_request(struct cancel *c)
{
	if (atomic_exchange(&c->requested, true) || c->fd < 0)
		return;
	int saved = errno;
	uint64_t one = 1;
	ssize_t ignored = write(c->fd, &one, sizeof(one)); /* can't fail: the counter is 0 */
	(void)ignored;
	errno = saved;
}

bool cancel_requested(const struct cancel *c)
{
	return c && atomic_load(&c->requested);
}

int cancel_fd(const struct cancel *c)
{
	return c ? c->fd : -1;
}
