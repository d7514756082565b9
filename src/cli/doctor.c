/* What would keep skiff from working here, and the way out of each. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "client/docker.h"
#include "io/process.h"

enum { WATCHES_WANTED = 65536 };

/* Prints one finding; returns 1 for a problem. */
static int finding(bool good, const char *what, const char *detail)
{
	printf("%s  %-14s %s\n", good ? "ok  " : "FAIL", what, detail);
	return good ? 0 : 1;
}

static int check_engine(bool *there)
{
	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(docker_close_cleanup) struct docker *docker = NULL;
	*there = docker_connect(&docker, NULL, &err) == 0;
	if (*there)
		return finding(true, "engine", docker_host(docker));
	_cleanup_free_ char *text = xasprintf("%s (only --runtime embedded works)", err.message);
	return finding(false, "engine", text);
}

static int check_program(const char *name, const char *why)
{
	_cleanup_free_ char *path = process_find(name);
	_cleanup_free_ char *missing = xasprintf("not in PATH; %s", why);
	return finding(path != NULL, name, path ? path : missing);
}

static int check_watches(void)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	if (file_read("/proc/sys/fs/inotify/max_user_watches", 64, &text, &len, NULL) < 0)
		return finding(true, "watches", "the kernel's limit can't be read");
	text[strcspn(text, "\n")] = '\0';
	uint64_t limit = 0;
	bool enough = parse_uint(text, UINT64_MAX, &limit) == 0 && limit >= WATCHES_WANTED;
	_cleanup_free_ char *detail =
		enough ? xasprintf("%s folders can be watched", text)
		       : xasprintf("only %s folders can be watched: sudo sysctl fs.inotify.max_user_watches=524288",
				   text);
	return finding(enough, "watches", detail);
}

static int check_state(void)
{
	CLEANUP(error_clear) struct error err = {0};
	_cleanup_free_ char *dir = NULL;
	int r = file_state_directory(&dir, &err);
	return finding(r == 0, "state", r == 0 ? dir : err.message);
}

static int check_configuration(const struct options *options)
{
	if (!options->file && !file_exists("skaffold.yaml") && !file_exists("skaffold.yml"))
		return finding(true, "configuration", "none in this directory (skiff init writes one)");
	struct config *config = NULL;
	int code = cli_load(options, "doctor", &config);
	_cleanup_free_ char *detail =
		config ? xasprintf("%zu artifact%s", config->artifacts.len, config->artifacts.len == 1 ? "" : "s")
		       : xstrdup("has errors, see above");
	config_free(config);
	return finding(code == EXIT_DONE, "configuration", detail);
}

int command_doctor(const struct options *options)
{
	bool engine = false;
	int problems = check_engine(&engine);
	if (engine)
		problems += check_program("docker", "images are built with it: apt install docker.io");
	problems += check_watches();
	problems += check_state();
	problems += check_configuration(options);
	return problems ? EXIT_FAILED : EXIT_DONE;
}
