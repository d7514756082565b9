/* The embedded runtime with a real program: busybox in a root of its own, as root and, where that can be had, as an ordinary user. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "client/embedded.h"
#include "client/rootfs.h"
#include "deploy/embedded.h"
#include "runtime/embedded.h"

#define BUSYBOX "/bin/busybox"

static bool own_fork; /* a fork of the test itself */

struct fixture {
	char *directory; /* of the test: XDG_STATE_HOME, and the image */
	char *image;
	struct config config;
	struct deployer *deployer;
	struct runtime *runtime;
};

static void ok(int r, struct error *err)
{
	if (r < 0)
		print_error("%s\n", err->message ? err->message : "no words");
	assert_true(r >= 0);
}

static char *write_file(const char *directory, const char *name, const char *text)
{
	char *path = path_join(directory, name);
	struct error err = {0};
	_cleanup_free_ char *above = path_dir(path);
	ok(file_make_directories(above, 0755, &err), &err);
	ok(file_write_atomic(path, text, strlen(text), 0644, &err), &err);
	return path;
}

/* An image with busybox, whose program says hello and waits. */
static void make_image(struct fixture *f, const char *script)
{
	struct error err = {0};
	free(f->image);
	f->image = path_join(f->directory, "image");
	_cleanup_free_ char *bin = path_join(f->image, "root/bin");
	ok(file_make_directories(bin, 0755, &err), &err);
	_cleanup_free_ char *sh = path_join(bin, "busybox");
	int from = open(BUSYBOX, O_RDONLY | O_CLOEXEC), to = open(sh, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	struct stat st;
	assert_int_equal(rootfs_copy_file(from, to, &st, NULL), 0);
	close(from);
	close(to);
	free(write_file(f->image, "root/srv/page", "old"));
	struct embedded_image image = {.workdir = (char *)"/srv"};
	const char *const argv[] = {"/bin/busybox", "sh", "-c", script};
	for (size_t i = 0; i < ARRAY_LEN(argv); i++)
		strv_push(&image.cmd, argv[i]);
	strv_push(&image.exposed, "8080/tcp");
	strv_push(&image.env, "GREETING=hello");
	ok(embedded_image_save(f->image, &image, &err), &err);
	strv_release(&image.cmd);
	strv_release(&image.exposed);
	strv_release(&image.env);
}

static int set_up(void **state)
{
	if (!file_exists(BUSYBOX))
		skip();
	struct fixture *f = xcalloc(1, sizeof(*f));
	char template[] = "/tmp/skiff-embedded-XXXXXX";
	f->directory = xstrdup(mkdtemp(template));
	setenv("XDG_STATE_HOME", f->directory, 1);
	struct error err = {0};
	const struct deploy_options options = {.config = &f->config, .run_id = "test"};
	ok(deployer_embedded_open(&options, &f->deployer, &err), &err);
	ok(runtime_embedded_open(&f->runtime, NULL, &err), &err);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	ok(f->deployer->ops->cleanup(f->deployer, &err), &err);
	f->deployer->ops->free(f->deployer);
	f->runtime->ops->free(f->runtime);
	for vec_each (run, &f->config.run) {
		strv_release(&run->volumes);
		strv_release(&run->tmpfs);
	}
	vec_release(&f->config.run);
	ok(file_remove_tree(f->directory, &err), &err);
	free(f->directory);
	free(f->image);
	free(f);
	return 0;
}

static int try_deploy(struct fixture *f, struct error *err)
{
	const struct deployed_image image = {.image = "app", .image_id = f->image};
	struct published_ports ports = {0};
	int r = f->deployer->ops->deploy(f->deployer, &image, &ports, NULL, err);
	if (r == 0) {
		assert_int_equal(ports.len, 1);
		assert_int_equal(ports.items[0].local, 8080);
	}
	for vec_each (port, &ports) {
		free(port->image);
		free(port->address);
	}
	vec_release(&ports);
	return r;
}

/* In a sandbox that allows neither namespaces nor chroot nothing can be started, and that is said. */
static void skip_where_forbidden(const struct error *err)
{
	if (err->message && strstr(err->message, "user namespaces: "))
		skip();
}

static void deploy(struct fixture *f)
{
	CLEANUP(error_clear) struct error err = {0};
	int r = try_deploy(f, &err);
	skip_where_forbidden(&err);
	ok(r, &err);
}

static struct instance only_instance(struct fixture *f, struct instances *all)
{
	struct error err = {0};
	ok(f->runtime->ops->list(f->runtime, "test", all, NULL, &err), &err);
	assert_int_equal(all->len, 1);
	return all->items[0];
}

static struct session *open_session(struct fixture *f)
{
	struct error err = {0};
	struct instances all = {0};
	struct instance in = only_instance(f, &all);
	struct session *session = NULL;
	ok(f->runtime->ops->open(f->runtime, &in, &session, NULL, &err), &err);
	instances_release(&all);
	return session;
}

/* The output of a shell command inside. */
static char *inside(struct fixture *f, struct session *s, const char *command)
{
	struct error err = {0};
	struct str output = {0};
	const char *const argv[] = {"/bin/busybox", "sh", "-c", command, NULL};
	ok(f->runtime->ops->run(s, argv, &output, NULL, &err), &err);
	return str_steal(&output);
}

static void expect_inside(struct fixture *f, struct session *s, const char *command, const char *expected)
{
	_cleanup_free_ char *output = inside(f, s, command);
	assert_string_equal(output, expected);
}

struct waiting { /* for a line of the log */
	const char *for_line;
	struct cancel *cancel;
	unsigned seen, wanted;
};

static void take_line(void *data, int stream, const char *line, size_t len)
{
	struct waiting *w = data;
	(void)stream, (void)len;
	if (str_equal(line, w->for_line) && ++w->seen == w->wanted)
		cancel_request(w->cancel);
}

static void await_log(struct fixture *f, const char *line, unsigned times)
{
	struct instances all = {0};
	struct instance in = only_instance(f, &all);
	struct waiting w = {line, cancel_new(), 0, times};
	f->runtime->ops->logs(f->runtime, &in, take_line, &w, w.cancel, NULL);
	assert_int_equal(w.seen, times);
	cancel_unref(w.cancel);
	instances_release(&all);
}

#define SERVE                                                                                                        \
	"echo $GREETING; echo trouble >&2; trap 'echo term; exit 3' TERM; trap 'echo hup' HUP; while :; do busybox " \
	"sleep 1000 & wait $!; done"

static void a_program_runs_in_its_own_root(void **state)
{
	struct fixture *f = *state;
	make_image(f, "PATH=/bin; " SERVE);
	deploy(f);
	await_log(f, "hello", 1);
	await_log(f, "trouble", 1);
	struct session *s = open_session(f);
	expect_inside(f, s, "/bin/busybox pwd; /bin/busybox cat page", "/srv\nold");
	expect_inside(f, s, "/bin/busybox ls -a /", ".\n..\nbin\ndev\netc\nproc\nsrv\n");
	expect_inside(f, s, "echo $GREETING; /bin/busybox id -u", "hello\n0\n");
	const char *const missing[] = {"/no/such", NULL};
	assert_int_equal(f->runtime->ops->run(s, missing, NULL, NULL, NULL), 127);
	f->runtime->ops->close(s);
}

static void signals_and_restarts_keep_the_files(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	make_image(f, "PATH=/bin; " SERVE);
	deploy(f);
	await_log(f, "hello", 1);
	struct session *s = open_session(f);
	ok(f->runtime->ops->restart(s, SIGHUP, NULL, &err), &err);
	await_log(f, "hup", 1);
	expect_inside(f, s, "echo kept > /srv/kept", "");
	ok(f->runtime->ops->restart(s, 0, NULL, &err), &err);
	await_log(f, "hello", 2);
	expect_inside(f, s, "/bin/busybox cat /srv/kept", "kept\n");
	f->runtime->ops->close(s);
}

static void nothing(void *data)
{
	cancel_request(data);
}

static void count_exits(void *data)
{
	struct {
		struct fixture *f;
		struct cancel *cancel;
		int code;
	} *w = data;
	struct instances all = {0};
	struct instance in = only_instance(w->f, &all);
	if (!in.running) {
		w->code = in.exit_code;
		cancel_request(w->cancel);
	}
	instances_release(&all);
}

static void an_exit_is_told(void **state)
{
	struct fixture *f = *state;
	make_image(f, "echo no luck; exit 7");
	CLEANUP(error_clear) struct error err = {0};
	int r = try_deploy(f, &err);
	skip_where_forbidden(&err);
	assert_int_equal(r, -ECHILD);
	assert_string_equal(err.message, "app ended at once (exit 7):\nno luck");
	struct {
		struct fixture *f;
		struct cancel *cancel;
		int code;
	} w = {f, cancel_new(), -1};
	assert_int_equal(f->runtime->ops->follow(f->runtime, "test", count_exits, &w, w.cancel, NULL), -ECANCELED);
	assert_int_equal(w.code, 7);
	cancel_unref(w.cancel);
	/* It can be started again, files kept. */
	struct session *s = open_session(f);
	assert_int_equal(f->runtime->ops->restart(s, 0, NULL, NULL) <= 0, true);
	f->runtime->ops->close(s);
	struct cancel *once = cancel_new();
	f->runtime->ops->follow(f->runtime, "test", nothing, once, once, NULL);
	cancel_unref(once);
}

static void add_moded(struct carry *carry, enum carry_kind kind, const char *src, const char *dest, int mode)
{
	vec_push(carry,
		 (struct carry_item){.kind = kind, .dest = xstrdup(dest), .src = xstrdup_or_null(src), .mode = mode});
}

static void add_item(struct carry *carry, enum carry_kind kind, const char *src, const char *dest)
{
	add_moded(carry, kind, src, dest, MODE_HOST);
}

static struct carry_report apply(struct fixture *f, struct session *s, struct carry *carry, int expected)
{
	struct carry_report report;
	CLEANUP(error_clear) struct error err = {0};
	int r = f->runtime->ops->apply(s, carry, &report, NULL, &err);
	if (r != expected)
		print_error("%s\n", err.message ? err.message : "no words");
	assert_int_equal(r, expected);
	for vec_each (item, carry) {
		free(item->dest);
		free(item->src);
	}
	vec_release(carry);
	return report;
}

static void files_links_and_directories_are_carried(void **state)
{
	struct fixture *f = *state;
	make_image(f, "PATH=/bin; " SERVE);
	deploy(f);
	struct session *s = open_session(f);
	_cleanup_free_ char *page = write_file(f->directory, "src/page", "new");
	_cleanup_free_ char *link = path_join(f->directory, "src/link");
	_cleanup_free_ char *folder = path_join(f->directory, "src");
	assert_int_equal(symlink("page", link), 0);
	struct carry carry = {0};
	add_item(&carry, CARRY_FILE, page, "/srv/page");
	add_item(&carry, CARRY_FILE, page, "/srv/deep/er/page");
	add_item(&carry, CARRY_SYMLINK, link, "/srv/link");
	add_item(&carry, CARRY_DIRECTORY, folder, "/srv/folder");
	add_item(&carry, CARRY_FILE, "/no/such/source", "/srv/none");
	struct carry_report report = apply(f, s, &carry, 0);
	assert_true(report.atomic);
	assert_true(report.results[4].skipped);
	assert_true(hash_equal(report.results[0].hash, hash_bytes("new", 3)));
	free(report.results);
	expect_inside(f, s, "cd /srv; /bin/busybox cat page deep/er/page link; /bin/busybox ls",
		      "newnewnewdeep\nfolder\nlink\npage\n");

	/* What was a file becomes a directory, and the reverse; deletes of what is gone are done. */
	add_item(&carry, CARRY_FILE, page, "/srv/deep");
	add_item(&carry, CARRY_DIRECTORY, folder, "/srv/page");
	add_item(&carry, CARRY_FILE, page, "/srv/page/in");
	add_item(&carry, CARRY_DELETE, NULL, "/srv/deep/er/page");
	add_item(&carry, CARRY_DELETE, NULL, "/srv/folder");
	add_item(&carry, CARRY_DELETE, NULL, "/srv/never");
	report = apply(f, s, &carry, 0);
	free(report.results);
	expect_inside(f, s, "cd /srv; /bin/busybox cat deep page/in; /bin/busybox ls -a",
		      "newnew.\n..\ndeep\nlink\npage\n");
	f->runtime->ops->close(s);
}

static void what_is_there_is_looked_at(void **state)
{
	enum { COUNT = 4 };
	struct fixture *f = *state;
	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(strv_release) struct strv dests = {0};
	struct instance_file found[COUNT], again[COUNT];
	make_image(f, "PATH=/bin; " SERVE);
	deploy(f);
	struct session *s = open_session(f);
	expect_inside(f, s, "/bin/busybox touch -d @1500000000 /srv/page; /bin/busybox ln -s /srv/page /srv/link", "");
	strv_push(&dests, "/srv/page");
	strv_push(&dests, "/srv/link");
	strv_push(&dests, "/srv");
	strv_push(&dests, "/srv/page/below");
	ok(f->runtime->ops->look(s, &dests, NULL, found, NULL, &err), &err);
	assert_true(hash_equal(found[0].hash, hash_bytes("old", 3)));
	assert_true(found[0].mtime_ns == 1500000000000000000);
	assert_int_equal(found[1].kind, CARRY_SYMLINK);
	assert_true(hash_equal(found[1].hash, hash_bytes("/srv/page", 9)));
	assert_true(found[1].mtime_ns == 0); /* just made */
	assert_int_equal(found[2].kind, CARRY_DIRECTORY);
	assert_int_equal(found[3].code, ENOENT);
	found[0].hash.low++; /* believed: it looks as it did */
	ok(f->runtime->ops->look(s, &dests, found, again, NULL, &err), &err);
	assert_true(hash_equal(again[0].hash, found[0].hash));
	expect_inside(f, s, "echo -n odd >/srv/page", "");
	ok(f->runtime->ops->look(s, &dests, found, again, NULL, &err), &err);
	assert_true(hash_equal(again[0].hash, hash_bytes("odd", 3)));

	struct carry_report report;
	ok(f->runtime->ops->check(s, &dests, &report, NULL, &err), &err);
	assert_true(report.atomic);
	carry_report_release(&report);
	assert_int_equal(f->runtime->ops->ping(s, NULL, &err), 0);
	f->runtime->ops->close(s);
}

/* MODE_KEEP: what is replaced keeps its bits, but for those that would give new content a user's rights; else 0644, a directory 0755, whatever the
 * umask. */
static void kept_modes(void **state)
{
	struct fixture *f = *state;
	make_image(f, "PATH=/bin; " SERVE);
	deploy(f);
	struct session *s = open_session(f);
	_cleanup_free_ char *page = write_file(f->directory, "src/page", "new");
	_cleanup_free_ char *folder = path_join(f->directory, "src");
	assert_int_equal(chmod(page, 04777), 0);
	expect_inside(
		f, s,
		"cd /srv; PATH=/bin; touch tool private set; chmod 755 tool; chmod 600 private; chmod 4755 set; ln -s "
		"tool link; mkdir -m 2770 shared",
		"");
	struct carry carry = {0};
	static const char *const dests[] = {"/srv/tool", "/srv/private", "/srv/set", "/srv/link", "/srv/deep/new"};
	mode_t before = umask(0077);
	for (size_t i = 0; i < ARRAY_LEN(dests); i++)
		add_moded(&carry, CARRY_FILE, page, dests[i], MODE_KEEP);
	add_moded(&carry, CARRY_DIRECTORY, folder, "/srv/shared", MODE_KEEP);
	add_moded(&carry, CARRY_DIRECTORY, folder, "/srv/fresh", MODE_KEEP);
	struct carry_report report = apply(f, s, &carry, 0);
	umask(before);
	free(report.results);
	expect_inside(
		f, s,
		"cd /srv; /bin/busybox stat -c '%a %n' tool private set link deep/new shared fresh; /bin/busybox cat "
		"tool deep/new",
		"755 tool\n600 private\n755 set\n644 link\n644 deep/new\n2770 shared\n755 fresh\nnewnew");
	f->runtime->ops->close(s);
}

static void links_lead_nowhere_outside(void **state)
{
	struct fixture *f = *state;
	make_image(f, "PATH=/bin; " SERVE);
	_cleanup_free_ char *outside = path_join(f->directory, "outside");
	struct error err = {0};
	ok(file_make_directories(outside, 0755, &err), &err);
	deploy(f);
	struct session *s = open_session(f);
	struct str command = {0};
	str_addf(&command,
		 "cd /srv; B=/bin/busybox; $B ln -s %s out; $B ln -s ../../../../../../..%s up; $B ln -s / root",
		 outside, outside);
	expect_inside(f, s, str_text(&command), "");
	str_release(&command);
	_cleanup_free_ char *page = write_file(f->directory, "page", "new");
	struct carry carry = {0};
	add_item(&carry, CARRY_FILE, page, "/srv/root/srv/through");
	add_item(&carry, CARRY_DELETE, NULL, "/srv/up/a");
	struct carry_report report = apply(f, s, &carry, 0);
	free(report.results);
	expect_inside(f, s, "/bin/busybox cat /srv/through", "new");
	add_item(&carry, CARRY_FILE, page, "/srv/out/a");
	report = apply(f, s, &carry, -ENOENT);
	carry_report_release(&report);
	_cleanup_free_ char *escaped = path_join(outside, "a");
	assert_false(file_exists(escaped));
	f->runtime->ops->close(s);
}

static void a_root_has_no_way_up(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *root = path_join(f->directory, "root");
	free(write_file(root, "etc/name", "inside"));
	free(write_file(f->directory, "name", "outside"));
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(symlinkat("/etc/name", fd, "absolute"), 0);
	assert_int_equal(symlinkat("../../etc/../etc/name", fd, "etc/up"), 0);
	assert_int_equal(symlinkat("loop", fd, "loop"), 0);
	static const struct {
		const char *path;
		int code;
	} cases[] = {
		{"etc/name", 0}, {"/etc/name", 0},	  {"absolute", 0},
		{"etc/up", 0},	 {"../../etc/name", 0},	  {"../name", ENOENT},
		{"loop", ELOOP}, {"etc/name/x", ENOTDIR}, {"etc/./../etc//name", 0},
	};
	int (*const open_ways[])(int, const char *, int, mode_t) = {rootfs_open, rootfs_open_walk};
	for (size_t way = 0; way < ARRAY_LEN(open_ways); way++) {
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			int got = open_ways[way](fd, cases[i].path, O_RDONLY, 0);
			char text[16] = "";
			if (got >= 0)
				assert_true(read(got, text, sizeof(text) - 1) >= 0);
			assert_int_equal(got < 0 ? -got : 0, cases[i].code);
			assert_string_equal(text, cases[i].code ? "" : "inside");
			cleanup_close(&got);
		}
	}
	close(fd);
}

static void a_new_one_takes_the_place_of_the_old(void **state)
{
	struct fixture *f = *state;
	make_image(f, "PATH=/bin; " SERVE);
	deploy(f);
	struct instances all = {0};
	_cleanup_free_ char *first = xstrdup(only_instance(f, &all).id);
	instances_release(&all);
	struct session *old = open_session(f);
	deploy(f);
	assert_string_not_equal(only_instance(f, &all).id, first);
	instances_release(&all);
	struct carry carry = {0};
	add_item(&carry, CARRY_DELETE, NULL, "/srv/page");
	struct carry_report report = apply(f, old, &carry, -EPIPE);
	assert_int_equal(report.len, 0);
	f->runtime->ops->close(old);
}

static void the_old_one_serves_again_where_the_new_does_not_start(void **state)
{
	struct fixture *f = *state;
	make_image(f, "PATH=/bin; " SERVE);
	deploy(f);
	struct session *s = open_session(f);
	expect_inside(f, s, "echo kept > /srv/kept", "");
	make_image(f, "exit 3");
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(try_deploy(f, &err), -ECHILD);
	assert_non_null(strstr(err.message, "the one before it serves again"));
	await_log(f, "hello", 2);
	expect_inside(f, s, "/bin/busybox cat /srv/kept", "kept\n");
	f->runtime->ops->close(s);
}

static void what_is_detached_stays_until_it_is_removed(void **state)
{
	struct fixture *f = *state;
	make_image(f, "PATH=/bin; " SERVE);
	const struct deploy_options options = {.config = &f->config, .run_id = "test", .detached = true};
	struct deployer *attached = f->deployer;
	struct error err = {0};
	ok(deployer_embedded_open(&options, &f->deployer, &err), &err);
	deploy(f);
	f->deployer->ops->free(f->deployer);
	f->deployer = attached;
	await_log(f, "hello", 1);
	struct session *s = open_session(f);
	expect_inside(f, s, "echo lives", "lives\n");
	f->runtime->ops->close(s);
	ok(f->deployer->ops->cleanup(f->deployer, &err), &err);
	struct instances all = {0};
	ok(f->runtime->ops->list(f->runtime, "test", &all, NULL, &err), &err);
	assert_int_equal(all.len, 0);
}

static void volumes_and_a_read_only_root(void **state)
{
	struct fixture *f = *state;
	make_image(f, "PATH=/bin; " SERVE);
	_cleanup_free_ char *data = path_join(f->directory, "data");
	struct run_config run = {.image = (char *)"app", .read_only = true};
	strv_pushf(&run.volumes, "%s:/srv/data", data);
	strv_push(&run.tmpfs, "/tmp:size=1m");
	vec_push(&f->config.run, run);
	CLEANUP(error_clear) struct error err = {0};
	int r = try_deploy(f, &err);
	skip_where_forbidden(&err); /* no mounts here: said, not left out */
	ok(r, &err);
	struct session *s = open_session(f);
	expect_inside(f, s,
		      "echo x 2>/dev/null > /srv/no || echo refused; echo y > /tmp/yes; echo z > data/z; /bin/busybox "
		      "cat /tmp/yes",
		      "refused\ny\n");
	_cleanup_free_ char *page = write_file(f->directory, "page", "new");
	struct carry carry = {0};
	add_item(&carry, CARRY_FILE, page, "/srv/data/page");
	add_item(&carry, CARRY_FILE, page, "/srv/page");
	struct carry_report report = apply(f, s, &carry, 0);
	carry_report_release(&report);
	expect_inside(f, s, "/bin/busybox cat data/page data/z page", "newz\nnew");
	_cleanup_free_ char *on_host = path_join(data, "page");
	assert_true(file_exists(on_host));
	f->runtime->ops->close(s);
}

static void what_is_missing_is_said(void **state)
{
	struct fixture *f = *state;
	make_image(f, "exit 0");
	CLEANUP(error_clear) struct error err = {0};
	struct embedded_image image = {0};
	strv_push(&image.cmd, "/no/such/program");
	strv_push(&image.exposed, "8080");
	ok(embedded_image_save(f->image, &image, &err), &err);
	int r = try_deploy(f, &err);
	embedded_image_release(&image);
	skip_where_forbidden(&err);
	assert_int_equal(r, -ENOENT);
	assert_non_null(strstr(err.message, "no program /no/such/program"));
	const struct deployed_image foreign = {.image = "db", .tag = "postgres"};
	struct published_ports ports = {0};
	assert_int_equal(f->deployer->ops->deploy(f->deployer, &foreign, &ports, NULL, &err), -ENOTSUP);
}

/* A skiff that is killed takes its programs along; the next one sweeps their folders. */
static void nothing_outlives_its_skiff(void **state)
{
	struct fixture *f = *state;
	make_image(f, "PATH=/bin; " SERVE);
	int ready[2];
	assert_int_equal(pipe(ready), 0);
	own_fork = true;
	pid_t child = fork();
	own_fork = false;
	if (child == 0) {
		struct error err = {0};
		_exit(try_deploy(f, &err) == 0 && write(ready[1], "x", 1) == 1 ? pause() : 1);
	}
	char byte;
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		waitpid(child, NULL, 0);
		skip();
	}
	struct error err = {0};
	assert_int_equal(f->deployer->ops->sweep(f->deployer, NULL, NULL), -EBUSY);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ok(f->deployer->ops->sweep(f->deployer, NULL, &err), &err);
	struct instances all = {0};
	ok(f->runtime->ops->list(f->runtime, "test", &all, NULL, &err), &err);
	assert_int_equal(all.len, 0);
	close(ready[0]);
}

#define EMBEDDED_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Libraries' handlers may close descriptors by number (libuv's do), the supervisor's among them. */
static void refuse_fork_handlers(void)
{
	if (!own_fork)
		_exit(99);
}

int main(void)
{
	pthread_atfork(NULL, NULL, refuse_fork_handlers);
	const struct CMUnitTest tests[] = {
		EMBEDDED_TEST(a_root_has_no_way_up),
		EMBEDDED_TEST(a_program_runs_in_its_own_root),
		EMBEDDED_TEST(signals_and_restarts_keep_the_files),
		EMBEDDED_TEST(an_exit_is_told),
		EMBEDDED_TEST(files_links_and_directories_are_carried),
		EMBEDDED_TEST(what_is_there_is_looked_at),
		EMBEDDED_TEST(kept_modes),
		EMBEDDED_TEST(links_lead_nowhere_outside),
		EMBEDDED_TEST(a_new_one_takes_the_place_of_the_old),
		EMBEDDED_TEST(the_old_one_serves_again_where_the_new_does_not_start),
		EMBEDDED_TEST(what_is_detached_stays_until_it_is_removed),
		EMBEDDED_TEST(volumes_and_a_read_only_root),
		EMBEDDED_TEST(what_is_missing_is_said),
		EMBEDDED_TEST(nothing_outlives_its_skiff),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
