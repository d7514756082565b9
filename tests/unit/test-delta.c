/* The tar form of the open protocol: what is taken from a tar file, and what is refused. */
#include "test.h"

#include <errno.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/delta.h"

struct fixture {
	char *directory;
	struct kept *kept;
	struct str tar;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->directory = xstrdup("/tmp/skiff-delta-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	setenv("XDG_STATE_HOME", f->directory, 1);
	assert_int_equal(kept_open(NULL, &f->kept, NULL), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	kept_close(f->kept);
	assert_int_equal(file_remove_tree(f->directory, NULL), 0);
	str_release(&f->tar);
	free(f->directory);
	free(f);
	return 0;
}

/* One entry, as POSIX ustar has it: every byte is ours, so that it may be wrong. */
static void add_typed(struct str *tar, const char *name, char type, unsigned mode, const char *target,
		      const char *content, size_t len)
{
	char header[512] = {0};
	unsigned sum = 0;
	memcpy(header, name, strlen(name) < 100 ? strlen(name) : 100);
	snprintf(header + 100, 8, "%07o", mode);
	snprintf(header + 108, 8, "%07o", 0);
	snprintf(header + 116, 8, "%07o", 0);
	snprintf(header + 124, 12, "%011zo", len);
	snprintf(header + 136, 12, "%011o", 0);
	memset(header + 148, ' ', 8);
	header[156] = type;
	memcpy(header + 157, target, strlen(target));
	memcpy(header + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(header); i++)
		sum += (unsigned char)header[i];
	snprintf(header + 148, 8, "%06o", sum);
	str_add_bytes(tar, header, sizeof(header));
	str_add_bytes(tar, content, content ? len : 0);
	while (content && tar->len % 512)
		str_add_char(tar, '\0');
}

static void add_file(struct str *tar, const char *name, const char *content)
{
	add_typed(tar, name, '0', 0644, "", content, strlen(content));
}

static void add_link(struct str *tar, const char *name, const char *target)
{
	add_typed(tar, name, '2', 0777, target, NULL, 0);
}

/* A record of a pax header: its length counts its own digits. */
static void add_record(struct str *records, const char *key, const char *value)
{
	size_t rest = strlen(key) + strlen(value) + 3, len = rest + 1;
	for (size_t digits = 1, limit = 10; len >= limit; limit *= 10)
		len = rest + ++digits;
	str_addf(records, "%zu %s=%s\n", len, key, value);
}

static void add_pax(struct str *tar, const char *key, const char *value)
{
	CLEANUP(str_release) struct str records = {0};
	add_record(&records, key, value);
	add_typed(tar, "pax", 'x', 0644, "", records.data, records.len);
}

static void end(struct str *tar)
{
	for (int i = 0; i < 1024; i++)
		str_add_char(tar, '\0');
}

static int read_tar(struct fixture *f, struct delta *delta, struct error *err)
{
	_cleanup_free_ char *path = path_join(f->directory, "t.tar");
	assert_int_equal(file_write_atomic(path, str_text(&f->tar), f->tar.len, 0644, NULL), 0);
	str_clear(&f->tar);
	return delta_read(path, f->kept, delta, err);
}

/* One line an entry: "dest type-and-mode content-or-target". */
static void assert_delta(struct fixture *f, const char *expected)
{
	CLEANUP(delta_release) struct delta delta = {0};
	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(str_release) struct str text = {0};
	if (read_tar(f, &delta, &err) < 0)
		fail_msg("%s", err.message);
	for vec_each (entry, &delta.entries) {
		char target[4096] = "";
		_cleanup_free_ char *data = NULL;
		size_t len = 0;
		if (S_ISREG(entry->mode)) {
			assert_int_equal(file_read(entry->path, 1 << 20, &data, &len, NULL), 0);
			assert_true(hash_equal(entry->hash, hash_bytes(data, len)));
		} else if (S_ISLNK(entry->mode)) {
			assert_true(readlink(entry->path, target, sizeof(target) - 1) > 0);
		} else {
			assert_null(entry->path);
		}
		str_addf(&text, "%s %o %s\n", entry->dest, entry->mode, data ? data : target);
	}
	assert_string_equal(str_text(&text), expected);
}

static void assert_refused(struct fixture *f, const char *message)
{
	CLEANUP(delta_release) struct delta delta = {0};
	CLEANUP(error_clear) struct error err = {0};
	_cleanup_free_ char *full = xasprintf("the tar file %s/t.tar: %s", f->directory, message);
	assert_int_equal(read_tar(f, &delta, &err), -EINVAL);
	assert_string_equal(err.message, full);
	assert_int_equal(delta.entries.len, 0);
}

static void takes_what_is_in_it(void **state)
{
	struct fixture *f = *state;
	add_typed(&f->tar, "./", '5', 0755, "", NULL, 0);
	add_typed(&f->tar, "./srv/", '5', 01777, "", NULL, 0);
	add_file(&f->tar, "./srv/b", "b");
	add_file(&f->tar, "/srv/a", "");
	add_typed(&f->tar, "srv/run", '0', 04755, "", "#!", 2);
	add_link(&f->tar, "srv/link", "../etc/x");
	add_link(&f->tar, "srv/absolute", "/etc/passwd");
	add_typed(&f->tar, "srv/hard", '1', 0644, "./srv/run", NULL, 0);
	add_file(&f->tar, "srv/.wh.a", "");
	end(&f->tar);
	assert_delta(f, "/srv 41777 \n/srv/.wh.a 100644 \n/srv/a 100644 \n/srv/absolute 120777 /etc/passwd\n"
			"/srv/b 100644 b\n/srv/hard 100755 #!\n/srv/link 120777 ../etc/x\n/srv/run 100755 #!\n");
}

static void later_entries_win(void **state)
{
	struct fixture *f = *state;
	add_file(&f->tar, "a", "first");
	add_typed(&f->tar, "hard", '1', 0644, "a", NULL, 0);
	add_link(&f->tar, "b", "a");
	add_typed(&f->tar, "./a", '0', 0600, "", "second", 6);
	add_typed(&f->tar, "/b", '5', 0755, "", NULL, 0);
	add_file(&f->tar, "b/c", "c");
	end(&f->tar);
	assert_delta(f, "/a 100600 second\n/b 40755 \n/b/c 100644 c\n/hard 100644 first\n");
}

static void nothing_in_it(void **state)
{
	struct fixture *f = *state;
	end(&f->tar);
	assert_delta(f, "");
}

static void any_name(void **state)
{
	struct fixture *f = *state;
	char name[200];
	memset(name, 'n', sizeof(name));
	_cleanup_free_ char *longest = xasprintf("d/%.200s/%.200s", name, name);
	add_pax(&f->tar, "path", longest);
	add_file(&f->tar, "short", "long");
	add_pax(&f->tar, "path", "\303\244\346\227\245");
	add_file(&f->tar, "short", "utf8");
	add_file(&f->tar, "raw\377 \n", "raw");
	CLEANUP(str_release) struct str both = {0};
	add_record(&both, "hdrcharset", "BINARY");
	add_record(&both, "path", "bin\376");
	add_typed(&f->tar, "pax", 'x', 0644, "", both.data, both.len);
	add_file(&f->tar, "short", "bin");
	end(&f->tar);
	_cleanup_free_ char *expected = xasprintf(
		"/bin\376 100644 bin\n/%s 100644 long\n/raw\377 \n 100644 raw\n/\303\244\346\227\245 100644 utf8\n",
		longest);
	assert_delta(f, expected);
}

static void names_that_lead_out(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"../x", "/../x", "a/../../x", "a/../b", "..", "a/.."};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		_cleanup_free_ char *message = xasprintf("%s: a name must not have '..' in it", names[i]);
		add_file(&f->tar, names[i], "x");
		end(&f->tar);
		assert_refused(f, message);
	}
	add_file(&f->tar, "/.", "x");
	end(&f->tar);
	assert_refused(f, "the root itself as something else than a directory");
	add_file(&f->tar, "..x/...", "fine");
	end(&f->tar);
	assert_delta(f, "/..x/... 100644 fine\n");
}

static void links_that_lead_out(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *name, *target;
	} out[] = {{"a", "../etc"}, {"d/a", "../../etc"}, {"d/a", "x/../../../etc"}, {"a", ".."}};
	for (size_t i = 0; i < ARRAY_LEN(out); i++) {
		_cleanup_free_ char *message = xasprintf("%s: the link leads out of the root", out[i].name);
		add_link(&f->tar, out[i].name, out[i].target);
		end(&f->tar);
		assert_refused(f, message);
	}
	add_link(&f->tar, "a", "");
	end(&f->tar);
	assert_refused(f, "a: a link without a target that can be read");
	add_link(&f->tar, "d/a", "..");
	add_link(&f->tar, "d/b", "./c/.././../x");
	end(&f->tar);
	assert_delta(f, "/d/a 120777 ..\n/d/b 120777 ./c/.././../x\n");
}

static void below_a_link(void **state)
{
	struct fixture *f = *state;
	add_link(&f->tar, "a", "/etc");
	add_file(&f->tar, "a/passwd", "x");
	end(&f->tar);
	assert_refused(f, "/a/passwd: it is below /a, which is not a directory in this tar");
	add_file(&f->tar, "a/b/passwd", "x");
	add_link(&f->tar, "a", "/etc");
	end(&f->tar);
	assert_refused(f, "/a/b/passwd: it is below /a, which is not a directory in this tar");
	add_file(&f->tar, "d/a", "");
	add_file(&f->tar, "d/a/b", "");
	end(&f->tar);
	assert_refused(f, "/d/a/b: it is below /d/a, which is not a directory in this tar");
}

static void hard_links(void **state)
{
	struct fixture *f = *state;
	static const char *const targets[] = {"etc/passwd", "/etc/passwd", "d", "/"};
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		add_typed(&f->tar, "d", '5', 0755, "", NULL, 0);
		add_typed(&f->tar, "h", '1', 0644, targets[i], NULL, 0);
		end(&f->tar);
		assert_refused(f, "h: a hard link to what is no file of this tar");
	}
	add_typed(&f->tar, "h", '1', 0644, "../h", NULL, 0);
	end(&f->tar);
	assert_refused(f, "h, a hard link: ../h: a name must not have '..' in it");
	add_link(&f->tar, "l", "x");
	add_typed(&f->tar, "h", '1', 0644, "l", NULL, 0);
	end(&f->tar);
	assert_refused(f, "h: a hard link to a symbolic link");
}

static void devices(void **state)
{
	struct fixture *f = *state;
	for (char type = '3'; type <= '6'; type++) {
		if (type == '5')
			continue;
		add_typed(&f->tar, "dev", type, 0644, "", NULL, 0);
		end(&f->tar);
		assert_refused(f, "dev: neither a file, a directory nor a link");
	}
}

static void bombs(void **state)
{
	struct fixture *f = *state;
	add_typed(&f->tar, "huge", '0', 0644, "", NULL, (size_t)8 << 29);
	end(&f->tar);
	assert_refused(f, "huge: it unpacks to more than 65 MiB");
	/* GNU's sparse format: a gigabyte that is one hole */
	CLEANUP(str_release) struct str sparse = {0};
	add_record(&sparse, "GNU.sparse.size", "1073741824");
	add_record(&sparse, "GNU.sparse.numblocks", "1");
	add_record(&sparse, "GNU.sparse.map", "1073741824,0");
	add_typed(&f->tar, "pax", 'x', 0644, "", sparse.data, sparse.len);
	add_typed(&f->tar, "hole", '0', 0644, "", NULL, 0);
	end(&f->tar);
	assert_refused(f, "hole: it unpacks to more than 66 MiB");
}

static void too_many_entries(void **state)
{
	struct fixture *f = *state;
	f->tar.max = (size_t)256 << 20;
	for (int i = 0; i <= DELTA_ENTRIES_MAX; i++)
		add_typed(&f->tar, "d", '5', 0755, "", NULL, 0);
	end(&f->tar);
	assert_refused(f, "more than 200000 entries");
}

/* Cut anywhere, it is refused: also between two entries. */
static void cut_off(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_release) struct str whole = {0};
	add_file(&whole, "a", "a");
	add_typed(&whole, "d", '5', 0755, "", NULL, 0);
	add_file(&whole, "b", "bb");
	size_t content = whole.len;
	end(&whole);
	for (size_t len = 0; len <= content; len += len % 512 == 511 || len % 512 == 0 ? 1 : 510) {
		CLEANUP(delta_release) struct delta delta = {0};
		str_add_bytes(&f->tar, whole.data, len);
		assert_int_equal(read_tar(f, &delta, NULL), -EINVAL);
	}
	str_add_bytes(&f->tar, whole.data, content);
	assert_refused(f, "not a tar file that is whole: its end is missing");
	str_add_bytes(&f->tar, whole.data, content + 512);
	assert_delta(f, "/a 100644 a\n/b 100644 bb\n/d 40755 \n");
}

static void damaged(void **state)
{
	struct fixture *f = *state;
	add_file(&f->tar, "a", "a");
	end(&f->tar);
	f->tar.data[3] = 'x';
	CLEANUP(delta_release) struct delta delta = {0};
	assert_int_equal(read_tar(f, &delta, NULL), -EINVAL);
	str_add(&f->tar, "PK\003\004 not a tar");
	assert_int_equal(read_tar(f, &delta, NULL), -EINVAL);
	assert_int_equal(delta_read(f->directory, f->kept, &delta, NULL), -EINVAL);
	_cleanup_free_ char *missing = path_join(f->directory, "missing");
	assert_int_equal(delta_read(missing, f->kept, &delta, NULL), -ENOENT);
}

/* By the machine's own tar and gzip; one is cut before it was compressed, where only the missing end can tell. */
static void compressed(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *plain = path_join(f->directory, "z");
	_cleanup_free_ char *command = xasprintf(
		"cd %s && printf x >z && chmod 644 z && tar -czf t.tgz z && tar -c z | head -c 900 | gzip >cut.tgz",
		f->directory);
	CLEANUP(delta_release) struct delta delta = {0}, cut = {0};
	_cleanup_free_ char *tar = path_join(f->directory, "t.tgz"), *cut_tar = path_join(f->directory, "cut.tgz");
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a fixed command */
	assert_int_equal(delta_read(tar, f->kept, &delta, NULL), 0);
	assert_int_equal(delta.entries.len, 1);
	assert_string_equal(delta.entries.items[0].dest, "/z");
	assert_int_equal(delta_read(cut_tar, f->kept, &cut, NULL), -EINVAL);
}

static void program_output(void **state)
{
	(void)state;
	static const struct {
		const char *output, *tar, *rebuild;
		int code;
	} cases[] = {
		{"log\nSYNC: out/d.tar\r\n", "/p/out/d.tar", NULL, 0},
		{"SYNC: /tmp/a b.tar \nREBUILD late\n", "/tmp/a b.tar", NULL, 0},
		{"SYNC:\t../d.tar", "/d.tar", NULL, 0},
		{"REBUILD why\nSYNC: a\n", NULL, "why", 0},
		{"REBUILD", NULL, "", 0},
		{"SYNC:\n", NULL, NULL, EINVAL},
		{"SYNCED: a\nREBUILDING\n", NULL, NULL, ENODATA},
		{"", NULL, NULL, ENODATA},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *tar = NULL, *rebuild = NULL;
		assert_int_equal(delta_parse(cases[i].output, strlen(cases[i].output), "/p", &tar, &rebuild, NULL),
				 -cases[i].code);
		assert_true(str_equal(tar, cases[i].tar));
		assert_true(str_equal(rebuild, cases[i].rebuild));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(takes_what_is_in_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(later_entries_win, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_in_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(any_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_that_lead_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_that_lead_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(below_a_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hard_links, set_up, tear_down),
		cmocka_unit_test_setup_teardown(devices, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bombs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_many_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cut_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(compressed, set_up, tear_down),
		cmocka_unit_test(program_output),
	};
	setlocale(LC_CTYPE, "C.UTF-8"); /* as main does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
