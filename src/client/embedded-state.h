/* What the embedded runtime keeps on disk: paths, and the JSON of images and instances. Internal to src/client. */
#ifndef CLIENT_EMBEDDED_STATE_H
#define CLIENT_EMBEDDED_STATE_H

#include "client/embedded-init.h"
#include "client/embedded.h"

extern const char *const embedded_mode_names[EMBEDDED_MODES];

/* The folder of a run's instances, made if missing. The caller frees. */
int embedded_run_folder(const char *run_id, char **folder, struct error *err);

/* A file name for any text: its harmless characters, and a hash where there were others. */
char *embedded_slug(const char *text) RETURNS_OWNED;

int embedded_instance_save(const struct embedded_instance *instance, const char *folder, struct error *err);
int embedded_instance_read(const char *folder, const char *id, struct embedded_instance *instance, struct error *err);

/* A process's start time (field 22 of /proc/PID/stat); 0 where it does not live (a zombie neither). */
uint64_t embedded_process_started(pid_t pid);

#endif
