/* What the files of the Kubernetes client share. */
#ifndef CLIENT_KUBERNETES_INTERNAL_H
#define CLIENT_KUBERNETES_INTERNAL_H

#include "client/kubernetes.h"
#include "net/connection.h"

enum {
	KUBERNETES_ANSWER_MAX = 64 << 20, /* bytes of a JSON answer */
	KUBERNETES_ERROR_MAX = 64 << 10,  /* bytes of an error's body that are kept */
	KUBERNETES_LINE_MAX = 16 << 20,	  /* an object of a watch; objects in etcd are at most 1.5 MiB */
	KUBERNETES_IDLE_MS = 120000,	  /* without a byte, for all that is no stream */
};

/* One request on a connection of its own, through the proxy, which is started where none runs. Bodies of successes go to the receiver; an error answer
 * becomes a negative errno with the server's words. Returns the status: 101 leaves *connection to the caller, who frees it in any case. */
int kubernetes_exchange(struct kubernetes *kubernetes, const struct http_request *request,
			const struct http_receiver *receiver, struct http_connection **connection,
			struct cancel *cancel, unsigned timeout_ms, struct error *err);

/* The errno (kubernetes_exec_run's) that words of a program that did not run mean: those of container runtimes (runc, crun) tell of the program, all others of
 * who could not ask one. */
int kubernetes_why_not_run(const char *words);

/* Splits what comes into lines, without their ends, for `line`; -EPROTO for one longer than KUBERNETES_LINE_MAX. */
struct line_splitter {
	struct str line;
	void (*take)(void *data, const char *line, size_t len);
	void *data;
	struct error *err;
};
int line_splitter_feed(void *splitter, const void *bytes, size_t len); /* a receiver's body */

#endif
