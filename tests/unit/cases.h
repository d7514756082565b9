/* Cases kept as text, in tests/cases/MODULE/NAME.txt. A file reads from top to bottom like documentation:
 *
 *     Words about what the file is about; not looked at.
 *
 *     === A directory as source: its contents land in the destination
 *     Words about the case; not looked at.
 *     --- Dockerfile
 *     FROM scratch
 *     COPY site /srv/
 *     --- expect a word or two
 *     …
 *
 * "===" starts a case, "---" a section of it: its first word is its name, the rest of the line its argument, the lines up to the next mark its
 * text. A line of the text that starts with a backslash stands for the rest of the line (for texts with such marks). */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include <stdbool.h>

#include "base/str.h"
#include "base/vec.h"

struct section {
	char *name, *argument; /* argument "" where there is none */
	struct str text;
};

struct test_case {
	char *title; /* "file.txt:12: title" */
	VEC(struct section) sections;
};

VEC_TYPE(case_list, struct test_case);

/* All cases of tests/cases/MODULE, files in alphabetical order. Ends the program with words if they can't be read. */
void cases_load(const char *module, struct case_list *cases);
void cases_release(struct case_list *cases);

/* The section, or NULL. */
const struct section *case_section(const struct test_case *test, const char *name);
const char *case_text(const struct test_case *test, const char *name); /* "" where it is missing */

/* The lines of a text without blank ones. */
void case_lines(const char *text, struct strv *lines);

/* Compares, and says where they differ; false if they do. */
bool case_equal(const struct test_case *test, const char *section, const char *got, const char *expected);

#endif
