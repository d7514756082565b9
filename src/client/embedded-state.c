#include "client/embedded-state.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/path.h"

enum { JSON_MAX = 1 << 20, SLUG_MAX = 48 };

const char *const embedded_mode_names[EMBEDDED_MODES] = {"namespaces", "user namespaces", "chroot"};

char *embedded_slug(const char *text)
{
	struct str slug = {0};
	bool exact = *text && *text != '.' && strlen(text) <= SLUG_MAX;
	for (const char *p = text; *p && slug.len < SLUG_MAX; p++) {
		bool harmless = isalnum((unsigned char)*p) || strchr("-_.", *p);
		exact = exact && harmless;
		str_add_char(&slug, harmless && !(p == text && *p == '.') ? *p : '_');
	}
	if (!exact)
		str_addf(&slug, "-%08x", (unsigned)hash64(text, strlen(text)));
	return str_steal(&slug);
}

static int state_folder(const char *below, const char *name, char **folder, struct error *err)
{
	_cleanup_free_ char *path = xasprintf("embedded/%s/%s", below, name);
	return file_state_folder(path, folder, err);
}

int embedded_images_folder(const char *image, const char *context, char **folder, struct error *err)
{
	_cleanup_free_ char *slug = embedded_slug(image);
	_cleanup_free_ char *name = xasprintf("%s-%08x", slug, (unsigned)hash64(context, strlen(context)));
	return state_folder("images", name, folder, err);
}

int embedded_volume_folder(const char *name, char **folder, struct error *err)
{
	_cleanup_free_ char *slug = embedded_slug(name);
	return state_folder("volumes", slug, folder, err);
}

int embedded_run_folder(const char *run_id, char **folder, struct error *err)
{
	_cleanup_free_ char *slug = embedded_slug(run_id);
	return state_folder("runs", slug, folder, err);
}

static json_t *strings_to_json(const struct strv *list)
{
	json_t *array = json_array();
	for (size_t i = 0; i < list->len; i++)
		json_array_append_new(array, json_string(list->items[i]));
	return array;
}

static void strings_from_json(const json_t *object, const char *key, struct strv *list)
{
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(object, key), i, item) if (json_is_string(item))
		strv_push(list, json_string_value(item));
}

static void string_from_json(const json_t *object, const char *key, char **value)
{
	replace_string(value, json_string_value(json_object_get(object, key)));
}

static int64_t number_from_json(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* Takes over the object. */
static int save_json(json_t *object, const char *folder, const char *name, struct error *err)
{
	_cleanup_free_ char *text = object ? json_dumps(object, JSON_INDENT(1)) : NULL;
	json_decref(object);
	if (!text)
		return error_set(err, EILSEQ, "%s can't be written: text that is not UTF-8", name);
	_cleanup_free_ char *path = path_join(folder, name);
	return file_write_atomic(path, text, strlen(text), 0600, err);
}

static int load_json(const char *folder, const char *name, json_t **object, struct error *err)
{
	_cleanup_free_ char *path = path_join(folder, name);
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(path, JSON_MAX, &text, &len, err);
	if (r < 0)
		return r;
	*object = json_loadb(text, len, 0, NULL);
	if (json_is_object(*object))
		return 0;
	json_decref(*object);
	return error_set(err, EINVAL, "%s is damaged", path);
}

int embedded_image_save(const char *folder, const struct embedded_image *image, struct error *err)
{
	return save_json(json_pack("{s:o,s:o,s:o,s:o,s:o,s:s?,s:s?,s:s?}", "env", strings_to_json(&image->env),
				   "entrypoint", strings_to_json(&image->entrypoint), "cmd",
				   strings_to_json(&image->cmd), "exposed", strings_to_json(&image->exposed), "volumes",
				   strings_to_json(&image->volumes), "workdir", image->workdir, "user", image->user,
				   "stop_signal", image->stop_signal),
			 folder, "image.json", err);
}

int embedded_image_load(const char *folder, struct embedded_image *image, struct error *err)
{
	json_t *object = NULL;
	int r = load_json(folder, "image.json", &object, err);
	if (r < 0)
		return error_wrap(err, "no image laid out");
	*image = (struct embedded_image){0};
	strings_from_json(object, "env", &image->env);
	strings_from_json(object, "entrypoint", &image->entrypoint);
	strings_from_json(object, "cmd", &image->cmd);
	strings_from_json(object, "exposed", &image->exposed);
	strings_from_json(object, "volumes", &image->volumes);
	string_from_json(object, "workdir", &image->workdir);
	string_from_json(object, "user", &image->user);
	string_from_json(object, "stop_signal", &image->stop_signal);
	json_decref(object);
	return 0;
}

void embedded_image_release(struct embedded_image *image)
{
	struct strv *lists[] = {&image->env, &image->entrypoint, &image->cmd, &image->exposed, &image->volumes};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		strv_release(lists[i]);
	free(image->workdir);
	free(image->user);
	free(image->stop_signal);
	*image = (struct embedded_image){0};
}

int embedded_instance_save(const struct embedded_instance *in, const char *folder, struct error *err)
{
	return save_json(json_pack("{s:s,s:s?,s:i,s:I,s:i,s:I,s:o,s:s,s:i,s:i,s:b,s:b}", "image", in->image, "mode",
				   in->mode, "pid", (int)in->pid, "started", (json_int_t)in->started, "owner",
				   (int)in->owner, "owner_started", (json_int_t)in->owner_started, "env",
				   strings_to_json(&in->env), "workdir", in->workdir, "uid", (int)in->uid, "gid",
				   (int)in->gid, "read_only", in->read_only, "detached", in->detached),
			 folder, "instance.json", err);
}

/* Only a supervisor that lives tells the truth about its program. */
static void read_status(struct embedded_instance *in)
{
	_cleanup_free_ char *path = path_join(in->folder, "status");
	_cleanup_free_ char *text = NULL;
	size_t len;
	char state[16];
	in->exit_code = 128 + 9;
	if (file_read(path, STATUS_SIZE, &text, &len, NULL) < 0 ||
	    sscanf(text, "%15s %u %d", state, &in->starts, &in->exit_code) != 3)
		return;
	in->running = in->alive && str_equal(state, STATUS_RUNNING);
	if (!in->alive && str_equal(state, STATUS_RUNNING))
		in->exit_code = 128 + 9;
}

int embedded_instance_read(const char *folder, const char *id, struct embedded_instance *in, struct error *err)
{
	json_t *object = NULL;
	int r = load_json(folder, "instance.json", &object, err);
	if (r < 0)
		return r;
	*in = (struct embedded_instance){.id = xstrdup(id), .folder = xstrdup(folder)};
	string_from_json(object, "image", &in->image);
	string_from_json(object, "mode", &in->mode);
	string_from_json(object, "workdir", &in->workdir);
	strings_from_json(object, "env", &in->env);
	in->pid = (pid_t)number_from_json(object, "pid");
	in->started = (uint64_t)number_from_json(object, "started");
	in->owner = (pid_t)number_from_json(object, "owner");
	in->owner_started = (uint64_t)number_from_json(object, "owner_started");
	in->uid = (unsigned)number_from_json(object, "uid");
	in->gid = (unsigned)number_from_json(object, "gid");
	in->read_only = json_is_true(json_object_get(object, "read_only"));
	in->detached = json_is_true(json_object_get(object, "detached"));
	json_decref(object);
	if (!in->image || in->pid <= 1) {
		embedded_instance_release(in);
		return error_set(err, EINVAL, "%s/instance.json is damaged", folder);
	}
	in->alive = in->started && embedded_process_started(in->pid) == in->started;
	read_status(in);
	return 0;
}

void embedded_instance_release(struct embedded_instance *in)
{
	free(in->id);
	free(in->image);
	free(in->folder);
	free(in->mode);
	free(in->workdir);
	strv_release(&in->env);
	*in = (struct embedded_instance){0};
}

void embedded_instances_release(struct embedded_instances *instances)
{
	for vec_each (in, instances)
		embedded_instance_release(in);
	vec_release(instances);
}

uint64_t embedded_process_started(pid_t pid)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	_cleanup_free_ char *text = NULL;
	size_t len;
	if (file_read(path, 4096, &text, &len, NULL) < 0)
		return 0;
	/* "pid (name) S ppid …": the name may hold anything, so from its last parenthesis on. */
	char *after = strrchr(text, ')'), state = 0;
	unsigned long long started = 0;
	if (!after ||
	    sscanf(after + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &state, &started) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : started;
}
