/* What every runtime's way of carrying shares. */
#ifndef RUNTIME_CARRY_H
#define RUNTIME_CARRY_H

#include "runtime/runtime.h"

/* -EINVAL with words for a destination that is none (path_is_safe_destination). */
int carry_check(const struct carry *carry, struct error *err);
/* The first failure, as the call's own; 0 where there is none. */
int carry_report_failure(const struct carry_report *report, struct error *err);

/* The errno that an engine's or a program's words mean ("no space left on device"); `otherwise` where they are others, or NULL. */
int carry_meant(const char *words, int otherwise);

/* For `sh -c`: deletes each argument, a path as ask_octal (ask.h) writes it. */
extern const char carry_delete_script[];

#endif
