/* The calls of the Engine API that deploying needs, by name. */
#ifndef DEPLOY_ENGINE_H
#define DEPLOY_ENGINE_H

#include "base/str.h"
#include "client/docker.h"

enum { STOP_GRACE_S = 1 }; /* what a program gets to end in: it stands between a save and the new version */

/* All containers of a run, whatever their state: a JSON array as GET /containers/json gives it (a new reference). */
int engine_containers(struct docker *docker, const char *run_id, json_t **containers, struct cancel *cancel,
		      struct error *err);

/* A container under a name that starts so; another number where the name is taken. *id is the caller's. */
int engine_create(struct docker *docker, const char *name, const json_t *body, char **id, struct cancel *cancel,
		  struct error *err);
int engine_start(struct docker *docker, const char *id, struct cancel *cancel, struct error *err);
int engine_stop(struct docker *docker, const char *id, struct cancel *cancel,
		struct error *err); /* gone already: success */
int engine_remove(struct docker *docker, const char *id, struct cancel *cancel,
		  struct error *err); /* by force, with its anonymous volumes */

/* Makes the run's network unless it is there; removes the networks of a run (one that others still use stays). */
int engine_network(struct docker *docker, const char *name, const char *run_id, struct cancel *cancel,
		   struct error *err);
int engine_remove_networks(struct docker *docker, const char *run_id, struct cancel *cancel, struct error *err);

struct engine_image {	     /* what an image says of its containers */
	struct strv exposed; /* ports, "8080/tcp", sorted */
	struct strv entry_point, command;
};
void engine_image_release(struct engine_image *image);
int engine_image(struct docker *docker, const char *name, struct engine_image *image, struct cancel *cancel,
		 struct error *err);

/* *running, and the exit status where it is false. */
int engine_state(struct docker *docker, const char *id, bool *running, int *status, struct cancel *cancel,
		 struct error *err);

/* The last lines that a container wrote, joined by newlines, made safe to show. "" where there are none. */
char *engine_last_lines(struct docker *docker, const char *id) RETURNS_OWNED;

#endif
