/* Any bytes as a file of manifests: refused with words, or rewritten to what reads back as the same objects with the same names, in bounded time and
 * memory, and in which no image is left that was to be replaced. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "deploy/manifest.h"

/* libfyaml 0.7 forgets a buffer of 1 KiB on some syntax errors (a quoted key in a flow mapping without its colon). */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so\n";
}

static char *copy(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

static void rewrite(const struct manifest *manifest, const struct manifest_changes *changes)
{
	struct str text = {0}, identity = {0};
	struct manifests again = {0};
	manifest_rewrite(manifest, changes, &text);
	manifest_identity(manifest, &identity);
	if (manifests_add(&again, "again", xstrdup(str_text(&text)), text.len, NULL) < 0)
		abort();
	for vec_each (other,
		      &again.items) { /* a kind that ends in List may be one now that was none: its items are known */
		if (again.items.len == 1 &&
		    (!str_equal(other->kind, manifest->kind) || !str_equal(other->name, manifest->name)))
			abort();
	}
	manifests_release(&again);
	if (manifests_add(&again, "identity", xstrdup(str_text(&identity)), identity.len, NULL) < 0 ||
	    again.items.len != 1)
		abort();
	manifests_release(&again);
	str_release(&text);
	str_release(&identity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strv candidates = {0}, named = {0}, words = {0};
	strv_push(&candidates, "web");
	strv_push(&candidates, "api");
	strv_push(&words, "a$(b)");
	struct manifest_images images = {0};
	vec_push(&images, (struct manifest_image){.image = "web", .ref = "r/web:1", .base = "b", .tag = "t"});
	vec_push(&images, (struct manifest_image){.image = "api",
						  .ref = "r/api:1",
						  .agent = "a",
						  .supervised = true,
						  .entry_point = &words,
						  .command = &words});
	const struct manifest_changes changes = {.images = &images, .run_id = "1", .deployed = "2"};
	struct manifests manifests = {0};
	struct error err = {0};
	int r = manifests_add(&manifests, "a.yaml", copy(data, size), size, &err);
	if ((r < 0) != (err.message != NULL))
		abort();
	struct port_numbers ports = {0};
	for (size_t i = 0; i < manifests.items.len && i < 100; i++) {
		rewrite(&manifests.items.items[i], &changes);
		manifest_named(&manifests.items.items[i], &candidates, &named);
		manifest_ports(&manifests.items.items[i], "web", &ports);
		manifest_selects(&manifests.items.items[0], &manifests.items.items[i]);
	}
	vec_release(&ports);
	error_clear(&err);
	manifests_release(&manifests);
	vec_release(&images);
	strv_release(&candidates);
	strv_release(&named);
	strv_release(&words);
	return 0;
}
