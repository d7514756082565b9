#include "build/reference.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"

enum { NAME_MAX_BYTES = 255, TAG_MAX_BYTES = 128 };

static bool name_char(unsigned char c)
{
	return isalnum(c) || strchr("._-/:", c);
}

static bool name_valid(const char *name)
{
	if (!isalnum((unsigned char)name[0]) || strstr(name, "//") || str_ends_with(name, "/"))
		return false;
	for (const char *p = name; *p; p++) {
		if (!name_char((unsigned char)*p))
			return false;
	}
	return true;
}

static bool tag_char(unsigned char c)
{
	return isalnum(c) || c == '_' || c == '-' || c == '.';
}

bool reference_tag_valid(const char *tag)
{
	if (!tag[0] || tag[0] == '-' || tag[0] == '.' || strlen(tag) > TAG_MAX_BYTES)
		return false;
	for (const char *p = tag; *p; p++) {
		if (!tag_char((unsigned char)*p))
			return false;
	}
	return true;
}

void reference_release(struct reference *reference)
{
	free(reference->name);
	free(reference->tag);
	free(reference->digest);
	*reference = (struct reference){0};
}

int reference_parse(const char *text, struct reference *reference, struct error *err)
{
	CLEANUP(reference_release) struct reference parsed = {.name = xstrdup(text)};
	char *at = strchr(parsed.name, '@');
	if (at) {
		parsed.digest = xstrdup(at + 1);
		*at = '\0';
	}
	char *slash = strrchr(parsed.name, '/');
	char *colon = strrchr(slash ? slash : parsed.name, ':');
	if (colon) {
		parsed.tag = xstrdup(colon + 1);
		*colon = '\0';
	}
	bool digest_valid = !parsed.digest || (str_starts_with(parsed.digest, "sha256:") && parsed.digest[7]);
	if (!name_valid(parsed.name) || (parsed.tag && !reference_tag_valid(parsed.tag)) || !digest_valid)
		return error_set(err, EINVAL, "'%s' is no image reference", text);
	*reference = parsed;
	parsed = (struct reference){0};
	return 0;
}

/* The length of "registry/project/" where the registry nests paths (Google's), else 0. */
static size_t nested_prefix(const char *name)
{
	const char *slash = strchr(name, '/');
	if (!slash)
		return 0;
	_cleanup_free_ char *host = xstrndup(name, (size_t)(slash - name));
	if (!str_equal(host, "gcr.io") && !str_ends_with(host, ".gcr.io") && !str_ends_with(host, "-docker.pkg.dev"))
		return 0;
	size_t project = strcspn(slash + 1, "/");
	return project ? (size_t)(slash - name) + 1 + project : 0;
}

static char *place_name(const char *repo, const char *name)
{
	size_t ours = nested_prefix(repo), theirs = nested_prefix(name);
	if (!ours) {
		char *flat = xstrdup(name);
		for (char *p = flat; *p; p++) {
			if (strchr("/._:@", *p))
				*p = '_';
		}
		char *placed = xasprintf("%s/%s", repo, flat);
		free(flat);
		return placed;
	}
	size_t repo_len = strlen(repo);
	if (strncmp(name, repo, repo_len) == 0 && name[repo_len] == '/')
		return xstrdup(name);
	if (ours == theirs && strncmp(name, repo, ours) == 0 && name[theirs] == '/')
		return xasprintf("%s/%s", repo, name + theirs + 1);
	return xasprintf("%s/%s", repo, name);
}

int reference_place(const char *repo, const char *image, char **placed, struct error *err)
{
	CLEANUP(reference_release) struct reference reference = {0};
	int r = reference_parse(image, &reference, err);
	if (r < 0)
		return r;
	if (!repo || !repo[0]) {
		*placed = xstrdup(image);
		return 0;
	}
	_cleanup_free_ char *base = xstrdup(repo);
	while (str_ends_with(base, "/"))
		base[strlen(base) - 1] = '\0';
	_cleanup_free_ char *name = place_name(base, reference.name);
	if (strlen(name) > NAME_MAX_BYTES)
		name[NAME_MAX_BYTES] = '\0';
	*placed = xasprintf("%s%s%s%s%s", name, reference.tag ? ":" : "", reference.tag ? reference.tag : "",
			    reference.digest ? "@" : "", reference.digest ? reference.digest : "");
	return 0;
}

char *reference_tag_from(const char *text)
{
	char *tag = xstrndup(text, TAG_MAX_BYTES);
	bool leading = true;
	for (char *p = tag; *p; p++) {
		leading = leading && (*p == '-' || *p == '.');
		if (leading || !tag_char((unsigned char)*p))
			*p = '_';
	}
	return tag;
}
