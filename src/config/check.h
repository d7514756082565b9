/* A tree against the table: unknown fields, wrong types, what is missing, what excludes one another, bad globs and templates. */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/config.h"
#include "config/schema.h"
#include "format/yaml.h"

struct checker {
	struct diagnostics *d;
	const struct config_options *options;
	bool old; /* the file's version has the fields that were dropped before v4 */
};

void check_section(const struct checker *c, const struct section *section, const struct yaml_node *node);

/* The document's apiVersion. False where nothing more can be said about the document (the error is told). *old: as above. */
bool check_version(struct diagnostics *d, const struct yaml_node *document, bool *old);

#endif
