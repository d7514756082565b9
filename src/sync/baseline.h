/* Baselines on disk: the inputs of an image, kept by its id in <state directory>/baseline/, so that a skiff started again knows what changed
 * since the image was built. A file of its own an image, written atomically, checked when it is read. */
#ifndef SYNC_BASELINE_H
#define SYNC_BASELINE_H

#include "sync/inputs.h"

/* image_id: any string (an engine's "sha256:…", an embedded layout's folder). The newest 64 baselines are kept. */
int inputs_save(const char *image_id, const struct inputs *inputs, struct error *err);

/* -ENOENT: none is kept; -EBADMSG: the file is damaged, or of another version (the caller goes on as without one). */
int inputs_load(const char *image_id, struct inputs *inputs, struct error *err);

/* The same as bytes, for the two above and their tests. */
void inputs_encode(const char *image_id, const struct inputs *inputs, struct str *out);
int inputs_decode(const char *image_id, const void *bytes, size_t len, struct inputs *inputs, struct error *err);

#endif
