/* The embedded engine: programs started in private roots, without any container engine. What builder, deployer and runtime of this name share.
 *
 * In $XDG_STATE_HOME/skiff/embedded (0700):
 *
 *     images/NAME/DIGEST/        an image: root/ and image.json; DIGEST is of all that is in it (build/embedded.h)
 *     runs/RUN/NAME-TIME/        an instance: root/ (a copy of the image's), instance.json, status, log, log.1
 *
 * Each instance has a supervisor, the first process of its pid namespace, that ends with the skiff that started it, whatever way
 * that ends. The host's network is shared: a program's ports are the host's. Functions return 0 or a negative errno with words. */
#ifndef CLIENT_EMBEDDED_H
#define CLIENT_EMBEDDED_H

#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"
#include "base/vec.h"
#include "io/cancel.h"

struct embedded_image {
	struct strv env, entrypoint, cmd, exposed, volumes;
	char *workdir, *user, *stop_signal; /* NULL: none */
};
int embedded_image_save(const char *folder, const struct embedded_image *image, struct error *err);
int embedded_image_load(const char *folder, struct embedded_image *image, struct error *err);
void embedded_image_release(struct embedded_image *image);

/* The folder of all versions of an image (made if missing). `name` tells two projects' images of one name apart. The caller frees. */
int embedded_images_folder(const char *image, const char *context, char **folder, struct error *err);

/* The folder of a named volume (made if missing): shared by all runs, never removed. The caller frees. */
int embedded_volume_folder(const char *name, char **folder, struct error *err);

struct embedded_volume {
	char *source; /* absolute host path, made as a directory if missing; NULL: a tmpfs */
	char *dest;   /* absolute */
	bool read_only;
};

struct embedded_start {
	const char *run_id;
	const char *image;	  /* its name, for people */
	const char *image_folder; /* as build_embedded gave it */
	struct strv argv, env;	  /* env is the whole environment */
	const char *workdir;	  /* NULL: "/" */
	const char *user;	  /* UID, UID:GID or names of the image's /etc/passwd; NULL: 0 */
	VEC(struct embedded_volume) volumes;
	bool read_only;
	int stop_signal;   /* 0: SIGTERM */
	struct strv hosts; /* names that lead to this machine in /etc/hosts */
	bool detached;	   /* it outlives this process, until embedded_remove */
	struct strv notes; /* lines for the instance's log, as from stderr */
};
void embedded_start_release(struct embedded_start *start); /* the lists */

struct embedded_instance {
	char *id; /* "RUN/NAME-TIME" */
	char *image;
	char *folder;	  /* absolute */
	char *mode;	  /* "namespaces", "user namespaces", "chroot" */
	pid_t pid;	  /* of the supervisor */
	uint64_t started; /* its start time, as /proc says: tells it from a later process of the same number */
	pid_t owner;	  /* the skiff that started it, and its start time */
	uint64_t owner_started;
	struct strv env;
	char *workdir;
	unsigned uid, gid;
	bool read_only;
	bool detached;	 /* it outlives its owner */
	bool alive;	 /* the supervisor lives */
	bool running;	 /* the program runs */
	unsigned starts; /* how often it was started */
	int exit_code;	 /* where it does not run */
};
VEC_TYPE(embedded_instances, struct embedded_instance);
void embedded_instance_release(struct embedded_instance *instance);
void embedded_instances_release(struct embedded_instances *instances);

/* Lays out a new instance without starting it (a failure here leaves the running one alone), then starts it. *control is what its life hangs on: closing
 * it stops the program, and so does this process's end. Between the two calls stop the old instance: it has the ports. */
struct embedded_layout;
int embedded_lay_out(const struct embedded_start *start, struct embedded_layout **layout, struct cancel *cancel,
		     struct error *err);
int embedded_run(const struct embedded_start *start, struct embedded_layout *layout, struct embedded_instance *instance,
		 int *control, struct error *err);
void embedded_layout_free(struct embedded_layout *layout); /* takes NULL; removes what was not started */
DEFINE_CLEANUP(struct embedded_layout, embedded_layout_free)

/* Instances of a run, sorted by id; half-made ones are left out. */
int embedded_list(const char *run_id, struct embedded_instances *instances, struct error *err);
int embedded_load(const char *id, struct embedded_instance *instance, struct error *err); /* -ENOENT: it is gone */
/* Tells the supervisor to end its program and itself, without waiting. */
void embedded_stop(const struct embedded_instance *instance);
bool embedded_owner_alive(const struct embedded_instance *instance);

/* Ends the program and its supervisor, kills them after `ms`; removes the instance's folder. */
int embedded_remove(const struct embedded_instance *instance, unsigned ms, struct error *err);
/* Removes what is left of half-made instances of a run, and the run's folder where it is empty. */
void embedded_sweep_folder(const char *run_id);

/* signal > 0: to the program. 0: ends it and starts it again, its files kept; returns once it runs. */
int embedded_signal(const struct embedded_instance *instance, int signal, struct cancel *cancel, struct error *err);

/* Ends the program, and keeps the instance: embedded_signal(…, 0, …) starts it again. */
int embedded_pause(const struct embedded_instance *instance, struct cancel *cancel, struct error *err);

/* Waits for the program's end: 1 and its exit code, or 0 where it still runs after `ms`. */
int embedded_settle(const struct embedded_instance *instance, unsigned ms, int *exit_code, struct cancel *cancel,
		    struct error *err);

/* Runs another program inside; stdout and stderr go to *output. Its exit status. */
int embedded_exec(const struct embedded_instance *instance, const char *const *argv, struct str *output,
		  struct cancel *cancel, struct error *err);

/* The root as the program sees it, mounts included, where it lives; else the folder on disk. An O_PATH descriptor. */
int embedded_open_root(const struct embedded_instance *instance, bool on_disk, struct error *err);

/* Calls changed whenever instances of the run start, stop or go, until cancelled. */
int embedded_follow(const char *run_id, void (*changed)(void *data), void *data, struct cancel *cancel,
		    struct error *err);

/* The log from its start (at most the last two files of LOG_FILE_MAX), then what comes, until cancelled or the instance is gone. */
int embedded_logs(const struct embedded_instance *instance,
		  void (*line)(void *data, int stream, const char *line, size_t len), void *data, struct cancel *cancel,
		  struct error *err);

#endif
