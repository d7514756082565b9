/* Whose containers are whose: labels that say which process of which machine started them, and the lock that one run of a project holds. */
#ifndef DEPLOY_OWNER_H
#define DEPLOY_OWNER_H

#include <stdbool.h>

#include "base/error.h"

#define LABEL_RUN "skiff.run"
#define LABEL_IMAGE "skiff.image"
#define LABEL_BASE "skiff.base" /* the id of the image that was built, without the agent's layer: its baseline's name */
#define LABEL_TAG "skiff.tag"	/* its full reference */
#define LABEL_CONFIG \
	"skiff.config"		  /* digest of the configuration that the container and its image's build follow from */
#define LABEL_AGENT "skiff.agent" /* agent_programs_id: the agent is in its image, and stays where it is */
#define LABEL_PID \
	"skiff.pid" /* "PID START BOOT": the process, its start in clock ticks (proc(5)), the kernel's boot id */
#define LABEL_HOST "skiff.host" /* its machine's name */

/* The value of LABEL_PID for this process, and of LABEL_HOST. */
char *owner_self(void) RETURNS_OWNED;
char *owner_host(void) RETURNS_OWNED;

enum owner_state {
	OWNER_DEAD,
	OWNER_SELF,
	OWNER_ALIVE,
	OWNER_ELSEWHERE /* another machine: can't be told from here */
};

/* From the two labels (NULL: missing). *pid (may be NULL) is the process, 0 if unknown. */
enum owner_state owner_state(const char *pid_label, const char *host_label, int *pid);

/* Takes the lock of the run (in the state directory) for as long as this process lives or until it is closed. The descriptor; -EBUSY with the holder's
 * pid in words; -ENOTUNIQ where this very process holds it already. */
int owner_lock(const char *run_id, struct error *err);

#endif
