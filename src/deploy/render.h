/* From the configuration to manifests: files are read here; kustomize and helm are run.
 *
 * A release of Helm is rendered by `helm template` and applied like all else: one way to apply, and images are replaced in it as everywhere. So `helm list` does
 * not know it; its hooks run as the plain objects that they are, its tests are left out. Where its values name images by Skaffold's templates
 * (IMAGE_REPO_x, IMAGE_TAG_x, IMAGE_DIGEST_x, IMAGE_FULLY_QUALIFIED_x, IMAGE_DOMAIN_x, IMAGE_REPO_NO_DOMAIN_x), they get what is replaced afterwards. */
#ifndef DEPLOY_RENDER_H
#define DEPLOY_RENDER_H

#include "client/kubernetes.h"
#include "config/config.h"
#include "deploy/manifest.h"

/* All manifests of the configuration, in its order. -ENOENT: a pattern that matches nothing, a program that is missing (by name); -EINVAL as manifests_add, and
 * for templates; -EIO in the words of kustomize or helm; -EFBIG above MANIFEST_MAX_BYTES; -ECANCELED. On failure *manifests is to be released, too. */
int render_manifests(const struct config *config, struct kubernetes *kubernetes, struct manifests *manifests,
		     struct cancel *cancel, struct error *err);

/* The files that a pattern of rawYaml names, absolute, sorted: a file itself, the .yaml, .yml and .json files below a directory, what a glob matches (and is
 * below that). Relative to base_dir. */
int render_raw_files(const char *base_dir, const char *pattern, struct strv *files, struct error *err);

/* Every file here that manifests are made of, absolute, sorted, each once: those of rawYaml, all below the directories of kustomize (a base elsewhere is not known),
 * charts of Helm and their values files. What can't be read is left out. */
void render_files(const struct config *config, struct strv *files);

/* Fails with what a program said on stderr; used for each program that deploying runs. status as process_run gave it. */
struct program_words {
	struct str text;
};
void program_line(void *data, int stream, const char *line,
		  size_t len); /* for process_spec.line; data: struct program_words */
int program_failed(const struct program_words *words, const char *name, int status, struct error *err);

#endif
