/* The one table of what a skaffold.yaml and a skiff.yaml can say. Checking, decoding, merging of profiles, suggestions and the JSON
 * Schema all read it; no other place lists fields.
 *
 * Skaffold's part is schema v4beta14 (skaffold.dev/docs/references/yaml). */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

struct decoder;
struct section;
struct yaml_node;

enum field_type {		    /* in the file                          in memory */
		  FIELD_STRING,	    /* any scalar                           char * */
		  FIELD_TEXT,	    /* any scalar                           struct text */
		  FIELD_BOOL,	    /* true, false, yes, no, on, off        bool */
		  FIELD_INT,	    /* a whole number                       int */
		  FIELD_PORT,	    /* a number or a name                   by `decode` */
		  FIELD_STRINGS,    /* list of scalars                      struct strv */
		  FIELD_TEXTS,	    /* list of scalars                      struct text_list */
		  FIELD_COMMAND,    /* a text for sh -c, or a list          struct strv */
		  FIELD_PAIRS,	    /* mapping: name → scalar or nothing    struct pair_list */
		  FIELD_OBJECT,	    /* mapping, by `section`                its struct */
		  FIELD_OBJECTS,    /* list of mappings, by `section`       VEC of section->size */
		  FIELD_OBJECT_MAP, /* mapping: name → mapping              by `decode` */
		  FIELD_AUTO,	    /* bool, or mapping by `section`        by `decode` */
		  FIELD_ANY,	    /* whatever stands there                nothing */
		  FIELD_TYPE_COUNT
};

enum field_flags {
	FIELD_REQUIRED = 1 << 0,
	FIELD_GLOBS = 1 << 1,	 /* each text is a glob (options->check_glob) */
	FIELD_TEMPLATE = 1 << 2, /* each text is a Go template */
	FIELD_LATER = 1 << 3,	 /* known, not carried out yet: one warning where it is used */
	FIELD_OLD = 1 << 4,	 /* only in v2 and v3 files */
	FIELD_MERGED = 1 << 5,	 /* a profile's mapping is merged into it; without this it replaces all of it */
	FIELD_SKIFF = 1 << 6,	 /* skiff's own */
	FIELD_GONE = 1 << 7,	 /* in one of v3alpha1 to v4beta13, no more in v4beta14: accepted, not offered */
};

struct field {
	const char *name;
	enum field_type type;
	unsigned flags;
	const char *group; /* at most one field of a group may be there; what a person calls the choice: "sync mode" */
	const struct section *section;
	size_t at;		   /* offset in the target + 1; 0: not stored (FIELD_OBJECT: into the same target) */
	const char *instead;	   /* FIELD_LATER: what happens, or what to do, for now */
	const char *const *values; /* the only texts allowed; ends with NULL; NULL: any */
	/* Stores what the type alone can't. The value is of the right type, not null. */
	void (*decode)(struct decoder *d, const struct yaml_node *value, void *target);
};

struct section {
	const char *name; /* of the definition in the JSON Schema */
	const struct field *fields;
	size_t count;
	size_t size;	 /* of its struct, where FIELD_OBJECTS stores it */
	size_t place_at; /* offset of a struct place + 1; 0: none */
	bool dot_keys;	 /* keys that start with "." are allowed and mean nothing (Skaffold: a place for anchors) */
	/* After all fields: defaults, and what depends on more than one field. */
	void (*finish)(struct decoder *d, const struct yaml_node *node, void *target);
};

#define AT(type, member) .at = offsetof(type, member) + 1
#define AT_PLACE(type) .place_at = offsetof(type, place) + 1
#define SECTION(id, ...)                                                                            \
	const struct section section_##id = {.name = #id,                                           \
					     .fields = id##_fields,                                 \
					     .count = sizeof(id##_fields) / sizeof(id##_fields[0]), \
					     ##__VA_ARGS__}

/* clang-format off */
#define STRING(n, ...)     {.name = n, .type = FIELD_STRING, ##__VA_ARGS__}
#define TEXT(n, ...)       {.name = n, .type = FIELD_TEXT, ##__VA_ARGS__}
#define BOOL(n, ...)       {.name = n, .type = FIELD_BOOL, ##__VA_ARGS__}
#define INT(n, ...)        {.name = n, .type = FIELD_INT, ##__VA_ARGS__}
#define STRINGS(n, ...)    {.name = n, .type = FIELD_STRINGS, ##__VA_ARGS__}
#define TEXTS(n, ...)      {.name = n, .type = FIELD_TEXTS, ##__VA_ARGS__}
#define COMMAND(n, ...)    {.name = n, .type = FIELD_COMMAND, ##__VA_ARGS__}
#define PAIRS(n, ...)      {.name = n, .type = FIELD_PAIRS, ##__VA_ARGS__}
#define ANY(n, ...)        {.name = n, .type = FIELD_ANY, ##__VA_ARGS__}
#define OBJECT(n, s, ...)  {.name = n, .type = FIELD_OBJECT, .section = &section_##s, ##__VA_ARGS__}
#define OBJECTS(n, s, ...) {.name = n, .type = FIELD_OBJECTS, .section = &section_##s, ##__VA_ARGS__}
#define REQUIRED .flags = FIELD_REQUIRED
#define LATER .flags = FIELD_LATER
#define OLD .flags = FIELD_OLD
#define INSTEAD(text) .flags = FIELD_LATER, .instead = text
#define GONE .flags = FIELD_GONE
#define GROUP(g) .group = g
/* clang-format on */

/* The roots. */
extern const struct section section_config; /* a document of skaffold.yaml */
extern const struct section section_skiff;  /* skiff.yaml */
extern const struct section section_profile;

/* Sections that tables in other files name. */
extern const struct section section_artifact, section_build, section_deploy, section_manifests, section_host_hook,
	section_build_hooks, section_resource_selector, section_test_case, section_verify_case, section_action,
	section_port_forward, section_dockerfile_dependency, section_sync_auto, section_container_hook, section_run,
	section_config_dependency, section_helm, section_kubectl_flags, section_old_kustomize, section_custom_template,
	section_tag_component;

const struct field *section_field(const struct section *section, const char *name);

/* The names of its fields for suggestions, without old ones; ends with NULL. The caller frees the array, not the names. */
const char **section_names(const struct section *section) __attribute__((returns_nonnull));

#endif
