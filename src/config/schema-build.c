/* The part of the table under `build`: artifacts, builders, sync. */
#include "config/config.h"
#include "config/decode.h"
#include "config/schema.h"

static const char *const git_variants[] = {"Tags", "CommitSha", "AbbrevCommitSha", "TreeSha", "AbbrevTreeSha", NULL};
static const char *const jib_types[] = {"maven", "gradle", NULL};

#define NO_BUILDER "build with docker, or with custom and a buildCommand that starts it"

/* Hooks. */

static const struct field host_hook_fields[] = {
	STRINGS("command", REQUIRED, AT(struct hook, command)),
	STRINGS("os", AT(struct hook, os)),
	STRING("dir", AT(struct hook, dir)),
};
SECTION(host_hook, .size = sizeof(struct hook), AT_PLACE(struct hook), .finish = finish_hook);

static const struct field container_hook_fields[] = {
	STRINGS("command", REQUIRED, AT(struct hook, command)),
};
SECTION(container_hook);

static const struct field sync_hook_fields[] = {
	OBJECT("host", host_hook, GROUP("kind of hook")),
	OBJECT("container", container_hook, GROUP("kind of hook"), .decode = decode_container_hook),
};
static SECTION(sync_hook, .size = sizeof(struct hook), AT_PLACE(struct hook), .finish = finish_hook);

static const struct field sync_hooks_fields[] = {
	OBJECTS("before", sync_hook, AT(struct sync_config, before)),
	OBJECTS("after", sync_hook, AT(struct sync_config, after)),
};
static SECTION(sync_hooks);

static const struct field artifact_hooks_fields[] = {
	OBJECTS("before", host_hook, AT(struct artifact, before)),
	OBJECTS("after", host_hook, AT(struct artifact, after)),
};
static SECTION(artifact_hooks);

static const struct field build_hooks_fields[] = {
	OBJECTS("before", host_hook),
	OBJECTS("after", host_hook),
};
SECTION(build_hooks);

/* Sync. */

static const struct field sync_rule_fields[] = {
	TEXT("src", .flags = FIELD_REQUIRED | FIELD_GLOBS, AT(struct sync_rule, src)),
	TEXT("dest", REQUIRED, AT(struct sync_rule, dest)),
	TEXT("strip", AT(struct sync_rule, strip)),
};
static SECTION(sync_rule, .size = sizeof(struct sync_rule), AT_PLACE(struct sync_rule), .finish = finish_sync_rule);

static const struct field generated_file_fields[] = {
	TEXT("src", REQUIRED, AT(struct sync_rule, src)),
	TEXT("dest", REQUIRED, AT(struct sync_rule, dest)),
};
static SECTION(generated_file, .size = sizeof(struct sync_rule), AT_PLACE(struct sync_rule));

static const struct field generator_fields[] = {
	COMMAND("command", REQUIRED, AT(struct sync_generator, command)),
	TEXTS("inputs", .flags = FIELD_REQUIRED | FIELD_GLOBS, AT(struct sync_generator, inputs)),
	OBJECTS("sync", generated_file, REQUIRED, AT(struct sync_generator, sync)),
	BOOL("watch", AT(struct sync_generator, watch)),
};
static SECTION(generator, .size = sizeof(struct sync_generator), AT_PLACE(struct sync_generator),
	       .finish = finish_generator);

static const struct field sync_program_fields[] = {
	COMMAND("command", REQUIRED, AT(struct sync_program, command)),
	TEXTS("inputs", .flags = FIELD_GLOBS, AT(struct sync_program, inputs)),
	TEXTS("rebuild", .flags = FIELD_GLOBS, AT(struct sync_program, rebuild)),
};
static SECTION(sync_program, AT_PLACE(struct sync_program), .finish = finish_sync_program);

static const struct field sync_auto_fields[] = {
	TEXTS("ignored", .flags = FIELD_GLOBS | FIELD_SKIFF, AT(struct sync_config, ignored)),
	TEXTS("rebuild", .flags = FIELD_GLOBS | FIELD_SKIFF, AT(struct sync_config, rebuild)),
	OBJECTS("direct", sync_rule, .flags = FIELD_SKIFF, AT(struct sync_config, direct)),
	OBJECTS("generated", generator, .flags = FIELD_SKIFF, AT(struct sync_config, generated)),
	OBJECT("map", sync_program, .flags = FIELD_SKIFF, AT(struct sync_config, map)),
	OBJECT("tar", sync_program, .flags = FIELD_SKIFF, AT(struct sync_config, tar)),
};
SECTION(sync_auto);

static const struct field sync_fields[] = {
	OBJECTS("manual", sync_rule, GROUP("sync mode"), AT(struct sync_config, manual)),
	TEXTS("infer", .flags = FIELD_GLOBS, GROUP("sync mode"), AT(struct sync_config, infer)),
	{.name = "auto",
	 .type = FIELD_AUTO,
	 .group = "sync mode",
	 .section = &section_sync_auto,
	 .decode = decode_auto},
	OBJECT("hooks", sync_hooks),
};
static SECTION(sync, AT_PLACE(struct sync_config));

/* Builders. */

static const struct field docker_secret_fields[] = {
	STRING("id", REQUIRED),
	STRING("src", GROUP("source of the secret")),
	STRING("env", GROUP("source of the secret")),
};
static SECTION(docker_secret);

static const struct field docker_fields[] = {
	TEXT("dockerfile", AT(struct docker_config, dockerfile)),
	STRING("target", AT(struct docker_config, target)),
	PAIRS("buildArgs", .flags = FIELD_TEMPLATE, AT(struct docker_config, build_args)),
	STRING("network", AT(struct docker_config, network)),
	STRINGS("addHost", AT(struct docker_config, add_host)),
	STRINGS("cacheFrom", AT(struct docker_config, cache_from)),
	STRINGS("cacheTo", AT(struct docker_config, cache_to)),
	STRINGS("cliFlags", AT(struct docker_config, cli_flags)),
	BOOL("pullParent", AT(struct docker_config, pull_parent)),
	BOOL("noCache", AT(struct docker_config, no_cache)),
	BOOL("squash", AT(struct docker_config, squash)),
	OBJECTS("secrets", docker_secret, .decode = decode_secrets),
	STRING("ssh", AT(struct docker_config, ssh)),
};
static SECTION(docker);

static const struct field dockerfile_dependency_fields[] = {
	TEXT("path", AT(struct artifact, docker.dockerfile)),
	PAIRS("buildArgs", .flags = FIELD_TEMPLATE, AT(struct artifact, docker.build_args)),
};
SECTION(dockerfile_dependency);

static const struct field custom_dependencies_fields[] = {
	OBJECT("dockerfile", dockerfile_dependency, GROUP("kind of dependencies"),
	       .decode = decode_dockerfile_dependency),
	TEXT("command", GROUP("kind of dependencies"), AT(struct artifact, custom.command)),
	TEXTS("paths", .flags = FIELD_GLOBS, GROUP("kind of dependencies"), AT(struct artifact, custom.paths)),
	TEXTS("ignore", .flags = FIELD_GLOBS, AT(struct artifact, custom.ignore)),
};
static SECTION(custom_dependencies);

static const struct field custom_fields[] = {
	TEXT("buildCommand", .flags = FIELD_TEMPLATE, AT(struct artifact, custom.build_command)),
	OBJECT("dependencies", custom_dependencies),
};
static SECTION(custom);

static const struct field jib_fields[] = {
	STRING("project", AT(struct jib_config, project)),
	STRINGS("args", AT(struct jib_config, args)),
	STRING("type", AT(struct jib_config, type), .values = jib_types),
	STRING("fromImage", AT(struct jib_config, from_image)),
};
static SECTION(jib);

static const struct field ko_dependencies_fields[] = {
	TEXTS("paths", .flags = FIELD_GLOBS, AT(struct ko_config, paths)),
	TEXTS("ignore", .flags = FIELD_GLOBS, AT(struct ko_config, ignore)),
};
static SECTION(ko_dependencies);

static const struct field ko_fields[] = {
	STRING("fromImage", AT(struct ko_config, from_image)),
	OBJECT("dependencies", ko_dependencies),
	STRING("dir", AT(struct ko_config, dir)),
	STRINGS("env", AT(struct ko_config, env)),
	STRINGS("flags", AT(struct ko_config, flags)),
	PAIRS("labels", .decode = decode_ko_labels),
	STRINGS("ldflags", AT(struct ko_config, ldflags)),
	STRING("main", AT(struct ko_config, main)),
};
static SECTION(ko);

static const struct field buildpacks_dependencies_fields[] = {
	TEXTS("paths", .flags = FIELD_GLOBS, AT(struct buildpacks_config, paths)),
	TEXTS("ignore", .flags = FIELD_GLOBS, AT(struct buildpacks_config, ignore)),
};
static SECTION(buildpacks_dependencies);

static const struct field buildpacks_volume_fields[] = {
	STRING("host", REQUIRED),
	STRING("target", REQUIRED),
	STRING("options"),
};
static SECTION(buildpacks_volume);

static const struct field buildpacks_fields[] = {
	STRING("builder", AT(struct buildpacks_config, builder)),
	STRING("runImage", AT(struct buildpacks_config, run_image)),
	STRINGS("env", AT(struct buildpacks_config, env)),
	STRINGS("buildpacks", AT(struct buildpacks_config, buildpacks)),
	BOOL("trustBuilder", AT(struct buildpacks_config, trust_builder)),
	BOOL("clearCache", AT(struct buildpacks_config, clear_cache)),
	STRING("projectDescriptor", AT(struct buildpacks_config, project_descriptor)),
	OBJECT("dependencies", buildpacks_dependencies),
	OBJECTS("volumes", buildpacks_volume, .decode = decode_buildpacks_volumes),
	STRINGS("buildArgs"),
	STRING("network", GONE),
};
static SECTION(buildpacks);

static const struct field bazel_platform_fields[] = {
	STRING("platform", REQUIRED),
	STRING("target", REQUIRED),
};
static SECTION(bazel_platform);

static const struct field bazel_fields[] = {
	STRING("target", REQUIRED),
	STRINGS("args"),
	OBJECTS("platforms", bazel_platform),
};
static SECTION(bazel);

static const struct field kaniko_cache_fields[] = {
	STRING("repo"), STRING("hostPath"), STRING("ttl"), BOOL("cacheCopyLayers"), BOOL("cacheRunLayers"),
};
static SECTION(kaniko_cache);

static const struct field kaniko_fields[] = {
	BOOL("cleanup"),
	BOOL("insecure"),
	BOOL("insecurePull"),
	BOOL("noPush", GONE),
	BOOL("force"),
	BOOL("logTimestamp"),
	BOOL("reproducible"),
	BOOL("singleSnapshot"),
	BOOL("skipTLS"),
	BOOL("skipTLSVerifyPull"),
	BOOL("skipUnusedStages"),
	BOOL("useNewRun"),
	BOOL("whitelistVarRun"),
	TEXT("dockerfile", AT(struct docker_config, dockerfile)),
	STRING("target", AT(struct docker_config, target)),
	STRING("initImage"),
	STRING("image"),
	STRING("imagePullSecret"),
	STRINGS("destination"),
	STRING("digestFile"),
	STRING("imageFSExtractRetry"),
	STRING("imageNameWithDigestFile"),
	STRING("logFormat"),
	STRING("ociLayoutPath"),
	STRING("registryMirror"),
	STRING("snapshotMode"),
	STRING("pushRetry"),
	STRING("tarPath"),
	STRING("verbosity"),
	STRINGS("insecureRegistry"),
	STRINGS("skipTLSVerifyRegistry"),
	ANY("env"),
	OBJECT("cache", kaniko_cache),
	PAIRS("registryCertificate"),
	PAIRS("label"),
	PAIRS("buildArgs", .flags = FIELD_TEMPLATE, AT(struct docker_config, build_args)),
	ANY("volumeMounts"),
	STRING("contextSubPath"),
	STRINGS("ignorePaths"),
	INT("copyMaxRetries"),
	STRING("copyTimeout"),
	INT("buildContextCompressionLevel"),
	STRINGS("flags", OLD),
	ANY("buildContext", OLD),
};
static SECTION(kaniko);

static const struct field artifact_dependency_fields[] = {
	STRING("image", REQUIRED, AT(struct artifact_dependency, image)),
	STRING("alias", AT(struct artifact_dependency, alias)),
};
static SECTION(artifact_dependency, .size = sizeof(struct artifact_dependency), AT_PLACE(struct artifact_dependency),
	       .finish = finish_artifact_dependency);

static const struct field artifact_fields[] = {
	TEXT("image", REQUIRED, AT(struct artifact, image)),
	STRING("context", AT(struct artifact, context)),
	OBJECT("sync", sync, AT(struct artifact, sync)),
	OBJECTS("requires", artifact_dependency, AT(struct artifact, requires_)),
	OBJECT("hooks", artifact_hooks),
	STRINGS("platforms", AT(struct artifact, platforms)),
	STRING("runtimeType", AT(struct artifact, runtime_type)),
	OBJECT("docker", docker, GROUP("builder"), AT(struct artifact, docker)),
	OBJECT("custom", custom, GROUP("builder")),
	OBJECT("jib", jib, GROUP("builder"), AT(struct artifact, jib)),
	OBJECT("ko", ko, GROUP("builder"), AT(struct artifact, ko)),
	OBJECT("buildpacks", buildpacks, GROUP("builder"), AT(struct artifact, buildpacks)),
	OBJECT("bazel", bazel, GROUP("builder"), INSTEAD(NO_BUILDER)),
	OBJECT("kaniko", kaniko, GROUP("builder"), INSTEAD(NO_BUILDER), AT(struct artifact, docker)),
	BOOL("restart", .flags = FIELD_SKIFF, GROUP("way to restart"), .decode = decode_restart),
	STRING("signal", .flags = FIELD_SKIFF, GROUP("way to restart"), .decode = decode_signal),
	BOOL("parallel", .flags = FIELD_SKIFF, AT(struct artifact, parallel)),
};
SECTION(artifact, .size = sizeof(struct artifact), AT_PLACE(struct artifact), .finish = finish_artifact);

/* The rest of `build`. */

static const struct field none_fields[] = {ANY("")};
static const struct section section_empty = {.name = "empty", .fields = none_fields, .count = 0};

static const struct field git_tag_fields[] = {
	STRING("variant", AT(struct tag_rule, git_variant), .values = git_variants),
	STRING("prefix", AT(struct tag_rule, git_prefix)),
	BOOL("ignoreChanges", AT(struct tag_rule, git_ignore_changes)),
};
static SECTION(git_tag);

static const struct field env_template_fields[] = {
	STRING("template", .flags = FIELD_REQUIRED | FIELD_TEMPLATE, AT(struct tag_rule, template)),
};
static SECTION(env_template);

static const struct field date_time_fields[] = {
	STRING("format", AT(struct tag_rule, template)),
	STRING("timezone", AT(struct tag_rule, timezone)),
};
static SECTION(date_time);

#define TAG_POLICIES                                                                                     \
	OBJECT("gitCommit", git_tag, GROUP("tag policy")), OBJECT("sha256", empty, GROUP("tag policy")), \
		OBJECT("envTemplate", env_template, GROUP("tag policy")),                                \
		OBJECT("dateTime", date_time, GROUP("tag policy")), OBJECT("inputDigest", empty, GROUP("tag policy"))

static const struct field tag_component_fields[] = {
	STRING("name", AT(struct tag_rule, name)),
	TAG_POLICIES,
	OBJECT("customTemplate", custom_template, GROUP("tag policy"), .decode = decode_nested_template),
};
SECTION(tag_component, .size = sizeof(struct tag_rule), .finish = finish_tag_component);

static const struct field custom_template_fields[] = {
	STRING("template", .flags = FIELD_REQUIRED | FIELD_TEMPLATE, AT(struct tag_rule, template)),
	OBJECTS("components", tag_component),
};
SECTION(custom_template);

static const struct field tag_policy_fields[] = {
	TAG_POLICIES,
	OBJECT("customTemplate", custom_template, GROUP("tag policy"), .decode = decode_custom_template),
};
static SECTION(tag_policy, .finish = finish_tag_policy);

static const struct field local_fields[] = {
	BOOL("push", .decode = decode_local_push),
	BOOL("tryImportMissing", AT(struct config, local.try_import_missing)),
	BOOL("useDockerCLI", AT(struct config, local.use_docker_cli)),
	BOOL("useBuildkit", .decode = decode_local_buildkit),
	INT("concurrency", AT(struct config, local.concurrency)),
};
static SECTION(local);

static const struct field emulator_step_fields[] = {
	STRING("image", REQUIRED),
	STRINGS("args"),
	STRING("entrypoint"),
};
static SECTION(emulator_step);

static const struct field cloud_build_fields[] = {
	STRING("projectId"),
	INT("diskSizeGb"),
	STRING("machineType"),
	STRING("timeout"),
	STRING("logging"),
	STRING("logStreamingOption"),
	STRING("dockerImage"),
	STRING("kanikoImage"),
	STRING("mavenImage"),
	STRING("gradleImage"),
	STRING("packImage"),
	STRING("koImage"),
	STRING("bucket"),
	INT("concurrency"),
	STRING("workerPool"),
	STRING("region"),
	OBJECT("platformEmulatorInstallStep", emulator_step),
	STRING("serviceAccount"),
};
static SECTION(cloud_build);

static const struct field docker_credentials_fields[] = {
	STRING("path"),
	STRING("secretName"),
};
static SECTION(docker_credentials);

static const struct field resource_amounts_fields[] = {
	STRING("cpu"),
	STRING("memory"),
	STRING("ephemeralStorage"),
	STRING("resourceStorage"),
};
static SECTION(resource_amounts);

static const struct field resources_fields[] = {
	OBJECT("requests", resource_amounts),
	OBJECT("limits", resource_amounts),
};
static SECTION(resources);

static const struct field cluster_fields[] = {
	STRING("HTTP_PROXY"),
	STRING("HTTPS_PROXY"),
	STRING("pullSecretPath"),
	STRING("pullSecretName"),
	STRING("pullSecretMountPath"),
	STRING("namespace"),
	STRING("timeout"),
	OBJECT("dockerConfig", docker_credentials),
	STRING("serviceAccount"),
	ANY("tolerations"),
	PAIRS("nodeSelector"),
	PAIRS("annotations"),
	PAIRS("labels"),
	INT("runAsUser"),
	OBJECT("resources", resources),
	INT("concurrency"),
	ANY("volumes"),
	BOOL("randomPullSecret"),
	BOOL("randomDockerConfigSecret"),
	STRING("pullSecret", OLD),
};
static SECTION(cluster);

static const struct field build_fields[] = {
	OBJECT("hooks", build_hooks, .flags = FIELD_LATER | FIELD_MERGED, .instead = "use the hooks of each artifact"),
	OBJECTS("artifacts", artifact, .decode = decode_artifacts),
	STRINGS("insecureRegistries"),
	OBJECT("tagPolicy", tag_policy, AT(struct config, tag)),
	STRINGS("platforms"),
	OBJECT("local", local, GROUP("place to build")),
	OBJECT("googleCloudBuild", cloud_build, INSTEAD("images are built on this machine"), GROUP("place to build")),
	OBJECT("cluster", cluster, INSTEAD("images are built on this machine"), GROUP("place to build")),
};
SECTION(build);
