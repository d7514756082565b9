/* What builders told: kept, loaded, taught, asked for anew; and the outputs that follow from it. */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/inputs.h"
#include "sync/knowledge.h"

struct project {
	char *directory;
	struct artifact artifact;
	struct config config;
	struct sync_source *source;
};

static void write_text(const char *path, const char *text)
{
	_cleanup_free_ char *parent = path_dir(path);
	assert_int_equal(file_make_directories(parent, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void new_source(struct project *p)
{
	sync_source_free(p->source);
	p->source = NULL;
	assert_int_equal(sync_source_new(&p->config, &p->artifact, NULL, NULL, &p->source, NULL), 0);
}

static int set_up(void **state)
{
	struct project *p = xcalloc(1, sizeof(*p));
	p->directory = xstrdup("/tmp/skiff-knowledge-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	assert_int_equal(chdir(p->directory), 0);
	setenv("XDG_STATE_HOME", p->directory, 1);
	write_text("ctx/pom.xml", "<project/>");
	p->artifact = (struct artifact){.image.value = (char *)(uintptr_t) "app",
					.builder = BUILDER_JIB,
					.sync.mode = SYNC_AUTO,
					.context = path_absolute("ctx"),
					.base_dir = p->directory};
	vec_push(&p->config.artifacts, &p->artifact);
	new_source(p);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct project *p = *state;
	sync_source_free(p->source);
	vec_release(&p->config.artifacts);
	free(p->artifact.context);
	assert_int_equal(chdir("/"), 0);
	file_remove_tree(p->directory, NULL);
	free(p->directory);
	free(p);
	return 0;
}

static char *in_context(const struct project *p, const char *rel)
{
	return path_join(p->artifact.context, rel);
}

static int teach_files(struct project *p)
{
	struct build_files files = {0};
	strv_push_owned(&files.build, in_context(p, "pom.xml"));
	strv_push_owned(&files.inputs, in_context(p, "src"));
	int r = sync_source_teach_files(p->source, &files, NULL);
	assert_int_equal(files.build.len, 0);
	return r;
}

static void add_entry(const struct project *p, struct syncmap *map, const char *rel, const char *dest, bool generated)
{
	vec_push(&map->entries, (struct syncmap_entry){.src = in_context(p, rel),
						       .dest = xstrdup(dest),
						       .mode = MODE_KEEP,
						       .generated = generated});
}

static int teach_map(struct project *p)
{
	struct syncmap map = {0};
	add_entry(p, &map, "target/b.class", "/app/b.class", true);
	add_entry(p, &map, "target/a.class", "/app/a.class", true);
	add_entry(p, &map, "src/jib/\xff", "/\xff", false);
	add_entry(p, &map, "target/a.class", "/again/a.class", true);
	int r = sync_source_teach_map(p->source, &map, NULL);
	assert_int_equal(map.entries.len, 0);
	return r;
}

static enum path_class class_of(const struct project *p, const char *rel)
{
	_cleanup_free_ char *path = in_context(p, rel);
	return sync_source_class(p->source, path, CHANGE_MODIFIED, false);
}

static void says_what_it_must_ask(void **state)
{
	struct project *p = *state;
	assert_true(sync_source_knows_nothing(p->source));
	assert_true(sync_source_needs_files(p->source));
	assert_true(sync_source_needs_map(p->source));
	assert_int_equal(teach_files(p), 0);
	assert_false(sync_source_needs_files(p->source));
	assert_true(sync_source_needs_map(p->source));
	assert_true(sync_source_knows_nothing(p->source));
	assert_int_equal(teach_map(p), 0);
	assert_false(sync_source_needs_map(p->source));
	assert_false(sync_source_knows_nothing(p->source));
}

static void a_changed_definition_makes_it_ask_again(void **state)
{
	struct project *p = *state;
	assert_int_equal(teach_files(p), 0);
	assert_int_equal(teach_map(p), 0);
	write_text("ctx/pom.xml", "<project></project>");
	assert_true(sync_source_needs_files(p->source));
	assert_true(sync_source_needs_map(p->source));
	assert_false(sync_source_knows_nothing(p->source));
	write_text("ctx/pom.xml", "<project/>");
	assert_false(sync_source_needs_files(p->source));
	assert_false(sync_source_needs_map(p->source));
	p->artifact.jib.project = (char *)(uintptr_t) "module";
	assert_true(sync_source_needs_files(p->source));
}

static void a_later_source_knows_what_was_told(void **state)
{
	struct project *p = *state;
	assert_int_equal(teach_files(p), 0);
	assert_int_equal(teach_map(p), 0);
	new_source(p);
	assert_false(sync_source_needs_files(p->source));
	assert_false(sync_source_needs_map(p->source));
	assert_int_equal(class_of(p, "pom.xml"), PATH_BUILD_DEFINITION);
	assert_int_equal(class_of(p, "src/x"), PATH_GENERATOR_INPUT);
	assert_int_equal(class_of(p, "src/jib/\xff"), PATH_DIRECT);
	_cleanup_free_ char *path = in_context(p, "target/a.class");
	CLEANUP(classification_release) struct classification c = {0};
	sync_source_classify(p->source, path, CHANGE_MODIFIED, false, &c);
	assert_int_equal(c.class_, PATH_OUTPUT);
	assert_int_equal(c.mode, MODE_KEEP);
	assert_int_equal(c.dests.len, 2);
	assert_string_equal(c.dests.items[0], "/app/a.class");
	assert_string_equal(c.dests.items[1], "/again/a.class");
}

static void another_artifact_knows_nothing_of_it(void **state)
{
	struct project *p = *state;
	assert_int_equal(teach_files(p), 0);
	p->artifact.image.value = (char *)(uintptr_t) "other";
	new_source(p);
	assert_true(sync_source_needs_files(p->source));
}

static char *kept_file_path(const struct project *p)
{
	_cleanup_free_ char *dir = path_join(p->directory, "skiff/knowledge");
	DIR *d = opendir(dir);
	assert_non_null(d);
	char *path = NULL;
	for (const struct dirent *entry; (entry = readdir(d));)
		if (entry->d_name[0] != '.')
			path = path_join(dir, entry->d_name);
	closedir(d);
	assert_non_null(path);
	return path;
}

/* Cut anywhere, or a byte of it changed: it is refused, or says something valid; never a crash. */
static void damaged_knowledge_is_none(void **state)
{
	struct project *p = *state;
	assert_int_equal(teach_files(p), 0);
	assert_int_equal(teach_map(p), 0);
	_cleanup_free_ char *path = kept_file_path(p), *text = NULL;
	size_t len = 0;
	assert_int_equal(file_read(path, 1 << 20, &text, &len, NULL), 0);
	for (size_t cut = 0; cut < len; cut += 7) {
		struct knowledge k = {0};
		assert_int_equal(file_write_atomic(path, text, cut, 0600, NULL), 0);
		assert_int_equal(knowledge_load(&p->artifact, &k, NULL), -EBADMSG);
		assert_false(k.has_files || k.has_map);
	}
	for (size_t i = 0; i < len; i += 3) {
		struct knowledge k = {0};
		char was = text[i];
		text[i] = (char)(was ^ 1);
		assert_int_equal(file_write_atomic(path, text, len, 0600, NULL), 0);
		int r = knowledge_load(&p->artifact, &k, NULL);
		assert_true(r == 0 || r == -EBADMSG);
		knowledge_release(&k);
		text[i] = was;
	}
}

static void hostile_knowledge_is_refused(void **state)
{
	struct project *p = *state;
	static const char *const entries[] = {
		"[\"relative\",\"/a\",-2,true,[\"x\"]]",
		"[\"/a/../b\",\"/a\",-2,true,[\"x\"]]",
		"[\"/a\",\"/b/..\",-2,true,[\"x\"]]",
		"[\"/a\",\"b\",-2,true,[\"x\"]]",
		"[\"/a\",\"/b\",-3,true,[\"x\"]]",
		"[\"/a\",\"/b\",65536,true,[\"x\"]]",
		"[\"/a\",\"/b\",0,true,[\"..\"]]",
		"[\"/a\",\"/b\",0,true,[\"x/../y\"]]",
		"[\"/a\",\"/b\",0,true,[[\"x\"]]]",
		"[\"/a\",\"/b\",0,true,[7]]",
		"[\"/a\",\"/b\",0,true]",
		"[\"/a\\u0000b\",\"/b\",0,true,[\"x\"]]",
		"[{\"hex\":\"2f6\"},\"/b\",0,true,[\"x\"]]",
		"[\"/a\",\"/b\",0,true,[{\"hex\":\"00\"}]]",
		"7",
	};
	assert_int_equal(teach_files(p), 0);
	_cleanup_free_ char *path = kept_file_path(p);
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		struct knowledge k = {0};
		_cleanup_free_ char *text = xasprintf("{\"version\":2,\"context\":\"%s\",\"image\":\"app\",\"map\":{"
						      "\"digest\":\"%032d\",\"entries\":[%s],"
						      "\"generators\":[],\"build\":[],\"ignore\":[]}}",
						      p->artifact.context, 0, entries[i]);
		assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
		if (knowledge_load(&p->artifact, &k, NULL) != -EBADMSG)
			fail_msg("%s", entries[i]);
	}
}

static void outputs_are_what_is_there(void **state)
{
	struct project *p = *state;
	struct inputs first = {0}, second = {0}, third = {0};
	assert_int_equal(teach_files(p), 0);
	assert_int_equal(teach_map(p), 0);
	assert_int_equal(sync_source_outputs(p->source, NULL, &first, NULL), 0);
	assert_int_equal(first.len, 0);
	write_text("ctx/target/a.class", "a");
	write_text("ctx/target/b.class", "b");
	write_text("ctx/target/c.class", "c");
	assert_int_equal(sync_source_outputs(p->source, &first, &second, NULL), 0);
	assert_int_equal(second.len, 2);
	assert_string_equal(second.items[0].rel, "target/a.class");
	assert_true(hash_equal(second.items[1].hash, hash_bytes("b", 1)));
	assert_int_equal(unlink("ctx/target/a.class"), 0);
	assert_int_equal(chmod("ctx/target/b.class", 0755), 0);
	assert_int_equal(sync_source_outputs(p->source, &second, &third, NULL), 0);
	assert_int_equal(third.len, 1);
	assert_int_equal(third.items[0].mode & 07777, 0755);
	inputs_release(&first);
	inputs_release(&second);
	inputs_release(&third);
}

/* An output that became a link is a link: it is not followed. */
static void links_are_not_followed(void **state)
{
	struct project *p = *state;
	struct inputs outputs = {0};
	assert_int_equal(teach_map(p), 0);
	assert_int_equal(mkdir("ctx/target", 0755), 0);
	assert_int_equal(symlink("/etc/passwd", "ctx/target/a.class"), 0);
	assert_int_equal(sync_source_outputs(p->source, NULL, &outputs, NULL), 0);
	assert_int_equal(outputs.len, 1);
	assert_true(S_ISLNK(outputs.items[0].mode));
	inputs_release(&outputs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(says_what_it_must_ask, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_changed_definition_makes_it_ask_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_later_source_knows_what_was_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_artifact_knows_nothing_of_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged_knowledge_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hostile_knowledge_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(outputs_are_what_is_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_are_not_followed, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
