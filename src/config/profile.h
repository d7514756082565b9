/* Laying one configuration over another: profiles, and skiff.yaml. */
#ifndef CONFIG_PROFILE_H
#define CONFIG_PROFILE_H

#include "config/config.h"
#include "config/schema.h"
#include "format/yaml.h"

/* What `over` says laid over `base`: a field that is merged (FIELD_MERGED) goes deeper, every other replaces; a field of a group
 * replaces the group's other fields too. Fields without value, and empty lists, change nothing. Skaffold's rules for profiles. */
struct yaml_node *profile_overlay(struct yaml_pool *pool, const struct section *section, struct yaml_node *base,
				  const struct yaml_node *over);

/* The same for skiff.yaml: every mapping is merged, but `sync` of an artifact is replaced whole. */
struct yaml_node *profile_merge(struct yaml_pool *pool, const struct section *section, struct yaml_node *base,
				const struct yaml_node *over);

/* The names of the profiles of a document that are on, in the order of application: those whose activation holds in the order of the file,
 * then those named ("-name" turns off). Named ones that the document does not have are left out. */
void profile_active(const struct yaml_node *document, const struct strv *named, const struct config_options *options,
		    struct diagnostics *d, struct strv *active);

/* The profile of that name in a document, or NULL. */
const struct yaml_node *profile_find(const struct yaml_node *document, const char *name);

#endif
