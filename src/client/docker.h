/* The Docker Engine API (docs.docker.com/reference/api/engine), also as Podman serves it. Blocking; each call takes a connection of its own
 * or one from a small pool: safe to call from any thread with one struct docker.
 *
 * Reached over a unix socket (DOCKER_HOST=unix://, the current docker context, /var/run/docker.sock, Podman's rootless socket), other hosts (ssh://,
 * tcp:// with TLS) through `docker system dial-stdio`. Every call returns 0 or a negative errno with the engine's own message: -ENOENT for 404,
 * -EEXIST for 409, -EACCES for 403, -EINVAL for 400, -EIO for 500, -ECONNREFUSED and friends where no engine answers, -ECANCELED. */
#ifndef CLIENT_DOCKER_H
#define CLIENT_DOCKER_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"
#include "io/cancel.h"

struct docker;

/* Finds the engine and asks /_ping and /version (API version negotiated, at least 1.40). */
int docker_connect(struct docker **docker, struct cancel *cancel, struct error *err);
void docker_close(struct docker *docker);
DEFINE_CLEANUP(struct docker, docker_close)
const char *docker_host(const struct docker *docker); /* for messages: "unix:///var/run/docker.sock" */

/* Any call that answers JSON. method "GET", …; path without the version ("/containers/json?all=1"); body may be NULL. *answer (may be NULL) gets a new
 * reference, or NULL for an empty answer. At most 64 MiB. */
int docker_call(struct docker *docker, const char *method, const char *path, const json_t *body, json_t **answer,
		struct cancel *cancel, struct error *err);

/* Percent-encodes for a path segment or a query value. */
char *docker_escape(const char *text) RETURNS_OWNED;

/* PUT /containers/ID/archive?path=/ : produce is called until it returns 0 (end) or a negative errno (aborts the request); it fills at most cap bytes. */
int docker_archive_put(struct docker *docker, const char *container, const char *path,
		       ssize_t (*produce)(void *data, void *buffer, size_t cap), void *data, struct cancel *cancel,
		       struct error *err);

/* GET /containers/ID/archive: the tar goes to consume (negative return aborts). */
int docker_archive_get(struct docker *docker, const char *container, const char *path,
		       int (*consume)(void *data, const void *bytes, size_t len), void *data, struct cancel *cancel,
		       struct error *err);

/* POST /build by the engine's own builder: context is a tar file with a Dockerfile in it; the image gets the reference ("name:tag"), which is how it is
 * found. -EIO in the engine's words. */
int docker_build(struct docker *docker, const char *reference, const struct str *context, struct cancel *cancel,
		 struct error *err);

struct docker_exec {
	const char *const *argv;
	const char *user;	/* NULL: the container's */
	const char *const *env; /* may be NULL */
	const void *input;	/* stdin's bytes; NULL and no producer: no stdin */
	size_t input_len;
	ssize_t (*produce)(void *data, void *buffer, size_t cap); /* or made piece by piece, as in docker_archive_put */
	void *produce_data;
	struct str *output; /* stdout, bounded by its max; may be NULL */
	struct str *errors; /* stderr; may be NULL */
};
/* Runs a program in a running container. Returns its exit status (>= 0), or a negative errno (-ENOENT also where the program does not exist
 * in the container: status 126/127 of the runtime with its message). */
int docker_exec_run(struct docker *docker, const char *container, const struct docker_exec *exec, struct cancel *cancel,
		    struct error *err);

/* A program in a running container that goes on, its stdin and stdout a line for the caller (exec->argv, user and env count). Used by one thread at a
 * time. */
struct docker_stream;
int docker_stream_open(struct docker *docker, const char *container, const struct docker_exec *exec,
		       struct docker_stream **stream, struct cancel *cancel, struct error *err);
/* As http_stream_turn (net/connection.h); take gets pieces of stdout, its negative return ends the call. -EPIPE at the program's end: the error
 * has what it said on stderr. */
int docker_stream_turn(struct docker_stream *stream, const char **out, size_t *len,
		       int (*take)(void *data, const void *bytes, size_t len), void *data, struct cancel *cancel,
		       unsigned timeout_ms, struct error *err);
void docker_stream_close(struct docker_stream *stream); /* takes NULL; the program's stdin ends */

/* A stream that goes on until cancelled or ended by the engine. Blocking: one job a stream. */
/* GET /containers/ID/logs?follow=1: line by line, without line ends; stream 1 or 2. since_ns: 0 = all. */
int docker_logs(struct docker *docker, const char *container, uint64_t since_ns, bool follow,
		void (*line)(void *data, int stream, const char *line, size_t len), void *data, struct cancel *cancel,
		struct error *err);
/* GET /events of containers with a label ("skiff.run=ID", or "skiff.run"; NULL: of all): each object borrowed. The first call is with NULL: from now on nothing is missed. */
int docker_events(struct docker *docker, const char *label, void (*event)(void *data, const json_t *event), void *data,
		  struct cancel *cancel, struct error *err);

#endif
