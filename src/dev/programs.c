/* Generators that run for ever (`watch: true`): a bundler that watches by itself. Started with the lane, started again when they die, ended with
 * the round. What they write comes as changes of outputs. */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "build/generate.h"
#include "dev/lane.h"

enum {
	STEADY_MS = 5000, /* one that lived so long works */
	AGAIN_FIRST_MS = 100,
	AGAIN_DOUBLINGS = 6,
	QUICK_DEATHS = 3, /* in a row: then it is an error */
};

struct program {
	struct lane *lane;
	const struct sync_generator *generator; /* the configuration's */
	struct timer *timer; /* running: until it is steady; not running: until it is started again */
	bool running;
	bool failing; /* the person was told */
	unsigned deaths;
	struct generated generated;
	int r;
	struct error err;
};

static void put_line(void *data, int stream, const char *line, size_t len)
{
	const struct program *p = data;
	line_pipe_put(p->lane->dev->lines, EVENT_PROGRESS, p->lane->artifact->image.value, NULL, stream, line, len);
}

static void program_work(void *data)
{
	struct program *p = data;
	const struct generate_request request = {.artifact = p->lane->artifact,
						 .generator = p->generator,
						 .line = put_line,
						 .data = p,
						 .cancel = p->lane->dev->cancel};
	p->r = generate_run(&request, &p->generated, &p->err);
}

static void tell(const struct program *p, const char *status, const char *message)
{
	_cleanup_free_ char *name = lane_generator_name(p->lane, p->generator);
	tell_generate(p->lane, &(struct generate_told){.command = &p->generator->command,
						       .name = name,
						       .background = true,
						       .status = status,
						       .reason = "it runs for ever",
						       .ms = -1,
						       .outputs = -1,
						       .message = message,
						       .output = message ? str_text(&p->generated.log) : NULL});
}

static void program_died(struct program *p)
{
	_cleanup_free_ char *words = p->r < 0 ? error_format(&p->err) : NULL;
	_cleanup_free_ char *name = lane_generator_name(p->lane, p->generator);
	_cleanup_free_ char *message =
		words ? xasprintf("%s (it ended, and is started again)", words)
		      : xasprintf("%s ended, and is started again: it is to run for ever (watch: true)", name);
	if (p->deaths < QUICK_DEATHS)
		p->deaths++;
	if (p->deaths == QUICK_DEATHS && !p->failing) {
		p->failing = true;
		tell(p, "failed", message);
		lane_set_error(p->lane, "generate", message);
	}
}

static void program_done(void *data)
{
	struct program *p = data;
	struct dev *dev = p->lane->dev;
	p->running = false;
	timer_stop(p->timer);
	if (dev->phase != DEV_STOPPING && !dev->reload) {
		unsigned doublings = p->deaths < AGAIN_DOUBLINGS ? p->deaths : AGAIN_DOUBLINGS;
		program_died(p);
		timer_start(p->timer, (uint64_t)AGAIN_FIRST_MS << doublings);
	}
	error_clear(&p->err);
	generated_release(&p->generated);
	dev_step_all(dev);
	dev_job_done(dev);
}

static void program_start(struct program *p)
{
	p->running = true;
	timer_start(p->timer, STEADY_MS);
	dev_job(p->lane->dev, program_work, program_done, p);
}

static void on_timer(void *data)
{
	struct program *p = data;
	if (p->lane->dev->phase == DEV_STOPPING || p->lane->dev->reload)
		return;
	if (!p->running) {
		program_start(p);
		return;
	}
	p->deaths = 0;
	if (!p->failing)
		return;
	p->failing = false;
	tell(p, "started", NULL);
	lane_set_well(p->lane);
	dev_step_all(p->lane->dev);
}

void lane_start_programs(struct lane *lane)
{
	for vec_each (generator, &lane->artifact->sync.generated) {
		if (!generator->watch)
			continue;
		struct program *p = xcalloc(1, sizeof(*p));
		p->lane = lane;
		p->generator = generator;
		p->timer = timer_new(lane->dev->loop, on_timer, p);
		vec_push(&lane->programs, p);
		tell(p, "started", NULL);
		program_start(p);
	}
}

bool lane_programs_fail(const struct lane *lane)
{
	for vec_each (program, &lane->programs)
		if ((*program)->failing)
			return true;
	return false;
}

void lane_free_programs(struct lane *lane)
{
	for vec_each (program, &lane->programs) {
		timer_free((*program)->timer);
		free(*program);
	}
	vec_release(&lane->programs);
}
