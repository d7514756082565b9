#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"

void project_init(struct project *p)
{
	*p = (struct project){.folder = "/tmp/skiff-test-XXXXXX"};
	if (docker_connect(&p->docker, NULL, NULL) < 0)
		skip();
	assert_int_equal(system(BASE_IMAGE_PROGRAM " >/dev/null"), 0);
	assert_non_null(mkdtemp(p->folder));
	_cleanup_free_ char *state = path_join(p->folder, "state");
	setenv("XDG_STATE_HOME", state, 1);
}

void project_release(struct project *p)
{
	config_free(p->config);
	docker_close(p->docker);
	assert_int_equal(file_remove_tree(p->folder, NULL), 0);
}

void project_write(const struct project *p, const char *name, const char *text)
{
	_cleanup_free_ char *path = path_join(p->folder, name), *directory = path_dir(path);
	assert_int_equal(file_make_directories(directory, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

void project_load(struct project *p)
{
	_cleanup_free_ char *file = path_join(p->folder, "skaffold.yaml");
	const struct config_options options = {.file = file, .command = "dev"};
	CLEANUP(str_release) struct str report = {0};
	config_free(p->config);
	p->config = NULL;
	if (config_load(&options, &p->config, &report) < 0)
		fail_msg("%s", str_text(&report));
}

char *engine_text(const struct project *p, const char *path, const char *const *keys)
{
	json_t *answer = NULL;
	if (docker_call(p->docker, "GET", path, NULL, &answer, NULL, NULL) < 0)
		return NULL;
	const json_t *at = answer;
	for (; *keys; keys++)
		at = **keys == '#' ? json_array_get(at, (size_t)((*keys)[1] - '0')) : json_object_get(at, *keys);
	char *text = xstrdup_or_null(json_string_value(at));
	json_decref(answer);
	return text;
}

void engine_forget_image(const struct project *p, const char *reference)
{
	_cleanup_free_ char *escaped = docker_escape(reference), *path = xasprintf("/images/%s?force=1", escaped);
	(void)docker_call(p->docker, "DELETE", path, NULL, NULL, NULL, NULL);
}
