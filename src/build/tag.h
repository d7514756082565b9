/* Tag policies (skaffold.dev/docs/taggers): the name that an image gets. */
#ifndef BUILD_TAG_H
#define BUILD_TAG_H

#include "build/build.h"

/* The full reference: the image as --default-repo places it, with -t, the tag that it was written with, or the policy's. digest: of the inputs, in hex
 * (inputDigest). A git policy outside of a git repository gives "latest", and says so through request->line, as Skaffold does. */
int tag_make(const struct build_request *request, const char *digest, char **tag, struct error *err);

#endif
