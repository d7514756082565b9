/* Tests of the docker runtime against a real engine: containers of a run of their own, and what is carried into them. */
#ifndef TESTS_E2E_RUNTIME_FIXTURE_H
#define TESTS_E2E_RUNTIME_FIXTURE_H

#include "../unit/test.h"

#include "base/vec.h"
#include "runtime/docker-session.h"

#define IMAGE "skiff-test/busybox:latest" /* tests/e2e/base-image makes it */
#define STAY " " IMAGE " sleep 1000"

/* One for the program, between open_engine and close_engine (a group's set-up and tear-down). */
extern struct runtime *runtime;
extern char *run_id;
extern bool with_agent; /* set it before open_engine; else files go through the archive API */
extern char *folder;	/* sources are in src/ in it */
int open_engine(void **state);
int close_engine(void **state);

struct fixture {
	struct instances instances;
	struct session *session;
	struct carry carry;
	struct carry_report report;
	struct error err;
	bool blind; /* as for a user who may not look into the container's root */
};
int set_up(void **state);
int set_up_blind(void **state);
int tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define BLIND(name)                                                 \
	{                                                           \
		"blind_" #name, name, set_up_blind, tear_down, NULL \
	}

/* Runs a shell line on the host, in `folder`; its output without the last newline. The caller frees. */
char *host(const char *fmt, ...) PRINTF_LIKE(1, 2);
#define host_do(...) free(host(__VA_ARGS__))
void assert_host(const char *expected, const char *line);

/* Starts a container of the run (its options and command as `docker run` takes them) and opens a session. */
void start(struct fixture *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *container(const struct fixture *f); /* its id */
/* Looks in the container with a shell. */
void assert_inside(struct fixture *f, const char *expected, const char *line);

/* One item more for the next apply; src below src/. */
void add(struct fixture *f, enum carry_kind kind, const char *src, const char *dest, int mode);
void carry_text(struct fixture *f, const char *text, const char *dest); /* src/one with this text */
int apply(struct fixture *f);
void assert_applied(struct fixture *f);

#endif
