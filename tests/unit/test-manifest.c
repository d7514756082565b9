/* tests/cases/manifest: `manifest` is read under the name k8s/a.yaml; `named` are the candidates that each object names, `rewritten` is what kubectl gets, `identity` what it
 * finds the objects by, `ports` those of the image web, `errors` the words of a failure.
 *
 * The images: `web` is an artifact in a registry; `api` is loaded into nodes, has the agent and is supervised (entry point `/bin/api $(X)`, command
 * `--port 1`); `registry:5000/team/db` is loaded; `other` is a candidate that is not known yet. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "cases.h"
#include "deploy/manifest.h"

static struct strv entry_point, command, candidates;

static void make_images(struct manifest_images *images)
{
	vec_push(images, (struct manifest_image){.image = "web",
						 .ref = "reg.example/web:skiff-1",
						 .base = "sha256:b1",
						 .tag = "web:t1",
						 .in_registry = true});
	vec_push(images, (struct manifest_image){.image = "api",
						 .ref = "api:skiff-2",
						 .base = "sha256:b2",
						 .tag = "api:t2",
						 .agent = "a1",
						 .supervised = true,
						 .entry_point = &entry_point,
						 .command = &command});
	vec_push(images,
		 (struct manifest_image){.image = "registry:5000/team/db", .ref = "registry:5000/team/db:skiff-3"});
}

static void show(const struct manifests *manifests, struct str *named, struct str *rewritten, struct str *identity,
		 struct str *ports)
{
	struct manifest_images images = {0};
	make_images(&images);
	const struct manifest_changes changes = {
		.images = &images, .run_id = "0123", .owner = "host/1 2 b", .config = "c", .deployed = "7"};
	for vec_each (manifest, &manifests->items) {
		CLEANUP(strv_release) struct strv names = {0};
		struct port_numbers numbers = {0};
		manifest_named(manifest, &candidates, &names);
		_cleanup_free_ char *joined = strv_join(&names, " ");
		str_addf(named, "%s %s: %s\n", manifest->kind, manifest->name ? manifest->name : "(no name)", joined);
		manifest_rewrite(manifest, &changes, rewritten);
		manifest_identity(manifest, identity);
		manifest_ports(manifest, "web", &numbers);
		str_add(ports, manifest->kind);
		for vec_each (number, &numbers)
			str_addf(ports, " %u", *number);
		str_add(ports, "\n");
		vec_release(&numbers);
	}
	vec_release(&images);
}

static bool holds(const struct test_case *c, const char *section, const struct str *got)
{
	return !case_section(c, section) || case_equal(c, section, str_text(got), case_text(c, section));
}

static char *unescaped(const char *text)
{
	char *copy = xstrdup(text), *to = copy;
	for (const char *p = text; *p; p++)
		*to++ = str_starts_with(p, "\\r") ? (p++, '\r') : *p;
	*to = '\0';
	return copy;
}

static bool run_case(const struct test_case *c)
{
	struct manifests manifests = {0};
	CLEANUP(error_clear) struct error err = {0};
	struct str named = {0}, rewritten = {0}, identity = {0}, ports = {0}, errors = {0};
	char *text = unescaped(case_text(c, "manifest"));
	int r = manifests_add(&manifests, "k8s/a.yaml", text, strlen(text), &err);
	if (r < 0)
		str_addf(&errors, "%s\n", err.message);
	show(&manifests, &named, &rewritten, &identity, &ports);
	bool ok = case_section(c, "errors") ? holds(c, "errors", &errors)
					    : case_equal(c, "errors", str_text(&errors), "");
	ok = ok && holds(c, "named", &named) && holds(c, "rewritten", &rewritten) && holds(c, "identity", &identity) &&
	     holds(c, "ports", &ports);
	str_release(&named);
	str_release(&rewritten);
	str_release(&identity);
	str_release(&ports);
	str_release(&errors);
	manifests_release(&manifests);
	return ok;
}

static void cases_hold(void **state)
{
	(void)state;
	struct case_list cases = {0};
	bool ok = true;
	strv_push(&entry_point, "/bin/api");
	strv_push(&entry_point, "$(X)");
	strv_push(&command, "--port");
	strv_push(&command, "1");
	static const char *const names[] = {"web", "api", "registry:5000/team/db", "other"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		strv_push(&candidates, names[i]);
	cases_load("manifest", &cases);
	for vec_each (c, &cases)
		ok = run_case(c) && ok;
	cases_release(&cases);
	strv_release(&entry_point);
	strv_release(&command);
	strv_release(&candidates);
	assert_true(ok);
}

static void references_lose_their_tag(void **state)
{
	(void)state;
	static const char *const cases[][2] = {{"web", "web"},
					       {"web:1", "web"},
					       {"localhost:5000/web", "localhost:5000/web"},
					       {"localhost:5000/a/web:v1", "localhost:5000/a/web"},
					       {"web@sha256:1234", NULL},
					       {"web:1@sha256:1234", NULL},
					       {"web:1@" MANIFEST_DIGEST_OPEN, "web"},
					       {"", ""}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *name = manifest_image_name(cases[i][0]);
		assert_true(str_equal(name, cases[i][1]));
	}
}

static void what_failed_adds_nothing(void **state)
{
	(void)state;
	struct manifests manifests = {0};
	CLEANUP(error_clear) struct error err = {0};
	static const char good[] = "apiVersion: v1\nkind: A\n", bad[] = "apiVersion: v1\nkind: B\n---\n[\n";
	assert_int_equal(manifests_add(&manifests, "a", xstrdup(good), strlen(good), &err), 0);
	assert_int_equal(manifests_add(&manifests, "b", xstrdup(bad), strlen(bad), &err), -EINVAL);
	assert_int_equal(manifests.items.len, 1);
	manifests_release(&manifests);
}

static bool selects(const char *service, const char *workload)
{
	struct manifests manifests = {0};
	assert_int_equal(manifests_add(&manifests, "a", xstrdup(service), strlen(service), NULL), 0);
	assert_int_equal(manifests_add(&manifests, "b", xstrdup(workload), strlen(workload), NULL), 0);
	bool answer = manifest_selects(&manifests.items.items[0], &manifests.items.items[1]);
	manifests_release(&manifests);
	return answer;
}

static void services_select_pods(void **state)
{
	(void)state;
	static const char service[] = "{apiVersion: v1, kind: Service, spec: {selector: {app: web, tier: a}}}";
	assert_true(selects(service, "{apiVersion: v1, kind: Pod, metadata: {labels: {tier: a, app: web, x: y}}}"));
	assert_true(selects(service,
			    "{apiVersion: apps/v1, kind: Deployment, spec: {template: {metadata: {labels: {tier: a, "
			    "app: web}}}}}"));
	assert_false(selects(service, "{apiVersion: v1, kind: Pod, metadata: {labels: {app: web}}}"));
	assert_false(selects(service, "{apiVersion: v1, kind: Pod, metadata: {labels: [app]}}"));
	assert_false(selects("{apiVersion: v1, kind: Service, spec: {selector: {}}}", service));
	assert_false(selects("{apiVersion: v1, kind: Service, spec: 3}", service));
	assert_false(selects("{apiVersion: v1, kind: Pod, spec: {selector: {a: b}}}",
			     "{apiVersion: v1, kind: Pod, metadata: {labels: {a: b}}}"));
}

static void rewriting_twice_changes_nothing_more(void **state)
{
	(void)state;
	struct manifest_images images = {0};
	make_images(&images);
	images.len = 1;
	const struct manifest_changes changes = {.images = &images, .run_id = "0", .deployed = "1"};
	static const char text[] =
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: web}]}\n";
	struct str first = {0}, second = {0};
	struct manifests manifests = {0};
	assert_int_equal(manifests_add(&manifests, "a", xstrdup(text), strlen(text), NULL), 0);
	manifest_rewrite(&manifests.items.items[0], &changes, &first);
	manifest_rewrite(&manifests.items.items[0], &changes, &second);
	assert_string_equal(str_text(&first), str_text(&second));
	str_release(&first);
	str_release(&second);
	vec_release(&images);
	manifests_release(&manifests);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_hold),
		cmocka_unit_test(references_lose_their_tag),
		cmocka_unit_test(what_failed_adds_nothing),
		cmocka_unit_test(services_select_pods),
		cmocka_unit_test(rewriting_twice_changes_nothing_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
