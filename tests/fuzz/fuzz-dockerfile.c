/* A Dockerfile: parsed, evaluated with nothing known of its base images, and asked where some paths land. */
#include "fuzz.h"

#include "sync/dockerfile.h"

static void ask(const struct copy_map *map)
{
	static const char *const paths[] = {"a", "a/b", "src/main.c", "with space", "."};
	for
		vec_each (rule, &map->rules)
			for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
				_cleanup_free_ char *dest = NULL;
				copy_rule_destination(rule, paths[i], &dest);
				if (dest && dest[0] != '/')
					__builtin_trap();
				copy_rule_covers(rule, paths[i]);
			}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(dockerfile_free_cleanup) struct dockerfile *dockerfile = NULL;
	if (dockerfile_parse("Dockerfile", (const char *)data, size, &dockerfile, NULL) < 0)
		return 0;
	static const char *const arguments[] = {"A=value", NULL};
	struct dockerfile_context context = {.build_args = arguments};
	struct copy_map map = {0};
	if (dockerfile_evaluate(dockerfile, &context, &map, NULL) == 0) {
		ask(&map);
		copy_map_release(&map);
	}
	return 0;
}
