/* skiff explain: the planner, printed. */
#include <stdio.h>

#include "base/path.h"
#include "cli/answer.h"
#include "cli/cli.h"

static const char *const outcomes[] = {
	[DECISION_NONE] = "nothing to do",
	[DECISION_COPY] = "copied",
	[DECISION_GENERATE] = "generated, then copied",
	[DECISION_REBUILD] = "rebuilt",
};

static void print_list(const char *verb, const struct strv *dests, const char *source)
{
	for (size_t i = 0; i < dests->len; i++) {
		_cleanup_free_ char *dest = str_printable(dests->items[i]);
		if (source)
			printf("  %-9s %s → %s\n", verb, source, dest);
		else
			printf("  %-9s %s\n", verb, dest);
	}
}

/* A block an artifact: what would happen, why, and where that is written; then each file. */
static void print_decision(const struct artifact *artifact, const struct decision *d)
{
	_cleanup_free_ char *reason = str_printable(d->reason);
	_cleanup_free_ char *where = d->deciding_where ? str_printable(d->deciding_where) : NULL;
	printf("%s: %s\n  because   %s%s%s%s\n", artifact->image.value, outcomes[d->kind], reason, where ? " (" : "",
	       where ? where : "", where ? ")" : "");
	if (d->kind != DECISION_COPY && d->kind != DECISION_GENERATE)
		return;
	for vec_each (generator, &d->generators) {
		_cleanup_free_ char *joined = strv_join(&(*generator)->command, " ");
		_cleanup_free_ char *command = str_printable(joined);
		printf("  %-9s %s\n", "run", command);
	}
	for vec_each (copy, &d->copies) {
		_cleanup_free_ char *source = str_printable(copy->rel);
		print_list(copy->directory ? "make" : "copy", &copy->dests, source);
	}
	print_list("delete", &d->deletes, NULL);
}

static void warn_of_workdirs(const struct source_set *sources)
{
	for (size_t i = 0; i < sources->len; i++) {
		const char *base = NULL;
		if (sync_source_workdir(sources->items[i], &base) || !sync_source_needs_workdir(sources->items[i]))
			continue;
		fprintf(stderr, "skiff: warning: the WORKDIR of %s is not known, because the image %s is not at hand\n",
			sync_source_artifact(sources->items[i])->image.value, base ? base : "");
	}
}

static void warn_of_images(const struct source_set *sources)
{
	for (size_t i = 0; i < sources->len; i++)
		if (sync_source_lacks_image(sources->items[i]))
			fprintf(stderr,
				"skiff: warning: the rules of %s are not known, because its image is not at hand\n",
				sync_source_artifact(sources->items[i])->image.value);
}

/* An artifact can only be explained if what its builder has to say was kept; of a change elsewhere it has nothing to say. */
static int check_known(const struct source_set *sources, const struct change_set *changes, struct error *err)
{
	for (size_t i = 0; i < sources->len; i++) {
		const struct artifact *artifact = sync_source_artifact(sources->items[i]);
		bool concerns = false;
		for vec_each (change, changes)
			concerns = concerns || path_below(change->path, artifact->context);
		if (!concerns)
			continue;
		int r = source_set_known(sources->items[i], err);
		if (r < 0)
			return r;
		if (sync_source_needs_files(sources->items[i]) || sync_source_needs_map(sources->items[i]))
			fprintf(stderr,
				"skiff: warning: the builder of %s was not asked since its build definitions changed: "
				"`skiff map %s` "
				"asks it\n",
				artifact->image.value, artifact->image.value);
	}
	return 0;
}

static void print_all(const struct options *options, const struct config *config, const struct source_set *sources,
		      const struct decision *decisions)
{
	if (!options->json) {
		for (size_t i = 0; i < sources->len; i++)
			print_decision(config->artifacts.items[i], &decisions[i]);
		return;
	}
	json_t *answer = explain_json(config, sources, decisions);
	json_dumpf(answer, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(answer);
}

int command_explain(const struct options *options)
{
	CLEANUP(config_free_cleanup) struct config *config = NULL;
	CLEANUP(source_set_release) struct source_set sources = {0};
	CLEANUP(change_set_release) struct change_set changes = {0};
	CLEANUP(error_clear) struct error err = {0};
	int code = cli_load(options, "explain", &config);
	if (code != EXIT_DONE)
		return code;
	if (source_set_open(config, &sources, &err) < 0)
		return cli_fail(&err, EXIT_FAILED);
	explain_changes(&options->changes, &options->arguments, &changes);
	if (check_known(&sources, &changes, &err) < 0)
		return cli_fail(&err, EXIT_FAILED);
	warn_of_workdirs(&sources);
	warn_of_images(&sources);
	struct decision *decisions = xcalloc(sources.len + 1, sizeof(*decisions));
	plan_all(config, sources.items, &changes, decisions);
	print_all(options, config, &sources, decisions);
	for (size_t i = 0; i < sources.len; i++)
		decision_release(&decisions[i]);
	free(decisions);
	return EXIT_DONE;
}
