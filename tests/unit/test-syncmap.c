/* What builders print: Jib's answers as it prints them, byte for byte, and the neutral form of docs/protocol.md. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "sync/knowledge.h"

/* Jib 3.4 of one Maven module, with the log around it. */
static const char JIB_MAP[] =
	"[INFO] Scanning for projects...\n"
	"[INFO] \n"
	"[INFO] ----------------------------< hello:hello >-----------------------------\n"
	"[INFO] Building hello 1\n"
	"[INFO] --- jib-maven-plugin:3.4.4:_skaffold-sync-map (default-cli) @ hello ---\n"
	"\n"
	"BEGIN JIB JSON: SYNCMAP/1\n"
	"{\"generated\":[{\"src\":\"/p/target/classes/hello/HelloController.class\","
	"\"dest\":\"/app/classes/hello/HelloController.class\"},"
	"{\"src\":\"/p/target/classes/application.properties\",\"dest\":\"/app/resources/application.properties\"}],"
	"\"direct\":[{\"src\":\"/p/src/main/jib/direct-file\",\"dest\":\"/direct-file\"}]}\n"
	"[INFO] ------------------------------------------------------------------------\n"
	"[INFO] BUILD SUCCESS\n";

static const char JIB_FILES[] =
	"\nBEGIN JIB JSON\n"
	"{\"build\":[\"/p/pom.xml\"],\"inputs\":[\"/p/src/main/java\",\"/p/src/main/resources\",\"/p/src/main/jib\"],"
	"\"ignore\":[]}\n";

/* One line an entry: "src dest mode kind". */
static char *entries_text(const struct syncmap *map)
{
	CLEANUP(str_release) struct str text = {0};
	for vec_each (entry, &map->entries)
		str_addf(&text, "%s %s %d %s\n", entry->src, entry->dest, entry->mode,
			 entry->generated ? "generated" : "direct");
	return str_steal(&text);
}

static void assert_map(const char *output, const char *expected)
{
	CLEANUP(syncmap_release) struct syncmap map = {0};
	CLEANUP(error_clear) struct error err = {0};
	int r = syncmap_parse(output, strlen(output), "/p", &map, &err);
	if (r < 0)
		fail_msg("%s", err.message);
	_cleanup_free_ char *text = entries_text(&map);
	assert_string_equal(text, expected);
}

static void assert_refused(const char *output, int code, const char *message)
{
	CLEANUP(syncmap_release) struct syncmap map = {0};
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(syncmap_parse(output, strlen(output), "/p", &map, &err), -code);
	assert_string_equal(err.message, message);
}

static void jib_map(void **state)
{
	(void)state;
	static const char expected[] =
		"/p/target/classes/hello/HelloController.class /app/classes/hello/HelloController.class -2 generated\n"
		"/p/target/classes/application.properties /app/resources/application.properties -2 generated\n"
		"/p/src/main/jib/direct-file /direct-file -2 direct\n";
	assert_map(JIB_MAP, expected);
}

static void jib_map_with_odd_lines(void **state)
{
	(void)state;
	static const char *const blocks[] = {
		"BEGIN JIB JSON: SYNCMAP/1\r\n{\"generated\":[],\"direct\":[{\"src\":\"/p/a\",\"dest\":\"/a\"}]}\r\n",
		/* the first block wins */
		"BEGIN JIB JSON: SYNCMAP/1\n{\"direct\":[{\"src\":\"/p/a\",\"dest\":\"/a\"}]}\nBEGIN JIB JSON: "
		"SYNCMAP/1\n{}\n",
		/* a marker alone, one in a log line, the other goal's block */
		"BEGIN JIB JSON: SYNCMAP/1\nnothing\n[INFO] BEGIN JIB JSON: SYNCMAP/1\n{\"generated\":1}\n"
		"BEGIN JIB JSON\n{\"build\":[]}\nBEGIN JIB JSON: "
		"SYNCMAP/1\n{\"direct\":[{\"src\":\"/p/a\",\"dest\":\"/a\"}]}",
		/* keys that a later Jib may add */
		"BEGIN JIB JSON: "
		"SYNCMAP/1\n{\"version\":2,\"direct\":[{\"src\":\"/p/a\",\"dest\":\"/a\",\"layer\":\"x\"}]}\n",
		/* as Maven's daemon prints it, alone and with several modules */
		"[INFO] [stdout] BEGIN JIB JSON: SYNCMAP/1\n[INFO] [stdout] "
		"{\"direct\":[{\"src\":\"/p/a\",\"dest\":\"/a\"}]}\n",
		"[web] [INFO] [stdout] BEGIN JIB JSON: SYNCMAP/1\n"
		"[web] [INFO] [stdout] {\"direct\":[{\"src\":\"/p/a\",\"dest\":\"/a\"}]}\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		assert_map(blocks[i], "/p/a /a -2 direct\n");
}

static void same_source_twice(void **state)
{
	(void)state;
	assert_map("BEGIN SYNCMAP/1\n{\"generated\":[{\"src\":\"a\",\"dest\":\"/x\"},{\"src\":\"a\",\"dest\":\"/y\"},"
		   "{\"src\":\"./a\",\"dest\":\"x/\"}],\"direct\":[{\"src\":\"/p/a\",\"dest\":\"/x\"}]}\n",
		   "/p/a /x -1 generated\n/p/a /y -1 generated\n");
}

static void neutral_map(void **state)
{
	(void)state;
	CLEANUP(syncmap_release) struct syncmap map = {0};
	static const char output[] =
		"building\nBEGIN SYNCMAP/1\n"
		"{\"generated\":[{\"src\":\"out/server\",\"dest\":\"/srv/server\",\"mode\":\"0755\"},"
		"{\"command\":[\"npm\",\"run\",\"build\"],\"inputs\":[\"src/"
		"**\"],\"sync\":[{\"src\":\"dist\",\"dest\":\"app//b/\"}]},"
		"{\"command\":\"make "
		"css\",\"inputs\":[\"*.scss\"],\"sync\":[{\"src\":\"/q/css\",\"dest\":\"/\"}],\"watch\":true}],"
		"\"direct\":[{\"src\":\"public\",\"dest\":\"app/public\"}],"
		"\"build\":[\"b\",\"/q/Makefile\",\"b\"],\"ignore\":[\"out/tmp\"]}\n";
	assert_int_equal(syncmap_parse(output, strlen(output), "/p", &map, NULL), 0);
	_cleanup_free_ char *entries = entries_text(&map);
	assert_string_equal(entries, "/p/out/server /srv/server 493 generated\n/p/public /app/public -1 direct\n");
	_cleanup_free_ char *build = strv_join(&map.build, " ");
	_cleanup_free_ char *ignore = strv_join(&map.ignore, " ");
	assert_string_equal(build, "/p/b /q/Makefile");
	assert_string_equal(ignore, "/p/out/tmp");
	assert_null(map.rebuild);
	assert_int_equal(map.generators.len, 2);
	const struct sync_generator *npm = &map.generators.items[0], *css = &map.generators.items[1];
	_cleanup_free_ char *words = strv_join(&npm->command, "|");
	assert_string_equal(words, "npm|run|build");
	assert_int_equal(npm->kind, GENERATOR_COMMAND);
	assert_false(npm->watch);
	assert_string_equal(npm->inputs.items[0].value, "src/**");
	assert_string_equal(npm->sync.items[0].src.value, "dist");
	assert_string_equal(npm->sync.items[0].dest.value, "/app/b/");
	_cleanup_free_ char *shell = strv_join(&css->command, "|");
	assert_string_equal(shell, "sh|-c|make css");
	assert_true(css->watch);
	assert_string_equal(css->sync.items[0].src.value, "/q/css");
	assert_string_equal(css->sync.items[0].dest.value, "/");
}

static void rebuild_line(void **state)
{
	(void)state;
	static const struct {
		const char *output, *reason;
	} cases[] = {
		{"REBUILD", ""},
		{"log\nREBUILD the lock file changed \r\n", "the lock file changed"},
		{"REBUILD first\nBEGIN SYNCMAP/1\n{}\n", "first"},
		{"BEGIN SYNCMAP/1\nREBUILD second thoughts\n", "second thoughts"},
		{"BEGIN SYNCMAP/1\n{}\nREBUILD too late\n", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(syncmap_release) struct syncmap map = {0};
		assert_int_equal(syncmap_parse(cases[i].output, strlen(cases[i].output), "/p", &map, NULL), 0);
		assert_int_equal(!map.rebuild, !cases[i].reason);
		if (cases[i].reason)
			assert_string_equal(map.rebuild, cases[i].reason);
	}
}

#define NEUTRAL(json) "BEGIN SYNCMAP/1\n" json "\n"

static void mistakes_are_named(void **state)
{
	(void)state;
	static const char none[] =
		"neither \"BEGIN JIB JSON: SYNCMAP/1\" nor \"BEGIN SYNCMAP/1\" nor REBUILD was printed";
	assert_refused("", ENODATA, none);
	assert_refused("REBUILDING all\n", ENODATA, none);
	assert_refused("[INFO] BEGIN SYNCMAP/1\n{}\n", ENODATA, none);
	assert_refused("BEGIN SYNCMAP/1\n", EINVAL,
		       "the line after \"BEGIN SYNCMAP/1\" must be a JSON object, all in one line");
	assert_refused(NEUTRAL("{\"generated\":[{}]}"), EINVAL, "the sync map: generated, element 1: 'src' is missing");
	assert_refused(NEUTRAL("{\"direct\":[{\"src\":\"a\",\"dest\":\"/a\"},{\"src\":\"b\",\"dst\":\"/b\"}]}"), EINVAL,
		       "the sync map: direct, element 2: unknown key 'dst' (did you mean 'dest'?)");
	assert_refused(NEUTRAL("{\"direct\":{}}"), EINVAL, "the sync map: direct: must be a list");
	assert_refused(NEUTRAL("{\"direct\":[\"a\"]}"), EINVAL,
		       "the sync map: direct, element 1: must be an object with 'src' and 'dest'");
	assert_refused(NEUTRAL("{\"direct\":[{\"src\":\"a\",\"dest\":\"../a\"}]}"), EINVAL,
		       "the sync map: direct, element 1: 'dest' is no place in a container: ../a");
	assert_refused(NEUTRAL("{\"direct\":[{\"src\":\"a\",\"dest\":\"/b/../a\"}]}"), EINVAL,
		       "the sync map: direct, element 1: 'dest' is no place in a container: /b/../a");
	assert_refused(NEUTRAL("{\"direct\":[{\"src\":1,\"dest\":\"/a\"}]}"), EINVAL,
		       "the sync map: direct, element 1: 'src' must be a path, as a string");
	assert_refused(NEUTRAL("{\"direct\":[{\"src\":\"a\",\"dest\":\"/a\",\"mode\":493}]}"), EINVAL,
		       "the sync map: direct, element 1: 'mode' must be permission bits as an octal string, \"0644\" "
		       "or \"0755\"");
	assert_refused(NEUTRAL("{\"direct\":[{\"src\":\"a\",\"dest\":\"/a\",\"mode\":\"4755\"}]}"), EINVAL,
		       "the sync map: direct, element 1: 'mode' must be permission bits as an octal string, \"0644\" "
		       "or \"0755\"");
	assert_refused(
		NEUTRAL("{\"generated\":[{\"command\":[],\"inputs\":[],\"sync\":[]}]}"), EINVAL,
		"the sync map: generated, element 1: 'command' must be a list of strings, or one string for the shell");
	assert_refused(NEUTRAL("{\"generated\":[{\"command\":\"a\",\"sync\":[]}]}"), EINVAL,
		       "the sync map: generated, element 1: 'inputs' of a generator must be a list of globs");
	assert_refused(NEUTRAL("{\"generated\":[{\"command\":\"a\",\"inputs\":[],\"sync\":[{\"src\":\"a\"}]}]}"),
		       EINVAL, "the sync map: generated, element 1, sync 1: 'dest' is missing");
	assert_refused(NEUTRAL("{\"build\":[\"a\",7]}"), EINVAL,
		       "the sync map: build, element 2: 'path' must be a path, as a string");
	assert_refused(NEUTRAL("{} x"), EINVAL,
		       "the sync map: the line after the marker is not one whole JSON object: end of file expected "
		       "near 'x' (column 4)");
}

static char *files_text(const struct build_files *files)
{
	_cleanup_free_ char *build = strv_join(&files->build, " ");
	_cleanup_free_ char *inputs = strv_join(&files->inputs, " ");
	_cleanup_free_ char *ignore = strv_join(&files->ignore, " ");
	return xasprintf("%s; %s; %s", build, inputs, ignore);
}

static void jib_files(void **state)
{
	(void)state;
	static const struct {
		const char *output, *expected;
	} cases[] = {
		{JIB_FILES, "/p/pom.xml; /p/src/main/java /p/src/main/jib /p/src/main/resources; "},
		/* two modules: only the one that is containerised says something, and it comes first here */
		{"[INFO] lib\nBEGIN JIB "
		 "JSON\r\n{\"build\":[\"/p/pom.xml\",\"/p/pom.xml\"],\"inputs\":[],\"ignore\":[\"/p/x/\"]}\r\n"
		 "BEGIN JIB JSON\n{\"build\":[]}\n",
		 "/p/pom.xml; ; /p/x"},
		/* Windows: backslashes as they are, also where they happen to be valid JSON */
		{"BEGIN JIB JSON\n{\"build\":[\"/C:\\p\\pom.xml\"]}\n", "/C:\\p\\pom.xml; ; "},
		{"BEGIN JIB JSON\n{\"inputs\":[\"/C:\\new\\file\"]}\n", "; /C:\\new\\file; "},
		/* valid escapes stay what they are */
		{"BEGIN JIB JSON\n{\"inputs\":[\"/p/\\u00e4 \\\"b\\\" \\\\\"]}\n", "; /p/\303\244 \"b\" \\; "},
		{"BEGIN JIB JSON\nlog\nBEGIN JIB JSON\n{}\n", "; ; "},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(build_files_release) struct build_files files = {0};
		CLEANUP(error_clear) struct error err = {0};
		if (build_files_parse(cases[i].output, strlen(cases[i].output), "/p", &files, &err) < 0)
			fail_msg("%zu: %s", i, err.message);
		_cleanup_free_ char *text = files_text(&files);
		assert_string_equal(text, cases[i].expected);
	}
}

static void jib_files_refused(void **state)
{
	(void)state;
	static const struct {
		const char *output;
		int code;
	} cases[] = {
		{"", ENODATA},
		{"BEGIN JIB JSON: SYNCMAP/1\n{}\n", ENODATA},
		{"[INFO] BEGIN JIB JSON\n{}\n", ENODATA},
		{"BEGIN JIB JSON\n{\"build\":\n", EINVAL},
		{"BEGIN JIB JSON\n{\"build\":{}}\n", EINVAL},
		{"BEGIN JIB JSON\n{\"build\":[{}]}\n", EINVAL},
		{"BEGIN JIB JSON\n{\"build\":[\"\\", EINVAL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(build_files_release) struct build_files files = {0};
		CLEANUP(error_clear) struct error err = {0};
		assert_int_equal(build_files_parse(cases[i].output, strlen(cases[i].output), "/p", &files, &err),
				 -cases[i].code);
		assert_non_null(err.message);
	}
}

/* `,` and `{` cost nothing as text and much as values. */
static void too_many_values(void **state)
{
	(void)state;
	CLEANUP(str_release) struct str output = {0};
	str_add(&output, "BEGIN SYNCMAP/1\n{\"generated\":[");
	for (size_t i = 0; i < 6 * (size_t)SYNCMAP_ENTRIES_MAX / 2; i++)
		str_add(&output, "{},");
	CLEANUP(syncmap_release) struct syncmap map = {0};
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(syncmap_parse(output.data, output.len, "/p", &map, &err), -EINVAL);
	assert_string_equal(err.message, "the sync map: the JSON after the marker has more than 5000000 values");
}

static void large_map(void **state)
{
	(void)state;
	enum { ENTRIES = 20000 };
	CLEANUP(str_release) struct str output = {0};
	str_add(&output, "BEGIN JIB JSON: SYNCMAP/1\n{\"generated\":[");
	for (int i = 0; i < ENTRIES; i++)
		str_addf(&output, "%s{\"src\":\"/p/target/classes/C%d.class\",\"dest\":\"/app/classes/C%d.class\"}",
			 i ? "," : "", i, i);
	str_add(&output, "],\"direct\":[]}\n");
	CLEANUP(syncmap_release) struct syncmap map = {0};
	assert_int_equal(syncmap_parse(output.data, output.len, "/p", &map, NULL), 0);
	assert_int_equal(map.entries.len, ENTRIES);
}

/* A map is kept between runs as it was told, a folder that lands in "/" included. */
static void kept_between_runs(void **state)
{
	(void)state;
	char directory[] = "/tmp/skiff-syncmap-XXXXXX";
	static const char output[] =
		NEUTRAL("{\"generated\":[{\"src\":\"root\",\"dest\":\"/"
			"\",\"mode\":\"0755\"},{\"command\":\"a\",\"inputs\":[\"*.c\"],"
			"\"sync\":[{\"src\":\"b\",\"dest\":\"/b/\"}]}],\"direct\":[{\"src\":\"a\",\"dest\":\"/a\"}]}");
	assert_non_null(mkdtemp(directory));
	setenv("XDG_STATE_HOME", directory, 1);
	const struct artifact artifact = {.image.value = (char *)(uintptr_t) "app", .context = directory};
	CLEANUP(knowledge_release) struct knowledge told = {.has_map = true}, known = {0};
	assert_int_equal(syncmap_parse(output, strlen(output), "/p", &told.map, NULL), 0);
	assert_int_equal(knowledge_save(&artifact, &told, NULL), 0);
	assert_int_equal(knowledge_load(&artifact, &known, NULL), 0);
	_cleanup_free_ char *before = entries_text(&told.map), *after = entries_text(&known.map);
	assert_string_equal(after, before);
	assert_int_equal(known.map.generators.len, 1);
	assert_string_equal(known.map.generators.items[0].sync.items[0].dest.value, "/b/");
	assert_int_equal(file_remove_tree(directory, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jib_map),	     cmocka_unit_test(jib_map_with_odd_lines),
		cmocka_unit_test(same_source_twice), cmocka_unit_test(neutral_map),
		cmocka_unit_test(rebuild_line),	     cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(jib_files),	     cmocka_unit_test(jib_files_refused),
		cmocka_unit_test(too_many_values),   cmocka_unit_test(large_map),
		cmocka_unit_test(kept_between_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
