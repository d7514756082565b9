/* What a person sees of a run: one line for each thing that happened, what, why, how long; quiet otherwise. Made from the events
 * alone (event/event.h), so that it can show nothing that `--events` does not tell. */
#ifndef UI_TERMINAL_H
#define UI_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

#include "event/event.h"

struct terminal_options {
	FILE *out; /* stderr: messages; stays the caller's */
	bool color;
	bool verbose; /* builders' output also where nothing fails */
	bool quiet;   /* errors only */
};

struct event_sink terminal_sink(const struct terminal_options *options);

/* Colours: "always", "never", or "auto"/NULL: where out is a terminal, TERM is not dumb and NO_COLOR (no-color.org) is not set. */
bool terminal_wants_color(const char *when, FILE *out);

#endif
