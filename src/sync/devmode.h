/* What a buildpack tells of the image it built: the label io.buildpacks.build.metadata, whose `devmode.sync` rules say where files land. */
#ifndef SYNC_DEVMODE_H
#define SYNC_DEVMODE_H

#include "config/config.h"

#define DEVMODE_LABEL "io.buildpacks.build.metadata"

enum {
	DEVMODE_LABEL_MAX = 4 << 20, /* bytes */
	DEVMODE_RULES_MAX = 10000,
	DEVMODE_TEXT_MAX = 4096, /* of a src, dest or strip */
};

/* The rules of all entries of `bom`, in order, used like manual ones. The text is hostile. Appended to rules; on -EINVAL, whose message says what is
 * wrong, nothing is. Other keys mean nothing; without `bom` there are no rules. */
int devmode_parse(const char *label, size_t len, struct sync_rule_list *rules, struct error *err);
void devmode_release(struct sync_rule_list *rules);

#endif
