/* Telling blocking work on another thread to stop. Whoever blocks polls cancel_fd beside its own descriptor. */
#ifndef IO_CANCEL_H
#define IO_CANCEL_H

#include <stdbool.h>

struct cancel; /* reference-counted, safe across threads */

struct cancel *cancel_new(void);	       /* one reference; never NULL */
struct cancel *cancel_ref(struct cancel *c);   /* NULL stays NULL */
void cancel_unref(struct cancel *c);	       /* takes NULL */
void cancel_request(struct cancel *c);	       /* idempotent; async-signal-safe */
bool cancel_requested(const struct cancel *c); /* NULL: false */
int cancel_fd(const struct cancel *c);	       /* readable once requested; -1 for NULL */

#endif
