/* An open instance in a pod. Shared by the files of the Kubernetes runtime. */
#ifndef RUNTIME_KUBERNETES_SESSION_H
#define RUNTIME_KUBERNETES_SESSION_H

#include <pthread.h>

#include "client/kubernetes.h"
#include "runtime/agent-keeper.h"
#include "runtime/ask.h"

struct kubernetes_runtime {
	struct runtime base;
	struct kubernetes *kubernetes;
	pthread_mutex_t mutex; /* of what follows */
	struct strv followed;  /* ids of containers whose output was told: of the newest FOLLOWED_MAX */
};

struct session {
	struct kubernetes *kubernetes;
	char *namespace_, *pod, *container, *container_id;
	struct kubernetes_container at; /* of these */
	char *name;			/* shown */
	char *user;			/* that it runs as: "uid 1000"; what is not known is "its user" */
	bool running;
	bool supervised;		     /* its entry point is `agent supervise` */
	bool in_image;			     /* this skiff's agent is in its image, at AGENT_PATH */
	const struct agent_program *program; /* for its machine, once that is known */
	struct agent_keeper keeper;
	struct asker asker;
	struct accounts accounts;
	bool accounts_read;
};

/* The text at a key of an object, "" where there is none. */
const char *kubernetes_text(const json_t *object, const char *key);

/* GET of a pod; a new reference. */
int kubernetes_pod(struct kubernetes *kubernetes, const char *namespace_, const char *pod, json_t **answer,
		   struct cancel *cancel, struct error *err);
/* An entry of status.containerStatuses; NULL: there is none. Borrowed. */
const json_t *kubernetes_status_of(const json_t *pod, const char *container);
/* What the deployer wrote of a container: an object of KUBERNETES_ANNOTATION_CONTAINERS (a new reference), or NULL. */
json_t *kubernetes_note_of(const json_t *pod, const char *container);

extern const struct agent_keeper_ops kubernetes_agent_ops; /* kubernetes-agent.c */

/* A program in the container. Exit status, or a negative errno; a lost line's words in err. */
int kubernetes_session_run(struct session *session, const struct kubernetes_exec *exec, struct cancel *cancel,
			   struct error *err);
/* For session->asker. */
int kubernetes_ask_run(struct session *session, const char *const *argv, struct str *output, struct cancel *cancel);

/* How the container is, now; 1, 0, or why that can't be told: -ENOENT where it is gone, or lives another life. */
int kubernetes_refresh(struct session *session, struct cancel *cancel, struct error *err);

/* By exec of tar and rm, as the container's own user: kubernetes-apply.c. */
int kubernetes_tar_apply(struct session *session, const struct carry *carry, struct carry_report *report,
			 struct cancel *cancel, struct error *err);
/* Fills a result that failed: names the path, the pod, its user, a way out. */
void kubernetes_explain(const struct session *session, const char *dest, const char *owner, int code, const char *words,
			const char *help, struct carry_result *result);

/* As struct runtime_ops has them: kubernetes-instances.c. */
int kubernetes_runtime_list(struct runtime *rt, const char *run_id, struct instances *out, struct cancel *cancel,
			    struct error *err);
int kubernetes_runtime_follow(struct runtime *rt, const char *run_id, void (*changed)(void *data), void *data,
			      struct cancel *cancel, struct error *err);

#endif
