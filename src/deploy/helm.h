/* One release of Helm as manifests (render.h). Internal to src/deploy. */
#ifndef DEPLOY_HELM_H
#define DEPLOY_HELM_H

#include "config/config.h"
#include "deploy/manifest.h"
#include "io/cancel.h"

/* namespace_: where it goes if it names none. */
int helm_render(const struct config *config, const struct manifest_source *source, const struct helm_release *release,
		const char *namespace_, struct manifests *manifests, struct cancel *cancel, struct error *err);

struct render_program {
	const struct strv *argv;
	const char *name;      /* in messages */
	const char *directory; /* NULL: this one's */
	const char *input;     /* NULL: none */
};
/* What it prints are manifests (NULL: they are not wanted). */
int render_program(const struct render_program *program, struct manifests *manifests, struct cancel *cancel,
		   struct error *err);

#endif
