/* Deploying to Kubernetes, as far as no cluster is needed: how images travel, what a status says, which ports are forwarded, which files manifests are made of,
 * and how helm is called (by a program in its place). */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "config/config.h"
#include "deploy/helm.h"
#include "deploy/kubernetes-images.h"
#include "deploy/kubernetes-ports.h"
#include "deploy/kubernetes-status.h"
#include "deploy/render.h"

/* ---- images ---- */

static void images_travel_by_context(void **state)
{
	(void)state;
	static const struct {
		const char *context, *repo, *name;
		int push; /* -1: not written */
		bool load;
		enum image_way way;
	} cases[] = {
		{"kind-a", NULL, "web", -1, false, IMAGE_KIND},
		{"kind-a", NULL, "web", 0, false, IMAGE_KIND},
		{"kind-a", NULL, "web", 1, false, IMAGE_PUSH},
		{"kind-a", "gcr.io/p", "gcr.io/p/web", -1, false, IMAGE_KIND},
		{"kind-a", NULL, "web", 1, true, IMAGE_COMMAND},
		{"k3d-a", NULL, "web", -1, false, IMAGE_K3D},
		{"minikube", NULL, "web", -1, false, IMAGE_MINIKUBE},
		{"docker-desktop", NULL, "web", -1, false, IMAGE_SHARED},
		{"orbstack", NULL, "web", -1, false, IMAGE_SHARED},
		{"rancher-desktop", NULL, "web", -1, false, IMAGE_SHARED},
		{"prod", NULL, "web", -1, false, IMAGE_UNKNOWN},
		{"prod", NULL, "team/web", -1, false, IMAGE_UNKNOWN},
		{"prod", NULL, "web", 0, false, IMAGE_SHARED},
		{"prod", "repo", "repo/web", -1, false, IMAGE_PUSH},
		{"prod", NULL, "gcr.io/p/web", -1, false, IMAGE_PUSH},
		{"prod", NULL, "localhost/web", -1, false, IMAGE_PUSH},
		{"prod", NULL, "localhost:5000/web", -1, false, IMAGE_PUSH},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config config = {0};
		config.local.push_set = cases[i].push >= 0;
		config.local.push = cases[i].push > 0;
		if (cases[i].load)
			strv_push(&config.kubernetes.load, "load");
		assert_int_equal(image_way(&config, cases[i].context, cases[i].repo, cases[i].name), cases[i].way);
		strv_release(&config.kubernetes.load);
	}
}

static void references_are_unique_by_content(void **state)
{
	(void)state;
	static const char *const cases[][3] = {
		{"team/web:v1", "sha256:0123456789abcdef", "team/web:skiff-0123456789ab"},
		{"localhost:5000/web", "sha256:0123456789abcdef", "localhost:5000/web:skiff-0123456789ab"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *reference = image_unique_reference(cases[i][0], cases[i][1]);
		assert_string_equal(reference, cases[i][2]);
	}
}

/* ---- status ---- */

static json_t *json(const char *text)
{
	json_error_t error;
	json_t *value = json_loads(text, 0, &error);
	if (!value)
		fail_msg("%s: %s", error.text, text);
	return value;
}

static void rollouts_are_known(void **state)
{
	(void)state;
	static const struct {
		enum target_kind kind;
		const char *object, *missing;
	} cases[] = {
		{TARGET_DEPLOYMENT,
		 "{\"metadata\":{\"generation\":2},\"spec\":{\"replicas\":2},\"status\":{\"observedGeneration\":2,"
		 "\"updatedReplicas\":2,"
		 "\"availableReplicas\":2,\"replicas\":3}}",
		 NULL},
		{TARGET_DEPLOYMENT,
		 "{\"metadata\":{\"generation\":3},\"spec\":{\"replicas\":2},\"status\":{\"observedGeneration\":2,"
		 "\"updatedReplicas\":2,"
		 "\"availableReplicas\":2}}",
		 "its controller has not seen it yet"},
		{TARGET_DEPLOYMENT,
		 "{\"metadata\":{\"generation\":1},\"spec\":{\"replicas\":3},\"status\":{\"observedGeneration\":1,"
		 "\"updatedReplicas\":1,"
		 "\"availableReplicas\":3}}",
		 "1 of 3 pods are new, 3 available"},
		{TARGET_DEPLOYMENT, /* the one that is available is old */
		 "{\"metadata\":{\"generation\":1},\"spec\":{\"replicas\":1},\"status\":{\"observedGeneration\":1,"
		 "\"updatedReplicas\":1,\"availableReplicas\":1,\"unavailableReplicas\":1}}",
		 "1 of 1 pods are new, 1 available"},
		{TARGET_DEPLOYMENT,
		 "{\"metadata\":{\"generation\":1},\"spec\":{\"replicas\":0},\"status\":{\"observedGeneration\":1}}",
		 NULL},
		{TARGET_STATEFUL_SET,
		 "{\"metadata\":{\"generation\":1},\"spec\":{\"replicas\":3,\"updateStrategy\":{\"type\":"
		 "\"RollingUpdate\",\"rollingUpdate\":{"
		 "\"partition\":2}}},\"status\":{\"observedGeneration\":1,\"updatedReplicas\":1,\"availableReplicas\":"
		 "3}}",
		 NULL},
		{TARGET_STATEFUL_SET,
		 "{\"metadata\":{\"generation\":1},\"spec\":{\"replicas\":3,\"updateStrategy\":{\"type\":\"OnDelete\"}}"
		 ",\"status\":{"
		 "\"observedGeneration\":1,\"availableReplicas\":3}}",
		 NULL},
		{TARGET_DAEMON_SET,
		 "{\"metadata\":{\"generation\":1},\"status\":{\"observedGeneration\":1,\"desiredNumberScheduled\":2,"
		 "\"updatedNumberScheduled\":"
		 "2,\"numberAvailable\":1}}",
		 "2 of 2 pods are new, 1 available"},
		{TARGET_POD,
		 "{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\","
		 "\"message\":\"m\"}]}}",
		 "it is not ready: m"},
		{TARGET_POD,
		 "{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
		 NULL},
		{TARGET_POD, "{\"status\":{\"phase\":\"Succeeded\"}}", NULL},
		{TARGET_POD, "{}", "it is not ready"},
		{TARGET_DEPLOYMENT, "{}", "0 of 1 pods are new, 0 available"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *object = json(cases[i].object);
		_cleanup_free_ char *missing = NULL;
		assert_int_equal(status_rolled_out(cases[i].kind, object, &missing), cases[i].missing == NULL);
		if (!str_equal(missing, cases[i].missing))
			fail_msg("'%s' is not '%s'", missing, cases[i].missing);
		json_decref(object);
	}
}

#define CONTAINER(state)                                                                                             \
	"{\"metadata\":{\"name\":\"p\"},\"status\":{\"containerStatuses\":[{\"name\":\"c\",\"image\":\"i:1\"," state \
	"}]}}"

static void trouble_is_told_in_words(void **state)
{
	(void)state;
	static const struct {
		const char *pod;
		const char *reason;
		enum pod_trouble trouble;
		bool previous;
	} cases[] = {
		{"{}", NULL, POD_FINE, false},
		{CONTAINER("\"state\":{\"waiting\":{\"reason\":\"ContainerCreating\"}}"), NULL, POD_FINE, false},
		{CONTAINER("\"state\":{\"running\":{}},\"restartCount\":1,\"lastState\":{\"terminated\":{\"exitCode\":"
			   "1}}"),
		 NULL, POD_FINE, false},
		{CONTAINER("\"state\":{\"terminated\":{\"exitCode\":0,\"reason\":\"Completed\"}}"), NULL, POD_FINE,
		 false},
		{CONTAINER("\"state\":{\"waiting\":{\"reason\":\"ErrImagePull\",\"message\":\"m\"}}"),
		 "pod p: container c: can't get its image i:1 (ErrImagePull): m", POD_BROKEN, false},
		{CONTAINER("\"state\":{\"waiting\":{\"reason\":\"CreateContainerConfigError\"}}"),
		 "pod p: container c: it can't be created (CreateContainerConfigError)", POD_BROKEN, false},
		{CONTAINER("\"state\":{\"terminated\":{\"exitCode\":137,\"reason\":\"OOMKilled\"}}"),
		 "pod p: the program of container c ended (exit 137, OOMKilled)", POD_CRASHED, false},
		{CONTAINER("\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}},\"lastState\":{\"terminated\":{"
			   "\"exitCode\":2,\"reason\":"
			   "\"Error\"}}"),
		 "pod p: the program of container c ended (exit 2)", POD_CRASHED, true},
		{"{\"metadata\":{\"name\":\"p\"},\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":"
		 "\"False\",\"reason\":"
		 "\"Unschedulable\",\"message\":\"full\"}]}}",
		 "pod p: no node takes it: full", POD_UNPLACED, false},
		{"{\"metadata\":{\"name\":\"p\"},\"status\":{\"phase\":\"Failed\",\"reason\":\"Evicted\",\"message\":"
		 "\"m\"}}",
		 "pod p failed: Evicted: m", POD_BROKEN, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *pod = json(cases[i].pod);
		_cleanup_free_ char *reason = NULL;
		const char *container;
		bool previous = false;
		assert_int_equal(status_pod(pod, &reason, &container, &previous), cases[i].trouble);
		if (!str_equal(reason, cases[i].reason))
			fail_msg("'%s' is not '%s'", reason, cases[i].reason);
		assert_int_equal(previous, cases[i].previous);
		json_decref(pod);
	}
}

/* ---- ports ---- */

static void add_manifests(struct manifests *manifests, struct deploy_objects *objects, const char *text)
{
	struct strv candidates = {0};
	strv_push(&candidates, "web");
	strv_push(&candidates, "api");
	assert_int_equal(manifests_add(manifests, "a", xstrdup(text), strlen(text), NULL), 0);
	for vec_each (manifest, &manifests->items) {
		struct deploy_object *object = vec_add(objects);
		object->manifest = manifest;
		object->namespace_ = manifest->namespace_ ? manifest->namespace_ : "n";
		manifest_named(manifest, &candidates, &object->images);
		if (str_equal(manifest->kind, "Service"))
			strv_push(&object->serves, "web");
	}
	strv_release(&candidates);
}

static void release_objects(struct manifests *manifests, struct deploy_objects *objects)
{
	for vec_each (object, objects) {
		strv_release(&object->images);
		strv_release(&object->serves);
	}
	vec_release(objects);
	manifests_release(manifests);
}

static char *held_text(const struct held_ports *held)
{
	struct str text = {0};
	for vec_each (port, held)
		str_addf(&text, "%s: %s/%s %s %u\n", port->image, port->namespace_, port->resource, port->port,
			 port->container);
	return str_steal(&text);
}

static const char port_manifests[] = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: w}, spec: {template: "
				     "{spec: {containers: [{name: a, image: web, ports: "
				     "[{containerPort: 31080}, {containerPort: 31081}]}]}}}}\n---\n"
				     "{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: "
				     "{containers: [{name: a, image: web, ports: "
				     "[{containerPort: 1}]}]}}}}\n---\n"
				     "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: m}, spec: "
				     "{containers: [{name: a, image: api, ports: [{containerPort: "
				     "31080}]}]}}\n---\n"
				     "{apiVersion: v1, kind: Service, metadata: {name: s}}\n";

static void exposed_ports_are_forwarded(void **state)
{
	(void)state;
	struct config config = {0};
	struct manifests manifests = {0};
	struct deploy_objects objects = {0};
	struct held_ports held = {0};
	add_manifests(&manifests, &objects, port_manifests);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(held_ports_plan(&held, &config, &objects, "web", "n", NULL), 0);
		assert_int_equal(held_ports_plan(&held, &config, &objects, "api", "n", NULL), 0);
		_cleanup_free_ char *text = held_text(&held);
		assert_string_equal(
			text,
			"web: n/deployment/w 31080 31080\nweb: n/deployment/w 31081 31081\napi: m/pod/p 31080 31080\n");
	}
	assert_int_not_equal(held.items[0].local, held.items[2].local);
	held_ports_release(&held);
	release_objects(&manifests, &objects);
}

static void written_ports_are_forwarded(void **state)
{
	(void)state;
	struct config config = {0};
	struct manifests manifests = {0};
	struct deploy_objects objects = {0};
	struct held_ports held = {0};
	add_manifests(&manifests, &objects, port_manifests);
	struct port_forward forwards[] = {
		{.resource_type = (char *)"Service",
		 .resource_name = (char *)"s",
		 .port_name = (char *)"http",
		 .local_port = 31099},
		{.resource_type = (char *)"pod", .resource_name = (char *)"p", .port = 80, .namespace_ = (char *)"m"},
		{.resource_type = (char *)"deployment",
		 .resource_name = (char *)"elsewhere",
		 .port = 81,
		 .namespace_ = (char *)"x"},
		{.resource_type = (char *)"container", .resource_name = (char *)"web", .port = 82},
	};
	for (size_t i = 0; i < ARRAY_LEN(forwards); i++)
		vec_push(&config.port_forward, forwards[i]);
	assert_int_equal(held_ports_plan(&held, &config, &objects, "web", "n", NULL), 0);
	assert_int_equal(held_ports_plan(&held, &config, &objects, "api", "n", NULL), 0);
	_cleanup_free_ char *text = held_text(&held);
	assert_string_equal(text, "web: n/service/s http 0\nweb: x/deployment/elsewhere 81 81\napi: m/pod/p 80 80\n");
	assert_int_equal(held.items[0].local, 31099);
	vec_release(&config.port_forward);
	held_ports_release(&held);
	release_objects(&manifests, &objects);
}

/* ---- files and programs ---- */

static char folder[] = "/tmp/skiff-render-XXXXXX";

static void write_text(const char *name, const char *text, mode_t mode)
{
	_cleanup_free_ char *path = path_join(folder, name), *directory = path_dir(path);
	assert_int_equal(file_make_directories(directory, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), mode, NULL), 0);
}

static void expect_files(const char *pattern, const char *expected)
{
	struct strv files = {0};
	struct str text = {0};
	assert_int_equal(render_raw_files(folder, pattern, &files, NULL), 0);
	for (size_t i = 0; i < files.len; i++)
		str_addf(&text, "%s ", files.items[i] + strlen(folder) + 1);
	if (!str_equal(str_text(&text), expected))
		fail_msg("%s: '%s' is not '%s'", pattern, str_text(&text), expected);
	str_release(&text);
	strv_release(&files);
}

static void patterns_name_files(void **state)
{
	(void)state;
	write_text("k8s/b.yaml", "", 0644);
	write_text("k8s/a.yaml", "", 0644);
	write_text("k8s/c.txt", "", 0644);
	write_text("k8s/sub/d.yml", "", 0644);
	write_text("k8s/[x].yaml", "", 0644);
	expect_files("k8s/*.yaml", "k8s/[x].yaml k8s/a.yaml k8s/b.yaml ");
	expect_files("k8s/[x].yaml", "k8s/[x].yaml ");
	expect_files("k8s/c.txt", "k8s/c.txt ");
	expect_files("./k8s/sub", "k8s/sub/d.yml ");
	expect_files("k8s/*/*.yml", "k8s/sub/d.yml ");
	expect_files("k?s/s*", "k8s/sub/d.yml ");
	expect_files("none/*.yaml", "");
}

static void raw_files_are_read_with_places(void **state)
{
	(void)state;
	struct config config = {0};
	struct manifests manifests = {0};
	CLEANUP(error_clear) struct error err = {0};
	write_text("bad/a.yaml", "apiVersion: v1\nkind: A\n---\napiVersion: v1\nkind: {\n", 0644);
	struct manifest_source source = {.base_dir = folder};
	vec_push(&source.raw_yaml, (struct text){.value = (char *)"bad/*.yaml", .place = {"skaffold.yaml", 4, 5}});
	vec_push(&config.kubernetes.sources, source);
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(render_manifests(&config, NULL, &manifests, NULL, &err), -EINVAL);
	assert_true(str_starts_with(err.message, "bad/a.yaml:"));
	error_clear(&err);
	config.kubernetes.sources.items[0].raw_yaml.items[0].value = (char *)"gone/*.yaml";
	assert_int_equal(render_manifests(&config, NULL, &manifests, NULL, &err), -ENOENT);
	_cleanup_free_ char *text = error_format(&err);
	assert_string_equal(text, "skaffold.yaml:4:5: 'gone/*.yaml' matches no file");
	error_clear(&err);
	_cleanup_free_ char *large = path_join(folder, "large/a.yaml");
	write_text("large/a.yaml", "", 0644);
	assert_int_equal(truncate(large, (off_t)MANIFEST_MAX_BYTES + 1), 0);
	config.kubernetes.sources.items[0].raw_yaml.items[0].value = (char *)"large";
	assert_int_equal(render_manifests(&config, NULL, &manifests, NULL, &err), -EFBIG);
	vec_release(&source.raw_yaml);
	vec_release(&config.kubernetes.sources);
	manifests_release(&manifests);
}

static void manifest_files_count_in_the_digest(void **state)
{
	(void)state;
	struct config config = {.deploy_kubernetes = true};
	struct manifest_source source = {.base_dir = folder};
	struct strv files = {0};
	write_text("d/a.yaml", "a", 0644);
	write_text("d/over/kustomization.yaml", "b", 0644);
	write_text("d/over/patch.txt", "b", 0644);
	vec_push(&source.raw_yaml, (struct text){.value = (char *)"d/*.yaml"});
	vec_push(&source.raw_yaml, (struct text){.value = (char *)"https://example.com/x.yaml"});
	vec_push(&source.kustomize, (struct text){.value = (char *)"d/over"});
	vec_push(&config.kubernetes.sources, source);
	deploy_manifest_files(&config, &files);
	assert_int_equal(files.len, 3);
	_cleanup_free_ char *before = deploy_config_digest(&config, "", NULL, NULL, false);
	_cleanup_free_ char *again = deploy_config_digest(&config, "", NULL, NULL, false);
	write_text("d/over/patch.txt", "c", 0644);
	_cleanup_free_ char *after = deploy_config_digest(&config, "", NULL, NULL, false);
	assert_string_equal(before, again);
	assert_string_not_equal(before, after);
	strv_release(&files);
	vec_release(&source.raw_yaml);
	vec_release(&source.kustomize);
	vec_release(&config.kubernetes.sources);
}

/* Prints its arguments and its input as a ConfigMap. */
static const char helm_program[] =
	"#!/bin/sh\n[ \"$1\" != fail ] || exit 1\nif [ \"$1\" = dependency ]; then echo \"$@\" >>deps; exit; fi\n"
	"if [ \"$2\" = broken ]; then echo 'Error: no chart' >&2; exit 1; fi\n"
	"echo 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: h}\ndata:'\n"
	"echo \"  arguments: '$*'\"\necho '  input: |'\ncase \"$*\" in *'--values -'*) sed 's/^/    /';; *) echo '    "
	"none';; esac\n";

static int helm(const struct helm_release *release, const struct manifest_source *source, struct manifests *manifests,
		struct error *err)
{
	struct artifact web = {.image = {.value = (char *)"gcr.io/p/web-a"}}, api = {.image = {.value = (char *)"api"}};
	struct config config = {0};
	vec_push(&config.artifacts, &web);
	vec_push(&config.artifacts, &api);
	int r = helm_render(&config, source, release, "own", manifests, NULL, err);
	vec_release(&config.artifacts);
	return r;
}

static void helm_is_called_as_skaffold_does(void **state)
{
	(void)state;
	struct manifests manifests = {0};
	CLEANUP(error_clear) struct error err = {0};
	struct manifest_source source = {.base_dir = folder};
	struct helm_release release = {.name = (char *)"r",
				       .chart = {.value = (char *)"chart"},
				       .namespace_ = (char *)"{{.SKIFF_TEST_NS}}",
				       .version = (char *)"1.2",
				       .create_namespace = true,
				       .overrides = (char *)"replicas: 2\n"};
	strv_push(&source.helm_template_flags, "--no-hooks");
	strv_push(&release.values_files, "v.yaml");
	vec_push(&release.values, (struct pair){.name = (char *)"a.b", .value = (char *)"1"});
	static const char *const templates[] = {"IMAGE_REPO_gcr_io_p_web_a", "IMAGE_TAG_gcr_io_p_web_a",
						"IMAGE_DOMAIN_gcr_io_p_web_a", "IMAGE_REPO_NO_DOMAIN_gcr_io_p_web_a",
						"IMAGE_FULLY_QUALIFIED_api"};
	for (size_t i = 0; i < ARRAY_LEN(templates); i++)
		vec_push(&release.value_templates,
			 (struct pair){.name = (char *)"t", .value = xasprintf("{{.%s}}", templates[i])});
	vec_push(&release.files, (struct pair){.name = (char *)"f", .value = (char *)"x.txt"});
	setenv("SKIFF_TEST_NS", "shop", 1);
	write_text("bin/helm", helm_program, 0755);
	write_text("chart/Chart.yaml", "name: c\ndependencies: []\n", 0644);
	if (helm(&release, &source, &manifests, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(manifests.items.len, 2);
	assert_string_equal(manifests.items.items[0].kind, "Namespace");
	assert_string_equal(manifests.items.items[0].name, "shop");
	assert_string_equal(manifests.items.items[1].home, "shop");
	const struct yaml_node *data = yaml_get(manifests.items.items[1].root, "data");
	_cleanup_free_ char *expected = xasprintf("template r %s/chart --skip-tests --namespace=shop --version=1.2 "
						  "--values - --values %s/v.yaml --set a.b=1 --set "
						  "t=gcr.io/p/web-a --set t=skiff --set t=gcr.io --set t=p/web-a --set "
						  "t=api:skiff --set-file f=%s/x.txt --no-hooks",
						  folder, folder, folder);
	assert_string_equal(yaml_text(yaml_get(data, "arguments")), expected);
	assert_string_equal(yaml_text(yaml_get(data, "input")), "replicas: 2\n");
	_cleanup_free_ char *deps = path_join(folder, "deps");
	assert_true(file_exists(deps));
	release.name = (char *)"broken";
	assert_int_equal(helm(&release, &source, &manifests, &err), -EIO);
	assert_string_equal(err.message, "helm template broken: Error: no chart");
	for vec_each (pair, &release.value_templates)
		free(pair->value);
	vec_release(&release.value_templates);
	vec_release(&release.values);
	vec_release(&release.files);
	strv_release(&release.values_files);
	strv_release(&source.helm_template_flags);
	manifests_release(&manifests);
}

static void a_missing_helm_is_named(void **state)
{
	(void)state;
	struct manifests manifests = {0};
	CLEANUP(error_clear) struct error err = {0};
	const struct manifest_source source = {.base_dir = folder};
	const struct helm_release release = {.name = (char *)"r",
					     .chart = {.value = (char *)"c"},
					     .place = {"skaffold.yaml", 7, 3}};
	_cleanup_free_ char *path = xstrdup(getenv("PATH"));
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(helm(&release, &source, &manifests, &err), -ENOENT);
	setenv("PATH", path, 1);
	_cleanup_free_ char *text = error_format(&err);
	assert_string_equal(text, "skaffold.yaml:7:3: the release 'r' needs helm, which is not installed");
	manifests_release(&manifests);
}

static int make_folder(void **state)
{
	(void)state;
	_cleanup_free_ char *path = NULL;
	if (!mkdtemp(folder))
		return -1;
	path = xasprintf("%s/bin:%s", folder, getenv("PATH"));
	return setenv("PATH", path, 1);
}

static int remove_folder(void **state)
{
	(void)state;
	return chdir("/") == 0 ? file_remove_tree(folder, NULL) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_travel_by_context),
		cmocka_unit_test(references_are_unique_by_content),
		cmocka_unit_test(rollouts_are_known),
		cmocka_unit_test(trouble_is_told_in_words),
		cmocka_unit_test(exposed_ports_are_forwarded),
		cmocka_unit_test(written_ports_are_forwarded),
		cmocka_unit_test(patterns_name_files),
		cmocka_unit_test(raw_files_are_read_with_places),
		cmocka_unit_test(helm_is_called_as_skaffold_does),
		cmocka_unit_test(a_missing_helm_is_named),
		cmocka_unit_test(manifest_files_count_in_the_digest),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
