/* What compilers and build tools say of a mistake, found in a build's output. Pure. */
#ifndef BUILD_DIAGNOSTICS_H
#define BUILD_DIAGNOSTICS_H

#include "base/str.h"

enum {
	DIAGNOSTICS_MAX = 10,
	DIAGNOSTIC_LINE_MAX = 400, /* bytes */
};

/* The mistakes with a place, each once, at most DIAGNOSTICS_MAX and a line that counts the others:
 *
 *     src/main/java/hello/A.java:5:17: cannot find symbol
 *       symbol:   class Foo
 *
 * lines: without escape sequences and trailing spaces. Appended to out; the number of mistakes found. */
size_t diagnostics_find(const struct strv *lines, struct str *out);

/* What a build tool gives as the reason of its failure, where it is no mistake with a place: Maven's [ERROR] lines without its advice, Gradle's "What
 * went wrong". False where neither is there. */
bool diagnostics_reason(const struct strv *lines, struct str *out);

#endif
