/* Looking at destinations by a shell in the container: where its root can't be looked at from here (docker-look.h), and no agent runs. */
#ifndef RUNTIME_ASK_H
#define RUNTIME_ASK_H

#include "base/map.h"
#include "base/str.h"
#include "io/cancel.h"
#include "runtime/docker-look.h"

struct session;

struct asker {
	/* Runs a program in the container; 0 where it did well. */
	int (*run)(struct session *session, const char *const *argv, struct str *output, struct cancel *cancel);
	struct session *session;
	struct map answers; /* destination → struct looked */
	bool cannot;	    /* the container has no program for it */
};

/* Fills answers for destinations that it lacks, by one program for many; what the container can't tell stays unknown. */
void ask_about(struct asker *asker, const struct strv *dests, struct cancel *cancel);
void asker_reset(struct asker *asker); /* forgets all */

/* A path as printf's %b takes it: any bytes, also those that JSON can't hold. The caller frees. */
char *ask_octal(const char *path) RETURNS_OWNED;

#endif
