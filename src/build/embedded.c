#include "build/embedded.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "client/embedded.h"
#include "client/rootfs.h"
#include "sync/ignore.h"

enum { MAX_ENTRIES = 1 << 20, COPY_TRIES = 8, KEPT_LAYOUTS = 4 };

struct entry { /* of the context, without what .dockerignore excludes */
	char *path;
	mode_t mode;
};

struct layout {
	const struct build_request *request;
	const struct copy_map *map;
	struct ignore *ignore;
	VEC(struct entry) entries; /* a directory before what is in it */
	int root;
};

/* What the embedded runtime can't do, with the line that asks for it. */
static int needs_engine(const struct layout *l, unsigned line, struct error *err, const char *what)
{
	return error_at(err, (struct place){.file = l->map->name, .line = line}, ENOTSUP,
			"%s: an engine is needed for that (without one, skiff lays out images that are FROM scratch "
			"and have no RUN)",
			what);
}

static int check_supported(const struct layout *l, struct error *err)
{
	const struct copy_map *map = l->map;
	if (!map->scratch)
		return needs_engine(l, map->base_line, err, "FROM an image");
	if (map->has_run)
		return needs_engine(l, map->first_run_line, err, "RUN");
	for vec_each (rule, &map->rules) {
		if (!rule->final)
			continue;
		if (rule->run_line)
			return needs_engine(l, rule->run_line, err, "RUN");
		if (rule->sources.len == 0)
			return needs_engine(l, rule->line, err, "what is copied here is not from the context");
		if (rule->unsyncable)
			return needs_engine(l, rule->line, err, rule->unsyncable);
	}
	return 0;
}

static int list_directory(struct layout *l, const char *directory, struct error *err)
{
	_cleanup_free_ char *absolute = path_join(l->request->artifact->context, directory);
	DIR *dir = opendir(*directory ? absolute : l->request->artifact->context);
	if (!dir)
		return errno == ENOENT ? 0 : error_errno(err, errno, "can't read %s", absolute);
	CLEANUP(strv_release) struct strv names = {0};
	struct dirent *read_one;
	while ((read_one = readdir(dir)))
		if (!str_equal(read_one->d_name, ".") && !str_equal(read_one->d_name, ".."))
			strv_push(&names, read_one->d_name);
	closedir(dir);
	strv_sort(&names);
	int r = 0;
	for (size_t i = 0; r == 0 && i < names.len; i++) {
		_cleanup_free_ char *path = path_join(directory, names.items[i]);
		_cleanup_free_ char *full = path_join(l->request->artifact->context, path);
		struct stat st;
		if (lstat(full, &st) < 0)
			continue; /* gone meanwhile */
		bool excluded = ignore_excludes(l->ignore, path, NULL);
		if (!excluded && l->entries.len == MAX_ENTRIES)
			return error_set(err, EFBIG, "%s has more than %d files", l->request->artifact->context,
					 MAX_ENTRIES);
		if (!excluded)
			vec_push(&l->entries, (struct entry){xstrdup(path), st.st_mode});
		if (S_ISDIR(st.st_mode) && !(excluded && ignore_prunes(l->ignore, path)))
			r = cancel_requested(l->request->cancel) ? -ECANCELED : list_directory(l, path, err);
	}
	return r;
}

static int copy_content(int source, int parent, const char *name, unsigned mode)
{
	for (int attempt = 1;; attempt++) {
		_cleanup_close_ int target =
			openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (target < 0)
			return -errno;
		struct stat st;
		int r = rootfs_copy_file(source, target, &st, NULL);
		struct timespec times[2] = {st.st_mtim, st.st_mtim};
		if (r == 0 && (fchmod(target, mode) < 0 || futimens(target, times) < 0))
			r = -errno;
		if (r != -EAGAIN || attempt == COPY_TRIES)
			return r;
		unlinkat(parent, name, 0);
	}
}

/* --chown, names being those of the files laid out so far. Only root gives files away; everybody's else stay their own, as at run time. */
static int give(const struct layout *l, const struct copy_rule *rule, int directory, const char *name)
{
	CLEANUP(accounts_release) struct accounts accounts = {0};
	uint32_t uid, gid;
	if (!rule->chown || geteuid() != 0)
		return 0;
	if (owner_is_named(rule->chown))
		rootfs_accounts(l->root, &accounts);
	int r = owner_resolve(rule->chown, &accounts, &uid, &gid, NULL);
	if (r < 0)
		return r;
	return fchownat(directory, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int copy_entry(const struct layout *l, const struct copy_rule *rule, const struct entry *entry, const char *dest)
{
	const char *name;
	_cleanup_free_ char *source = path_join(l->request->artifact->context, entry->path);
	_cleanup_close_ int parent = rootfs_open_parent(l->root, dest, true, &name);
	if (parent < 0)
		return parent;
	if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
		return -errno;
	if (S_ISLNK(entry->mode)) {
		char target[PATH_MAX];
		ssize_t n = readlink(source, target, sizeof(target) - 1);
		if (n < 0)
			return errno == ENOENT ? 0 : -errno;
		target[n] = '\0';
		return symlinkat(target, parent, name) < 0 ? -errno : give(l, rule, parent, name);
	}
	_cleanup_close_ int fd = open(source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	unsigned mode = rule->chmod >= 0 ? (unsigned)rule->chmod : entry->mode & 07777;
	int r = copy_content(fd, parent, name, mode);
	if (r == 0)
		r = give(l, rule, parent, name);
	/* A change of owner takes bits of the mode away. */
	return r == 0 && fchmodat(parent, name, mode, 0) < 0 ? -errno : r;
}

/* A directory's contents land in dest: the directory of whatever would be in it. */
static int copy_directory(const struct layout *l, const struct copy_rule *rule, const struct entry *entry)
{
	_cleanup_free_ char *something = path_join(entry->path, "x");
	_cleanup_free_ char *lands = NULL;
	if (!copy_rule_destination(rule, something, &lands) || !lands)
		return 0;
	_cleanup_free_ char *dest = path_dir(lands);
	_cleanup_close_ int made = rootfs_make_directory(l->root, dest);
	if (made < 0)
		return made;
	_cleanup_close_ int fd = openat(made, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned mode = rule->chmod >= 0 ? (unsigned)rule->chmod : entry->mode & 07777;
	int r = fd < 0 ? -errno : give(l, rule, fd, "");
	if (r < 0 || str_equal(dest, rule->dest))
		return r;
	return fd < 0 || fchmod(fd, mode) < 0 ? -errno : 0;
}

static int carry_out_rule(const struct layout *l, const struct copy_rule *rule, struct error *err)
{
	int r = 0;
	for vec_each (entry, &l->entries) {
		_cleanup_free_ char *dest = NULL;
		if (cancel_requested(l->request->cancel))
			return error_set(err, ECANCELED, "cancelled");
		if (S_ISDIR(entry->mode)) {
			r = copy_directory(l, rule, entry);
		} else if (S_ISREG(entry->mode) || S_ISLNK(entry->mode)) {
			const char *reason =
				copy_rule_covers(rule, entry->path) ? copy_rule_unsyncable(rule, entry->path) : NULL;
			if (reason)
				return needs_engine(l, rule->line, err, reason);
			if (copy_rule_destination(rule, entry->path, &dest) && dest)
				r = copy_entry(l, rule, entry, dest);
		}
		if (r < 0)
			return error_set(err, -r, "%s:%u: can't copy %s: %s", l->map->name, rule->line, entry->path,
					 strerror(-r));
	}
	return 0;
}

static const struct entry *find_entry(const struct layout *l, const char *path)
{
	for vec_each (entry, &l->entries)
		if (str_equal(entry->path, path))
			return entry;
	return NULL;
}

static enum copy_entry entry_kind(void *data, const char *path)
{
	const struct layout *l = data;
	const struct entry *entry = find_entry(l, path);
	if (str_equal(path, "."))
		return COPY_ENTRY_DIRECTORY;
	return !entry ? COPY_ENTRY_NONE : S_ISDIR(entry->mode) ? COPY_ENTRY_DIRECTORY : COPY_ENTRY_FILE;
}

static void entry_names(void *data, const char *directory, struct strv *names)
{
	const struct layout *l = data;
	for vec_each (entry, &l->entries) {
		const char *below = path_below(entry->path, directory);
		if (below && *below && !strchr(below, '/'))
			strv_push(names, below);
	}
}

static int fill_root(struct layout *l, struct error *err)
{
	const struct copy_tree tree = {.kind = entry_kind, .list = entry_names, .data = l};
	int r = copy_map_check_sources(l->map, &tree, err);
	for (size_t i = 0; r == 0 && i < l->map->rules.len; i++)
		if (l->map->rules.items[i].final)
			r = carry_out_rule(l, &l->map->rules.items[i], err);
	if (r < 0 || !l->map->workdir)
		return r;
	int fd = rootfs_make_directory(l->root, l->map->workdir);
	cleanup_close(&fd);
	return fd < 0 ? error_errno(err, -fd, "can't make the WORKDIR %s", l->map->workdir) : 0;
}

static int save_image(const struct layout *l, const char *folder, struct error *err)
{
	/* Borrowed: the map outlives it. */
	const struct embedded_image image = {
		.env = l->map->env,
		.entrypoint = l->map->entrypoint,
		.cmd = l->map->cmd,
		.exposed = l->map->exposed,
		.volumes = l->map->volumes,
		.workdir = l->map->workdir,
		.user = l->map->user,
		.stop_signal = l->map->stop_signal,
	};
	return embedded_image_save(folder, &image, err);
}

/* The name under which the layout is kept: a digest of the whole of it. */
static int name_layout(const struct layout *l, const char *folder, char name[HASH_HEX_SIZE], struct error *err)
{
	_cleanup_free_ char *json = path_join(folder, "image.json");
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(json, 1 << 20, &text, &len, err);
	if (r < 0)
		return r;
	struct hasher *hasher = hasher_new();
	hasher_add(hasher, text, len);
	r = rootfs_digest(l->root, hasher, l->request->cancel);
	hash_to_hex(hasher_finish(hasher), name);
	return r < 0 ? error_errno(err, -r, "can't read the layout %s", folder) : 0;
}

struct kept {
	char *name;
	struct timespec used;
};

static int compare_kept(const void *a, const void *b)
{
	const struct timespec *x = &((const struct kept *)a)->used, *y = &((const struct kept *)b)->used;
	return x->tv_sec != y->tv_sec ? (x->tv_sec < y->tv_sec) - (x->tv_sec > y->tv_sec)
				      : (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

/* Keeps the newest few layouts of the folder that holds this one: going back to an earlier content is common. */
static void prune(const char *newest)
{
	_cleanup_free_ char *images = path_dir(newest);
	VEC(struct kept) kept = {0};
	DIR *dir = opendir(images);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		struct stat st;
		if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode))
			continue;
		vec_push(&kept, (struct kept){xstrdup(entry->d_name), st.st_mtim});
	}
	if (dir)
		closedir(dir);
	if (kept.items)
		qsort(kept.items, kept.len, sizeof(*kept.items), compare_kept);
	for (size_t i = 0; i < kept.len; i++) {
		_cleanup_free_ char *path = path_join(images, kept.items[i].name);
		if (i >= KEPT_LAYOUTS)
			file_remove_tree(path, NULL);
		free(kept.items[i].name);
	}
	vec_release(&kept);
}

/* Lays out in `folder`, then gives it its name among the images. */
static int make_layout(struct layout *l, const char *images, const char *folder, char **result, struct error *err)
{
	_cleanup_free_ char *root = path_join(folder, "root");
	int r = file_remove_tree(folder, err);
	if (r == 0)
		r = file_make_directories(root, 0755, err);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = l->root = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "can't open %s", root);
	char name[HASH_HEX_SIZE];
	r = fill_root(l, err);
	if (r == 0)
		r = save_image(l, folder, err);
	if (r == 0)
		r = name_layout(l, folder, name, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *final = path_join(images, name);
	if (rename(folder, final) < 0 && errno != ENOTEMPTY && errno != EEXIST)
		return error_errno(err, errno, "can't keep %s", final);
	utimensat(AT_FDCWD, final, NULL, 0);
	*result = steal(&final);
	return 0;
}

static int lay_out(struct layout *l, char **folder, struct error *err)
{
	const struct artifact *artifact = l->request->artifact;
	_cleanup_free_ char *dockerfile = path_join(artifact->context, artifact->docker.dockerfile.value);
	if (!file_exists(dockerfile))
		replace_string(&dockerfile, artifact->docker.dockerfile.value);
	_cleanup_free_ char *ignore_path = NULL, *images = NULL;
	int r = ignore_load(artifact->context, dockerfile, &l->ignore, &ignore_path, err);
	if (r == 0)
		r = list_directory(l, "", err);
	if (r == 0)
		r = embedded_images_folder(artifact->image.value, artifact->context, &images, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *lock_path = path_join(images, ".lock");
	_cleanup_free_ char *fresh = path_join(images, ".new");
	_cleanup_close_ int lock = file_lock(lock_path, true, err);
	if (lock < 0)
		return lock;
	r = make_layout(l, images, fresh, folder, err);
	file_remove_tree(fresh, NULL);
	if (r == 0)
		prune(*folder);
	return r;
}

int build_embedded(const struct build_request *request, char **folder, struct error *err)
{
	struct layout l = {.request = request,
			   .map = request->source ? sync_source_copy_map(request->source) : NULL,
			   .root = -1};
	const struct artifact *artifact = request->artifact;
	if (!l.map)
		return error_at(err, artifact->place, ENOTSUP, "%s is built by '%s': an engine is needed for that",
				artifact->image.value, builder_kind_name(artifact->builder));
	int r = check_supported(&l, err);
	if (r == 0)
		r = lay_out(&l, folder, err);
	for vec_each (entry, &l.entries)
		free(entry->path);
	vec_release(&l.entries);
	if (l.ignore)
		ignore_free(l.ignore);
	return r < 0 && r != -ENOTSUP ? error_wrap(err, "laying out %s", artifact->image.value) : r;
}
