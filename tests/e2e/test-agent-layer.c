/* The agent as an image's last layer, on a real engine. */
#include "engine.h"

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ustar.h"
#include "build/agent-layer.h"

#define FULL                                                                                                      \
	"FROM " BASE_IMAGE "\nUSER 1000\nENV A=b\nWORKDIR /srv\nEXPOSE 80/tcp\nVOLUME /data\nLABEL of=us\n"       \
	"STOPSIGNAL SIGUSR1\nHEALTHCHECK CMD [\"true\"]\nSHELL [\"/bin/sh\", \"-ec\"]\nENTRYPOINT [\"sh\"]\nCMD " \
	"[\"-c\", \"sleep 9\"]\n"

struct layer_test {
	struct project project;
	char run_id[17]; /* of its own */
	char image[64], *id;
};

static json_t *inspected(const struct layer_test *t, const char *image)
{
	_cleanup_free_ char *escaped = docker_escape(image), *path = xasprintf("/images/%s/json", escaped);
	json_t *answer = NULL;
	(void)docker_call(t->project.docker, "GET", path, NULL, &answer, NULL, NULL);
	return answer;
}

static bool is_there(const struct layer_test *t, const char *image)
{
	json_t *answer = inspected(t, image);
	json_decref(answer);
	return answer != NULL;
}

static void test_init(struct layer_test *t, const char *dockerfile)
{
	static unsigned count;
	*t = (struct layer_test){0};
	project_init(&t->project);
	snprintf(t->run_id, sizeof(t->run_id), "%08x%04x%04x", (unsigned)getpid(), ++count & 0xffff,
		 (unsigned)realtime_ns() & 0xffff);
	snprintf(t->image, sizeof(t->image), "skiff-test/layer-%s:1", t->run_id);
	CLEANUP(str_release) struct str context = {0}, text = {0};
	str_addf(&text, "%sENV RUN=%s\n", dockerfile, t->run_id);
	ustar_add_file(&context, "Dockerfile", 0644, str_text(&text), text.len);
	ustar_finish(&context);
	CLEANUP(error_clear) struct error err = {0};
	if (docker_build(t->project.docker, t->image, &context, NULL, &err) < 0)
		fail_msg("%s", err.message);
	json_t *image = inspected(t, t->image);
	t->id = xstrdup(json_string_value(json_object_get(image, "Id")));
	json_decref(image);
}

static void test_release(struct layer_test *t)
{
	agent_layers_remove(t->project.docker, t->run_id, NULL);
	engine_forget_image(&t->project, t->image);
	engine_forget_image(&t->project, t->id);
	free(t->id);
	project_release(&t->project);
}

static struct agent_layer made(struct layer_test *t)
{
	struct agent_layer layer;
	CLEANUP(error_clear) struct error err = {0};
	if (agent_layer_make(t->project.docker, t->run_id, t->id, &layer, NULL, &err) < 0)
		fail_msg("%s", err.message);
	return layer;
}

static void keeps_all_that_the_image_says(void **state)
{
	(void)state;
	static const char *const keys[] = {"User",	 "Env",	  "WorkingDir", "ExposedPorts", "Volumes", "Labels",
					   "StopSignal", "Shell", "Entrypoint", "Cmd",		"OnBuild"};
	struct layer_test t;
	test_init(&t, FULL);
	struct agent_layer layer = made(&t);
	assert_non_null(layer.image_id);
	assert_null(layer.note);
	assert_string_not_equal(layer.image_id, t.id);
	json_t *below = inspected(&t, t.id), *above = inspected(&t, layer.image_id);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const json_t *a = json_object_get(json_object_get(below, "Config"), keys[i]);
		const json_t *b = json_object_get(json_object_get(above, "Config"), keys[i]);
		if (!json_equal(a, b))
			fail_msg("%s differs", keys[i]);
	}
	assert_true(json_equal(json_object_get(json_object_get(below, "Config"), "Healthcheck"),
			       json_object_get(json_object_get(above, "Config"), "Healthcheck")));
	assert_int_equal(json_array_size(json_object_get(json_object_get(above, "RootFS"), "Layers")),
			 json_array_size(json_object_get(json_object_get(below, "RootFS"), "Layers")) + 1);
	json_decref(below);
	json_decref(above);
	agent_layer_release(&layer);
	test_release(&t);
}

static void is_found_again(void **state)
{
	(void)state;
	struct layer_test t;
	test_init(&t, FULL);
	struct agent_layer first = made(&t), again = made(&t);
	assert_string_equal(first.image_id, again.image_id);
	assert_string_equal(first.reference, again.reference);
	json_t *image = inspected(&t, t.image);
	assert_string_equal(json_string_value(json_object_get(image, "Id")), t.id);
	json_decref(image);
	agent_layer_release(&first);
	agent_layer_release(&again);
	test_release(&t);
}

static void takes_only_its_own_away(void **state)
{
	(void)state;
	struct layer_test t, other;
	test_init(&t, FULL);
	test_init(&other, FULL);
	struct agent_layer first = made(&t), second = made(&other);
	engine_forget_image(&t.project, t.image); /* the image below it has no name any more */
	agent_layers_remove(t.project.docker, t.run_id, NULL);
	assert_false(is_there(&t, first.image_id));
	assert_true(is_there(&t, t.id));
	assert_true(is_there(&t, second.image_id));
	json_t *body = json_pack("{s:s}", "Image", second.image_id), *answer = NULL;
	assert_int_equal(docker_call(t.project.docker, "POST", "/containers/create", body, &answer, NULL, NULL), 0);
	agent_layer_remove(t.project.docker, second.reference, NULL);
	assert_true(is_there(&t, second.image_id)); /* a container has it */
	_cleanup_free_ char *path = xasprintf("/containers/%s?v=1", json_string_value(json_object_get(answer, "Id")));
	assert_int_equal(docker_call(t.project.docker, "DELETE", path, NULL, NULL, NULL, NULL), 0);
	agent_layer_remove(t.project.docker, second.reference, NULL);
	assert_false(is_there(&t, second.image_id));
	json_decref(body);
	json_decref(answer);
	agent_layer_release(&first);
	agent_layer_release(&second);
	test_release(&t);
	test_release(&other);
}

static void leaves_triggers_alone(void **state)
{
	(void)state;
	struct layer_test t;
	test_init(&t, "FROM " BASE_IMAGE "\nONBUILD RUN false\n");
	struct agent_layer layer = made(&t);
	assert_null(layer.image_id);
	assert_non_null(strstr(layer.note, "ONBUILD"));
	agent_layer_release(&layer);
	test_release(&t);
}

static void says_why_there_is_none(void **state)
{
	(void)state;
	struct layer_test t;
	test_init(&t, FULL);
	struct agent_layer layer;
	assert_int_equal(agent_layer_make(t.project.docker, t.run_id, "skiff-test/no-such-image", &layer, NULL, NULL),
			 0);
	assert_null(layer.image_id);
	assert_non_null(layer.note);
	agent_layer_release(&layer);
	test_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_all_that_the_image_says), cmocka_unit_test(is_found_again),
		cmocka_unit_test(takes_only_its_own_away),	 cmocka_unit_test(leaves_triggers_alone),
		cmocka_unit_test(says_why_there_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
