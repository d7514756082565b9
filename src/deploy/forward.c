#include "deploy/forward.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "base/file.h"
#include "base/vec.h"
#include "io/process.h"

enum {
	AGAIN_MS = 100, /* doubled each time … */
	AGAIN_MAX_MS = 5000,
	STEADY_MS = 5000, /* … until one has run for so long */
	STEP_MS = 20,
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000,
};

struct worker {
	struct strv argv;
	pthread_t thread;
	pthread_mutex_t mutex; /* of what follows */
	pthread_cond_t changed;
	struct cancel *child; /* ends the kubectl that runs */
	bool stop, again;     /* again: it was ended to be started anew */
	bool listens;
};

struct forwards {
	struct kubernetes *kubernetes;
	pthread_mutex_t mutex;
	VEC(struct worker *) workers;
};

/* ---- a worker's own thread ---- */

static void heard(void *data, int stream, const char *line, size_t len)
{
	struct worker *w = data;
	(void)len;
	if (stream != 1 || !str_starts_with(line, "Forwarding from"))
		return;
	pthread_mutex_lock(&w->mutex);
	w->listens = true;
	pthread_mutex_unlock(&w->mutex);
}

/* False: it is to end. */
static bool begin(struct worker *w)
{
	pthread_mutex_lock(&w->mutex);
	bool go = !w->stop;
	cancel_unref(w->child);
	w->child = go ? cancel_new() : NULL;
	w->again = w->listens = false;
	pthread_mutex_unlock(&w->mutex);
	return go;
}

/* Waits for the next start; cut short where it is asked for. */
static void rest(struct worker *w, unsigned milliseconds)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	long ns = until.tv_nsec + (long)(milliseconds % 1000) * NS_PER_MS;
	until.tv_sec += (time_t)(milliseconds / 1000) + ns / NS_PER_S;
	until.tv_nsec = ns % NS_PER_S;
	pthread_mutex_lock(&w->mutex);
	w->listens = false;
	while (!w->stop && !w->again && pthread_cond_timedwait(&w->changed, &w->mutex, &until) == 0)
		;
	pthread_mutex_unlock(&w->mutex);
}

static void *work(void *data)
{
	struct worker *w = data;
	for (unsigned wait_ms = AGAIN_MS; begin(w);) {
		const struct process_spec spec = {.argv = (const char *const *)w->argv.items,
						  .line = heard,
						  .data = w,
						  .cancel = w->child};
		uint64_t start = monotonic_ns();
		(void)process_run(&spec, NULL);
		if ((monotonic_ns() - start) / NS_PER_MS >= STEADY_MS)
			wait_ms = AGAIN_MS;
		rest(w, wait_ms);
		wait_ms = wait_ms * 2 < AGAIN_MAX_MS ? wait_ms * 2 : AGAIN_MAX_MS;
	}
	return NULL;
}

/* ---- for the others ---- */

static void ask(struct worker *w, bool stop)
{
	pthread_mutex_lock(&w->mutex);
	w->stop = w->stop || stop;
	w->again = true;
	w->listens = false;
	if (w->child)
		cancel_request(w->child);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->mutex);
}

static void await_ready(struct worker *w, struct cancel *cancel)
{
	struct pollfd fd = {.fd = cancel_fd(cancel), .events = POLLIN};
	for (int waited = 0; waited < FORWARD_READY_MS; waited += STEP_MS) {
		pthread_mutex_lock(&w->mutex);
		bool ready = w->listens;
		pthread_mutex_unlock(&w->mutex);
		if (ready || poll(&fd, 1, STEP_MS) > 0)
			return;
	}
}

static void worker_free(struct worker *w)
{
	cancel_unref(w->child);
	strv_release(&w->argv);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->mutex);
	free(w);
}

/* NULL: no thread is to be had. */
static struct worker *worker_new(const struct strv *argv)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	pthread_condattr_t clock;
	strv_extend(&w->argv, argv);
	pthread_mutex_init(&w->mutex, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &clock);
	pthread_condattr_destroy(&clock);
	if (pthread_create(&w->thread, NULL, work, w) == 0)
		return w;
	worker_free(w);
	return NULL;
}

static struct worker *find(const struct forwards *forwards, const struct strv *argv)
{
	_cleanup_free_ char *wanted = strv_join(argv, "\n");
	for vec_each (worker, &forwards->workers) {
		_cleanup_free_ char *has = strv_join(&(*worker)->argv, "\n");
		if (str_equal(wanted, has))
			return *worker;
	}
	return NULL;
}

void forwards_add(struct forwards *forwards, const struct forward *forward, bool wait, struct cancel *cancel)
{
	CLEANUP(strv_release) struct strv argv = {0};
	kubernetes_command(forwards->kubernetes, &argv);
	strv_push(&argv, "port-forward");
	strv_pushf(&argv, "--namespace=%s", forward->namespace_);
	strv_pushf(&argv, "--address=%s", forward->address);
	strv_push(&argv, forward->resource);
	strv_pushf(&argv, "%u:%s", forward->local, forward->port);
	pthread_mutex_lock(&forwards->mutex);
	struct worker *worker = find(forwards, &argv);
	if (worker) {
		ask(worker, false);
	} else {
		worker = worker_new(&argv);
		if (worker)
			vec_push(&forwards->workers, worker);
	}
	if (worker && wait)
		await_ready(worker, cancel); /* with the mutex: nobody may end it meanwhile */
	pthread_mutex_unlock(&forwards->mutex);
}

void forwards_stop(struct forwards *forwards)
{
	pthread_mutex_lock(&forwards->mutex);
	for vec_each (worker, &forwards->workers)
		ask(*worker, true);
	for vec_each (worker, &forwards->workers) {
		pthread_join((*worker)->thread, NULL);
		worker_free(*worker);
	}
	vec_clear(&forwards->workers);
	pthread_mutex_unlock(&forwards->mutex);
}

struct forwards *forwards_new(struct kubernetes *kubernetes)
{
	struct forwards *forwards = xcalloc(1, sizeof(*forwards));
	forwards->kubernetes = kubernetes;
	pthread_mutex_init(&forwards->mutex, NULL);
	return forwards;
}

void forwards_free(struct forwards *forwards)
{
	if (!forwards)
		return;
	forwards_stop(forwards);
	vec_release(&forwards->workers);
	pthread_mutex_destroy(&forwards->mutex);
	free(forwards);
}
