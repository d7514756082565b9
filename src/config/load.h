/* Finding and reading the files of a configuration: documents with their profiles and skiff.yaml applied, in the order in which they count. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "config/config.h"
#include "format/yaml.h"

struct config_files { /* what the places of a loaded configuration point into */
	struct sources sources;
};

struct module { /* one effective document */
	struct yaml_node *node;
	char *base_dir; /* absolute */
};

struct loader {
	const struct config_options *options;
	struct config_files *files; /* of the caller */
	struct diagnostics d;
	struct yaml_pool pool;
	VEC(struct module) modules; /* required ones before those that require them */
	VEC(struct loaded_file *) loaded;
	bool memory_only; /* no file may be opened */
};

/* Reads options->file (or what stands in for it) and all it requires. -EINVAL with loader->d, or another errno with *err. */
int loader_run(struct loader *loader, struct error *err);

/* The same for a text in memory, which can require nothing. */
int loader_run_text(struct loader *loader, const char *name, const char *text, size_t len, struct error *err);

void loader_release(struct loader *loader);

#endif
