#include "deploy/render.h"

#include <errno.h>
#include <fts.h>
#include <glob.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "deploy/helm.h"
#include "io/process.h"

enum { FILES_MAX = 10000, WORDS_MAX = 16 << 10 };

/* ---- programs ---- */

void program_line(void *data, int stream, const char *line, size_t len)
{
	struct program_words *words = data;
	(void)len;
	if (stream != 2 || words->text.len + len > WORDS_MAX)
		return;
	_cleanup_free_ char *safe = str_printable(line);
	str_addf(&words->text, "%s%s", words->text.len ? "\n" : "", safe);
}

int program_failed(const struct program_words *words, const char *name, int status, struct error *err)
{
	if (words->text.len > 0)
		return error_set(err, EIO, "%s: %s", name, str_text(&words->text));
	return error_set(err, EIO, "%s failed (exit %d), without a word", name, status);
}

int render_program(const struct render_program *program, struct manifests *manifests, struct cancel *cancel,
		   struct error *err)
{
	struct program_words words = {0};
	CLEANUP(str_release) struct str output = {.max = MANIFEST_MAX_BYTES};
	const struct process_spec spec = {.argv = (const char *const *)program->argv->items,
					  .directory = program->directory,
					  .input = program->input,
					  .input_len = program->input ? strlen(program->input) : 0,
					  .line = program_line,
					  .data = &words,
					  .output = &output,
					  .cancel = cancel};
	int r = process_run(&spec, err);
	if (r > 0)
		r = program_failed(&words, program->name, r, err);
	str_release(&words.text);
	if (r == 0 && output.overflow)
		r = error_set(err, EFBIG, "%s: more than %zu MiB of manifests", program->name,
			      MANIFEST_MAX_BYTES >> 20);
	if (r < 0 || !manifests)
		return r;
	size_t len = output.len;
	return manifests_add(manifests, program->name, str_steal(&output), len, err);
}

/* ---- files ---- */

static bool is_manifest_file(const char *path)
{
	return str_ends_with(path, ".yaml") || str_ends_with(path, ".yml") || str_ends_with(path, ".json");
}

static int too_many(const char *pattern, struct error *err)
{
	return error_set(err, E2BIG, "'%s' names more than %d files", pattern, FILES_MAX);
}

static int add_below(const char *directory, bool all, struct strv *files, struct error *err)
{
	char *const roots[] = {(char *)directory, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	int r = walk ? 0 : error_errno(err, errno, "can't read %s", directory);
	for (FTSENT *entry; r == 0 && (entry = fts_read(walk));) {
		if (entry->fts_info == FTS_F && (all || is_manifest_file(entry->fts_path)))
			strv_push(files, entry->fts_path);
		if (files->len > FILES_MAX)
			r = too_many(directory, err);
	}
	if (walk)
		fts_close(walk);
	return r;
}

static int add_path(const char *path, struct strv *files, struct error *err)
{
	if (file_is_directory(path))
		return add_below(path, false, files, err);
	strv_push(files, path);
	return files->len > FILES_MAX ? too_many(path, err) : 0;
}

int render_raw_files(const char *base_dir, const char *pattern, struct strv *files, struct error *err)
{
	_cleanup_free_ char *joined = path_join(base_dir, pattern), *path = path_normalize(joined);
	if (file_exists(path))
		return add_path(path, files, err);
	CLEANUP(str_release) struct str escaped = {0};
	for (const char *p = base_dir; !path_is_absolute(pattern) && *p; p++)
		str_addf(&escaped, "%s%c", strchr("*?[\\", *p) ? "\\" : "", *p);
	str_addf(&escaped, "%s%s", path_is_absolute(pattern) ? "" : "/", pattern);
	glob_t found = {0};
	CLEANUP(strv_release) struct strv paths = {0};
	if (glob(str_text(&escaped), GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			strv_push(&paths, found.gl_pathv[i]);
	globfree(&found);
	strv_sort(&paths);
	int r = paths.len > FILES_MAX ? too_many(pattern, err) : 0;
	for (size_t i = 0; r == 0 && i < paths.len; i++)
		r = add_path(paths.items[i], files, err);
	return r;
}

static bool is_url(const char *text)
{
	return str_starts_with(text, "http://") || str_starts_with(text, "https://");
}

static void add_tree(const char *base_dir, const char *name, struct strv *files)
{
	_cleanup_free_ char *joined = path_join(base_dir, name), *path = path_normalize(joined);
	if (file_is_directory(path))
		(void)add_below(path, true, files, NULL);
	else if (file_exists(path))
		strv_push(files, path);
}

void render_files(const struct config *config, struct strv *files)
{
	for vec_each (source, &config->kubernetes.sources) {
		for vec_each (text, &source->raw_yaml)
			if (!is_url(text->value))
				(void)render_raw_files(source->base_dir, text->value, files, NULL);
		for vec_each (text, &source->kustomize)
			add_tree(source->base_dir, text->value, files);
		for vec_each (release, &source->releases) {
			if (!release->remote)
				add_tree(source->base_dir, release->chart.value, files);
			for (size_t i = 0; i < release->values_files.len; i++)
				add_tree(source->base_dir, release->values_files.items[i], files);
		}
	}
	strv_sort_unique(files);
}

static int read_file(const char *path, struct manifests *manifests, struct error *err)
{
	_cleanup_free_ char *cwd = path_absolute(".");
	const char *below = path_below(path, cwd);
	char *text = NULL;
	size_t len = 0;
	int r = file_read(path, MANIFEST_MAX_BYTES, &text, &len, err);
	return r < 0 ? r : manifests_add(manifests, below && *below ? below : path, text, len, err);
}

/* kubectl fetches it: it knows proxies and certificates. */
static int fetch(struct kubernetes *kubernetes, const char *url, struct manifests *manifests, struct cancel *cancel,
		 struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	kubernetes_command(kubernetes, &argv);
	static const char *const words[] = {"create", "--dry-run=client", "--validate=false", "--output=yaml", "-f"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		strv_push(&argv, words[i]);
	strv_push(&argv, url);
	return render_program(&(struct render_program){.argv = &argv, .name = url}, manifests, cancel, err);
}

static int render_raw(const struct manifest_source *source, const struct text *text, struct kubernetes *kubernetes,
		      struct manifests *manifests, struct cancel *cancel, struct error *err)
{
	CLEANUP(strv_release) struct strv files = {0};
	if (is_url(text->value))
		return fetch(kubernetes, text->value, manifests, cancel, err);
	int r = render_raw_files(source->base_dir, text->value, &files, err);
	if (r == 0 && files.len == 0 && source->by_default)
		return error_set(err, ENOENT, "there are no manifests: %s/%s matches no file", source->base_dir,
				 text->value);
	if (r == 0 && files.len == 0)
		return error_at(err, text->place, ENOENT, "'%s' matches no file", text->value);
	for (size_t i = 0; r == 0 && i < files.len; i++)
		r = read_file(files.items[i], manifests, err);
	return r;
}

/* ---- kustomize ---- */

static int render_kustomize(const struct manifest_source *source, const struct text *text,
			    struct kubernetes *kubernetes, struct manifests *manifests, struct cancel *cancel,
			    struct error *err)
{
	CLEANUP(strv_release) struct strv argv = {0};
	_cleanup_free_ char *joined = path_join(source->base_dir, text->value), *path = path_normalize(joined);
	_cleanup_free_ char *own = process_find("kustomize");
	_cleanup_free_ char *name = xasprintf("kustomize build %s", text->value);
	if (own) {
		strv_push(&argv, own);
		strv_push(&argv, "build");
	} else {
		kubernetes_command(kubernetes, &argv);
		strv_push(&argv, "kustomize");
	}
	strv_extend(&argv, &source->kustomize_args);
	strv_push(&argv, file_is_directory(path) ? path : text->value);
	const struct render_program program = {.argv = &argv, .name = name, .directory = source->base_dir};
	return render_program(&program, manifests, cancel, err);
}

int render_manifests(const struct config *config, struct kubernetes *kubernetes, struct manifests *manifests,
		     struct cancel *cancel, struct error *err)
{
	int r = 0;
	for vec_each (source, &config->kubernetes.sources) {
		for (size_t i = 0; r == 0 && i < source->raw_yaml.len; i++)
			r = render_raw(source, &source->raw_yaml.items[i], kubernetes, manifests, cancel, err);
		for (size_t i = 0; r == 0 && i < source->kustomize.len; i++)
			r = render_kustomize(source, &source->kustomize.items[i], kubernetes, manifests, cancel, err);
		for (size_t i = 0; r == 0 && i < source->releases.len; i++)
			r = helm_render(config, source, &source->releases.items[i], kubernetes_namespace(kubernetes),
					manifests, cancel, err);
	}
	return r;
}
