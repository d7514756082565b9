/* Manifests of Kubernetes as trees: what they name, and what skiff writes into them. Pure.
 *
 * A manifest is changed only where skiff must: every scalar keeps what it says to kubectl (0755 and "yes" stay what they are), keys keep their order; comments
 * go, and aliases and merge keys are written out.
 *
 * Images are replaced where Skaffold replaces them: at every key `image`, in pods and pod templates wherever they stand (CronJob, custom resources), whose
 * reference without its tag is an artifact's image as written. A reference by digest is pinned, and stays; so do ConfigMap, Secret and
 * CustomResourceDefinition, whose texts mean something else. */
#ifndef DEPLOY_MANIFEST_H
#define DEPLOY_MANIFEST_H

#include "base/error.h"
#include "format/yaml.h"

#define MANIFEST_MAX_BYTES ((size_t)16 << 20) /* of one file, or of what one program renders */
#define MANIFESTS_MAX_OBJECTS 10000	      /* of all files together */
/* A digest that stands for "whatever is built": what templates of Helm get for it (render.c), replaced as a tag would be. */
#define MANIFEST_DIGEST_OPEN "sha256:0000000000000000000000000000000000000000000000000000000000000000"

struct manifest { /* one object; all of it borrowed from its struct manifests */
	const struct yaml_node *root;
	const char *api_version, *kind;
	const char *name, *namespace_; /* NULL: it has none */
	const char *home;	       /* the namespace where it goes if it names none; NULL: the run's */
};

struct manifests {
	struct sources sources;
	struct yaml_pool pool;
	VEC(struct manifest) items; /* in the order of the texts; the items of lists one by one */
	struct strv homes;
};
void manifests_release(struct manifests *manifests);

/* Adds the objects of a text (taken over, malloc'd, NUL-terminated behind len bytes), named so in messages. Empty documents are none. -EINVAL with
 * "name:line:column: error: …", lines and carets; nothing is added then. -E2BIG: MANIFESTS_MAX_OBJECTS. */
int manifests_add(struct manifests *manifests, const char *name, char *text, size_t len, struct error *err);

/* The home of the objects from index `first` on. */
void manifests_place(struct manifests *manifests, size_t first, const char *home);

struct manifest_image {		/* what an artifact's image becomes */
	const char *image;	/* as written in the configuration */
	const char *ref;	/* the exact reference that is to run */
	const char *base, *tag; /* client/kubernetes-names.h; may be NULL */
	const char *agent;	/* agent_programs_id(); NULL: it is not in the image */
	bool in_registry; /* else nodes have it already, and must not ask a registry: imagePullPolicy Always becomes IfNotPresent */
	bool supervised;			  /* its program is started by `agent supervise` */
	const struct strv *entry_point, *command; /* the image's own; with supervised */
};
VEC_TYPE(manifest_images, struct manifest_image);

struct manifest_changes {
	const struct manifest_images *images;
	const char *run_id;
	const char *owner, *config, *deployed; /* values of the annotations; NULL: none such */
};

/* The candidates that the manifest names, each once, in their order. */
void manifest_named(const struct manifest *manifest, const struct strv *candidates, struct strv *named);

/* Appends the manifest with its changes, as a document of its own ("---" first). What is not among images stays as it is. */
void manifest_rewrite(const struct manifest *manifest, const struct manifest_changes *changes, struct str *out);

/* Appends what kubectl finds it by: apiVersion, kind, name, namespace. */
void manifest_identity(const struct manifest *manifest, struct str *out);

/* The TCP ports that containers of the image say they have, each once. */
VEC_TYPE(port_numbers, unsigned);
void manifest_ports(const struct manifest *manifest, const char *image, struct port_numbers *ports);

/* True if the service's selector takes the pods of the other's template (or that pod). */
bool manifest_selects(const struct manifest *service, const struct manifest *workload);

/* The reference without its tag; NULL where it is pinned by a digest. The caller frees. */
char *manifest_image_name(const char *reference);

#endif
