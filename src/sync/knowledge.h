/* What builders and programs have told of an artifact, kept on disk between runs, so that explain needs to run nothing and a second start
 * needs no builder: <state directory>/knowledge/, a file an artifact (by its real context and image), written atomically, checked when read. */
#ifndef SYNC_KNOWLEDGE_H
#define SYNC_KNOWLEDGE_H

#include "base/hash.h"
#include "sync/syncmap.h"

struct knowledge {
	bool has_files, has_map;
	struct build_files files;
	struct syncmap map;
	/* Over the content of all build definitions and the configuration of the artifact, as they were when it was learned. */
	struct hash files_digest, map_digest;
};
void knowledge_release(struct knowledge *knowledge);

/* What all of it depends on: the artifact's builder and sync configuration, the content of `build` (NULL: none are known yet). */
struct hash knowledge_digest(const struct artifact *artifact, const struct strv *build);

int knowledge_save(const struct artifact *artifact, const struct knowledge *knowledge, struct error *err);
/* -ENOENT: nothing is kept; -EBADMSG: damaged, or of another version: as if there were nothing. */
int knowledge_load(const struct artifact *artifact, struct knowledge *knowledge, struct error *err);

#endif
