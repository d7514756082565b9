#include "base/owner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void accounts_release(struct accounts *accounts)
{
	free(accounts->passwd);
	free(accounts->group);
	*accounts = (struct accounts){0};
}

static bool number(const char *text, uint32_t *value)
{
	uint64_t wide;
	if (parse_uint(text, UINT32_MAX - 1, &wide) < 0) /* UINT32_MAX: "no change" to chown(2) */
		return false;
	*value = (uint32_t)wide;
	return true;
}

/* The line's field, with what follows it; NULL: it has none. */
static const char *field(const char *line, size_t len, unsigned index, size_t *field_len)
{
	const char *end = line + len;
	while (index-- > 0) {
		line = memchr(line, ':', (size_t)(end - line));
		if (!line)
			return NULL;
		line++;
	}
	const char *colon = memchr(line, ':', (size_t)(end - line));
	*field_len = (size_t)((colon ? colon : end) - line);
	return line;
}

bool accounts_number(const char *text, const char *name, unsigned index, uint32_t *value)
{
	size_t name_len = strlen(name);
	for (const char *line = text; line && *line;) {
		size_t len = strcspn(line, "\n"), found_len = 0;
		const char *found = NULL;
		if (len > name_len && memcmp(line, name, name_len) == 0 && line[name_len] == ':')
			found = field(line, len, index, &found_len);
		_cleanup_free_ char *digits = found ? xstrndup(found, found_len) : NULL;
		if (digits && number(digits, value))
			return true;
		line += len + (line[len] == '\n');
	}
	return false;
}

static bool is_name(const char *word)
{
	uint32_t value;
	return *word && !number(word, &value);
}

bool owner_is_named(const char *owner)
{
	const char *colon = strchr(owner, ':');
	_cleanup_free_ char *user = xstrndup(owner, colon ? (size_t)(colon - owner) : strlen(owner));
	return is_name(user) || (colon && is_name(colon + 1));
}

int owner_resolve(const char *owner, const struct accounts *accounts, uint32_t *uid, uint32_t *gid, struct error *err)
{
	static const struct accounts none;
	const struct accounts *known = accounts ? accounts : &none;
	const char *colon = strchr(owner, ':');
	_cleanup_free_ char *user = xstrndup(owner, colon ? (size_t)(colon - owner) : strlen(owner));
	const char *group = colon && colon[1] ? colon + 1 : user;
	uint32_t primary = 0;
	bool named = is_name(user);
	*uid = *gid = 0;
	if (named && !accounts_number(known->passwd, user, 2, uid))
		return error_set(err, EINVAL, "/etc/passwd has no user '%s'", user);
	if (!named && *user)
		number(user, uid);
	if (number(group, gid) || !*group || accounts_number(known->group, group, 2, gid))
		return 0;
	if (group != user || !accounts_number(known->passwd, user, 3, &primary))
		return error_set(err, EINVAL, "/etc/group has no group '%s'", group);
	*gid = primary;
	return 0;
}
