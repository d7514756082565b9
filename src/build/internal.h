/* Between the files of src/build: what a builder is, and what builders share. */
#ifndef BUILD_INTERNAL_H
#define BUILD_INTERNAL_H

#include "base/hash.h"
#include "build/build.h"

/* One build under way. */
struct build_job {
	const struct build_request *request;
	const char *tag; /* the full reference to build */
	struct str *log; /* build_line keeps the tail there */
};

struct builder {
	enum builder_kind kind;
	/* Adds all that the image depends on besides the inputs (configuration, expanded templates, required images), so that an equal digest
	 * means an equal image. */
	int (*describe)(const struct build_request *request, struct hasher *hasher, struct error *err);
	/* Builds job->tag; *image_id is the caller's. On failure the error has the builder's own words. */
	int (*run)(struct build_job *job, char **image_id, struct error *err);
	/* 1 if what was built earlier is still there and now has the tag, 0 if it is not. */
	int (*reuse)(const struct build_request *request, const char *image_id, const char *tag, struct error *err);
};

extern const struct builder builder_docker;
extern const struct builder builder_custom;
extern const struct builder builder_jib;
extern const struct builder builder_ko;
extern const struct builder builder_buildpacks;

enum { BUILD_LOG_MAX = 64 << 10 };

/* A line more; the log keeps the last BUILD_LOG_MAX bytes, whole lines. */
void build_log_add(struct str *log, const char *line, size_t len);

/* The process_spec's line callback of every builder, data = struct build_job: keeps the tail, hands the line on. */
void build_line(void *job, int stream, const char *line, size_t len);

/* What went wrong, in the builder's words: the first line that reads like a compiler's error, else the last that is not empty; BuildKit's
 * "#7 0.31 " in front is dropped. NULL where there is no output; the caller frees. */
char *build_failure_line(const char *log);
bool build_reads_like_error(const char *line);

/* The error of a program that ended with a status: "WHAT failed (exit 2): words of the log". Returns -EIO. */
int build_failed(const struct build_job *job, const char *what, int status, struct error *err);

/* The error of a command that ended with a status, and how a person would call it: "mvn: src/A.java:5:39: ';' expected", by build_failure_text. Where it
 * is Jib that refuses, with the whole command. Returns -EIO. */
int build_command_failed(const struct strv *argv, int status, const char *log, const char *context, struct error *err);

/* The error of a command that could not be started, by process_run's `cause`: of a build tool, with what to install. place: of who asks for it.
 * -ECANCELED stays that, all others are -EIO. */
int build_cannot_start(const struct strv *argv, struct place place, struct error *cause, struct error *err);

/* How a person calls the command: "mvn", "make", "./tools/sync-map"; of a string for sh, its first word. The caller frees. */
char *build_command_name(const struct strv *argv) RETURNS_OWNED;

#endif
