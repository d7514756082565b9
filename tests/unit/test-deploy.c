#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "deploy/container.h"
#include "deploy/owner.h"

static void parses_ports(void **state)
{
	(void)state;
	static const struct {
		const char *text, *address;
		unsigned wanted, container;
		bool udp, fixed;
	} cases[] = {
		{"80", "127.0.0.1", 0, 80, false, false},
		{"8080:80", "127.0.0.1", 8080, 80, false, true},
		{"0.0.0.0:8080:80", "0.0.0.0", 8080, 80, false, true},
		{"0.0.0.0::80", "0.0.0.0", 0, 80, false, false},
		{"[::1]:8080:80", "::1", 8080, 80, false, true},
		{"53/udp", "127.0.0.1", 0, 53, true, false},
		{"53:53/tcp", "127.0.0.1", 53, 53, false, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct port_plan plan;
		assert_int_equal(port_parse(cases[i].text, &plan, NULL), 0);
		assert_string_equal(plan.address, cases[i].address);
		assert_int_equal(plan.wanted, cases[i].wanted);
		assert_int_equal(plan.container, cases[i].container);
		assert_int_equal(plan.udp, cases[i].udp);
		assert_int_equal(plan.fixed, cases[i].fixed);
		free(plan.address);
	}
	static const char *const bad[] = {"",	 ":",	    "0",     "65536", "a",  "80:",
					  ":80", "80/sctp", "x:1:2", "1:2:3", "-1", "80 "};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct port_plan plan;
		assert_int_equal(port_parse(bad[i], &plan, NULL), -EINVAL);
	}
}

static char *planned(const struct config *config, const char *image, const struct run_config *run)
{
	CLEANUP(port_plans_release) struct port_plans plans = {0};
	struct strv exposed = {0};
	strv_push(&exposed, "5000/tcp");
	strv_push(&exposed, "5001/udp");
	assert_int_equal(ports_plan(config, image, run, &exposed, &plans, NULL), 0);
	strv_release(&exposed);
	CLEANUP(str_release) struct str text = {0};
	for vec_each (plan, &plans)
		str_addf(&text, "%s:%u:%u%s ", plan->address, plan->wanted, plan->container, plan->udp ? "/udp" : "");
	return str_steal(&text);
}

static void plans_what_is_published(void **state)
{
	(void)state;
	struct config config = {0};
	_cleanup_free_ char *exposed = planned(&config, "team/web", NULL);
	assert_string_equal(exposed, "127.0.0.1:0:5000 127.0.0.1:0:5001/udp ");
	static const struct port_forward forwards[] = {
		{.resource_type = (char *)"Container", .resource_name = (char *)"web", .port = 80, .local_port = 9000},
		{.resource_type = (char *)"container",
		 .resource_name = (char *)"team/web",
		 .port = 81,
		 .address = (char *)"0.0.0.0"},
		{.resource_type = (char *)"container", .resource_name = (char *)"other", .port = 82},
		{.resource_type = (char *)"service", .resource_name = (char *)"web", .port = 83},
	};
	for (size_t i = 0; i < ARRAY_LEN(forwards); i++)
		vec_push(&config.port_forward, forwards[i]);
	_cleanup_free_ char *forwarded = planned(&config, "team/web", NULL);
	assert_string_equal(forwarded, "127.0.0.1:9000:80 0.0.0.0:0:81 ");
	struct run_config run = {0};
	strv_push(&run.ports, "7000:70");
	_cleanup_free_ char *both = planned(&config, "team/web:v1", &run);
	assert_string_equal(both, "127.0.0.1:7000:70 127.0.0.1:9000:80 0.0.0.0:0:81 ");
	strv_release(&run.ports);
	vec_release(&config.port_forward);
}

static bool is_taken(void *data, unsigned port)
{
	return data && *(unsigned *)data == port;
}

/* A listening socket on a port of its own. */
static int listen_somewhere(unsigned *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&address, &len);
	*port = ntohs(address.sin_port);
	return fd;
}

static void chooses_free_ports_and_keeps_them(void **state)
{
	(void)state;
	unsigned busy;
	_cleanup_close_ int fd = listen_somewhere(&busy);
	struct port_plan items[2] = {{.address = (char *)"127.0.0.1", .wanted = busy, .container = 80},
				     {.address = (char *)"127.0.0.1", .wanted = busy, .container = 81}};
	struct port_plans plans = {items, 2, 2};
	assert_int_equal(ports_choose(&plans, NULL, is_taken, NULL, false, NULL), 0);
	assert_int_not_equal(items[0].local, busy);
	assert_int_not_equal(items[0].local, 0);
	assert_int_not_equal(items[0].local, items[1].local);

	struct port_plan held = {.address = (char *)"127.0.0.1",
				 .container = 80,
				 .local = busy}; /* by the container that is replaced */
	const struct port_plans before = {&held, 1, 1};
	assert_int_equal(ports_choose(&plans, &before, is_taken, NULL, false, NULL), 0);
	assert_int_equal(items[0].local, busy);
	assert_int_equal(ports_choose(&plans, &before, is_taken, &busy, false, NULL), 0); /* refused by the engine */
	assert_int_not_equal(items[0].local, busy);

	items[0].fixed = true;
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(ports_choose(&plans, NULL, is_taken, NULL, false, &err), -EADDRINUSE);
	assert_int_equal(ports_choose(&plans, NULL, is_taken, NULL, true, NULL), 0); /* another machine's ports */
	assert_int_equal(items[0].local, busy);
}

static void makes_volumes_absolute(void **state)
{
	(void)state;
	setenv("HOME", "/home/me", 1);
	static const char *const cases[][2] = {
		{"data:/data", "data:/data"}, {"./src:/app:ro", "/p/src:/app:ro"},
		{"../x:/x", "/x:/x"},	      {"sub/dir:/x", "/p/sub/dir:/x"},
		{"/abs:/x", "/abs:/x"},	      {"~/x:/x", "/home/me/x:/x"},
		{".:/src", "/p:/src"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *bind = container_bind(cases[i][0], "/p");
		assert_string_equal(bind, cases[i][1]);
	}
}

static void makes_safe_names(void **state)
{
	(void)state;
	static const char *const cases[][2] = {{"web", "web"},
					       {"reg.io:5000/a/web", "reg.io-5000-a-web"},
					       {"..x", "x"},
					       {"/", "x"},
					       {"a b\n", "a-b-"}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *name = container_safe_name(cases[i][0]);
		assert_string_equal(name, cases[i][1]);
	}
	_cleanup_free_ char *base = image_base_name("reg.io:5000/a/web:v1@sha256:ab");
	assert_string_equal(base, "web");
}

static const char *text_at(const json_t *json, const char *const *path)
{
	for (; *path; path++)
		json = **path == '#' ? json_array_get(json, (size_t)((*path)[1] - '0')) : json_object_get(json, *path);
	return json_string_value(json);
}
#define AT(json, ...) text_at(json, (const char *const[]){__VA_ARGS__, NULL})

static void describes_the_container(void **state)
{
	(void)state;
	struct run_config run = {.user = (char *)"1000", .read_only = true};
	setenv("SKIFF_TEST_VALUE", "here", 1);
	vec_push(&run.env, (struct pair){.name = (char *)"A", .value = (char *)"b=c"});
	vec_push(&run.env, (struct pair){.name = (char *)"SKIFF_TEST_VALUE"});
	strv_push(&run.volumes, "./d:/d");
	strv_push(&run.volumes, "/anonymous");
	strv_push(&run.command, "serve");
	strv_push(&run.tmpfs, "/tmp:size=1m");
	struct port_plan port = {.address = (char *)"127.0.0.1", .local = 8080, .container = 80};
	const struct port_plans ports = {&port, 1, 1};
	const struct deployed_image image = {.image = "reg.io/team/web",
					     .image_id = "sha256:cd",
					     .agent_id = "sha256:ab"};
	const struct engine_image facts = {0};
	const struct container_plan plan = {.image = &image,
					    .facts = &facts,
					    .run_id = "run1",
					    .network = "net1",
					    .run = &run,
					    .directory = "/p",
					    .ports = &ports};
	json_t *body = container_body(&plan);
	assert_string_equal(AT(body, "Image"), "sha256:ab");
	assert_string_equal(AT(body, "Labels", LABEL_RUN), "run1");
	assert_string_equal(AT(body, "Labels", LABEL_IMAGE), "reg.io/team/web");
	assert_string_equal(AT(body, "Labels", LABEL_BASE), "sha256:cd");
	assert_null(json_object_get(json_object_get(body, "Labels"), LABEL_TAG));
	assert_int_equal(strlen(AT(body, "Labels", LABEL_AGENT)), 16);
	assert_string_equal(AT(body, "Env", "#0"), "A=b=c");
	assert_string_equal(AT(body, "Env", "#1"), "SKIFF_TEST_VALUE=here");
	assert_string_equal(AT(body, "Cmd", "#0"), "serve");
	assert_string_equal(AT(body, "User"), "1000");
	assert_string_equal(AT(body, "HostConfig", "NetworkMode"), "net1");
	assert_string_equal(AT(body, "HostConfig", "Binds", "#0"), "/p/d:/d");
	assert_string_equal(AT(body, "HostConfig", "Tmpfs", "/tmp"), "size=1m");
	assert_string_equal(AT(body, "HostConfig", "PortBindings", "80/tcp", "#0", "HostIp"), "127.0.0.1");
	assert_string_equal(AT(body, "HostConfig", "PortBindings", "80/tcp", "#0", "HostPort"), "8080");
	assert_string_equal(AT(body, "NetworkingConfig", "EndpointsConfig", "net1", "Aliases", "#0"), "web");
	assert_string_equal(AT(body, "NetworkingConfig", "EndpointsConfig", "net1", "Aliases", "#1"),
			    "reg.io-team-web");
	assert_non_null(json_object_get(json_object_get(body, "Volumes"), "/anonymous"));
	assert_true(json_is_true(json_object_get(json_object_get(body, "HostConfig"), "ReadonlyRootfs")));
	json_decref(body);
	vec_release(&run.env);
	strv_release(&run.volumes);
	strv_release(&run.command);
	strv_release(&run.tmpfs);
}

/* The entry point and command of a container: `of_run` instead of the image's command; NULL: as the image has it. */
static char *starts(enum restart_kind restart, bool agent, const char *entry, const char *command, const char *of_run)
{
	struct artifact artifact = {.restart = restart};
	struct run_config run = {0};
	struct engine_image facts = {0};
	const struct port_plans ports = {0};
	const struct deployed_image image = {.artifact = &artifact,
					     .image = "web",
					     .tag = "web:1",
					     .image_id = "sha256:cd",
					     .agent_id = agent ? "sha256:ab" : NULL};
	const struct container_plan plan = {.image = &image,
					    .facts = &facts,
					    .run_id = "r",
					    .network = "n",
					    .run = &run,
					    .directory = "/p",
					    .ports = &ports};
	if (entry)
		strv_push(&facts.entry_point, entry);
	if (command)
		strv_push(&facts.command, command);
	if (of_run)
		strv_push(&run.command, of_run);
	json_t *body = container_body(&plan);
	assert_string_equal(AT(body, "Image"), agent ? "sha256:ab" : "sha256:cd");
	_cleanup_free_ char *a = json_dumps(json_object_get(body, "Entrypoint"), JSON_COMPACT),
			    *b = json_dumps(json_object_get(body, "Cmd"), JSON_COMPACT);
	char *text = xasprintf("%s %s", a ? a : "-", b ? b : "-");
	json_decref(body);
	engine_image_release(&facts);
	strv_release(&run.command);
	return text;
}

static void restarts_by_the_agent(void **state)
{
	(void)state;
#define AGENT "\"/.skiff/agent\",\"supervise\",\"--\""
	const struct {
		enum restart_kind restart;
		bool agent;
		const char *entry, *command, *of_run, *wanted;
	} cases[] = {
		{RESTART_NONE, true, "e", "c", NULL, "- -"},
		{RESTART_NONE, true, "e", "c", "r", "- [\"r\"]"},
		{RESTART_CONTAINER, true, "e", "c", NULL, "[" AGENT ",\"e\",\"c\"] -"},
		{RESTART_CONTAINER, true, "e", "c", "r", "[" AGENT ",\"e\",\"r\"] -"},
		{RESTART_SIGNAL, true, NULL, "c", NULL, "[" AGENT ",\"c\"] -"},
		{RESTART_CONTAINER, false, "e", "c", NULL, "- -"},
		{RESTART_CONTAINER, true, NULL, NULL, NULL, "- -"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *text =
			starts(cases[i].restart, cases[i].agent, cases[i].entry, cases[i].command, cases[i].of_run);
		assert_string_equal(text, cases[i].wanted);
	}
}

/* Equal digests are taken for equal containers: all that they take from the environment counts. */
static void digests_what_containers_follow_from(void **state)
{
	(void)state;
	struct artifact artifact = {0};
	struct artifact *artifacts[] = {&artifact};
	const struct config config = {.artifacts = {artifacts, 1, 1}};
	vec_push(&artifact.docker.build_args, (struct pair){.name = (char *)"SKIFF_TEST_ARGUMENT"});
	static const char *const steps[][3] = {{"SKIFF_TEST_ARGUMENT", "1", "a: '{{.SKIFF_TEST_VALUE}}'"},
					       {"SKIFF_TEST_ARGUMENT", "2", "a: '{{.SKIFF_TEST_VALUE}}'"},
					       {"SKIFF_TEST_VALUE", "new", "a: '{{.SKIFF_TEST_VALUE}}'"},
					       {"SKIFF_TEST_VALUE", "new", "a: '{{ .SKIFF_TEST_VALUE }}'"}};
	_cleanup_free_ char *before = xstrdup("");
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		setenv(steps[i][0], steps[i][1], 1);
		_cleanup_free_ char *digest = deploy_config_digest(&config, steps[i][2], NULL, NULL, false);
		_cleanup_free_ char *again = deploy_config_digest(&config, steps[i][2], NULL, NULL, false);
		assert_string_equal(digest, again);
		assert_string_not_equal(digest, before);
		replace_string(&before, digest);
	}
	vec_release(&artifact.docker.build_args);
}

static void tells_the_living_from_the_dead(void **state)
{
	(void)state;
	_cleanup_free_ char *self = owner_self(), *host = owner_host();
	int pid;
	assert_int_equal(owner_state(self, host, &pid), OWNER_SELF);
	assert_int_equal(pid, getpid());
	assert_int_equal(owner_state(self, "another machine", NULL), OWNER_ELSEWHERE);
	assert_int_equal(owner_state(NULL, host, NULL), OWNER_DEAD);
	assert_int_equal(owner_state("nonsense", host, NULL), OWNER_DEAD);
	_cleanup_free_ char *earlier =
		xasprintf("%d 1 %s", getpid(), strrchr(self, ' ') + 1); /* the pid was used by another process */
	assert_int_equal(owner_state(earlier, host, NULL), OWNER_DEAD);

	int line[2];
	assert_int_equal(pipe(line), 0);
	pid_t child = fork();
	if (child == 0) {
		_cleanup_free_ char *mine = owner_self();
		_exit(write_all(line[1], mine, strlen(mine) + 1) < 0 || read(line[0], &pid, 0) < 0);
	}
	char label[256] = "";
	siginfo_t ended;
	waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT); /* a zombie still has its start */
	assert_true(read(line[0], label, sizeof(label) - 1) > 0);
	waitpid(child, NULL, 0);
	assert_int_equal(owner_state(label, host, NULL), OWNER_DEAD);
	close(line[0]);
	close(line[1]);
}

static void lets_one_run_a_project(void **state)
{
	(void)state;
	char folder[] = "/tmp/skiff-test-XXXXXX";
	assert_non_null(mkdtemp(folder));
	setenv("XDG_STATE_HOME", folder, 1);
	_cleanup_close_ int held = owner_lock("run1", NULL);
	assert_true(held >= 0);
	assert_int_equal(owner_lock("run1", NULL), -ENOTUNIQ);
	_cleanup_close_ int other = owner_lock("run2", NULL);
	assert_true(other >= 0);
	pid_t child = fork();
	if (child == 0) {
		close(held); /* the copy shares the lock */
		_exit(owner_lock("run1", NULL) == -EBUSY ? 0 : 1);
	}
	int status;
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(file_remove_tree(folder, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_ports),
		cmocka_unit_test(plans_what_is_published),
		cmocka_unit_test(chooses_free_ports_and_keeps_them),
		cmocka_unit_test(makes_volumes_absolute),
		cmocka_unit_test(makes_safe_names),
		cmocka_unit_test(describes_the_container),
		cmocka_unit_test(restarts_by_the_agent),
		cmocka_unit_test(digests_what_containers_follow_from),
		cmocka_unit_test(tells_the_living_from_the_dead),
		cmocka_unit_test(lets_one_run_a_project),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
