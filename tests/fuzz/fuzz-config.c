/* YAML, the schema's table and all that decodes by it: a whole configuration from hostile text. */
#include "fuzz.h"

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_options options = {.command = "dev"};
	struct config *config = NULL;
	CLEANUP(str_release) struct str report = {0};
	if (config_load_text(&options, "skaffold.yaml", (const char *)data, size, &config, &report) == 0)
		config_free(config);
	return 0;
}
