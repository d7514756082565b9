/* The agent as the last layer of an image, for dev: `/.skiff/agent`, root's, 0755. So it is there whatever the container lacks: a shell, a writable
 * root, a /tmp. The image itself, and its tag, stay as they are: the layer makes another image beside it, "skiff-agent:RUN-…", found again by that name
 * where the same image was there before. All else of the image (history, user, entry point, labels) is as it was. */
#ifndef BUILD_AGENT_LAYER_H
#define BUILD_AGENT_LAYER_H

#include "client/docker.h"

struct agent_layer {
	char *image_id;	 /* NULL: there can be none, and the agent gets there another way */
	char *reference; /* by which agent_layer_remove takes it away */
	char *note;	 /* why there is none, for a person; NULL: nothing to say that a session would not say */
};
void agent_layer_release(struct agent_layer *layer);

/* 150 ms where it is built, a few where it is found. None where the image has ONBUILD triggers (they would run), where there is no agent for its
 * architecture, where the engine can't build it. 0 also then; -ECANCELED. */
int agent_layer_make(struct docker *docker, const char *run_id, const char *image_id, struct agent_layer *layer,
		     struct cancel *cancel, struct error *err);

/* An image that a container still uses stays. */
void agent_layer_remove(struct docker *docker, const char *reference, struct cancel *cancel);
/* The same for all of a run; only those that skiff named. */
void agent_layers_remove(struct docker *docker, const char *run_id, struct cancel *cancel);

#endif
