#include "io/loop.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <uv.h>

struct post {
	struct post *next;
	void (*call)(void *data);
	void (*drop)(void *data);
	void *data;
};

struct loop {
	uv_loop_t uv;
	uv_async_t wake; /* not counted as something to wait for */
	pthread_mutex_t lock;
	struct post *first, **last; /* under lock */
	bool stopped;
};

/* In each of these the libuv handle comes first, so that one close callback frees them all. */
struct timer {
	uv_timer_t handle;
	void (*fire)(void *data);
	void *data;
};

struct fd_watch {
	uv_poll_t handle;
	void (*ready)(void *data);
	void *data;
};

struct signal_watch {
	uv_signal_t handle;
	void (*fire)(void *data, int signal);
	void *data;
};

struct job {
	uv_work_t request;
	void (*work)(void *data);
	void (*done)(void *data);
	void *data;
};

static void must(int result, const char *what)
{
	if (result == 0)
		return;
	fprintf(stderr, "skiff: %s: %s\n", what, uv_strerror(result));
	abort();
}

static struct post *take_posts(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct post *posts = loop->first;
	loop->first = NULL;
	loop->last = &loop->first;
	pthread_mutex_unlock(&loop->lock);
	return posts;
}

static bool has_posts(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	bool has = loop->first != NULL;
	pthread_mutex_unlock(&loop->lock);
	return has;
}

/* Puts posts back in front, in their order: loop_stop was called in the middle of them. */
static void return_posts(struct loop *loop, struct post *posts)
{
	if (!posts)
		return;
	struct post *end = posts;
	while (end->next)
		end = end->next;
	pthread_mutex_lock(&loop->lock);
	end->next = loop->first;
	if (!loop->first)
		loop->last = &end->next;
	loop->first = posts;
	pthread_mutex_unlock(&loop->lock);
}

static void run_posts(struct loop *loop)
{
	struct post *posts = loop->stopped ? NULL : take_posts(loop);
	while (posts && !loop->stopped) {
		struct post *p = posts;
		posts = p->next;
		p->call(p->data);
		free(p);
	}
	return_posts(loop, posts);
}

static void on_wake(uv_async_t *wake)
{
	run_posts(wake->data);
}

struct loop *loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));
	signal(SIGPIPE, SIG_IGN);
	must(uv_loop_init(&loop->uv), "can't make an event loop");
	must(uv_async_init(&loop->uv, &loop->wake, on_wake), "can't make an event loop");
	loop->wake.data = loop;
	uv_unref((uv_handle_t *)&loop->wake);
	pthread_mutex_init(&loop->lock, NULL);
	loop->last = &loop->first;
	return loop;
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void close_handle(uv_handle_t *handle, void *data)
{
	struct loop *loop = data;
	if (!uv_is_closing(handle))
		uv_close(handle, handle == (uv_handle_t *)&loop->wake ? NULL : free_handle);
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	uv_walk(&loop->uv, close_handle, loop);
	do /* twice where loop_stop was called and not run since: that run ends at once */
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	while (uv_loop_alive(&loop->uv));
	must(uv_loop_close(&loop->uv), "can't close the event loop");
	for (struct post *p = take_posts(loop), *next; p; p = next) {
		next = p->next;
		if (p->drop)
			p->drop(p->data);
		free(p);
	}
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

void loop_run(struct loop *loop)
{
	do {
		run_posts(loop);
		if (!loop->stopped)
			uv_run(&loop->uv, UV_RUN_DEFAULT);
	} while (!loop->stopped && has_posts(loop));
	loop->stopped = false;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
	uv_stop(&loop->uv);
}

static void on_timer(uv_timer_t *handle)
{
	struct timer *t = (struct timer *)handle;
	t->fire(t->data);
}

struct timer *timer_new(struct loop *loop, void (*fire)(void *data), void *data)
{
	struct timer *t = xcalloc(1, sizeof(*t));
	must(uv_timer_init(&loop->uv, &t->handle), "can't make a timer");
	t->fire = fire;
	t->data = data;
	return t;
}

void timer_start(struct timer *t, uint64_t milliseconds)
{
	uv_update_time(t->handle.loop); /* else a long callback before this would shorten the wait */
	must(uv_timer_start(&t->handle, on_timer, milliseconds, 0), "can't start a timer");
}

void timer_stop(struct timer *t)
{
	uv_timer_stop(&t->handle);
}

bool timer_running(const struct timer *t)
{
	return uv_is_active((const uv_handle_t *)&t->handle);
}

void timer_free(struct timer *t)
{
	if (t)
		uv_close((uv_handle_t *)&t->handle, free_handle);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	(void)status; /* an error is for the one who reads */
	(void)events;
	struct fd_watch *w = (struct fd_watch *)handle;
	w->ready(w->data);
}

struct fd_watch *fd_watch_new(struct loop *loop, int fd, void (*ready)(void *data), void *data)
{
	struct fd_watch *w = xcalloc(1, sizeof(*w));
	if (uv_poll_init(&loop->uv, &w->handle, fd) != 0) {
		free(w);
		return NULL;
	}
	w->ready = ready;
	w->data = data;
	must(uv_poll_start(&w->handle, UV_READABLE, on_poll), "can't watch a descriptor");
	return w;
}

void fd_watch_free(struct fd_watch *w)
{
	if (w)
		uv_close((uv_handle_t *)&w->handle, free_handle);
}

static void on_signal(uv_signal_t *handle, int signal)
{
	struct signal_watch *w = (struct signal_watch *)handle;
	w->fire(w->data, signal);
}

struct signal_watch *signal_watch_new(struct loop *loop, int signal, void (*fire)(void *data, int signal), void *data)
{
	struct signal_watch *w = xcalloc(1, sizeof(*w));
	must(uv_signal_init(&loop->uv, &w->handle), "can't watch a signal");
	w->fire = fire;
	w->data = data;
	must(uv_signal_start(&w->handle, on_signal, signal), "can't watch a signal");
	return w;
}

void signal_watch_free(struct signal_watch *w)
{
	if (w)
		uv_close((uv_handle_t *)&w->handle, free_handle);
}

static void on_work(uv_work_t *request)
{
	struct job *job = (struct job *)request;
	job->work(job->data);
}

static void on_done(uv_work_t *request, int status)
{
	(void)status; /* UV_ECANCELED only after uv_cancel, which nobody calls */
	struct job *job = (struct job *)request;
	void (*done)(void *data) = job->done;
	void *data = job->data;
	free(job);
	done(data);
}

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static bool pool_started;

/* libuv reads the size of its pool from the environment with the first job. The variable is taken back, so that the programs
 * that skiff starts (Node has libuv too) don't see it. */
static int queue_first(struct loop *loop, struct job *job)
{
	static const char variable[] = "UV_THREADPOOL_SIZE";
	char size[16];
	bool set = getenv(variable) != NULL;
	snprintf(size, sizeof(size), "%d", LOOP_WORKERS);
	if (!set)
		setenv(variable, size, 1);
	int r = uv_queue_work(&loop->uv, &job->request, on_work, on_done);
	if (!set)
		unsetenv(variable);
	return r;
}

void loop_job(struct loop *loop, void (*work)(void *data), void (*done)(void *data), void *data)
{
	struct job *job = xcalloc(1, sizeof(*job));
	job->work = work;
	job->done = done;
	job->data = data;
	pthread_mutex_lock(&pool_lock);
	bool first = !pool_started;
	pool_started = true;
	int r = first ? queue_first(loop, job) : uv_queue_work(&loop->uv, &job->request, on_work, on_done);
	pthread_mutex_unlock(&pool_lock);
	must(r, "can't queue work");
}

void loop_post(struct loop *loop, void (*call)(void *data), void (*drop)(void *data), void *data)
{
	struct post *p = xcalloc(1, sizeof(*p));
	p->call = call;
	p->drop = drop;
	p->data = data;
	pthread_mutex_lock(&loop->lock);
	*loop->last = p;
	loop->last = &p->next;
	uv_async_send(&loop->wake); /* under the lock, so that a poster is done with the loop before it runs the post */
	pthread_mutex_unlock(&loop->lock);
}

struct thread {
	struct loop *loop;
	void (*work)(void *data);
	void (*done)(void *data);
	void *data;
	pthread_t id;
	sem_t created; /* id is set */
};

static void thread_done(void *data)
{
	struct thread *thread = data;
	pthread_join(thread->id, NULL);
	sem_destroy(&thread->created);
	thread->done(thread->data);
	free(thread);
}

static void *thread_main(void *data)
{
	struct thread *thread = data;
	while (sem_wait(&thread->created) < 0)
		; /* EINTR */
	thread->work(thread->data);
	loop_post(thread->loop, thread_done, thread_done, thread);
	return NULL;
}

void loop_thread(struct loop *loop, void (*work)(void *data), void (*done)(void *data), void *data)
{
	struct thread *thread = xcalloc(1, sizeof(*thread));
	*thread = (struct thread){.loop = loop, .work = work, .done = done, .data = data};
	sem_init(&thread->created, 0, 0);
	if (pthread_create(&thread->id, NULL, thread_main, thread) == 0) {
		sem_post(&thread->created);
		return;
	}
	sem_destroy(&thread->created);
	free(thread);
	loop_job(loop, work, done, data); /* no more threads: a worker must do */
}
