/* The Kubernetes API (kubernetes.io/docs/reference/kubernetes-api), through `kubectl proxy` on a unix socket in a private directory: each way to log in
 * that kubectl knows works, and what is spoken here is plain HTTP. Blocking; safe to call from any thread with one struct kubernetes.
 *
 * Every call returns 0 or a negative errno with the server's own message: -ENOENT for 404, -EACCES for 401 and 403 (the message names the verb and
 * the resource), -EEXIST for 409, -EINVAL for 400 and 422, -ESTALE for 410, -EIO for 5xx, -ECONNREFUSED where no server answers, -ECANCELED. A proxy that
 * ended is started again by the next call. */
#ifndef CLIENT_KUBERNETES_H
#define CLIENT_KUBERNETES_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"
#include "io/cancel.h"

struct kubernetes;

struct kubernetes_options {
	const char *context;	/* --kube-context; NULL: the current one */
	const char *namespace_; /* -n; NULL: the context's own, else "default" */
};

/* Reads the context (`kubectl config view --minify`), starts the proxy, asks /version. -ENOENT: there is no kubectl; -EINVAL: no such context;
 * -ECONNREFUSED: the cluster does not answer, with kubectl's words. */
int kubernetes_connect(const struct kubernetes_options *options, struct kubernetes **kubernetes, struct cancel *cancel,
		       struct error *err);
void kubernetes_close(struct kubernetes *kubernetes); /* takes NULL; ends the proxy */
DEFINE_CLEANUP(struct kubernetes, kubernetes_close)

const char *kubernetes_context(const struct kubernetes *kubernetes);   /* its name, as kubectl calls it */
const char *kubernetes_namespace(const struct kubernetes *kubernetes); /* where no manifest names one */
/* The namespaces that this run has pods in: the connection's own, and what was noted. From any thread. */
void kubernetes_note_namespace(struct kubernetes *kubernetes, const char *namespace_);
void kubernetes_namespaces(struct kubernetes *kubernetes, struct strv *namespaces); /* appended */
/* `kubectl --context=C`, to be followed by what it shall do; the caller frees (strv_release). */
void kubernetes_command(const struct kubernetes *kubernetes, struct strv *argv);

/* Any call that answers JSON. path: "/api/v1/namespaces/x/pods?labelSelector=…", its parts percent-encoded (docker_escape). body may be NULL; it goes
 * as application/json, a PATCH as application/merge-patch+json. *answer (may be NULL) gets a new reference. At most 64 MiB. */
int kubernetes_call(struct kubernetes *kubernetes, const char *method, const char *path, const json_t *body,
		    json_t **answer, struct cancel *cancel, struct error *err);

/* GET of a list path with `watch=1` added: each event's {"type":…,"object":…}, borrowed, until the server ends the stream (0: watch again from a list), or
 * cancelled. -ESTALE: list again. The first call of event is with NULL: from here on nothing is missed (path has resourceVersion=…), or all that is
 * there comes first (it has none). */
int kubernetes_watch(struct kubernetes *kubernetes, const char *path, void (*event)(void *data, const json_t *event),
		     void *data, struct cancel *cancel, struct error *err);

struct kubernetes_container { /* borrowed */
	const char *namespace_, *pod, *container;
};

/* GET …/log: line by line, without line ends (stdout and stderr come as one: Kubernetes keeps them so). */
struct kubernetes_logs {
	bool follow;
	bool previous;	   /* of the container before the last restart */
	uint64_t since_ns; /* time of day; 0: all */
	unsigned tail;	   /* the last lines only; 0: all */
};
int kubernetes_logs(struct kubernetes *kubernetes, const struct kubernetes_container *of,
		    const struct kubernetes_logs *what, void (*line)(void *data, const char *line, size_t len),
		    void *data, struct cancel *cancel, struct error *err);

struct kubernetes_exec {
	const char *const *argv;
	const void *input; /* stdin's bytes; NULL and no producer: no stdin */
	size_t input_len;
	ssize_t (*produce)(void *data, void *buffer, size_t cap); /* or made piece by piece, as in docker_archive_put */
	void *produce_data;
	struct str *output; /* stdout, bounded by its max; may be NULL */
	struct str *errors; /* stderr; may be NULL */
};
/* Runs a program in a running container: by WebSocket (v5.channel.k8s.io; on a server that only has v4, whose streams have no end of input, by `kubectl exec` where
 * there is input), by `kubectl exec -i` where the role forbids the GET. Exit status (>= 0), or a negative errno: -ENOENT, there is no such program in the
 * container; -ENOEXEC, it can't be started; -EAGAIN with the server's words, whatever keeps the cluster from running anything there (the pod is gone, its
 * kubelet is away): that says nothing of the program; -EPIPE, the line broke; -ECANCELED. */
int kubernetes_exec_run(struct kubernetes *kubernetes, const struct kubernetes_container *in,
			const struct kubernetes_exec *exec, struct cancel *cancel, struct error *err);

/* A program in a running container that goes on, its stdin and stdout a line for the caller: as docker_stream (docker.h). By one thread at a time. Errors
 * are those of kubernetes_exec_run; what the program itself is kept by may come only with the first turn. */
struct kubernetes_stream;
int kubernetes_stream_open(struct kubernetes *kubernetes, const struct kubernetes_container *in,
			   const char *const *argv, struct kubernetes_stream **stream, struct cancel *cancel,
			   struct error *err);
/* As http_stream_turn (net/connection.h): sends from the front of *out, hands on pieces of stdout, waits until one of both happened. -EPIPE at the program's end: the
 * error has what it said on stderr, or how it ended; as kubernetes_exec_run where it did not run. */
int kubernetes_stream_turn(struct kubernetes_stream *stream, const char **out, size_t *len,
			   int (*take)(void *data, const void *bytes, size_t len), void *data, struct cancel *cancel,
			   unsigned timeout_ms, struct error *err);
void kubernetes_stream_close(struct kubernetes_stream *stream); /* takes NULL; the program's stdin ends */

#endif
