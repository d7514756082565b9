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
	STRINGS("global"), STRINGS("install"), STRINGS("upgrade"), STRINGS("depBuild"), STRINGS("template"),
};
static SECTION(helm_flags);

static const struct field helm_packaged_fields[] = {
	STRING("version"),
	STRING("appVersion"),
};
static SECTION(helm_packaged);

static const struct field helm_release_fields[] = {
	STRING("name", REQUIRED),
	STRING("chartPath", GROUP("source of the chart")),
	STRING("remoteChart", GROUP("source of the chart")),
	STRINGS("valuesFiles"),
	STRING("namespace"),
	STRING("version"),
	ANY("setValues"),
	ANY("setValueTemplates"),
	PAIRS("setFiles"),
	BOOL("createNamespace"),
	BOOL("wait"),
	BOOL("recreatePods"),
	BOOL("skipBuildDependencies"),
	BOOL("skipTests"),
	BOOL("useHelmSecrets"),
	STRING("repo"),
	BOOL("upgradeOnChange"),
	ANY("overrides"),
	OBJECT("packaged", helm_packaged),
	STRINGS("dependsOn"),
	PAIRS("artifactOverrides", OLD),
	ANY("imageStrategy", OLD),
	PAIRS("values", OLD),
	BOOL("remote", OLD),
};
static SECTION(helm_release);

static const struct field manifests_helm_fields[] = {
	OBJECT("flags", helm_flags),
	OBJECTS("releases", helm_release, REQUIRED),
};
static SECTION(manifests_helm);

static const struct field helm_fields[] = {
	INT("concurrency"),
	OBJECTS("releases", helm_release),
	OBJECT("flags", helm_flags),
	OBJECT("hooks", deploy_hooks),
};
static SECTION(helm);

/* Manifests. */

static const struct field remote_manifest_fields[] = {
	STRING("manifest"),
	STRING("kubeContext"),
};
static SECTION(remote_manifest);

static const struct field kustomize_fields[] = {
	STRINGS("paths"),
	STRINGS("buildArgs"),
};
static SECTION(kustomize);

static const struct field kpt_function_fields[] = {
	STRING("name", REQUIRED),
	STRINGS("configMap"),
};
static SECTION(kpt_function);

static const struct field manifests_fields[] = {
	STRINGS("rawYaml"),
	OBJECTS("remoteManifests", remote_manifest),
	OBJECT("kustomize", kustomize),
	OBJECT("helm", manifests_helm),
	STRINGS("kpt"),
	OBJECT("hooks", render_hooks, .flags = FIELD_MERGED),
	OBJECTS("transform", kpt_function),
	OBJECTS("validate", kpt_function),
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
	STRINGS("global"),
	STRINGS("apply"),
	STRINGS("delete"),
	BOOL("disableValidation"),
};
static SECTION(kubectl_flags);

static const struct field kubectl_fields[] = {
	OBJECT("flags", kubectl_flags), STRINGS("remoteManifests"), STRING("defaultNamespace"),
	OBJECT("hooks", deploy_hooks),	STRINGS("manifests", OLD),
};
static SECTION(kubectl);

static const struct field old_kustomize_fields[] = {
	STRING("path"),	      STRINGS("paths"),		  OBJECT("flags", kubectl_flags),
	STRINGS("buildArgs"), STRING("defaultNamespace"), OBJECT("hooks", deploy_hooks),
};
static SECTION(old_kustomize);

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
	COMMAND("command", REQUIRED),
};
static SECTION(load);

static const struct field deploy_fields[] = {
	OBJECT("docker", deploy_docker),
	OBJECT("helm", helm, INSTEAD(NO_KUBERNETES)),
	OBJECT("kpt", kpt, INSTEAD(NO_KUBERNETES)),
	OBJECT("kubectl", kubectl, INSTEAD(NO_KUBERNETES)),
	OBJECT("cloudrun", cloud_run, INSTEAD("nothing is deployed to Cloud Run")),
	BOOL("statusCheck", .decode = decode_status_check),
	INT("statusCheckDeadlineSeconds", AT(struct config, status_check_deadline_s)),
	BOOL("tolerateFailuresUntilDeadline"),
	STRING("kubeContext"),
	OBJECT("logs", logs, .flags = FIELD_MERGED),
	OBJECTS("attach", attach, .flags = FIELD_SKIFF, AT(struct config, attach)),
	OBJECT("load", load, .flags = FIELD_LATER | FIELD_SKIFF),
	OBJECT("kustomize", old_kustomize, .flags = FIELD_LATER | FIELD_OLD, .instead = NO_KUBERNETES),
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
