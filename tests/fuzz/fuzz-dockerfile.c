/* A Dockerfile: parsed, evaluated without and with a base image, and asked about paths in a context that holds everything. */
#include "fuzz.h"

#include "sync/dockerfile.h"

static void base_image(void *data, const char *name, struct base_image *image)
{
	(void)data;
	image->known = name[0] != 'u';
	image->workdir = xstrdup("srv");
	strv_push(&image->env, "A=/a b");
	strv_push(&image->env, "NOTHING");
	strv_push(&image->onbuild, "COPY --from=a . $A");
}

static enum copy_entry kind(void *data, const char *path)
{
	(void)data;
	return path[0] % 2 ? COPY_ENTRY_FILE : COPY_ENTRY_DIRECTORY;
}

static void list(void *data, const char *directory, struct strv *names)
{
	(void)data;
	(void)directory;
	strv_push(names, "a");
	strv_push(names, "b");
}

static void ask(const struct dockerfile *dockerfile, bool with_images)
{
	static const char *const arguments[] = {"B=c", "EMPTY=", "ALONE", NULL};
	static const char *const paths[] = {"a", "a/b", "b/a/b/c", ".", "x.tar.gz"};
	struct dockerfile_context context = {.build_args = arguments, .base_image = with_images ? base_image : NULL};
	struct copy_tree tree = {.kind = kind, .list = list};
	struct copy_map map = {0};
	if (dockerfile_evaluate(dockerfile, &context, &map, NULL) == 0 && map.rules.len < 200) {
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			for (int use = COPY_FOR_INFER; use <= COPY_FOR_AUTO; use++) {
				struct copy_answer answer;
				copy_map_ask(&map, (enum copy_use)use, paths[i], &tree, &answer);
				if (answer.reason ? answer.dests.len > 0 : answer.input && answer.dests.len == 0)
					__builtin_trap();
				copy_answer_release(&answer);
			}
		}
		copy_map_check_sources(&map, &tree, NULL);
	}
	copy_map_release(&map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(dockerfile_free_cleanup) struct dockerfile *dockerfile = NULL;
	if (dockerfile_parse("fuzz", (const char *)data, size, &dockerfile, NULL) == 0) {
		ask(dockerfile, false);
		ask(dockerfile, true);
	}
	return 0;
}
