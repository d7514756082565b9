/* Jib's commands, to the letter (facts: Jib's plugins and Skaffold's pkg/skaffold/build/jib). Only words: nothing is run here; which files are in the
 * context and which programs in PATH is looked at. */
#ifndef SYNC_JIB_H
#define SYNC_JIB_H

#include "config/config.h"

enum jib_tool { JIB_MAVEN, JIB_GRADLE };

/* jib.type, else what is in the context. -EINVAL with the artifact's place: neither tool's files are there. */
int jib_tool(const struct artifact *artifact, enum jib_tool *tool, struct error *err);

/* Appends the words of the command to argv (empty before): the executable first, the wrapper in the context (absolute) before a program of PATH; mvnd before
 * mvn where it is in PATH and there is no wrapper. */
int jib_files_command(const struct artifact *artifact, struct strv *argv, struct error *err);
int jib_map_command(const struct artifact *artifact, struct strv *argv, struct error *err);

struct jib_image {
	const char *tag; /* the full reference */
	const char *
		from_image; /* jib.fromImage as the build wants it (docker://… for a required artifact's); NULL: none */
	const struct strv *platforms; /* NULL or empty: the host's */
	bool push, skip_tests;
};
int jib_image_command(const struct artifact *artifact, const struct jib_image *image, struct strv *argv,
		      struct error *err);

/* True for what may define a Jib build as long as its own list is not known: pom.xml, build.gradle, … rel: relative to the context. */
bool jib_is_definition(const char *rel);

#endif
