/* The two tables that make the command line. */
#include <stddef.h>

#include "cli/cli.h"

const struct command cli_commands[] = {
	{"dev", "", "Build, start, watch, and carry every change into the running containers",
	 "Ctrl-C removes what was started. With --events FILE each event is appended to FILE as one line of JSON.",
	 command_dev},
	{"build", "[IMAGE...]", "Build the images", NULL, command_build},
	{"run", "", "Build and start once, without watching", NULL, command_run},
	{"delete", "", "Remove what dev or run started", NULL, command_delete},
	{"sync", "", "Bring what runs up to date once",
	 "Carries what changed since the containers were built or last copied to, as dev would, then ends. Builds, "
	 "starts and "
	 "removes nothing.",
	 command_sync},
	{"explain", "[PATH...]", "Say what a change of these paths would do, and why; runs nothing",
	 "A bare PATH counts as modified if it exists, else as deleted. Paths are relative to the working directory.",
	 command_explain},
	{"map", "[IMAGE]", "Print which file lands where in the container",
	 "Where the builder tells that (jib, sync.auto.map), it is run, and what it tells is kept; with --cached it "
	 "never is.",
	 command_map},
	{"config", "", "Print the effective configuration", NULL, command_config},
	{"init", "", "Write a skaffold.yaml for the Dockerfile of this directory", NULL, command_init},
	{"doctor", "", "Look for what would keep skiff from working here", NULL, command_doctor},
	{"schema", "[skaffold|skiff]", "Print the JSON Schema of skaffold.yaml or skiff.yaml", NULL, command_schema},
	{"completion", "bash|zsh|fish", "Print a completion script for a shell", NULL, command_completion},
	{"version", "", "Print the version", NULL, command_version},
	{NULL, NULL, NULL, NULL, NULL},
};

#define CONFIG_COMMANDS "dev build run delete sync explain map config doctor"
#define FIELD(name) offsetof(struct options, name)

// clang-format off
const struct option_def cli_options[] = {
	{"filename", 'f', OPTION_TEXT, "FILE", FIELD(file), NULL, 0, CONFIG_COMMANDS, "the configuration (default: skaffold.yaml)"},
	{"profile", 'p', OPTION_LIST, "NAME", FIELD(profiles), NULL, 0, CONFIG_COMMANDS, "use a profile; -NAME turns one off; may be repeated"},
	{"module", 'm', OPTION_LIST, "NAME", FIELD(modules), NULL, 0, CONFIG_COMMANDS, "only the configurations of this metadata.name; may be repeated"},
	{"default-repo", 'd', OPTION_TEXT, "REPO", FIELD(default_repo), NULL, 0, "dev build run sync", "put this repository in front of image names"},
	{"tag", 't', OPTION_TEXT, "TAG", FIELD(tag), NULL, 0, "dev build run sync", "the images' tag instead of the tag policy's"},
	{"force", 0, OPTION_FLAG, NULL, FIELD(force), NULL, 0, "dev build run", "build also where the inputs are unchanged"},
	{"runtime", 0, OPTION_CHOICE, "RUNTIME", FIELD(runtime), "docker|kubernetes|embedded", 0, "dev run sync delete build doctor", "where containers run (default: as the configuration deploys; docker, embedded where no engine answers)"},
	{"kube-context", 0, OPTION_TEXT, "CONTEXT", FIELD(kube_context), NULL, 0, CONFIG_COMMANDS, "the cluster, as kubectl calls it (default: its current one)"},
	{"namespace", 'n', OPTION_TEXT, "NAMESPACE", FIELD(namespace_), NULL, 0, "dev run sync delete", "where manifests name none (default: the context's)"},
	{"events", 0, OPTION_TEXT, "FILE", FIELD(events), NULL, 0, "dev", "append each event to FILE as a line of JSON; - for standard output"},
	{"trigger", 0, OPTION_CHOICE, "HOW", FIELD(trigger), "notify|polling|manual", 0, "dev", "how changes are noticed (default: notify; manual: on Enter)"},
	{"watch-poll-interval", 'i', OPTION_DURATION, "TIME", FIELD(poll_ms), NULL, 0, "dev", "milliseconds between two looks when polling (default: 1000)"},
	{"auto-build", 0, OPTION_FLAG, NULL, FIELD(auto_build), NULL, 0, "dev", "rebuild by itself (default: true)"},
	{"auto-sync", 0, OPTION_FLAG, NULL, FIELD(auto_sync), NULL, 0, "dev", "copy by itself (default: true)"},
	{"auto-deploy", 0, OPTION_FLAG, NULL, FIELD(auto_deploy), NULL, 0, "dev", "restart with a new image by itself (default: true)"},
	{"no-agent", 0, OPTION_FLAG, NULL, FIELD(no_agent), NULL, 0, "dev sync", "put no agent into containers: files go through the engine's archive API, slower"},
	{"cleanup", 0, OPTION_FLAG, NULL, FIELD(cleanup), NULL, 0, "dev", "remove containers at the end (default: true)"},
	{"tail", 0, OPTION_FLAG, NULL, FIELD(tail), NULL, 0, "dev", "show the containers' output (default: true)"},
	{"port-forward", 0, OPTION_FLAG, NULL, FIELD(port_forward), NULL, 0, "dev run sync", "publish ports (default: true)"},
	{"json", 0, OPTION_FLAG, NULL, FIELD(json), NULL, 0, "explain map build version", "print JSON"},
	{"added", 0, OPTION_CHANGE, "PATH", FIELD(changes), NULL, CHANGE_ADDED, "explain", "as if PATH had been added"},
	{"modified", 0, OPTION_CHANGE, "PATH", FIELD(changes), NULL, CHANGE_MODIFIED, "explain", "as if PATH had been modified"},
	{"deleted", 0, OPTION_CHANGE, "PATH", FIELD(changes), NULL, CHANGE_DELETED, "explain", "as if PATH had been deleted"},
	{"cached", 0, OPTION_FLAG, NULL, FIELD(cached), NULL, 0, "map", "never run a builder"},
	{"color", 0, OPTION_CHOICE, "WHEN", FIELD(color), "auto|always|never", 0, "dev run sync build", "colours (default: auto; NO_COLOR is respected)"},
	{"verbose", 'v', OPTION_FLAG, NULL, FIELD(verbose), NULL, 0, "dev sync", "show the builders' output also where nothing fails"},
	{"quiet", 'q', OPTION_FLAG, NULL, FIELD(quiet), NULL, 0, "dev run sync build", "only errors"},
	{"help", 'h', OPTION_FLAG, NULL, FIELD(help), NULL, 0, "*", "this help"},
	{NULL, 0, 0, NULL, 0, NULL, 0, NULL, NULL},
};
// clang-format on
