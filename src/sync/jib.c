#include "sync/jib.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"

/* Oldest versions of the plugins that have the goals. */
#define VERSION_BUILD "1.4.0"
#define VERSION_SYNC "2.0.0"
#define VERSION_PLATFORMS "3.2.0"

static bool is_file_in(const char *directory, const char *name)
{
	_cleanup_free_ char *path = path_join(directory, name);
	struct stat st;
	return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static bool is_directory_in(const char *directory, const char *name)
{
	_cleanup_free_ char *path = path_join(directory, name);
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_program_in_path(const char *name)
{
	const char *path = getenv("PATH");
	CLEANUP(strv_release) struct strv directories = {0};
	str_split(path ? path : "", ':', &directories);
	for (size_t i = 0; i < directories.len; i++) {
		const char *directory = directories.items[i][0] ? directories.items[i] : ".";
		_cleanup_free_ char *program = path_join(directory, name);
		if (is_file_in(directory, name) && access(program, X_OK) == 0)
			return true;
	}
	return false;
}

int jib_tool(const struct artifact *artifact, enum jib_tool *tool, struct error *err)
{
	static const char *const gradle_files[] = {
		"build.gradle", "build.gradle.kts", "gradle.properties", "settings.gradle",
		"gradlew",	"gradlew.bat",	    "gradlew.cmd",
	};
	const char *type = artifact->jib.type, *context = artifact->context;
	if (type && type[0]) {
		*tool = str_equal(type, "gradle") ? JIB_GRADLE : JIB_MAVEN;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(gradle_files); i++) {
		if (is_file_in(context, gradle_files[i])) {
			*tool = JIB_GRADLE;
			return 0;
		}
	}
	if (is_file_in(context, "pom.xml") || is_directory_in(context, ".mvn")) {
		*tool = JIB_MAVEN;
		return 0;
	}
	return error_at(
		err, artifact->place, EINVAL,
		"jib builds with Maven or Gradle, and %s has neither a pom.xml nor a build.gradle (jib.type says "
		"which of the two it is)",
		context);
}

static void add_program(const struct artifact *artifact, enum jib_tool tool, struct strv *argv)
{
	const char *wrapper = tool == JIB_MAVEN ? "mvnw" : "gradlew";
	if (is_file_in(artifact->context, wrapper))
		strv_push_owned(argv, path_join(artifact->context, wrapper));
	else if (tool == JIB_GRADLE)
		strv_push(argv, "gradle");
	else
		strv_push(argv, is_program_in_path("mvnd") ? "mvnd" : "mvn");
}

static const char *project_of(const struct artifact *artifact)
{
	const char *project = artifact->jib.project;
	return project && project[0] ? project : NULL;
}

static void add_maven_head(const struct artifact *artifact, const char *version, struct strv *argv)
{
	const char *project = project_of(artifact);
	strv_push(argv, "jib:_skaffold-fail-if-jib-out-of-date");
	strv_pushf(argv, "-Djib.requiredVersion=%s", version);
	strv_extend(argv, &artifact->jib.args);
	if (project) {
		strv_push(argv, "--projects");
		strv_push(argv, project);
		strv_push(argv, "--also-make");
	} else {
		strv_push(argv, "--non-recursive");
	}
}

/* A goal that needs the classes: a single module's, or a module with those that it needs. */
static void add_maven_goal(const struct artifact *artifact, const char *goal, bool skip_tests, struct strv *argv)
{
	const char *project = project_of(artifact);
	if (skip_tests)
		strv_push(argv, "-DskipTests=true");
	strv_push(argv, project ? "package" : "prepare-package");
	strv_pushf(argv, "jib:%s", goal);
	if (project)
		strv_pushf(argv, "-Djib.containerize=%s", project);
}

static void add_gradle_head(const char *version, struct strv *argv)
{
	strv_push(argv, "_skaffoldFailIfJibOutOfDate");
	strv_pushf(argv, "-Djib.requiredVersion=%s", version);
}

static void add_gradle_task(const struct artifact *artifact, const char *task, struct strv *argv)
{
	const char *project = project_of(artifact);
	if (project)
		strv_pushf(argv, ":%s:%s", project, task);
	else
		strv_pushf(argv, ":%s", task);
}

static void skip_gradle_tests(struct strv *argv)
{
	strv_push(argv, "-x");
	strv_push(argv, "test");
}

int jib_files_command(const struct artifact *artifact, struct strv *argv, struct error *err)
{
	enum jib_tool tool;
	int r = jib_tool(artifact, &tool, err);
	if (r < 0)
		return r;
	add_program(artifact, tool, argv);
	if (tool == JIB_MAVEN) {
		add_maven_head(artifact, VERSION_BUILD, argv);
		strv_push(argv, "jib:_skaffold-files-v2");
		strv_push(argv, "--quiet");
		strv_push(argv, "--batch-mode");
	} else {
		add_gradle_head(VERSION_BUILD, argv);
		add_gradle_task(artifact, "_jibSkaffoldFilesV2", argv);
		strv_push(argv, "-q");
		strv_push(argv, "--console=plain");
	}
	return 0;
}

int jib_map_command(const struct artifact *artifact, struct strv *argv, struct error *err)
{
	enum jib_tool tool;
	int r = jib_tool(artifact, &tool, err);
	if (r < 0)
		return r;
	add_program(artifact, tool, argv);
	if (tool == JIB_MAVEN) {
		strv_push(argv, "--batch-mode");
		add_maven_head(artifact, VERSION_SYNC, argv);
		add_maven_goal(artifact, "_skaffold-sync-map", true, argv);
	} else {
		strv_push(argv, "--console=plain");
		add_gradle_head(VERSION_SYNC, argv);
		add_gradle_task(artifact, "_jibSkaffoldSyncMap", argv);
		skip_gradle_tests(argv);
		strv_extend(argv, &artifact->jib.args);
	}
	return 0;
}

int jib_image_command(const struct artifact *artifact, const struct jib_image *image, struct strv *argv,
		      struct error *err)
{
	enum jib_tool tool;
	int r = jib_tool(artifact, &tool, err);
	if (r < 0)
		return r;
	size_t platforms = image->platforms ? image->platforms->len : 0;
	const char *version = platforms > 1 ? VERSION_PLATFORMS : VERSION_BUILD;
	add_program(artifact, tool, argv);
	if (tool == JIB_MAVEN) {
		strv_push(argv, "--batch-mode");
		add_maven_head(artifact, version, argv);
		add_maven_goal(artifact, image->push ? "build" : "dockerBuild", image->skip_tests, argv);
	} else {
		strv_push(argv, "--console=plain");
		add_gradle_head(version, argv);
		add_gradle_task(artifact, image->push ? "jib" : "jibDockerBuild", argv);
		if (image->skip_tests)
			skip_gradle_tests(argv);
		strv_extend(argv, &artifact->jib.args);
	}
	if (image->from_image && image->from_image[0])
		strv_pushf(argv, "-Djib.from.image=%s", image->from_image);
	if (platforms > 0) {
		_cleanup_free_ char *list = strv_join(image->platforms, ",");
		strv_pushf(argv, "-Djib.from.platforms=%s", list);
	}
	strv_pushf(argv, tool == JIB_MAVEN ? "-Dimage=%s" : "--image=%s", image->tag);
	return 0;
}

bool jib_is_definition(const char *rel)
{
	static const char *const names[] = {
		"pom.xml", "mvnw", "gradle.properties", "gradlew", "libs.versions.toml", "gradle-wrapper.properties",
	};
	const char *name = path_base(rel);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_equal(name, names[i]))
			return true;
	}
	return str_ends_with(name, ".gradle") || str_ends_with(name, ".gradle.kts") || str_starts_with(rel, ".mvn/") ||
	       str_starts_with(rel, "buildSrc/");
}
