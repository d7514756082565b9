/* Any bytes as a skaffold.yaml: loaded or refused with a report, in bounded time and memory; what loads can be read back from what the
 * emitter writes. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "format/yaml.h"

/* libfyaml 0.7 forgets a buffer of 1 KiB on some syntax errors (a quoted key in a flow mapping without its colon). */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so\n";
}

static void emitted_reads_back(const uint8_t *data, size_t size)
{
	struct sources sources = {0};
	struct yaml_pool pool = {0};
	struct diagnostics d = {.sources = &sources};
	struct yaml_documents documents = {0}, again = {0};
	char *text = xmalloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	struct str first = {0}, second = {0};
	const struct source *source = sources_add(&sources, "a.yaml", "/a.yaml", text, size);
	if (yaml_parse(&pool, source, &d, &documents) == 0 && documents.len > 0) {
		yaml_emit(documents.items[0], &first);
		source = sources_add(&sources, "b.yaml", "/b.yaml", xstrdup(str_text(&first)), first.len);
		if (first.len < SOURCE_MAX_BYTES && (yaml_parse(&pool, source, &d, &again) < 0 || again.len != 1))
			abort();
		if (again.len == 1) {
			yaml_emit(again.items[0], &second);
			if (strcmp(str_text(&first), str_text(&second)) != 0)
				abort();
		}
	}
	str_release(&first);
	str_release(&second);
	vec_release(&documents);
	vec_release(&again);
	yaml_pool_release(&pool);
	diagnostics_release(&d);
	sources_release(&sources);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_options options = {.command = "dev"};
	struct config *config = NULL;
	struct str report = {0};
	strv_push(&options.profiles, "p");
	int r = config_load_text(&options, "skaffold.yaml", (const char *)data, size, &config, &report);
	if ((r == 0) != (config != NULL) || (r < 0 && report.len == 0))
		abort();
	config_free(config);
	str_release(&report);
	strv_release(&options.profiles);
	emitted_reads_back(data, size);
	return 0;
}
