/* Carrying items into a root of the embedded runtime. Internal to src/runtime. */
#ifndef RUNTIME_EMBEDDED_APPLY_H
#define RUNTIME_EMBEDDED_APPLY_H

#include "base/str.h"
#include "client/embedded.h"
#include "runtime/runtime.h"

/* Where a destination is written: `seen` is the root as the program sees it, with its volumes; `disk` the same on the host, which stays
 * writable where the program's is read-only. */
struct embedded_roots {
	int seen, disk;
	bool read_only;
};

/* All items: files staged first, then switched by rename, deletes last. As runtime_ops.apply. */
int embedded_apply(const struct embedded_roots *roots, const struct embedded_instance *instance,
		   const struct carry *carry, struct carry_report *report, struct cancel *cancel, struct error *err);

/* The root through which a destination can be written: only volumes are writable through a read-only root. */
int embedded_root_for(const struct embedded_roots *roots, const char *dest);

/* The nearest directory above that is there, O_PATH; or a negative errno. */
int embedded_open_above(int root, const char *dest);

/* Fills the message of a result whose code is set. */
void embedded_explain(const struct embedded_roots *roots, const struct embedded_instance *instance, const char *dest,
		      struct carry_result *result);

/* As runtime_ops.look and check: embedded-look.c. */
int embedded_look(const struct embedded_roots *roots, const struct strv *dests, const struct instance_file *before,
		  struct instance_file *found, struct cancel *cancel, struct error *err);
int embedded_check(const struct embedded_roots *roots, const struct embedded_instance *instance,
		   const struct strv *dests, struct carry_report *report, struct cancel *cancel, struct error *err);

#endif
