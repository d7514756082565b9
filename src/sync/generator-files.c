/* The files of one generator, as they are on disk now. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/path.h"
#include "sync/editors.h"
#include "sync/inputs-internal.h"
#include "sync/source-internal.h"
#include "sync/walk.h"

struct files_walk {
	const struct sync_source *source;
	const struct source_generator *generator;
	enum generator_files which;
	struct inputs_reader reader;
};

static const struct source_generator *find_generator(const struct sync_source *s,
						     const struct sync_generator *generator)
{
	for vec_each (g, &s->generators)
		if (g->written == generator)
			return g;
	return NULL;
}

static bool counts(const struct files_walk *w, const char *path)
{
	_cleanup_free_ char *owned = NULL;
	const char *rel = source_relative(w->source, path, &owned);
	if (editors_temporary(path_base(path)) || source_globs_match(&w->source->ignored, rel, NULL))
		return false;
	bool makes = source_generator_makes(w->source, w->generator, path, rel);
	if (w->which == GENERATOR_MAKES)
		return makes;
	return !makes && source_generator_reads(w->source, w->generator, path, rel, NULL);
}

static int visit_file(void *data, const struct walk_entry *entry, struct error *err)
{
	struct files_walk *w = data;
	if (S_ISDIR(entry->type) || !counts(w, entry->path))
		return 0;
	return inputs_look(&w->reader, entry->path, entry->directory, entry->name, err);
}

static bool enter_folder(void *data, const char *path)
{
	const struct files_walk *w = data;
	_cleanup_free_ char *owned = NULL;
	const char *rel = source_relative(w->source, path, &owned);
	if (source_is_git_folder(rel) || source_globs_match(&w->source->ignored, rel, NULL))
		return false;
	if (w->which == GENERATOR_MAKES || source_globs_match(&w->generator->inputs, rel, NULL))
		return true;
	for vec_each (input, &w->generator->inputs)
		if (glob_may_match_below(input->glob, rel))
			return true;
	return false;
}

/* What is there at the path, or below it. */
static int look_at(struct files_walk *w, const char *path, struct error *err)
{
	const struct walk walk = {.enter = enter_folder, .visit = visit_file, .data = w};
	struct stat st;
	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return counts(w, path) ? inputs_look(&w->reader, path, AT_FDCWD, path, err) : 0;
	int r = walk_tree(path, &walk, err);
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static char *pattern_root(const struct sync_source *s, const struct source_glob *glob)
{
	_cleanup_free_ char *fixed = source_fixed_part(glob->text), *joined = path_join(s->artifact->context, fixed);
	return path_normalize(joined);
}

/* Where its files may be: folders and files, absolute. */
static void find_roots(const struct files_walk *w, struct strv *roots)
{
	const struct source_generator *g = w->generator;
	if (!g) /* of another source */
		return;
	if (w->which == GENERATOR_READS) {
		for vec_each (input, &g->inputs)
			strv_push_owned(roots, pattern_root(w->source, input));
		return;
	}
	for vec_each (output, &g->outputs)
		strv_push_owned(roots, pattern_root(w->source, &output->src));
	for vec_each (entry, &w->source->knowledge.map.entries)
		if (g->written == &w->source->map_program && entry->generated)
			strv_push(roots, entry->src);
}

int sync_source_generator_files(const struct sync_source *source, const struct sync_generator *generator,
				enum generator_files which, struct inputs *files, struct error *err)
{
	struct inputs found = {0};
	struct files_walk w = {.source = source, .generator = find_generator(source, generator), .which = which};
	CLEANUP(strv_release) struct strv roots = {0};
	int r = 0;
	find_roots(&w, &roots);
	strv_sort_unique(&roots);
	inputs_reader_init(&w.reader, source, NULL, &found);
	for (size_t i = 0; r == 0 && i < roots.len; i++)
		r = look_at(&w, roots.items[i], err);
	inputs_reader_release(&w.reader);
	if (r < 0) {
		inputs_release(&found);
		return r;
	}
	inputs_finish(&found);
	*files = found;
	return 0;
}

bool sync_source_builds_with(const struct sync_source *source, const struct sync_generator *generator)
{
	const struct files_walk w = {source, find_generator(source, generator), GENERATOR_MAKES, {0}};
	CLEANUP(strv_release) struct strv roots = {0};
	find_roots(&w, &roots);
	for (size_t i = 0; i < roots.len; i++) {
		_cleanup_free_ char *owned = NULL;
		const char *rel = source_relative(source, roots.items[i], &owned);
		if (source_is_input(source, roots.items[i], rel, NULL) ||
		    source_inputs_below(source, roots.items[i], rel))
			return true;
	}
	return false;
}
