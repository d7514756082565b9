/* What generators made, as it is on disk now. The map's entries are asked for one by one, from a descriptor of the directory they are in: that costs
 * one fstatat each. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/editors.h"
#include "sync/inputs-internal.h"
#include "sync/source-internal.h"
#include "sync/walk.h"

struct outputs_walk {
	const struct sync_source *source;
	struct inputs_reader reader;
	int directory; /* of the last entry; negative: it is not there */
	char *directory_path;
};

static int visit_output(void *data, const struct walk_entry *entry, struct error *err)
{
	struct outputs_walk *w = data;
	if (S_ISDIR(entry->type) || sync_source_class(w->source, entry->path, CHANGE_MODIFIED, false) != PATH_OUTPUT)
		return 0;
	return inputs_look(&w->reader, entry->path, entry->directory, entry->name, err);
}

static bool enter_output(void *data, const char *path)
{
	const struct outputs_walk *w = data;
	return !sync_source_prunes(w->source, path, true);
}

/* What is there at path: a file, or all files below a directory. */
static int look_at(struct outputs_walk *w, const char *path, int directory, const char *name, struct error *err)
{
	const struct walk walk = {.enter = enter_output, .visit = visit_output, .data = w};
	struct stat st;
	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : error_errno(err, errno, "can't look at %s", path);
	if (!S_ISDIR(st.st_mode))
		return inputs_take(&w->reader, path, directory, name, &st, err);
	int r = walk_tree(path, &walk, err);
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* Opens the directory that the path is in, if it is not the last one. */
static void enter_parent(struct outputs_walk *w, const char *path)
{
	size_t len = (size_t)(path_base(path) - path) - 1;
	if (w->directory_path && strlen(w->directory_path) == len && memcmp(w->directory_path, path, len) == 0)
		return;
	if (w->directory >= 0)
		close(w->directory);
	free(w->directory_path);
	w->directory_path = xstrndup(path, len);
	w->directory = open(len ? w->directory_path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool ignored(const struct sync_source *s, const char *path)
{
	_cleanup_free_ char *owned = NULL;
	return editors_temporary(path_base(path)) ||
	       (s->ignored.len > 0 && source_globs_match(&s->ignored, source_relative(s, path, &owned), NULL)) ||
	       (s->knowledge.map.ignore.len > 0 && source_told(s, path) & TOLD_IGNORED);
}

static int look_at_entries(struct outputs_walk *w, struct error *err)
{
	const struct sync_source *s = w->source;
	const char *last = NULL;
	int r = 0;
	for (size_t i = 0; r == 0 && i < s->knowledge.map.entries.len; i++) {
		const struct syncmap_entry *entry = &s->knowledge.map.entries.items[s->told.order[i]];
		if (!entry->generated || str_equal(entry->src, last) || ignored(s, entry->src))
			continue;
		last = entry->src;
		enter_parent(w, entry->src);
		if (w->directory >= 0)
			r = look_at(w, entry->src, w->directory, path_base(entry->src), err);
	}
	return r;
}

/* Of a pattern, the folder that is written out is looked through. */
static int look_at_rule(struct outputs_walk *w, const struct source_rule *rule, struct error *err)
{
	_cleanup_free_ char *fixed = source_fixed_part(rule->src.text);
	_cleanup_free_ char *joined = path_join(w->source->artifact->context, fixed), *path = path_normalize(joined);
	struct stat st;
	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode) && sync_source_class(w->source, path, CHANGE_MODIFIED, false) != PATH_OUTPUT)
		return 0;
	return look_at(w, path, AT_FDCWD, path, err);
}

int sync_source_outputs(const struct sync_source *source, const struct inputs *before, struct inputs *outputs,
			struct error *err)
{
	struct inputs found = {0};
	struct outputs_walk w = {.source = source, .directory = -1};
	inputs_reader_init(&w.reader, source, before, &found);
	int r = source_rules_count(source) ? look_at_entries(&w, err) : 0;
	for vec_each (g, &source->generators)
		for (size_t i = 0; r == 0 && source_rules_count(source) && i < g->outputs.len; i++)
			r = look_at_rule(&w, &g->outputs.items[i], err);
	if (w.directory >= 0)
		close(w.directory);
	free(w.directory_path);
	inputs_reader_release(&w.reader);
	if (r < 0) {
		inputs_release(&found);
		return r;
	}
	inputs_finish(&found);
	*outputs = found;
	return 0;
}

static int visit_any(void *data, const struct walk_entry *entry, struct error *err)
{
	struct outputs_walk *w = data;
	return S_ISDIR(entry->type) ? 0 : inputs_look(&w->reader, entry->path, entry->directory, entry->name, err);
}

static bool enter_any(void *data, const char *path)
{
	(void)data, (void)path;
	return true;
}

/* The folder of the module that is containerised. Maven may name it by its group and artifact: then nobody knows where it is. */
static char *module_folder(const struct artifact *a)
{
	_cleanup_free_ char *project = xstrdup_or_null(a->jib.project);
	for (char *p = project; p && *p; p++)
		if (*p == ':')
			*p = '/';
	_cleanup_free_ char *joined = project ? xasprintf("%s/%s", a->context, project) : xstrdup(a->context);
	return path_normalize(joined);
}

int sync_source_guess_outputs(const struct sync_source *source, struct inputs *outputs, struct error *err)
{
	static const char *const folders[] = {"target/classes", "build/classes", "build/resources"};
	struct inputs found = {0};
	struct outputs_walk w = {.source = source, .directory = -1};
	const struct walk walk = {.enter = enter_any, .visit = visit_any, .data = &w};
	_cleanup_free_ char *module = module_folder(source->artifact);
	int r = 0;
	inputs_reader_init(&w.reader, source, NULL, &found);
	for (size_t i = 0; r == 0 && source->artifact->builder == BUILDER_JIB && i < ARRAY_LEN(folders); i++) {
		_cleanup_free_ char *path = path_join(module, folders[i]);
		r = file_is_directory(path) ? walk_tree(path, &walk, err) : 0;
	}
	inputs_reader_release(&w.reader);
	inputs_finish(&found);
	*outputs = found;
	return r == -ENOENT ? 0 : r;
}
