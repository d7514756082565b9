/* Carrying items into a root of the embedded runtime. Internal to src/runtime. */
#ifndef RUNTIME_EMBEDDED_APPLY_H
#define RUNTIME_EMBEDDED_APPLY_H

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

#endif
