/* skiff's end of the line to an agent, against agents that are anything but: what they send is made here, byte by byte. */
#include "test.h"

#include <errno.h>

#include "base/vec.h"
#include "runtime/agent.h"

static const struct agent_program program = {(const unsigned char *)"program", 7};

/* A transport that takes all and answers with what was made ready: what was not is silence. */
struct stage {
	struct str answers;
	struct str taken; /* what skiff sent */
	size_t step;	  /* bytes at once; 0: all */
	bool closed;
};

static int stage_turn(void *data, const char **out, size_t *len, int (*take)(void *data, const void *bytes, size_t len),
		      void *take_data, struct cancel *cancel, unsigned timeout_ms, struct error *err)
{
	struct stage *stage = data;
	(void)cancel;
	if (*len) {
		str_add_bytes(&stage->taken, *out, *len);
		*out += *len;
		*len = 0;
		return 0;
	}
	if (!stage->answers.len)
		return error_set(err, ETIMEDOUT, "silent for %u ms", timeout_ms);
	size_t n = stage->step && stage->step < stage->answers.len ? stage->step : stage->answers.len;
	_cleanup_free_ char *piece = xmemdup(str_text(&stage->answers), n);
	str_consume(&stage->answers, n);
	return take(take_data, piece, n);
}

static void stage_close(void *data)
{
	((struct stage *)data)->closed = true;
}

static void will_say(struct stage *stage, struct wire_message m)
{
	char *at = str_reserve(&stage->answers, WIRE_FRAME_MAX);
	int n = wire_encode(&m, at, WIRE_FRAME_MAX);
	assert_true(n > 0);
	stage->answers.len += (size_t)n;
}

static struct wire_message hello(void)
{
	return (struct wire_message){.type = WIRE_HELLO,
				     .version_min = WIRE_VERSION_MIN,
				     .version = WIRE_VERSION,
				     .value = WIRE_ARCH_X86_64,
				     .hash = wire_hash_bytes(program.bytes, program.len)};
}

static int try_open(struct stage *stage, struct agent **agent, struct error *err)
{
	struct agent_transport transport = {.data = stage, .turn = stage_turn, .close = stage_close};
	return agent_open(transport, &program, AGENT_SILENCE_MS, agent, NULL, err);
}

static struct agent *greeted(struct stage *stage)
{
	struct agent *agent = NULL;
	CLEANUP(error_clear) struct error err = {0};
	will_say(stage, hello());
	assert_int_equal(try_open(stage, &agent, &err), 0);
	return agent;
}

static void done(struct stage *stage, struct agent *agent)
{
	agent_close(agent);
	assert_true(stage->closed);
	str_release(&stage->answers);
	str_release(&stage->taken);
}

static void what_is_no_agent(void **state)
{
	struct wire_message other = hello(), newer = hello();
	(void)state;
	other.hash.low++;
	newer.version = newer.version_min = WIRE_VERSION + 1;
	for (int i = 0; i < 4; i++) {
		struct stage stage = {0};
		struct agent *agent = NULL;
		CLEANUP(error_clear) struct error err = {0};
		if (i == 0)
			str_add(&stage.answers, "sh: /.skiff/agent: not found\n");
		else if (i == 1)
			will_say(&stage, other);
		else if (i == 2)
			will_say(&stage, newer);
		assert_int_equal(try_open(&stage, &agent, &err), i == 3 ? -ETIMEDOUT : -EPROTO);
		assert_null(agent);
		done(&stage, NULL);
	}
}

static void looks_that_are_answered_oddly(void **state)
{
	enum { FIRST = 1 }; /* id of the first question */
	struct stage stage = {.step = 5};
	CLEANUP(strv_release) struct strv paths = {0};
	CLEANUP(error_clear) struct error err = {0};
	struct instance_file found[2];
	(void)state;
	struct agent *agent = greeted(&stage);
	strv_push(&paths, "/a");
	strv_push(&paths, "/b");
	will_say(&stage, (struct wire_message){.type = WIRE_PONG});
	will_say(&stage, (struct wire_message){.type = WIRE_STATE, .id = FIRST + 7});
	will_say(&stage, (struct wire_message){.type = WIRE_RESULT, .id = FIRST});
	will_say(&stage, (struct wire_message){.type = WIRE_STATE, .id = FIRST + 1, .kind = WIRE_FILE, .size = 5});
	will_say(&stage, (struct wire_message){.type = WIRE_STATE, .id = FIRST + 1, .kind = WIRE_LINK, .size = 6});
	will_say(&stage, (struct wire_message){.type = WIRE_STATE, .id = FIRST, .value = UINT32_MAX});
	assert_int_equal(agent_look(agent, &paths, NULL, found, NULL, &err), 0);
	assert_int_equal(found[0].code, EIO);
	assert_int_equal(found[1].size, 5); /* the first answer counts */
	assert_int_equal(agent_look(agent, &paths, NULL, found, NULL, &err), -ETIMEDOUT);
	done(&stage, agent);
}

static void a_batch_that_is_answered_oddly(void **state)
{
	static const struct {
		struct wire_message says[3];
		int result, code;
	} cases[] = {
		{{{.type = WIRE_COMMITTED, .id = 2}}, -EPROTO, 0},    /* nothing of the item */
		{{{.type = WIRE_RESULT, .id = 1}}, -ETIMEDOUT, 0},    /* and nothing more */
		{{{.type = WIRE_COMMITTED, .id = 1}}, -ETIMEDOUT, 0}, /* of something else */
		{{{.type = WIRE_BYE, .value = EPROTO, .text = {"tired", 5}}}, -EPIPE, 0},
		{{{.type = WIRE_RESULT, .id = 1, .value = 1U << 31}, {.type = WIRE_COMMITTED, .id = 2}}, 0, EIO},
		{{{.type = WIRE_RESULT, .id = 1, .value = EROFS}, {.type = WIRE_COMMITTED, .id = 2}}, 0, EROFS},
		{{{.type = WIRE_RESULT, .id = 1}, {.type = WIRE_COMMITTED, .id = 2}}, 0, 0},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stage stage = {0};
		CLEANUP(carry_release) struct carry carry = {0};
		CLEANUP(error_clear) struct error err = {0};
		struct agent_item item = {0};
		uint64_t bytes = 0;
		struct agent *agent = greeted(&stage);
		vec_push(&carry, (struct carry_item){.kind = CARRY_DELETE, .dest = xstrdup("/x")});
		for (size_t k = 0; k < 3 && cases[i].says[k].type; k++)
			will_say(&stage, cases[i].says[k]);
		assert_int_equal(agent_carry(agent, &carry, &item, &bytes, NULL, &err), cases[i].result);
		if (!cases[i].result)
			assert_int_equal(item.code, cases[i].code);
		free(item.words);
		done(&stage, agent);
	}
}

/* What is held can't become another: it is sent a few times, and then the failure is told. */
static void what_is_held_and_arrives_damaged(void **state)
{
	enum { ROUNDS = 3 };
	(void)state;
	for (uint32_t damaged = 0; damaged <= ROUNDS; damaged++) {
		struct stage stage = {.step = 1}; /* an answer is read when it is waited for, not before */
		char bytes[] = "held content";
		const struct held_file held = {.bytes = bytes,
					       .size = strlen(bytes),
					       .mode = 0644,
					       .hash = hash_bytes(bytes, strlen(bytes))};
		CLEANUP(carry_release) struct carry carry = {0};
		CLEANUP(error_clear) struct error err = {0};
		struct agent_item item = {0};
		uint64_t sent = 0;
		struct agent *agent = greeted(&stage);
		vec_push(&carry, (struct carry_item){.dest = xstrdup("/x"), .src = xstrdup("/no/such"), .held = &held});
		for (uint32_t round = 0; round < ROUNDS; round++) {
			struct wire_message result = {.type = WIRE_RESULT, .id = 1 + 2 * round};
			if (round < damaged) {
				result.value = EIO;
				result.reason = WIRE_REASON_DAMAGED;
			}
			will_say(&stage, result);
			will_say(&stage, (struct wire_message){.type = WIRE_COMMITTED, .id = 2 + 2 * round});
		}
		assert_int_equal(agent_carry(agent, &carry, &item, &sent, NULL, &err), 0);
		assert_int_equal(item.code, damaged == ROUNDS ? EIO : 0);
		assert_false(item.skipped);
		assert_true(hash_equal(item.hash, held.hash));
		assert_int_equal(sent, (damaged < ROUNDS ? damaged + 1 : ROUNDS) * held.size);
		assert_non_null(memmem(str_text(&stage.taken), stage.taken.len, bytes, held.size));
		done(&stage, agent);
	}
}

static void pings(void **state)
{
	struct stage stage = {0};
	CLEANUP(error_clear) struct error err = {0};
	(void)state;
	struct agent *agent = greeted(&stage);
	will_say(&stage, (struct wire_message){.type = WIRE_PONG, .id = 1});
	assert_int_equal(agent_ping(agent, NULL, &err), 0);
	will_say(&stage, (struct wire_message){.type = WIRE_PONG}); /* a sign of life is no answer */
	assert_int_equal(agent_ping(agent, NULL, &err), -ETIMEDOUT);
	done(&stage, agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_agent),
		cmocka_unit_test(looks_that_are_answered_oddly),
		cmocka_unit_test(a_batch_that_is_answered_oddly),
		cmocka_unit_test(what_is_held_and_arrives_damaged),
		cmocka_unit_test(pings),
	};
	return cmocka_run_group_tests_name("agent-line", tests, NULL, NULL);
}
