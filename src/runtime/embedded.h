/* The embedded runtime (client/embedded.h): files are carried straight into the instance's root, by rename. */
#ifndef RUNTIME_EMBEDDED_H
#define RUNTIME_EMBEDDED_H

#include "runtime/runtime.h"

int runtime_embedded_open(struct runtime **runtime, struct cancel *cancel, struct error *err);

#endif
