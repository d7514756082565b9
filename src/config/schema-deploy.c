/* The part of the table under `deploy` and `manifests`, and what tests and actions say. */
#include "config/config.h"
#include "config/decode.h"
#include "config/schema.h"

static const char *const log_prefixes[] = {"container", "podAndContainer", "auto", "none", NULL};

/* Hooks. */

static const struct field named_container_hook_fields[] = {
	STRINGS("command", REQUIRED),
	STRING("podName", REQUIRED),
	STRING("containerName"),
};
static SECTION(named_container_hook);

static const struct field deploy_hook_fields[] = {
	OBJECT("host", host_hook, GROUP("kind of hook")),
	OBJECT("container", named_container_hook, GROUP("kind of hook")),
};
static SECTION(deploy_hook);

static const struct field deploy_hooks_fields[] = {
	OBJECTS("before", deploy_hook),
	OBJECTS("after", deploy_hook),
};
static SECTION(deploy_hooks);

static const struct field post_render_host_hook_fields[] = {
	STRINGS("command", REQUIRED),
	STRINGS("os"),
	STRING("dir"),
	BOOL("withChange"),
};
static SECTION(post_render_host_hook);

static const struct field render_hook_fields[] = {
	OBJECT("host", host_hook),
};
static SECTION(render_hook);

static const struct field post_render_hook_fields[] = {
	OBJECT("host", post_render_host_hook),
};
static SECTION(post_render_hook);

static const struct field render_hooks_fields[] = {
	OBJECTS("before", render_hook),
	OBJECTS("after", post_render_hook),
};
static SECTION(render_hooks);

/* Helm. */

static const struct field helm_flags_fields[] = {
	STRINGS("global", AT(struct manifest_source, helm_global_flags)),
	STRINGS("install"),
	STRINGS("upgrade"),
	STRINGS("depBuild"),
	STRINGS("template", AT(struct manifest_source, helm_template_flags)),
};
static SECTION(helm_flags);

static const struct field helm_packaged_fields[] = {
	STRING("version"),
	STRING("appVersion"),
};
static SECTION(helm_packaged);

#define NO_RENDER_HOOKS "no hooks are run around manifests"
#define NO_DEPLOY_HOOKS "no hooks are run around deploying"

static const struct field helm_release_fields[] = {
	STRING("name", REQUIRED, AT(struct helm_release, name)),
	TEXT("chartPath", GROUP("source of the chart"), AT(struct helm_release, chart)),
	TEXT("remoteChart", GROUP("source of the chart"), .decode = decode_remote_chart),
	STRINGS("valuesFiles", AT(struct helm_release, values_files)),
	STRING("namespace", AT(struct helm_release, namespace_)),
	STRING("version", AT(struct helm_release, version)),
	ANY("setValues", .decode = decode_flat_values),
	ANY("setValueTemplates", .decode = decode_flat_templates),
	PAIRS("setFiles", AT(struct helm_release, files)),
	BOOL("createNamespace", AT(struct helm_release, create_namespace)),
	BOOL("wait"),
	BOOL("recreatePods"),
	BOOL("skipBuildDependencies", AT(struct helm_release, skip_dependencies)),
	BOOL("skipTests", AT(struct helm_release, skip_tests)),
	BOOL("useHelmSecrets", INSTEAD("values files are read as they are")),
	STRING("repo", AT(struct helm_release, repo)),
	BOOL("upgradeOnChange"),
	ANY("overrides", .decode = decode_helm_overrides),
	OBJECT("packaged", helm_packaged, INSTEAD("the chart is rendered as it is")),
	STRINGS("dependsOn"),
	PAIRS("artifactOverrides", OLD, AT(struct helm_release, values)),
	ANY("imageStrategy", .flags = FIELD_OLD | FIELD_LATER, .instead = "images are set as one value each"),
	PAIRS("values", OLD, AT(struct helm_release, values)),
	BOOL("remote", OLD),
};
static SECTION(helm_release, .size = sizeof(struct helm_release), AT_PLACE(struct helm_release),
	       .finish = finish_helm_release);

static const struct field manifests_helm_fields[] = {
	OBJECT("flags", helm_flags),
	OBJECTS("releases", helm_release, REQUIRED, AT(struct manifest_source, releases)),
};
static SECTION(manifests_helm);

static const struct field helm_fields[] = {
	INT("concurrency"),
	OBJECTS("releases", helm_release, AT(struct manifest_source, releases)),
	OBJECT("flags", helm_flags),
	OBJECT("hooks", deploy_hooks, INSTEAD(NO_DEPLOY_HOOKS)),
};
SECTION(helm);

/* Manifests. */

static const struct field remote_manifest_fields[] = {
	STRING("manifest"),
	STRING("kubeContext"),
};
static SECTION(remote_manifest);

static const struct field kustomize_fields[] = {
	TEXTS("paths", AT(struct manifest_source, kustomize)),
	STRINGS("buildArgs", AT(struct manifest_source, kustomize_args)),
};
static SECTION(kustomize);

static const struct field kpt_function_fields[] = {
	STRING("name", REQUIRED),
	STRINGS("configMap"),
};
static SECTION(kpt_function);

static const struct field manifests_fields[] = {
	TEXTS("rawYaml", AT(struct manifest_source, raw_yaml)),
	OBJECTS("remoteManifests", remote_manifest, INSTEAD("copy it into a file of rawYaml")),
	OBJECT("kustomize", kustomize),
	OBJECT("helm", manifests_helm),
	STRINGS("kpt", INSTEAD("nothing is rendered by kpt")),
	OBJECT("hooks", render_hooks, .flags = FIELD_MERGED | FIELD_LATER, .instead = NO_RENDER_HOOKS),
	OBJECTS("transform", kpt_function, INSTEAD("manifests are applied as they are")),
	OBJECTS("validate", kpt_function, INSTEAD("manifests are applied as they are")),
	STRING("output"),
	ANY("generate", OLD),
};
SECTION(manifests);

static const struct field resource_filter_fields[] = {
	STRING("groupKind", REQUIRED),
	STRINGS("image"),
	STRINGS("labels"),
	STRINGS("podSpec"),
};
static SECTION(resource_filter);

static const struct field resource_selector_fields[] = {
	OBJECTS("allow", resource_filter),
	OBJECTS("deny", resource_filter),
};
SECTION(resource_selector);

/* Deployers. */

static const struct field run_fields[] = {
	PAIRS("env", AT(struct run_config, env)),	    STRINGS("volumes", AT(struct run_config, volumes)),
	COMMAND("command", AT(struct run_config, command)), STRINGS("ports", AT(struct run_config, ports)),
	STRINGS("tmpfs", AT(struct run_config, tmpfs)),	    STRING("user", AT(struct run_config, user)),
	BOOL("readOnly", AT(struct run_config, read_only)),
};
SECTION(run, .size = sizeof(struct run_config), AT_PLACE(struct run_config));

static const struct field deploy_docker_fields[] = {
	STRINGS("images", AT(struct config, docker_images)),
	BOOL("useCompose", INSTEAD("the images are started one by one")),
	{.name = "run", .type = FIELD_OBJECT_MAP, .flags = FIELD_SKIFF, .section = &section_run, .decode = decode_run},
};
static SECTION(deploy_docker);

static const struct field kubectl_flags_fields[] = {
	STRINGS("global", AT(struct config, kubernetes.global_flags)),
	STRINGS("apply", AT(struct config, kubernetes.apply_flags)),
	STRINGS("delete", AT(struct config, kubernetes.delete_flags)),
	BOOL("disableValidation", AT(struct config, kubernetes.disable_validation)),
};
SECTION(kubectl_flags);

static const struct field kubectl_fields[] = {
	OBJECT("flags", kubectl_flags),
	STRINGS("remoteManifests", INSTEAD("copy it into a file of rawYaml")),
	STRING("defaultNamespace", AT(struct config, kubernetes.default_namespace)),
	OBJECT("hooks", deploy_hooks, INSTEAD(NO_DEPLOY_HOOKS)),
	TEXTS("manifests", OLD, .decode = decode_old_manifests),
};
static SECTION(kubectl);

static const struct field old_kustomize_fields[] = {
	STRING("path", .decode = decode_old_kustomize_path),
	TEXTS("paths", AT(struct manifest_source, kustomize)),
	OBJECT("flags", kubectl_flags, .decode = decode_kubectl_flags),
	STRINGS("buildArgs", AT(struct manifest_source, kustomize_args)),
	STRING("defaultNamespace", .decode = decode_default_namespace),
	OBJECT("hooks", deploy_hooks, INSTEAD(NO_DEPLOY_HOOKS)),
};
SECTION(old_kustomize);

static const struct field kpt_fields[] = {
	STRING("dir"),	       STRINGS("applyFlags"), STRINGS("flags"),	     STRING("name"),
	STRING("inventoryID"), STRING("namespace"),   BOOL("force"),	     STRING("defaultNamespace"),
	BOOL("false", GONE), /* what v3alpha1 calls "force" */
	ANY("fn", OLD),	       ANY("live", OLD),      ANY("kustomize", OLD), OBJECT("hooks", deploy_hooks, OLD),
};
static SECTION(kpt);

static const struct field cloud_run_hooks_fields[] = {
	OBJECTS("before", host_hook),
	OBJECTS("after", host_hook),
};
static SECTION(cloud_run_hooks);

static const struct field cloud_run_fields[] = {
	STRING("projectid"),
	STRING("region"),
	OBJECT("hooks", cloud_run_hooks),
};
static SECTION(cloud_run);

static const struct field json_logs_fields[] = {
	STRINGS("fields"),
};
static SECTION(json_logs);

static const struct field logs_fields[] = {
	STRING("prefix", AT(struct config, log_prefix), .values = log_prefixes),
	OBJECT("jsonParse", json_logs, .flags = FIELD_LATER | FIELD_MERGED,
	       .instead = "lines are printed as they come"),
};
static SECTION(logs);

static const struct field attach_fields[] = {
	TEXT("image", REQUIRED, AT(struct attach_config, image)),
	TEXT("label", GROUP("way to find the containers"), AT(struct attach_config, label)),
	TEXT("compose", GROUP("way to find the containers"), AT(struct attach_config, compose)),
};
static SECTION(attach, .size = sizeof(struct attach_config), AT_PLACE(struct attach_config), .finish = finish_attach);

static const struct field load_fields[] = {
	COMMAND("command", REQUIRED, AT(struct config, kubernetes.load)),
};
static SECTION(load);

static const struct field deploy_fields[] = {
	OBJECT("docker", deploy_docker),
	OBJECT("helm", helm, .decode = decode_helm),
	OBJECT("kpt", kpt, INSTEAD("nothing is deployed by kpt")),
	OBJECT("kubectl", kubectl),
	OBJECT("cloudrun", cloud_run, INSTEAD("nothing is deployed to Cloud Run")),
	BOOL("statusCheck", .decode = decode_status_check),
	INT("statusCheckDeadlineSeconds", AT(struct config, status_check_deadline_s)),
	BOOL("tolerateFailuresUntilDeadline"),
	STRING("kubeContext", AT(struct config, kubernetes.context)),
	OBJECT("logs", logs, .flags = FIELD_MERGED),
	OBJECTS("attach", attach, .flags = FIELD_SKIFF, AT(struct config, attach)),
	OBJECT("load", load, .flags = FIELD_SKIFF),
	OBJECT("kustomize", old_kustomize, OLD, .decode = decode_kustomize),
};
SECTION(deploy);

/* Tests and actions. */

static const struct field test_dependencies_fields[] = {
	STRING("command", GROUP("kind of dependencies")),
	STRINGS("paths", GROUP("kind of dependencies")),
	STRINGS("ignore"),
};
static SECTION(test_dependencies);

static const struct field custom_test_fields[] = {
	STRING("command", REQUIRED),
	INT("timeoutSeconds"),
	OBJECT("dependencies", test_dependencies),
};
static SECTION(custom_test);

static const struct field test_case_fields[] = {
	STRING("image", REQUIRED),     STRING("context"), OBJECTS("custom", custom_test), STRINGS("structureTests"),
	STRINGS("structureTestsArgs"),
};
SECTION(test_case);

static const struct field env_variable_fields[] = {
	STRING("name", REQUIRED),
	STRING("value"),
	ANY("valuefrom", GONE),
};
static SECTION(env_variable);

static const struct field test_container_fields[] = {
	STRING("name", REQUIRED),
	STRING("image", REQUIRED),
	STRINGS("command"),
	STRINGS("args"),
	OBJECTS("env", env_variable),
	/* To v4beta1 it was a container of Kubernetes, its keys in small letters. */
	ANY("envfrom", GONE),
	STRING("imagepullpolicy", GONE),
	ANY("lifecycle", GONE),
	ANY("livenessprobe", GONE),
	ANY("ports", GONE),
	ANY("readinessprobe", GONE),
	ANY("resources", GONE),
	ANY("securitycontext", GONE),
	ANY("startupprobe", GONE),
	BOOL("stdin", GONE),
	BOOL("stdinonce", GONE),
	STRING("terminationmessagepath", GONE),
	STRING("terminationmessagepolicy", GONE),
	BOOL("tty", GONE),
	ANY("volumedevices", GONE),
	ANY("volumemounts", GONE),
	STRING("workingdir", GONE),
};
static SECTION(test_container);

static const struct field local_mode_fields[] = {
	BOOL("useLocalImages"),
};
static SECTION(local_mode);

static const struct field cluster_mode_fields[] = {
	STRING("overrides"),
	STRING("jobManifestPath"),
};
static SECTION(cluster_mode);

static const struct field execution_mode_fields[] = {
	OBJECT("local", local_mode),
	OBJECT("kubernetesCluster", cluster_mode),
};
static SECTION(execution_mode);

static const struct field verify_case_fields[] = {
	STRING("name", REQUIRED),
	INT("timeout"),
	OBJECT("container", test_container, REQUIRED),
	OBJECT("executionMode", execution_mode),
};
SECTION(verify_case);

static const struct field action_fields[] = {
	STRING("name", REQUIRED),
	BOOL("failFast"),
	INT("timeout"),
	OBJECT("executionMode", execution_mode),
	OBJECTS("containers", test_container, REQUIRED),
};
SECTION(action);
