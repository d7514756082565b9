/* Paths as text; nothing here touches a file system. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <stdbool.h>

#include "base/str.h"

/* "a" + "b" = "a/b"; an absolute b is b; an empty a is b; "a/" + "b" = "a/b". */
char *path_join(const char *a, const char *b) RETURNS_OWNED;

/* Lexically: no "//", no ".", ".." resolved ("/.." is "/"; leading ".." of a relative path stay), no trailing slash. "" and "." give ".". */
char *path_normalize(const char *path) RETURNS_OWNED;

/* Joined to the working directory where it is relative, then normalised. */
char *path_absolute(const char *path) RETURNS_OWNED;

/* Where path is dir or below it (both normalised and of one kind): what follows, "" for dir itself; else NULL. Points into path. dir "."
 * contains every relative path that does not start with "..". */
const char *path_below(const char *path, const char *dir);

/* The last element, pointing into path; "" after a trailing slash. */
const char *path_base(const char *path);

/* Without the last element: "a/b" -> "a", "a" -> ".", "/a" -> "/". */
char *path_dir(const char *path) RETURNS_OWNED;

/* How `path` is written relative to the directory `dir` (both absolute and normalised), with ".." where needed. */
char *path_relative(const char *path, const char *dir) RETURNS_OWNED;

static inline bool path_is_absolute(const char *path)
{
	return path[0] == '/';
}

/* True for a destination that may be handed to a container: absolute, normalised, not "/", no NUL, at most 4095 bytes, each
 * element at most 255. */
bool path_is_safe_destination(const char *path);

#endif
