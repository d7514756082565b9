/* The deployer of Kubernetes on a real cluster: `script/cluster up`, `script/engine up`, then `script/cluster run -- test-deploy-kubernetes`. Each test has a namespace
 * of its own. Skipped where no cluster answers. */
#include "engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "build/agent-layer.h"
#include "client/kubernetes-names.h"
#include "client/kubernetes.h"
#include "deploy/deploy.h"

enum { STEP_MS = 50, SOON_MS = 30000 };

struct run {
	struct project project;
	struct kubernetes *kubernetes;
	char run_id[64], namespace_[64];
	struct deployer *deployer;
};

static void open_deployer(struct run *run)
{
	const struct deploy_options options = {.config = run->project.config,
					       .run_id = run->run_id,
					       .config_digest = "digest",
					       .docker = run->project.docker,
					       .kubernetes = run->kubernetes};
	assert_int_equal(deployer_open(&options, &run->deployer, NULL), 0);
}

static int ask(const struct run *run, const char *method, const char *path, const json_t *body, json_t **answer)
{
	return kubernetes_call(run->kubernetes, method, path, body, answer, NULL, NULL);
}

/* The answer's own path of keys as text, "" where there is none. */
static char *text_at(const json_t *object, const char *const *keys)
{
	for (; *keys; keys++)
		object = **keys == '#' ? json_array_get(object, (size_t)((*keys)[1] - '0'))
				       : json_object_get(object, *keys);
	return xstrdup(json_string_value(object) ? json_string_value(object) : "");
}
#define TEXT_AT(object, ...) text_at(object, (const char *const[]){__VA_ARGS__, NULL})

static json_t *get(const struct run *run, const char *kind, const char *name)
{
	const char *api = str_equal(kind, "deployments") || str_equal(kind, "statefulsets") ? "/apis/apps/v1"
			  : str_equal(kind, "jobs")					    ? "/apis/batch/v1"
											    : "/api/v1";
	_cleanup_free_ char *path = xasprintf("%s/namespaces/%s/%s/%s", api, run->namespace_, kind, name);
	json_t *answer = NULL;
	return ask(run, "GET", path, NULL, &answer) == 0 ? answer : NULL;
}

static bool exists(const struct run *run, const char *kind, const char *name)
{
	json_t *object = get(run, kind, name);
	bool there = object && !json_object_get(json_object_get(object, "metadata"), "deletionTimestamp");
	json_decref(object);
	return there;
}

static void run_init(struct run *run, const char *skaffold_yaml, const char *manifest)
{
	*run = (struct run){0};
	const struct kubernetes_options here = {0};
	CLEANUP(error_clear) struct error err = {0};
	struct kubernetes *probe = NULL;
	if (kubernetes_connect(&here, &probe, NULL, NULL) < 0)
		skip();
	kubernetes_close(probe);
	project_init(&run->project);
	const char *suffix = strrchr(run->project.folder, '-') + 1;
	snprintf(run->run_id, sizeof(run->run_id), "test%s", suffix);
	snprintf(run->namespace_, sizeof(run->namespace_), "test-%s", suffix);
	for (char *p = run->namespace_; *p; p++)
		*p |= *p == '-' ? 0 : 0x20;
	const struct kubernetes_options options = {.namespace_ = run->namespace_};
	if (kubernetes_connect(&options, &run->kubernetes, NULL, &err) < 0)
		fail_msg("%s", err.message);
	json_t *body = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name",
				 run->namespace_);
	assert_int_equal(ask(run, "POST", "/api/v1/namespaces", body, NULL), 0);
	json_decref(body);
	project_write(&run->project, "skaffold.yaml", skaffold_yaml);
	project_write(&run->project, "Dockerfile", "FROM scratch\n");
	_cleanup_free_ char *load = xasprintf("artifacts: [{image: api, restart: true}]\n"
					      "deploy: {load: {command: '%s load \"$IMAGE\"'}}\n",
					      CLUSTER_PROGRAM);
	project_write(&run->project, "skiff.yaml", load);
	if (manifest)
		project_write(&run->project, "k8s/all.yaml", manifest);
	assert_int_equal(chdir(run->project.folder), 0);
	project_load(&run->project);
	open_deployer(run);
}

static void run_release(struct run *run)
{
	CLEANUP(error_clear) struct error err = {0};
	if (run->deployer->ops->cleanup(run->deployer, &err) < 0)
		fail_msg("%s", err.message);
	run->deployer->ops->free(run->deployer);
	_cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s", run->namespace_);
	(void)ask(run, "DELETE", path, NULL, NULL);
	kubernetes_close(run->kubernetes);
	assert_int_equal(chdir("/"), 0);
	project_release(&run->project);
}

/* An image of its own content; *id is its id. */
static void build_image(const char *tag, const char *content, char id[128])
{
	_cleanup_free_ char *command =
		xasprintf("printf 'FROM " BASE_IMAGE "\\nRUN mkdir -p /www && echo %s >/www/index.html\\nCMD "
			  "[\"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/www\"]\\n' | "
			  "DOCKER_BUILDKIT=0 docker build -q -t %s - 2>/dev/null",
			  content, tag);
	FILE *out = popen(command, "r"); /* NOLINT(cert-env33-c): a fixed command */
	assert_non_null(out);
	assert_non_null(fgets(id, 128, out));
	id[strcspn(id, "\n")] = '\0';
	assert_int_equal(pclose(out), 0);
}

static int deploy(struct run *run, const char *image, const char *content, struct published_ports *ports,
		  struct error *err)
{
	char id[128];
	_cleanup_free_ char *tag = xasprintf("%s:v1", image);
	build_image(tag, content, id);
	const struct deployed_image deployed = {.artifact = config_artifact(run->project.config, image),
						.image = image,
						.tag = tag,
						.image_id = id};
	return run->deployer->ops->deploy(run->deployer, &deployed, ports, NULL, err);
}

static void must_deploy(struct run *run, const char *image, const char *content, struct published_ports *ports)
{
	CLEANUP(error_clear) struct error err = {0};
	if (deploy(run, image, content, ports, &err) < 0)
		fail_msg("%s", err.message);
}

/* What the port answers, "" where nothing does. */
static char *answer_of(unsigned port)
{
	char text[1024] = "";
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	const struct sockaddr_in address = {.sin_family = AF_INET,
					    .sin_port = htons((uint16_t)port),
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
	    write(fd, request, sizeof(request) - 1) > 0) {
		size_t len = 0;
		ssize_t n;
		while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
			len += (size_t)n;
		text[len] = '\0';
	}
	close(fd);
	return xstrdup(text);
}

static void expect_answer(unsigned port, const char *wanted)
{
	_cleanup_free_ char *answer = NULL;
	for (int waited = 0; waited < SOON_MS; waited += STEP_MS) {
		free(answer);
		answer = answer_of(port);
		if (strstr(answer, wanted))
			return;
		poll(NULL, 0, STEP_MS);
	}
	fail_msg("port %u answers '%s', not '%s'", port, answer, wanted);
}

static void expect_gone(const struct run *run, const char *kind, const char *name)
{
	for (int waited = 0; waited < SOON_MS && exists(run, kind, name); waited += STEP_MS)
		poll(NULL, 0, STEP_MS);
	assert_false(exists(run, kind, name));
}

#define SKAFFOLD(more) \
	"apiVersion: skaffold/v4beta14\nkind: Config\nbuild: {artifacts: [{image: team/web}, {image: api}]}\n" more
#define WEB(name, command) WEB_WITH(name, command, "")
#define WEB_WITH(name, command, more)                                                                        \
	"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " name "}\nspec:\n"                         \
	"  selector: {matchLabels: {app: " name "}}\n  template:\n    metadata: {labels: {app: " name "}}\n" \
	"    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n"                             \
	"      - {name: web, image: team/web, command: " command ", ports: [{containerPort: 80}]" more "}\n"
#define SERVE "[httpd, -f, -p, '80', -h, /www]"

static void deploys_replaces_and_cleans_up(void **state)
{
	(void)state;
	struct run run;
	struct published_ports ports = {0}, again = {0};
	run_init(&run, SKAFFOLD(""),
		 WEB("web", SERVE) "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: "
				   "web}, ports: [{port: "
				   "80}]}\n---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: "
				   "kept}\nspec: {accessModes: "
				   "[ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n");
	must_deploy(&run, "team/web", "first", &ports);
	assert_int_equal(ports.len, 1);
	assert_int_equal(ports.items[0].container, 80);
	expect_answer(ports.items[0].local, "first");
	json_t *object = get(&run, "deployments", "web");
	_cleanup_free_ char *label = TEXT_AT(object, "metadata", "labels", "skiff.run");
	_cleanup_free_ char *image = TEXT_AT(object, "spec", "template", "spec", "containers", "#0", "image");
	assert_string_equal(label, run.run_id);
	assert_true(str_starts_with(image, "team/web:skiff-"));
	json_decref(object);
	must_deploy(&run, "team/web", "second", &again);
	assert_int_equal(again.len, 1);
	assert_int_equal(again.items[0].local, ports.items[0].local);
	expect_answer(again.items[0].local, "second");
	assert_true(exists(&run, "services", "web"));
	assert_int_equal(run.deployer->ops->cleanup(run.deployer, NULL), 0);
	expect_gone(&run, "deployments", "web");
	expect_gone(&run, "services", "web");
	assert_true(exists(&run, "persistentvolumeclaims", "kept"));
	published_ports_release(&ports);
	published_ports_release(&again);
	run_release(&run);
}

static void what_an_earlier_one_left_is_adopted(void **state)
{
	(void)state;
	struct run run;
	struct published_ports ports = {0};
	struct left_containers left = {0};
	run_init(&run, SKAFFOLD(""), WEB("web", SERVE));
	must_deploy(&run, "team/web", "first", &ports);
	run.deployer->ops->free(run.deployer);
	open_deployer(&run);
	assert_int_equal(run.deployer->ops->left(run.deployer, &left, NULL, NULL), 0);
	assert_int_equal(left.len, 1);
	assert_string_equal(left.items[0].image, "team/web");
	assert_string_equal(left.items[0].tag, "team/web:v1");
	assert_string_equal(left.items[0].config_digest, "digest");
	assert_true(str_starts_with(left.items[0].base_id, "sha256:"));
	assert_true(str_starts_with(left.items[0].id, run.namespace_) &&
		    strstr(left.items[0].id, "/web@containerd://"));
	assert_true(left.items[0].running && left.items[0].created_s > 0);
	assert_int_equal(left.items[0].ports.len, 1);
	run.deployer->ops->adopt(run.deployer, &left.items[0]);
	expect_answer(left.items[0].ports.items[0].local, "first");
	assert_int_equal(run.deployer->ops->sweep(run.deployer, NULL, NULL), 0);
	assert_true(exists(&run, "deployments", "web"));
	left_containers_release(&left);
	published_ports_release(&ports);
	run_release(&run);
}

static void expect_failure(struct run *run, int code, const char *const *words)
{
	CLEANUP(error_clear) struct error err = {0};
	uint64_t start = monotonic_ns();
	int r = deploy(run, "team/web", "first", NULL, &err);
	print_message("  after %.1f s: %s\n", (double)(monotonic_ns() - start) / 1e9, err.message);
	assert_int_equal(r, code);
	for (; *words; words++)
		if (!strstr(err.message, *words))
			fail_msg("'%s' is not in: %s", *words, err.message);
}
#define EXPECT_FAILURE(run, code, ...) expect_failure(run, code, (const char *const[]){__VA_ARGS__, NULL})

/* Without a probe a program counts as ready for the moment that it lives. */
#define NEVER_READY ", readinessProbe: {exec: {command: ['false']}}"

static void failures_are_told_in_plain_words(void **state)
{
	(void)state;
	static const struct {
		const char *manifest;
		int code;
		const char *words[5];
	} cases[] = {
		{WEB_WITH("web", "[sh, -c, 'echo bad news; echo more >&2; exit 3']", NEVER_READY),
		 -ECHILD,
		 {"bad news", "more", "exit 3", "container web"}},
		{WEB("web", SERVE) "      - {name: other, image: 'nowhere.invalid/x:1'}\n",
		 -ECHILD,
		 {"nowhere.invalid/x:1", "can't get its image"}},
		{WEB("web", SERVE) "      - {name: other, image: 'bad//NAME'}\n", -ECHILD, {"bad//NAME is not valid"}},
		{WEB("web", "[/none]"), -ECHILD, {"/none"}},
		{WEB_WITH("web", SERVE, ", envFrom: [{configMapRef: {name: absent}}]"),
		 -ECHILD,
		 {"it can't be created", "absent"}},
		{WEB("web", SERVE) "      nodeSelector: {no: such}\n", -ECHILD, {"no node takes it"}},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone}\n---\napiVersion: v1\nkind: "
		 "Nonsense\nmetadata: {name: x}\n",
		 -EIO,
		 {"Nonsense"}},
		{"apiVersion: v1\nkind: [\n", -EINVAL, {"k8s/all.yaml:3:1: error: "}},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct run run;
		run_init(&run, SKAFFOLD(""), cases[i].manifest);
		expect_failure(&run, cases[i].code, cases[i].words);
		project_write(&run.project, "k8s/all.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
		assert_int_equal(run.deployer->ops->cleanup(run.deployer, NULL), 0);
		expect_gone(&run, "configmaps", "gone");
		run_release(&run);
	}
}

static void the_deadline_says_what_lacks(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, SKAFFOLD("deploy: {statusCheckDeadlineSeconds: 6, kubectl: {}}\n"),
		 WEB_WITH("web", SERVE, ", readinessProbe: {httpGet: {path: /none, port: 80}, periodSeconds: 1}"));
	EXPECT_FAILURE(&run, -ETIMEDOUT, "Deployment web", "0 available", "probe failed");
	run_release(&run);
}

static void pods_and_jobs_are_replaced(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, SKAFFOLD(""),
		 "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n"
		 "  - {name: web, image: team/web, command: " SERVE ", ports: [{containerPort: 80}]}\n---\n"
		 "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec:\n  template:\n    spec:\n      "
		 "restartPolicy: Never\n"
		 "      containers: [{name: a, image: team/web, command: [cat, /www/index.html]}]\n");
	struct published_ports ports = {0};
	must_deploy(&run, "team/web", "first", NULL);
	must_deploy(&run, "team/web", "second", &ports);
	assert_int_equal(ports.len, 1);
	expect_answer(ports.items[0].local, "second");
	assert_true(exists(&run, "jobs", "once"));
	published_ports_release(&ports);
	run_release(&run);
}

static void a_manifest_waits_for_all_its_images(void **state)
{
	(void)state;
	struct run run;
	run_init(&run,
		 SKAFFOLD("portForward: [{resourceType: service, resourceName: web, port: http, localPort: 18080}]\n"),
		 WEB("web", SERVE) "      initContainers: [{name: init, image: api, command: ['true']}]\n"
				   "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: "
				   "web}, ports: [{port: 80, name: "
				   "http}]}\n");
	struct published_ports ports = {0};
	must_deploy(&run, "team/web", "first", NULL);
	assert_false(exists(&run, "deployments", "web"));
	assert_true(exists(&run, "services", "web"));
	must_deploy(&run, "api", "api", &ports);
	assert_true(exists(&run, "deployments", "web"));
	assert_int_equal(ports.len, 1);
	assert_int_equal(ports.items[0].local, 18080);
	assert_string_equal(ports.items[0].image, "team/web");
	expect_answer(18080, "first");
	published_ports_release(&ports);
	must_deploy(&run, "api", "api2", &ports);
	assert_int_equal(ports.len, 0);
	expect_answer(18080, "first");
	published_ports_release(&ports);
	run_release(&run);
}

static void what_is_not_ours_stays(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, SKAFFOLD(""),
		 "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\n---\n" WEB("web", SERVE));
	_cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/configmaps", run.namespace_);
	json_t *body =
		json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata", "name", "theirs");
	assert_int_equal(ask(&run, "POST", path, body, NULL), 0);
	json_decref(body);
	assert_int_equal(run.deployer->ops->cleanup(run.deployer, NULL), 0);
	assert_true(exists(&run, "configmaps", "theirs"));
	run_release(&run);
}

static void namespaces_and_kustomize(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, SKAFFOLD("manifests: {kustomize: {paths: [over]}}\n"), NULL);
	_cleanup_free_ char *base = xasprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s-b}\n---\n%s",
					      run.namespace_, WEB("web", SERVE));
	_cleanup_free_ char *over =
		xasprintf("resources: [../base]\npatches:\n- target: {kind: Deployment}\n  patch: |\n"
			  "    - {op: add, path: /metadata/namespace, value: %s-b}\n",
			  run.namespace_);
	project_write(&run.project, "base/kustomization.yaml", "resources: [web.yaml]\n");
	project_write(&run.project, "base/web.yaml", base);
	project_write(&run.project, "over/kustomization.yaml", over);
	must_deploy(&run, "team/web", "first", NULL);
	assert_int_equal(run.deployer->ops->cleanup(run.deployer, NULL), 0);
	snprintf(run.namespace_ + strlen(run.namespace_), 3, "-b");
	expect_gone(&run, "deployments", "web");
	_cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s", run.namespace_);
	assert_int_equal(ask(&run, "GET", path, NULL, NULL), 0);
	assert_int_equal(ask(&run, "DELETE", path, NULL, NULL), 0);
	run.namespace_[strlen(run.namespace_) - 2] = '\0';
	run_release(&run);
}

static void the_program_is_supervised(void **state)
{
	(void)state;
	struct run run;
	struct agent_layer layer = {0};
	struct published_ports ports = {0};
	char id[128];
	CLEANUP(error_clear) struct error err = {0};
	run_init(&run, SKAFFOLD(""),
		 "apiVersion: v1\nkind: Pod\nmetadata: {name: api}\nspec:\n  containers: [{name: a, image: api, ports: "
		 "[{containerPort: 80}]}]\n");
	build_image("api:v1", "supervised", id);
	assert_int_equal(agent_layer_make(run.project.docker, run.run_id, id, &layer, NULL, &err), 0);
	assert_non_null(layer.image_id);
	const struct deployed_image deployed = {.artifact = config_artifact(run.project.config, "api"),
						.image = "api",
						.tag = "api:v1",
						.image_id = id,
						.agent_id = layer.image_id};
	if (run.deployer->ops->deploy(run.deployer, &deployed, &ports, NULL, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(ports.len, 1);
	expect_answer(ports.items[0].local, "supervised");
	json_t *pod = get(&run, "pods", "api");
	_cleanup_free_ char *first = TEXT_AT(pod, "spec", "containers", "#0", "command", "#0");
	_cleanup_free_ char *note = TEXT_AT(pod, "metadata", "annotations", KUBERNETES_ANNOTATION_CONTAINERS);
	assert_string_equal(first, "/.skiff/agent");
	assert_non_null(strstr(note, "skiff.agent"));
	json_decref(pod);
	agent_layers_remove(run.project.docker, run.run_id, NULL);
	agent_layer_release(&layer);
	published_ports_release(&ports);
	run_release(&run);
}

static void ports_follow_pods(void **state)
{
	(void)state;
	struct run run;
	struct published_ports ports = {0};
	run_init(&run, SKAFFOLD(""), WEB("web", SERVE));
	must_deploy(&run, "team/web", "first", &ports);
	expect_answer(ports.items[0].local, "first");
	_cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/pods", run.namespace_);
	assert_int_equal(ask(&run, "DELETE", path, NULL, NULL), 0);
	poll(NULL, 0, 1000); /* so that it is not the old one that answers */
	expect_answer(ports.items[0].local, "first");
	published_ports_release(&ports);
	run_release(&run);
}

struct one {
	struct run *run;
	const char *image;
	int r;
	struct error err;
};

static void *deploy_one(void *data)
{
	struct one *one = data;
	one->r = deploy(one->run, one->image, one->image, NULL, &one->err);
	return NULL;
}

static void several_images_at_once(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, SKAFFOLD(""),
		 WEB("web",
		     SERVE) "---\n" WEB("both",
					SERVE) "      initContainers: [{name: init, image: api, command: ['true']}]\n"
					       "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n");
	struct one all[] = {{&run, "team/web", 0, {0}}, {&run, "api", 0, {0}}};
	pthread_t threads[ARRAY_LEN(all)];
	for (int again = 0; again < 2; again++) {
		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			assert_int_equal(pthread_create(&threads[i], NULL, deploy_one, &all[i]), 0);
		for (size_t i = 0; i < ARRAY_LEN(all); i++) {
			pthread_join(threads[i], NULL);
			if (all[i].r < 0)
				fail_msg("%s: %s", all[i].image, all[i].err.message);
		}
		assert_true(exists(&run, "deployments", "web"));
		assert_true(exists(&run, "deployments", "both"));
		assert_true(exists(&run, "configmaps", "plain"));
	}
	run_release(&run);
}

/* Pods of two images: whichever of them is the right one, it is deployed anew. */
static void torn_pods_are_nobodys(void **state)
{
	(void)state;
	struct run run;
	struct left_containers left = {0};
	run_init(&run, SKAFFOLD(""), WEB("web", SERVE) "---\n" WEB("other", SERVE));
	must_deploy(&run, "team/web", "first", NULL);
	json_t *object = get(&run, "deployments", "other");
	json_t *annotations =
		json_object_get(json_object_get(json_object_get(json_object_get(object, "spec"), "template"),
						"metadata"),
				"annotations");
	json_object_set_new(annotations, KUBERNETES_ANNOTATION_CONFIG, json_string("another"));
	_cleanup_free_ char *path = xasprintf("/apis/apps/v1/namespaces/%s/deployments/other", run.namespace_);
	assert_int_equal(ask(&run, "PUT", path, object, NULL), 0);
	json_decref(object);
	for (int waited = 0; waited < SOON_MS; waited += STEP_MS) {
		left_containers_release(&left);
		left = (struct left_containers){0};
		assert_int_equal(run.deployer->ops->left(run.deployer, &left, NULL, NULL), 0);
		if (left.len == 0)
			break;
		poll(NULL, 0, STEP_MS);
	}
	assert_int_equal(left.len, 0);
	left_containers_release(&left);
	run_release(&run);
}

static void images_are_pushed(void **state)
{
	(void)state;
	struct run run;
	char id[128];
	CLEANUP(error_clear) struct error err = {0};
	if (system(CLUSTER_PROGRAM " registry >/dev/null 2>&1") != 0) /* NOLINT(cert-env33-c): a fixed command */
		skip();
	run_init(&run, SKAFFOLD(""), WEB("web", SERVE));
	run.deployer->ops->free(run.deployer);
	project_write(&run.project, "skiff.yaml", "artifacts: [{image: api}]\n");
	project_load(&run.project);
	open_deployer(&run);
	assert_int_equal(deploy(&run, "team/web", "unknown", NULL, &err), -ENOTSUP);
	assert_non_null(strstr(err.message, "--default-repo"));
	build_image("localhost:15000/team_web:v1", "pushed", id);
	const struct deployed_image deployed = {.artifact = config_artifact(run.project.config, "team/web"),
						.image = "team/web",
						.tag = "localhost:15000/team_web:v1",
						.image_id = id};
	if (run.deployer->ops->deploy(run.deployer, &deployed, NULL, NULL, &err) < 0)
		fail_msg("%s", err.message);
	json_t *object = get(&run, "deployments", "web");
	_cleanup_free_ char *image = TEXT_AT(object, "spec", "template", "spec", "containers", "#0", "image");
	assert_true(str_starts_with(image, "localhost:15000/team_web:skiff-"));
	json_decref(object);
	run_release(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deploys_replaces_and_cleans_up),
		cmocka_unit_test(what_an_earlier_one_left_is_adopted),
		cmocka_unit_test(failures_are_told_in_plain_words),
		cmocka_unit_test(the_deadline_says_what_lacks),
		cmocka_unit_test(pods_and_jobs_are_replaced),
		cmocka_unit_test(a_manifest_waits_for_all_its_images),
		cmocka_unit_test(what_is_not_ours_stays),
		cmocka_unit_test(namespaces_and_kustomize),
		cmocka_unit_test(the_program_is_supervised),
		cmocka_unit_test(ports_follow_pods),
		cmocka_unit_test(several_images_at_once),
		cmocka_unit_test(torn_pods_are_nobodys),
		cmocka_unit_test(images_are_pushed),
	};
	if (getenv("CMOCKA_FILTER")) /* one test by its name, while it is written */
		cmocka_set_test_filter(getenv("CMOCKA_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
