#include "config/schema.h"

#include <string.h>

#include "base/alloc.h"
#include "config/config.h"
#include "config/decode.h"

const struct field *section_field(const struct section *section, const char *name)
{
	for (size_t i = 0; i < section->count; i++)
		if (strcmp(section->fields[i].name, name) == 0)
			return &section->fields[i];
	return NULL;
}

const char **section_names(const struct section *section)
{
	const char **names = xcalloc(section->count + 1, sizeof(*names));
	for (size_t i = 0, n = 0; i < section->count; i++)
		if (!(section->fields[i].flags & (FIELD_OLD | FIELD_GONE)))
			names[n++] = section->fields[i].name;
	return names;
}

static const struct field metadata_fields[] = {
	STRING("name"),
	PAIRS("labels"),
	PAIRS("annotations"),
};
static SECTION(metadata);

static const struct field git_fields[] = {
	STRING("repo", REQUIRED),
	STRING("path"),
	STRING("ref"),
	BOOL("sync"),
};
static SECTION(git);

static const struct field cloud_storage_fields[] = {
	STRING("source"),
	STRING("path"),
	BOOL("sync"),
};
static SECTION(cloud_storage);

static const struct field cloud_build_repository_fields[] = {
	STRING("projectID", REQUIRED),
	STRING("region", REQUIRED),
	STRING("connection", REQUIRED),
	STRING("repo", REQUIRED),
	STRING("path"),
	STRING("ref"),
	BOOL("sync"),
};
static SECTION(cloud_build_repository);

static const struct field active_profile_fields[] = {
	STRING("name", REQUIRED),
	STRINGS("activatedBy"),
};
static SECTION(active_profile);

static const struct field config_dependency_fields[] = {
	STRINGS("configs"),
	STRING("path", GROUP("place of the configuration")),
	OBJECT("git", git, INSTEAD("fetch the files, and name them with path"), GROUP("place of the configuration")),
	OBJECT("googleCloudStorage", cloud_storage, INSTEAD("fetch the files, and name them with path"),
	       GROUP("place of the configuration")),
	OBJECT("googleCloudBuildRepoV2", cloud_build_repository, INSTEAD("fetch the files, and name them with path"),
	       GROUP("place of the configuration")),
	OBJECTS("activeProfiles", active_profile),
};
SECTION(config_dependency);

static const struct field patch_fields[] = {
	STRING("op"),
	STRING("path", REQUIRED),
	ANY("value"),
	STRING("from"),
};
static SECTION(patch);

static const struct field activation_fields[] = {
	STRING("env"),
	STRING("kubeContext"),
	STRING("command"),
};
static SECTION(activation);

/* What a configuration and a profile have in common. */
#define PIPELINE_FIELDS                                                                                         \
	OBJECT("build", build, .flags = FIELD_MERGED), OBJECTS("test", test_case, INSTEAD("no tests are run")), \
		OBJECT("manifests", manifests, .flags = FIELD_MERGED, .decode = decode_manifests),              \
		OBJECT("deploy", deploy, .flags = FIELD_MERGED),                                                \
		OBJECTS("portForward", port_forward, AT(struct config, port_forward)),                          \
		OBJECT("resourceSelector", resource_selector, .flags = FIELD_MERGED | FIELD_LATER,              \
		       .instead = "images are replaced wherever they stand"),                                   \
		OBJECTS("verify", verify_case, INSTEAD("no tests are run")),                                    \
		OBJECTS("customActions", action, INSTEAD("run the containers with docker"))

static const struct field profile_fields[] = {
	STRING("name", REQUIRED),
	OBJECTS("activation", activation),
	BOOL("requiresAllActivations"),
	OBJECTS("patches", patch),
	PIPELINE_FIELDS,
};
SECTION(profile);

static const struct field config_fields[] = {
	STRING("apiVersion", REQUIRED),
	STRING("kind", REQUIRED),
	OBJECT("metadata", metadata),
	OBJECTS("requires", config_dependency, .decode = decode_requires),
	PIPELINE_FIELDS,
	OBJECTS("profiles", profile),
};
SECTION(config, .dot_keys = true);

static const struct field skiff_fields[] = {
	OBJECTS("artifacts", artifact, .decode = decode_artifacts),
	OBJECT("deploy", deploy, .flags = FIELD_MERGED),
	OBJECTS("portForward", port_forward, AT(struct config, port_forward)),
};
SECTION(skiff, .dot_keys = true);

static const struct field port_forward_fields[] = {
	STRING("resourceType", AT(struct port_forward, resource_type)),
	STRING("resourceName", AT(struct port_forward, resource_name)),
	STRING("namespace", AT(struct port_forward, namespace_)),
	{.name = "port", .type = FIELD_PORT, .decode = decode_port},
	STRING("address", AT(struct port_forward, address)),
	INT("localPort", AT(struct port_forward, local_port)),
};
SECTION(port_forward, .size = sizeof(struct port_forward), AT_PLACE(struct port_forward),
	.finish = finish_port_forward);
