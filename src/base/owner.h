/* Owners as COPY --chown writes them: "uid", "uid:gid", "name", "name:group", ":group"; and the files that tell what names mean.
 * docs.docker.com/reference/dockerfile, COPY --chown: a uid alone is the gid too; a name alone is a group's name too. */
#ifndef BASE_OWNER_H
#define BASE_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { ACCOUNTS_MAX = 256 << 10 }; /* bytes of a passwd or group file that are looked at */

struct accounts { /* texts, ended by a zero; NULL: there is no such file. Owned. */
	char *passwd, *group;
};
void accounts_release(struct accounts *accounts);

/* Field `index` (0 is the name) of the line that begins with "name:", as a number. */
bool accounts_number(const char *text, const char *name, unsigned index, uint32_t *number);

/* True if the owner holds a name: only then accounts are looked at. */
bool owner_is_named(const char *owner);

/* accounts: may be NULL where no name is in it. A name alone whose group is not known has its passwd group. -EINVAL, with words that name what is
 * not known. */
int owner_resolve(const char *owner, const struct accounts *accounts, uint32_t *uid, uint32_t *gid, struct error *err);

#endif
