#include "cli/source-set.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "build/base-image.h"
#include "client/docker.h"
#include "io/cancel.h"

enum { ENGINE_DEADLINE_MS = 300 };

struct engine {
	struct docker *docker;
	bool asked;
};

static struct cancel *deadline;

static void on_alarm(int signal)
{
	(void)signal;
	cancel_request(deadline);
}

/* An engine that hangs must not hold up an answer that needs none. */
static void connect_quickly(struct engine *engine)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	struct sigaction before;
	deadline = cancel_new();
	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_usec = ENGINE_DEADLINE_MS * 1000}}, NULL);
	if (docker_connect(&engine->docker, deadline, NULL) < 0)
		engine->docker = NULL;
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	sigaction(SIGALRM, &before, NULL);
	cancel_unref(deadline);
}

static void ask(void *data, const char *name, struct base_image *image)
{
	struct engine *engine = data;
	if (!engine->asked)
		connect_quickly(engine);
	engine->asked = true;
	base_image_lookup(engine->docker, name, image);
}

int source_set_open(const struct config *config, struct source_set *sources, struct error *err)
{
	struct engine engine = {0};
	int r = 0;
	*sources = (struct source_set){.items = xcalloc(config->artifacts.len + 1, sizeof(*sources->items))};
	for (; r == 0 && sources->len < config->artifacts.len; sources->len += r == 0)
		r = sync_source_new(config, config->artifacts.items[sources->len], ask, &engine,
				    &sources->items[sources->len], err);
	if (engine.docker)
		docker_close(engine.docker);
	if (r < 0)
		source_set_release(sources);
	return r;
}

int source_set_known(const struct sync_source *source, struct error *err)
{
	const char *image = sync_source_artifact(source)->image.value;
	if (!sync_source_knows_nothing(source))
		return 0;
	return error_set(err, ENODATA,
			 "where the files of %s land is not known yet: its builder was never asked. Run `skiff map %s` "
			 "or `skiff dev`",
			 image, image);
}

void source_set_release(struct source_set *sources)
{
	for (size_t i = 0; i < sources->len; i++)
		sync_source_free(sources->items[i]);
	free(sources->items);
	*sources = (struct source_set){0};
}
