/* What went wrong, out of what a build printed. */
#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "build/generate.h"
#include "build/internal.h"

char *build_failure_text(const char *log, const char *context)
{
	(void)context;
	return build_failure_line(log);
}

char *build_command_name(const struct strv *argv)
{
	bool shell = argv->len == 3 && str_equal(argv->items[0], "sh") && str_equal(argv->items[1], "-c");
	if (shell)
		return xstrndup(argv->items[2], strcspn(argv->items[2], " \t\n;|&"));
	return xstrdup(argv->items[0][0] == '/' ? path_base(argv->items[0]) : argv->items[0]);
}

int build_command_failed(const struct strv *argv, int status, const char *log, const char *context, struct error *err)
{
	_cleanup_free_ char *name = build_command_name(argv), *words = build_failure_text(log, context);
	if (words)
		return error_set(err, EIO, "%s: %s", name, words);
	return error_set(err, EIO, "%s failed (exit %d) without a word", name, status);
}

int build_cannot_start(const struct strv *argv, struct place place, struct error *cause, struct error *err)
{
	static const struct {
		const char *program, *advice;
	} tools[] = {
		{"mvn", "install Maven (Debian: apt-get install maven), or add its wrapper, mvnw, to the context"},
		{"gradle", "install Gradle (gradle.org/install), or add its wrapper, gradlew, to the context"},
	};
	if (cause->code == ECANCELED)
		return error_move(err, cause);
	for (size_t i = 0; cause->code == ENOENT && i < ARRAY_LEN(tools); i++) {
		if (str_equal(argv->items[0], tools[i].program))
			return error_at(err, place, EIO, "there is no '%s' in PATH: %s", tools[i].program,
					tools[i].advice);
	}
	return error_at(err, place, EIO, "%s", cause->message);
}
