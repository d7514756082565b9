/* The docker deployer on a real engine. */
#include "engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deploy/deploy.h"
#include "deploy/owner.h"

struct run {
	struct project project;
	char run_id[64];
	struct deployer *deployer;
};

static void open_deployer(struct run *run)
{
	const struct deploy_options options = {.config = run->project.config,
					       .run_id = run->run_id,
					       .docker = run->project.docker};
	assert_int_equal(deployer_open(&options, &run->deployer, NULL), 0);
}

static void run_init(struct run *run, const char *skiff_yaml)
{
	*run = (struct run){0};
	project_init(&run->project);
	snprintf(run->run_id, sizeof(run->run_id), "test%s", strrchr(run->project.folder, '-') + 1);
	project_write(
		&run->project, "skaffold.yaml",
		"apiVersion: skaffold/v4beta14\nkind: Config\nbuild: {artifacts: [{image: team/web}, {image: other}]}\n"
		"deploy: {docker: {images: [team/web, other]}}\n");
	project_write(&run->project, "Dockerfile", "FROM scratch\n");
	if (skiff_yaml)
		project_write(&run->project, "skiff.yaml", skiff_yaml);
	project_load(&run->project);
	open_deployer(run);
}

static void run_release(struct run *run)
{
	assert_int_equal(run->deployer->ops->cleanup(run->deployer, NULL), 0);
	run->deployer->ops->free(run->deployer);
	project_release(&run->project);
}

static int deploy(struct run *run, const char *image, const char *tag, struct published_ports *ports, struct error *err)
{
	const struct deployed_image deployed = {.artifact = config_artifact(run->project.config, image),
						.image = image,
						.tag = tag};
	return run->deployer->ops->deploy(run->deployer, &deployed, ports, NULL, err);
}

static void must_deploy(struct run *run, const char *image, struct published_ports *ports)
{
	CLEANUP(error_clear) struct error err = {0};
	if (deploy(run, image, BASE_IMAGE, ports, &err) < 0)
		fail_msg("%s", err.message);
}

/* GET's path of the containers of a run. */
static char *containers_path(const struct run *run, const char *image)
{
	_cleanup_free_ char *filter =
				    xasprintf("{\"label\":[\"skiff.run=%s\",\"skiff.image=%s\"]}", run->run_id, image),
			    *escaped = docker_escape(filter);
	return xasprintf("/containers/json?all=1&filters=%s", escaped);
}

static char *container_of(const struct run *run, const char *image)
{
	_cleanup_free_ char *path = containers_path(run, image), *second = ENGINE_TEXT(&run->project, path, "#1", "Id");
	assert_null(second);
	return ENGINE_TEXT(&run->project, path, "#0", "Id");
}

static char *container_state(const struct run *run, const char *id)
{
	_cleanup_free_ char *path = xasprintf("/containers/%s/json", id);
	return ENGINE_TEXT(&run->project, path, "State", "Status");
}

/* What a program in the container prints. */
static char *output_of(const struct run *run, const char *id, const char *command)
{
	struct str output = {0};
	const struct docker_exec exec = {.argv = (const char *const[]){"sh", "-c", command, NULL}, .output = &output};
	assert_int_equal(docker_exec_run(run->project.docker, id, &exec, NULL, NULL), 0);
	return str_steal(&output);
}

static void starts_what_the_configuration_says(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, "deploy: {docker: {run: {team/web: {env: {A: 'b c'}, volumes: ['./data:/data', /anonymous], "
		       "tmpfs: [/scratch], user: '1000',\n"
		       "  readOnly: true, command: [sh, -c, 'trap exit TERM; sleep 1000 & wait']}}}}\n");
	project_write(&run.project, "data/file", "from the host");
	CLEANUP(published_ports_release) struct published_ports ports = {0};
	must_deploy(&run, "team/web", &ports);
	assert_int_equal(ports.len, 0);
	_cleanup_free_ char *id = container_of(&run, "team/web");
	_cleanup_free_ char *seen = output_of(
		&run, id,
		"echo $A $(cat /data/file) $(id -u); echo x >/scratch/x && cat /scratch/x; touch /no 2>&1; true");
	assert_non_null(strstr(seen, "b c from the host 1000\nx\n"));
	assert_non_null(strstr(seen, "Read-only file system"));
	run_release(&run);
}

static const char stay[] =
	"deploy: {docker: {run: {team/web: {command: [sh, -c, 'trap exit TERM; sleep 1000 & wait'], ports: ['80']},\n"
	"  other: {command: [sh, -c, 'trap exit TERM; sleep 1000 & wait']}}}}\n";

static void containers_find_each_other(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, stay);
	struct published_ports ports = {0};
	must_deploy(&run, "team/web", &ports);
	must_deploy(&run, "other", &ports);
	published_ports_release(&ports);
	_cleanup_free_ char *id = container_of(&run, "other");
	_cleanup_free_ char *short_name = output_of(&run, id, "nslookup web 2>&1 | grep -c 'Name:'");
	_cleanup_free_ char *long_name = output_of(&run, id, "nslookup team-web 2>&1 | grep -c 'Name:'");
	assert_string_equal(short_name, "1\n");
	assert_string_equal(long_name, "1\n");
	run_release(&run);
}

static void keeps_its_ports_when_it_is_replaced(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, stay);
	CLEANUP(published_ports_release) struct published_ports first = {0}, second = {0};
	must_deploy(&run, "team/web", &first);
	_cleanup_free_ char *old = container_of(&run, "team/web");
	must_deploy(&run, "team/web", &second);
	_cleanup_free_ char *new = container_of(&run, "team/web"), *status = container_state(&run, new);
	assert_string_not_equal(old, new);
	assert_string_equal(status, "running");
	assert_int_equal(first.len, 1);
	assert_int_equal(first.items[0].container, 80);
	assert_string_equal(first.items[0].address, "127.0.0.1");
	assert_int_equal(second.items[0].local, first.items[0].local);
	run_release(&run);
}

static void says_why_it_ended_at_once(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, "deploy: {docker: {run: {team/web: {command: [sh, -c, 'echo first; echo no database >&2; exit "
		       "7']}}}}\n");
	CLEANUP(error_clear) struct error err = {0};
	struct published_ports ports = {0};
	assert_int_equal(deploy(&run, "team/web", BASE_IMAGE, &ports, &err), -ECHILD);
	assert_non_null(strstr(err.message, "exit 7"));
	assert_non_null(strstr(err.message, "no database"));
	_cleanup_free_ char *id = container_of(&run, "team/web"), *status = container_state(&run, id);
	assert_string_equal(status, "exited"); /* kept: what is carried into it may heal it */
	run_release(&run);
}

static void the_old_one_serves_where_the_new_one_does_not(void **state)
{
	(void)state;
	static const char *const broken[] = {
		"deploy: {docker: {run: {team/web: {command: [sh, -c, 'exit 7']}}}}\n",
		"deploy: {docker: {run: {team/web: {command: [/no/such/program]}}}}\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		struct run run;
		run_init(&run, stay);
		struct published_ports ports = {0};
		must_deploy(&run, "team/web", &ports);
		_cleanup_free_ char *old = container_of(&run, "team/web");
		project_write(&run.project, "skiff.yaml", broken[i]);
		struct config *earlier = run.project.config;
		run.project.config = NULL;
		project_load(&run.project);
		/* The same deployer, another command: what a new image with a broken program is. */
		__typeof__(earlier->run) runs = earlier->run;
		earlier->run = run.project.config->run;
		run.project.config->run = runs;
		CLEANUP(error_clear) struct error err = {0};
		assert_true(deploy(&run, "team/web", BASE_IMAGE, &ports, &err) < 0);
		assert_non_null(strstr(err.message, "serves again"));
		_cleanup_free_ char *now = container_of(&run, "team/web"), *status = container_state(&run, now);
		assert_string_equal(now, old);
		assert_string_equal(status, "running");
		published_ports_release(&ports);
		run_release(&run);
		config_free(earlier);
	}
}

static void takes_another_port_where_one_is_taken(void **state)
{
	(void)state;
	struct run run;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(address);
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&address, &len);
	unsigned busy = ntohs(address.sin_port);
	_cleanup_free_ char *free_to_move =
		xasprintf("deploy: {docker: {run: {team/web: {command: [sh, -c, 'trap exit TERM; sleep 1000 & wait'], "
			  "ports: ['%u']}, other: {ports: ['%u:80']}}}}\n",
			  busy, busy);
	run_init(&run, free_to_move);
	CLEANUP(published_ports_release) struct published_ports ports = {0};
	must_deploy(&run, "team/web", &ports);
	assert_int_equal(ports.items[0].container, busy);
	assert_int_not_equal(ports.items[0].local, busy);
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(deploy(&run, "other", BASE_IMAGE, &ports, &err), -EADDRINUSE);
	run_release(&run);
}

static void says_which_image_is_not_there(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, stay);
	CLEANUP(error_clear) struct error err = {0};
	struct published_ports ports = {0};
	const struct deployed_image missing = {.image = "skiff-test/none", .tag = "skiff-test/none:latest"};
	assert_int_equal(run.deployer->ops->deploy(run.deployer, &missing, &ports, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.message, "skiff-test/none"));
	run_release(&run);
}

/* Another skiff: a process with the same project, its container and the lock, until it is killed. */
static pid_t start_other(struct run *run, int *line)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		struct project project = run->project;
		struct docker *docker = NULL;
		if (docker_connect(&docker, NULL, NULL) < 0)
			_exit(1);
		const struct deploy_options options = {.config = project.config,
						       .run_id = run->run_id,
						       .docker = docker};
		struct deployer *deployer = NULL;
		struct published_ports ports = {0};
		const struct deployed_image image = {.artifact = project.config->artifacts.items[0],
						     .image = "team/web",
						     .tag = BASE_IMAGE};
		bool fine = deployer_open(&options, &deployer, NULL) == 0 &&
			    deployer->ops->sweep(deployer, NULL, NULL) == 0 &&
			    deployer->ops->deploy(deployer, &image, &ports, NULL, NULL) == 0;
		if (write(ends[1], fine ? "y" : "n", 1) == 1)
			pause();
		_exit(0);
	}
	char fine = 'n';
	assert_int_equal(read(ends[0], &fine, 1), 1);
	assert_int_equal(fine, 'y');
	close(ends[1]);
	*line = ends[0];
	return child;
}

static void leaves_a_living_skiff_alone_and_sweeps_a_killed_one(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, stay);
	int line;
	pid_t other = start_other(&run, &line);
	_cleanup_free_ char *theirs = container_of(&run, "team/web"), *pid = xasprintf("pid %d", (int)other);
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(run.deployer->ops->sweep(run.deployer, NULL, &err), -EBUSY);
	assert_non_null(strstr(err.message, pid));
	assert_int_equal(run.deployer->ops->cleanup(run.deployer, NULL), -EBUSY);
	_cleanup_free_ char *status = container_state(&run, theirs);
	assert_string_equal(status, "running");

	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	assert_int_equal(run.deployer->ops->sweep(run.deployer, NULL, &err), 0);
	assert_null(container_of(&run, "team/web"));
	close(line);
	run_release(&run);
}

static void leaves_nothing_behind(void **state)
{
	(void)state;
	struct run run;
	run_init(&run, stay);
	struct published_ports ports = {0};
	must_deploy(&run, "team/web", &ports);
	must_deploy(&run, "other", &ports);
	published_ports_release(&ports);
	assert_int_equal(run.deployer->ops->cleanup(run.deployer, NULL), 0);
	assert_null(container_of(&run, "team/web"));
	assert_null(container_of(&run, "other"));
	_cleanup_free_ char *filter = xasprintf("{\"label\":[\"skiff.run=%s\"]}", run.run_id),
			    *escaped = docker_escape(filter);
	_cleanup_free_ char *path = xasprintf("/networks?filters=%s", escaped);
	assert_null(ENGINE_TEXT(&run.project, path, "#0", "Name"));
	run_release(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_what_the_configuration_says),
		cmocka_unit_test(containers_find_each_other),
		cmocka_unit_test(keeps_its_ports_when_it_is_replaced),
		cmocka_unit_test(says_why_it_ended_at_once),
		cmocka_unit_test(the_old_one_serves_where_the_new_one_does_not),
		cmocka_unit_test(takes_another_port_where_one_is_taken),
		cmocka_unit_test(says_which_image_is_not_there),
		cmocka_unit_test(leaves_a_living_skiff_alone_and_sweeps_a_killed_one),
		cmocka_unit_test(leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
