/* Image references as text: "registry:5000/a/b:tag@sha256:…" (distribution's reference grammar, as far as telling the parts apart needs it). */
#ifndef BUILD_REFERENCE_H
#define BUILD_REFERENCE_H

#include <stdbool.h>

#include "base/error.h"

struct reference {
	char *name;   /* without tag and digest: "registry:5000/a/b" */
	char *tag;    /* NULL: none */
	char *digest; /* "sha256:…", NULL: none */
};
int reference_parse(const char *text, struct reference *reference, struct error *err); /* -EINVAL */
void reference_release(struct reference *reference);

/* The image as --default-repo places it (skaffold.dev/docs/environment/image-registries): on registries with nested paths (gcr.io,
 * -docker.pkg.dev) "REPO/IMAGE", a common "registry/project" not repeated; elsewhere "REPO/" and the image with each of "/._:@" as "_".
 * At most 255 bytes of name; tag and digest are kept. repo NULL or "": as it is. */
int reference_place(const char *repo, const char *image, char **placed, struct error *err);

/* Text as a tag: what tags may not hold becomes "_", at most 128 bytes. */
char *reference_tag_from(const char *text) RETURNS_OWNED;
bool reference_tag_valid(const char *tag);

#endif
