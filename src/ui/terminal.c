#include "ui/terminal.h"

#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"

struct terminal {
	struct terminal_options options;
	int image_width;   /* of the widest image name so far */
	unsigned builds;   /* that run */
	uint64_t build_ns; /* when the newest of them began */
	char *running;	   /* the newest generator's name, until it ends or was told to take long */
	uint64_t running_ns;
	char *streamed; /* the image whose build's output is being shown as it comes */
	char *told;	/* the newest generator's failure: its error says the same once more */
	char *copied;	/* what the newest copy's line said … */
	struct strv in; /* … and the instances that it was for: one line for all of them */
};

enum { PATH_WIDTH = 50, OUTPUT_LINES = 40, COPIES_SHOWN = 3 };

/* A build that takes longer shows what it is doing. */
static const uint64_t PATIENCE_NS = 3000000000U;

static const char *paint(const struct terminal *t, const char *code)
{
	return t->options.color ? code : "";
}

#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

static const char *text_of(const json_t *fields, const char *key)
{
	const char *text = json_string_value(json_object_get(fields, key));
	return text ? text : "";
}

static char *printable(const json_t *fields, const char *key)
{
	return str_printable(text_of(fields, key));
}

static char *duration(double ms)
{
	if (ms < 10)
		return xasprintf("%.1f ms", ms);
	if (ms < 1000)
		return xasprintf("%.0f ms", ms);
	return xasprintf("%.1f s", ms / 1000);
}

static void clock_now(char text[16])
{
	time_t now = time(NULL);
	struct tm tm;
	localtime_r(&now, &tm);
	strftime(text, 16, "%H:%M:%S", &tm);
}

/* "12:04:31  hello  copied    what                    2.1 ms"; ms < 0: no time. */
static void print_line(struct terminal *t, const char *image, const char *verb, const char *color, const char *what,
		       double ms)
{
	char clock[16];
	clock_now(clock);
	_cleanup_free_ char *shown = str_printable(image);
	int width = (int)strlen(shown);
	if (width > t->image_width && width <= 24)
		t->image_width = width;
	_cleanup_free_ char *took = ms < 0 ? xstrdup("") : duration(ms);
	fprintf(t->options.out, "%s%s%s  %-*s  %s%-9s%s %-*s%s%s\n", paint(t, DIM), clock, paint(t, PLAIN),
		t->image_width, shown, paint(t, color), verb, paint(t, PLAIN), *took ? PATH_WIDTH : 0, what,
		*took ? "  " : "", took);
}

/* Length of the colour sequence (ESC [ digits and semicolons, m) that text begins with; 0: none. */
static size_t color_sequence(const char *text)
{
	if (text[0] != '\033' || text[1] != '[')
		return 0;
	size_t digits = strspn(text + 2, "0123456789;");
	return text[2 + digits] == 'm' ? digits + 3 : 0;
}

/* What a program wrote: tabs pass, its colours do on a terminal that has some; nothing else that could move, name or clear a terminal. */
static char *output_line(const struct terminal *t, const char *text)
{
	struct str out = {0};
	while (*text) {
		size_t plain = strcspn(text, "\t\033"), color = color_sequence(text + plain);
		_cleanup_free_ char *piece = xstrndup(text, plain), *shown = str_printable(piece);
		str_add(&out, shown);
		text += plain;
		if (*text == '\t')
			str_add_char(&out, *text++);
		else if (color && t->options.color)
			str_add_bytes(&out, text, color);
		else if (*text && !color)
			str_add(&out, "\\x1b"), text++;
		text += color;
	}
	return str_steal(&out);
}

/* Lines of a builder or a container, indented below what they belong to. */
static void print_block(struct terminal *t, const char *text)
{
	CLEANUP(strv_release) struct strv lines = {0};
	str_split(text, '\n', &lines);
	while (lines.len > 0 && !*lines.items[lines.len - 1])
		free(lines.items[--lines.len]);
	size_t first = lines.len > OUTPUT_LINES ? lines.len - OUTPUT_LINES : 0;
	if (first > 0)
		fprintf(t->options.out, "          … %zu lines before\n", first);
	for (size_t i = first; i < lines.len; i++) {
		_cleanup_free_ char *line = output_line(t, lines.items[i]);
		fprintf(t->options.out, "          %s%s\n", line, paint(t, PLAIN));
	}
}

/* What a generator made: the path that it was run for, its command, and where that landed. */
static void describe_generated(const json_t *generated, const json_t *paths, size_t shown, struct str *text)
{
	_cleanup_free_ char *path = printable(generated, "path"), *name = printable(generated, "name");
	str_addf(text, "%s%s%s →", path, *path ? ": " : "", name);
	for (size_t i = 0; i < shown; i++) {
		_cleanup_free_ char *dest = printable(json_array_get(paths, i), "dest");
		str_addf(text, "%s %s", i > 0 ? "," : "", dest);
	}
}

static void describe_copies(const json_t *paths, size_t shown, struct str *text)
{
	for (size_t i = 0; i < shown; i++) {
		const json_t *path = json_array_get(paths, i);
		_cleanup_free_ char *src = printable(path, "src"), *dest = printable(path, "dest");
		str_add(text, i > 0 ? ", " : "");
		if (*src)
			str_addf(text, "%s → %s", src, dest);
		else
			str_addf(text, "− %s", dest);
	}
}

static char *describe_paths(const json_t *fields)
{
	struct str text = {0};
	const json_t *paths = json_object_get(fields, "paths");
	size_t total = (size_t)json_integer_value(json_object_get(fields, "files"));
	size_t shown = json_array_size(paths) > COPIES_SHOWN ? 1 : json_array_size(paths);
	const json_t *generated = json_object_get(fields, "generated");
	const char *restart = text_of(fields, "restart");
	if (generated)
		describe_generated(generated, paths, shown, &text);
	else
		describe_copies(paths, shown, &text);
	if (total == 0)
		str_add(&text, "what had failed is there now");
	if (total > shown)
		str_addf(&text, " and %zu more", total - shown);
	if (*restart)
		str_add(&text, str_equal(restart, "signal") ? ", signalled" : ", restarted");
	return str_steal(&text);
}

/* The same into another instance was told with the first one's. */
static bool was_told(struct terminal *t, const json_t *fields, const char *verb, const char *paths)
{
	const char *instance = text_of(fields, "instance");
	_cleanup_free_ char *copied = xasprintf("%s %s %s", text_of(fields, "image"), verb, paths);
	bool told = str_equal(copied, t->copied) && !strv_contains(&t->in, instance);
	if (!told) {
		replace_string(&t->copied, copied);
		strv_clear(&t->in);
	}
	strv_push(&t->in, instance);
	return told;
}

static void on_sync(struct terminal *t, const json_t *fields)
{
	const json_t *ms = json_object_get(fields, "ms");
	double total = json_number_value(json_object_get(ms, "total"));
	_cleanup_free_ char *paths = describe_paths(fields);
	if (strcmp(text_of(fields, "status"), "succeeded") == 0) {
		if (t->options.quiet)
			return;
		const char *verb = json_object_get(fields, "generated") ? "generated" : "copied";
		if (!was_told(t, fields, verb, paths))
			print_line(t, text_of(fields, "image"), verb, GREEN, paths, total);
		return;
	}
	_cleanup_free_ char *message = printable(fields, "message");
	print_line(t, text_of(fields, "image"), "failed", RED, message, -1);
}

/* A compiler's words have several lines: the first says what failed, the others stand below it. */
static void print_failure(struct terminal *t, const char *image, const char *message, double ms)
{
	size_t len = strcspn(message, "\n");
	_cleanup_free_ char *first = xstrndup(message, len), *shown = str_printable(first);
	print_line(t, image, "failed", RED, shown, ms);
	if (message[len])
		print_block(t, message + len + 1);
}

static void on_generate(struct terminal *t, const json_t *fields)
{
	const char *status = text_of(fields, "status"), *image = text_of(fields, "image");
	const json_t *took = json_object_get(fields, "ms");
	double ms = took ? json_number_value(took) : -1;
	_cleanup_free_ char *name = printable(fields, "name");
	bool started = strcmp(status, "started") == 0, background = json_is_true(json_object_get(fields, "background"));
	replace_string(&t->running, started && !background ? name : NULL);
	if (started) {
		t->running_ns = monotonic_ns();
	} else if (strcmp(status, "failed") == 0) {
		replace_string(&t->told, text_of(fields, "message"));
		print_failure(t, image, t->told, ms);
		if (!background)
			fprintf(t->options.out,
				"          The old version keeps running; the next change tries again\n");
	} else if (!t->options.quiet && background) {
		_cleanup_free_ char *what = xasprintf("%s said what lands where", name);
		print_line(t, image, "mapped", GREEN, what, ms);
	} else if (!t->options.quiet && json_integer_value(json_object_get(fields, "outputs")) == 0) {
		_cleanup_free_ char *what = xasprintf("%s: no output changed", name);
		print_line(t, image, "generated", GREEN, what, ms); /* else the event of their copying tells */
	}
}

static void on_decision(struct terminal *t, const json_t *fields)
{
	const char *decision = text_of(fields, "decision");
	if (strcmp(decision, "rebuild") != 0 || t->options.quiet)
		return;
	_cleanup_free_ char *reason = printable(fields, "reason");
	print_line(t, text_of(fields, "image"), "building", YELLOW, reason, -1);
}

static void on_build(struct terminal *t, const json_t *fields)
{
	const char *status = text_of(fields, "status"), *image = text_of(fields, "image");
	double ms = json_number_value(json_object_get(fields, "ms"));
	if (strcmp(status, "started") == 0) {
		t->build_ns = monotonic_ns();
		free(steal(&t->streamed));
		t->builds++;
	} else if (t->builds > 0) {
		t->builds--;
	}
	if (strcmp(status, "failed") == 0) {
		print_failure(t, image, text_of(fields, "message"), ms);
		if (!json_is_true(json_object_get(fields, "explained")) && !str_equal(t->streamed, image))
			print_block(t, text_of(fields, "output"));
		bool running = json_is_true(json_object_get(fields, "running"));
		fprintf(t->options.out, "          %s; the next change builds again\n",
			running ? "The old version keeps running, without what changed" : "Nothing of it runs yet");
	} else if (t->options.quiet) {
		return;
	} else if (strcmp(status, "started") == 0 && strcmp(text_of(fields, "reason"), "first build") == 0) {
		print_line(t, image, "building", YELLOW, "first build", -1);
	} else if (strcmp(status, "succeeded") == 0 || strcmp(status, "cached") == 0) {
		bool cached = strcmp(status, "cached") == 0;
		print_line(t, image, "built", GREEN, cached ? "unchanged since the last build" : text_of(fields, "tag"),
			   ms);
	}
}

static void on_adopted(struct terminal *t, const json_t *fields)
{
	static const struct {
		const char *name;
		long long seconds;
	} units[] = {{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}};
	long long age = (long long)json_integer_value(json_object_get(fields, "age_s"));
	long long changed = (long long)json_integer_value(json_object_get(fields, "changed"));
	size_t i = 0;
	if (t->options.quiet)
		return;
	while (i + 1 < ARRAY_LEN(units) && age < units[i].seconds)
		i++;
	long long count = age > 0 ? age / units[i].seconds : 0;
	_cleanup_free_ char *since = changed == 0
					     ? xstrdup("nothing changed since")
					     : xasprintf("%lld file%s changed since", changed, changed == 1 ? "" : "s");
	_cleanup_free_ char *what =
		xasprintf("a container of %lld %s%s ago; %s", count, units[i].name, count == 1 ? "" : "s", since);
	print_line(t, text_of(fields, "image"), "adopted", GREEN, what, -1);
}

static void on_deploy(struct terminal *t, const json_t *fields)
{
	if (strcmp(text_of(fields, "status"), "adopted") == 0) {
		on_adopted(t, fields);
		return;
	}
	if (strcmp(text_of(fields, "status"), "succeeded") != 0) {
		print_line(t, text_of(fields, "image"), "failed", RED, "to start, see below", -1);
		return;
	}
	if (t->options.quiet || strcmp(text_of(fields, "reason"), "first build") == 0)
		return; /* `ready` tells of it */
	_cleanup_free_ char *reason = printable(fields, "reason");
	const json_t *ms = json_object_get(fields, "ms"); /* none: it was started again, without a build */
	print_line(t, text_of(fields, "image"), ms ? "rebuilt" : "started", GREEN, reason,
		   ms ? json_number_value(ms) : -1);
}

static void on_ready(struct terminal *t, const json_t *fields)
{
	if (t->options.quiet)
		return;
	struct str urls = {0};
	size_t i;
	const json_t *url;
	json_array_foreach((json_t *)json_object_get(fields, "urls"), i, url)
		str_addf(&urls, "%s%s", i ? " " : "running at ", json_string_value(url));
	long long files = (long long)json_integer_value(json_object_get(fields, "files"));
	fprintf(t->options.out, "%sready%s     %s%swatching %lld files; Ctrl-C ends\n", paint(t, GREEN),
		paint(t, PLAIN), str_text(&urls), urls.len ? "   " : "", files);
	str_release(&urls);
}

static void on_instance(struct terminal *t, const json_t *fields)
{
	if (t->options.quiet || strcmp(text_of(fields, "status"), "exited") != 0)
		return;
	_cleanup_free_ char *name = printable(fields, "instance");
	_cleanup_free_ char *what = xasprintf("%s ended with exit code %lld; the next change starts it again", name,
					      (long long)json_integer_value(json_object_get(fields, "code")));
	print_line(t, text_of(fields, "image"), "exited", YELLOW, what, -1);
}

static void on_log(struct terminal *t, const json_t *fields)
{
	static const char *const colors[] = {"\033[36m", "\033[35m", "\033[34m", "\033[33m", "\033[32m"};
	const char *image = text_of(fields, "image");
	const char *color = colors[hash64(image, strlen(image)) % ARRAY_LEN(colors)];
	_cleanup_free_ char *line = output_line(t, text_of(fields, "line")), *shown = str_printable(image);
	fprintf(t->options.out, "%s[%s]%s %s%s\n", paint(t, color), shown, paint(t, PLAIN), line, paint(t, PLAIN));
}

static void on_problem(struct terminal *t, const json_t *fields, const char *word, const char *color)
{
	const char *image = text_of(fields, "image"), *message = text_of(fields, "message"),
		   *about = text_of(fields, "about");
	if (str_equal(about, "build") || str_equal(about, "sync") ||
	    (str_equal(about, "generate") && str_equal(message, t->told)))
		return;				/* told by the event of what failed */
	if (strchr(message, '\n') || !*image) { /* a report with places and carets keeps its lines */
		CLEANUP(strv_release) struct strv lines = {0};
		str_split(message, '\n', &lines);
		for (size_t i = 0; i < lines.len; i++) {
			_cleanup_free_ char *line = str_printable(lines.items[i]);
			if (i == 0 && !str_starts_with(line, "skaffold") && !str_starts_with(line, "skiff"))
				fprintf(t->options.out, "%s%s%s: %s\n", paint(t, color), word, paint(t, PLAIN), line);
			else
				fprintf(t->options.out, "%s\n", line);
		}
		return;
	}
	_cleanup_free_ char *text = str_printable(message);
	print_line(t, image, word, color, text, -1);
}

static void on_progress(struct terminal *t, const json_t *fields)
{
	uint64_t now = monotonic_ns();
	if (t->options.verbose || (!t->options.quiet && t->builds > 0 && now - t->build_ns > PATIENCE_NS)) {
		replace_string(&t->streamed, text_of(fields, "image"));
		print_block(t, text_of(fields, "line"));
	} else if (!t->options.quiet && t->running && now - t->running_ns > PATIENCE_NS) {
		print_line(t, text_of(fields, "image"), "running", YELLOW, t->running, -1);
		replace_string(&t->running, NULL);
	}
}

static void terminal_emit(void *data, enum event_type type, const char *time, const json_t *fields)
{
	struct terminal *t = data;
	(void)time;
	switch (type) {
	case EVENT_READY:
		on_ready(t, fields);
		break;
	case EVENT_DECISION:
		on_decision(t, fields);
		break;
	case EVENT_SYNC:
		on_sync(t, fields);
		break;
	case EVENT_BUILD:
		on_build(t, fields);
		break;
	case EVENT_DEPLOY:
		on_deploy(t, fields);
		break;
	case EVENT_INSTANCE:
		on_instance(t, fields);
		break;
	case EVENT_LOG:
		if (!t->options.quiet)
			on_log(t, fields);
		break;
	case EVENT_PROGRESS:
		on_progress(t, fields);
		break;
	case EVENT_ERROR:
		on_problem(t, fields, "error", RED);
		break;
	case EVENT_WARNING:
		if (!t->options.quiet)
			on_problem(t, fields, "warning", YELLOW);
		break;
	case EVENT_GENERATE:
		on_generate(t, fields);
		break;
	case EVENT_CHANGE:
	case EVENT_IDLE:
		break;
	}
	fflush(t->options.out);
}

static void terminal_close(void *data)
{
	struct terminal *t = data;
	free(t->told);
	free(t->copied);
	strv_release(&t->in);
	free(t->running);
	free(t->streamed);
	free(t);
}

struct event_sink terminal_sink(const struct terminal_options *options)
{
	struct terminal *t = xcalloc(1, sizeof(*t));
	t->options = *options;
	return (struct event_sink){.emit = terminal_emit, .close = terminal_close, .data = t};
}

bool terminal_wants_color(const char *when, FILE *out)
{
	if (when && strcmp(when, "always") == 0)
		return true;
	if (when && strcmp(when, "never") == 0)
		return false;
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	return !(no_color && *no_color) && term && strcmp(term, "dumb") != 0 && isatty(fileno(out));
}
