/* The state of an evaluation: what each stage has become so far. Shared by dockerfile-evaluate.c (stages, instructions) and dockerfile-copy.c
 * (COPY and ADD). */
#ifndef SYNC_DOCKERFILE_STATE_H
#define SYNC_DOCKERFILE_STATE_H

#include "sync/dockerfile-syntax.h"

struct origin { /* one source of one COPY or ADD from the context */
	struct copy_rule rule;
	size_t stage;
	unsigned run_line; /* the first RUN, of a stage that the final one needs, that could have read all of it */
};

static const size_t NO_ORIGIN = (size_t)-1;

struct landed { /* what a rule put into a stage's file system */
	struct copy_rule rule;
	size_t origin; /* NO_ORIGIN: a cover */
};

struct stage_state {
	struct variables env, args;
	char *workdir;	    /* absolute; relative: what follows the unknown one of the base image */
	char *unknown_base; /* the base image that is not at hand; NULL: all is known */
	bool scratch, has_run;
	unsigned base_line, first_run_line;	  /* of the FROM of an image, of the first RUN; 0: none */
	VEC(struct landed) landed;		  /* in the order in which it took effect */
	size_t marked;				  /* so many of them a RUN of this stage could read already */
	VEC(const struct instruction *) triggers; /* its own ONBUILDs */
	struct strv shell, entrypoint, cmd, exposed, volumes;
	bool cmd_is_own; /* set in this stage, so that a new ENTRYPOINT keeps it */
	char *user, *stop_signal;
};

struct evaluation {
	const struct dockerfile *dockerfile;
	const struct dockerfile_context *context;
	struct copy_map *map;
	struct variables meta; /* ARGs before the first FROM, and what every build has */
	size_t target;
	size_t current;		    /* the stage being evaluated */
	unsigned line;		    /* for messages: of the instruction, of the FROM for a base image's trigger */
	bool *reachable;	    /* stages that the target needs */
	struct stage_state *states; /* as many as target + 1 */
	VEC(struct origin) origins;
	struct rule_list
		reads; /* parts of origins that a COPY --from brought to where such a RUN could have read them */
	size_t spent;  /* memory, roughly; limited, since stages that copy from each other can double it each time */
};

static inline struct stage_state *current_state(struct evaluation *e)
{
	return &e->states[e->current];
}

int evaluation_fail(const struct evaluation *e, struct error *err, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* -EINVAL once too much is spent. */
int evaluation_spend(struct evaluation *e, size_t bytes, struct error *err);

/* Expands a word with the stage's variables. *uncertain (may be NULL) is set, never cleared. */
int evaluation_expand(struct evaluation *e, const char *word, bool *uncertain, char **result, struct error *err);

/* The same with an expander of the caller's. */
int expand_with(struct evaluation *e, struct expander *expander, const char *word, bool *uncertain, char **result,
		struct error *err);

/* -EINVAL where there are too many. */
int set_variable(struct evaluation *e, struct variables *v, const char *name, const char *value, bool uncertain,
		 struct error *err);

/* The stage of that name, or of that number where `numbers`, below `limit`; -1: none. */
long find_stage(const struct dockerfile *d, const char *name, bool numbers, size_t limit);

/* Every file of the stage, from landed.items[first] on, can be read by the RUN at e->line. */
int mark_read(struct evaluation *e, struct stage_state *s, size_t first, struct error *err);

int land(struct evaluation *e, struct stage_state *s, const struct copy_rule *rule, size_t origin, struct error *err);

/* dockerfile-instructions.c */
int instruction_apply(struct evaluation *e, const struct instruction *i, struct error *err);

/* One word of an ARG. before_from: it becomes one of e->meta, which then are also what it is expanded with; else the current stage's. */
int evaluate_arg(struct evaluation *e, const char *word, bool before_from, struct error *err);

/* The value of a build argument, or NULL. */
const char *build_argument(const struct evaluation *e, const char *name);

/* What the flag, where it is a RUN's --mount, says of `from`; NULL: nothing. The caller frees. */
char *instruction_mount_from(const struct instruction *i, size_t flag);

/* dockerfile-copy.c */
int evaluate_copy(struct evaluation *e, const struct instruction *i, struct error *err);

/* A context source as a relative, normalised path (".." stays inside). */
char *context_path(const char *source) RETURNS_OWNED;

#endif
