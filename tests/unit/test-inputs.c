/* What an image is built from, as it is on disk; and its baseline. */
#include "test.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "sync/baseline.h"

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

static int set_up(void **state)
{
	struct project *p = xcalloc(1, sizeof(*p));
	p->directory = xstrdup("/tmp/skiff-inputs-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	assert_int_equal(chdir(p->directory), 0);
	setenv("XDG_STATE_HOME", p->directory, 1);
	write_text("ctx/Dockerfile", "FROM scratch\nCOPY site /srv/\nCOPY *.txt /\n");
	write_text("ctx/.dockerignore", "site/ignored\n");
	write_text("ctx/site/a", "a");
	write_text("ctx/site/a.b", "a.b");
	write_text("ctx/site/sub/b", "b");
	write_text("ctx/site/ignored", "");
	write_text("ctx/site/.b.swp", "");
	write_text("ctx/other/x", "x");
	write_text("ctx/notes.txt", "notes");
	assert_int_equal(mkdir("ctx/site/empty", 0755), 0);
	assert_int_equal(symlink("nowhere", "ctx/site/link"), 0);
	assert_int_equal(mkfifo("ctx/site/fifo", 0644), 0);
	p->artifact = (struct artifact){.image.value = (char *)(uintptr_t) "app", .context = path_absolute("ctx")};
	p->artifact.base_dir = p->directory;
	vec_push(&p->config.artifacts, &p->artifact);
	assert_int_equal(sync_source_new(&p->config, &p->artifact, NULL, NULL, &p->source, NULL), 0);
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
	assert_int_equal(file_remove_tree(p->directory, NULL), 0);
	free(p->directory);
	free(p);
	return 0;
}

static char *names(const struct inputs *inputs)
{
	CLEANUP(strv_release) struct strv list = {0};
	for vec_each (input, inputs)
		strv_push(&list, input->rel);
	return strv_join(&list, " ");
}

static void lists_what_the_build_reads(void **state)
{
	const struct project *p = *state;
	CLEANUP(inputs_release) struct inputs inputs = {0};
	assert_int_equal(sync_source_inputs(p->source, NULL, &inputs, NULL), 0);
	_cleanup_free_ char *all = names(&inputs);
	assert_string_equal(all, ".dockerignore Dockerfile notes.txt site/a site/a.b site/empty site/link site/sub/b");
	assert_true(S_ISDIR(inputs_find(&inputs, "site/empty")->mode));
	const struct input *link = inputs_find(&inputs, "site/link");
	assert_true(S_ISLNK(link->mode));
	assert_true(hash_equal(link->hash, hash_bytes("nowhere", 7)));
	assert_true(hash_equal(inputs_find(&inputs, "site/sub/b")->hash, hash_bytes("b", 1)));
	assert_null(inputs_find(&inputs, "other/x"));
}

static void large_files_are_hashed_whole(void **state)
{
	const struct project *p = *state;
	enum { SIZE = (128 << 10) + 1 };
	_cleanup_free_ char *bytes = xcalloc(1, SIZE);
	for (size_t size = SIZE - 2; size <= SIZE; size++) {
		CLEANUP(inputs_release) struct inputs inputs = {0};
		assert_int_equal(file_write_atomic("ctx/site/a", bytes, size, 0644, NULL), 0);
		assert_int_equal(sync_source_inputs(p->source, NULL, &inputs, NULL), 0);
		assert_true(hash_equal(inputs_find(&inputs, "site/a")->hash, hash_bytes(bytes, size)));
	}
}

static void what_looks_the_same_is_not_read_again(void **state)
{
	const struct project *p = *state;
	CLEANUP(inputs_release) struct inputs before = {0}, after = {0};
	assert_int_equal(sync_source_inputs(p->source, NULL, &before, NULL), 0);
	struct input *marked = (struct input *)(uintptr_t)inputs_find(&before, "site/a");
	struct stat st;
	assert_int_equal(stat("ctx/site/a", &st), 0);
	marked->hash = (struct hash){1, 2}; /* would not be found on disk */
	marked->ctime_ns = (uint64_t)st.st_ctim.tv_sec * 1000000000U + (uint64_t)st.st_ctim.tv_nsec;
	assert_int_equal(sync_source_inputs(p->source, &before, &after, NULL), 0);
	assert_int_equal(inputs_find(&after, "site/a")->hash.low, 2);

	/* One so young that its times could stay through another write is read again. */
	marked->ctime_ns = 0;
	inputs_release(&after);
	assert_int_equal(sync_source_inputs(p->source, &before, &after, NULL), 0);
	assert_true(hash_equal(inputs_find(&after, "site/a")->hash, hash_bytes("a", 1)));
}

static void the_digest_sees_name_mode_and_content(void **state)
{
	const struct project *p = *state;
	struct hash last = {0};
	for (int step = 0; step < 5; step++) {
		CLEANUP(inputs_release) struct inputs inputs = {0};
		if (step == 1)
			write_text("ctx/site/a", "A");
		if (step == 2)
			assert_int_equal(chmod("ctx/site/a", 0755), 0);
		if (step == 3)
			assert_int_equal(rename("ctx/site/a", "ctx/site/c"), 0);
		if (step == 4)
			assert_int_equal(rmdir("ctx/site/empty"), 0);
		assert_int_equal(sync_source_inputs(p->source, NULL, &inputs, NULL), 0);
		struct hash now = inputs_digest(&inputs);
		assert_false(hash_equal(now, last));
		last = now;
	}
	write_text("ctx/other/x", "not an input");
	CLEANUP(inputs_release) struct inputs inputs = {0};
	assert_int_equal(sync_source_inputs(p->source, NULL, &inputs, NULL), 0);
	assert_true(hash_equal(inputs_digest(&inputs), last));
}

static void too_deep_a_tree_is_an_error(void **state)
{
	const struct project *p = *state;
	CLEANUP(str_release) struct str path = {0};
	CLEANUP(error_clear) struct error err = {0};
	CLEANUP(inputs_release) struct inputs inputs = {0};
	str_add(&path, "ctx/site");
	for (int i = 0; i < 210; i++)
		str_add(&path, "/d");
	assert_int_equal(file_make_directories(str_text(&path), 0755, NULL), 0);
	assert_int_equal(sync_source_inputs(p->source, NULL, &inputs, &err), -ELOOP);
	assert_non_null(strstr(err.message, "200 levels deep"));
}

static void a_baseline_comes_back(void **state)
{
	const struct project *p = *state;
	CLEANUP(inputs_release) struct inputs inputs = {0}, loaded = {0};
	CLEANUP(error_clear) struct error err = {0};
	assert_int_equal(inputs_load("sha256:1", &loaded, &err), -ENOENT);
	assert_int_equal(sync_source_inputs(p->source, NULL, &inputs, NULL), 0);
	assert_int_equal(inputs_save("sha256:1", &inputs, NULL), 0);
	assert_int_equal(inputs_load("sha256:1", &loaded, NULL), 0);
	assert_int_equal(loaded.len, inputs.len);
	for (size_t i = 0; i < inputs.len; i++) {
		const struct input *a = &inputs.items[i], *b = &loaded.items[i];
		assert_string_equal(a->rel, b->rel);
		assert_true(a->mode == b->mode && a->size == b->size && a->mtime_ns == b->mtime_ns &&
			    a->ctime_ns == b->ctime_ns && a->inode == b->inode && hash_equal(a->hash, b->hash));
	}
	assert_int_equal(inputs_load("sha256:2", &loaded, &err), -ENOENT);
}

/* Every byte wrong, and every length short: refused, and nothing read beyond the end. */
static void a_damaged_baseline_is_refused(void **state)
{
	const struct project *p = *state;
	CLEANUP(inputs_release) struct inputs inputs = {0}, out = {0};
	CLEANUP(str_release) struct str bytes = {0};
	assert_int_equal(sync_source_inputs(p->source, NULL, &inputs, NULL), 0);
	inputs_encode("id", &inputs, &bytes);
	for (size_t len = 0; len < bytes.len; len++) {
		_cleanup_free_ char *exact = xmemdup(bytes.data, len + 1); /* so that a read beyond is seen */
		assert_int_equal(inputs_decode("id", exact, len, &out, NULL), -EBADMSG);
		exact[len] = (char)~exact[len];
		_cleanup_free_ char *whole = xmemdup(bytes.data, bytes.len);
		whole[len] = exact[len];
		assert_int_equal(inputs_decode("id", whole, bytes.len, &out, NULL), -EBADMSG);
	}
	assert_int_equal(inputs_decode("other", bytes.data, bytes.len, &out, NULL), -EBADMSG);
	assert_int_equal(inputs_decode("id", bytes.data, bytes.len, &out, NULL), 0);
}

/* The same with a hash that is right: what a hostile file could hold. */
static void a_forged_baseline_is_refused(void **state)
{
	const struct project *p = *state;
	CLEANUP(inputs_release) struct inputs inputs = {0};
	CLEANUP(str_release) struct str bytes = {0};
	assert_int_equal(sync_source_inputs(p->source, NULL, &inputs, NULL), 0);
	inputs_encode("id", &inputs, &bytes);
	size_t body = bytes.len - 16;
	for (size_t i = 0; i < body; i++)
		for (unsigned value = 0; value < 256; value += 51) {
			_cleanup_free_ char *forged = xmemdup(bytes.data, bytes.len);
			CLEANUP(inputs_release) struct inputs out = {0};
			forged[i] = (char)value;
			struct hash hash = hash_bytes(forged, body);
			memcpy(forged + body, &hash, sizeof(hash));
			int r = inputs_decode("id", forged, bytes.len, &out, NULL);
			assert_true(r == 0 || r == -EBADMSG);
			for (size_t k = 1; k < out.len; k++)
				assert_true(strcmp(out.items[k - 1].rel, out.items[k].rel) < 0);
		}
}

static void what_changed_meanwhile_is_doubtful(void **state)
{
	struct project *p = *state;
	CLEANUP(inputs_release) struct inputs before = {0}, after = {0};
	assert_int_equal(sync_source_inputs(p->source, NULL, &before, NULL), 0);
	write_text("ctx/site/a", "b");
	assert_int_equal(unlink("ctx/site/sub/b"), 0);
	assert_int_equal(sync_source_inputs(p->source, NULL, &after, NULL), 0);
	inputs_doubt(&before, &after);
	assert_int_equal(inputs_find(&before, "site/a")->mode, 0);
	assert_int_equal(inputs_find(&before, "site/sub/b")->mode, 0);
	assert_int_not_equal(inputs_find(&before, "site/a.b")->mode, 0);
}

static void old_baselines_go(void **state)
{
	(void)state;
	CLEANUP(inputs_release) struct inputs none = {0}, loaded = {0};
	for (int i = 0; i < 70; i++) {
		_cleanup_free_ char *id = xasprintf("image %d", i);
		assert_int_equal(inputs_save(id, &none, NULL), 0);
	}
	assert_int_equal(inputs_load("image 69", &loaded, NULL), 0);
	assert_int_equal(inputs_load("image 0", &loaded, NULL), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lists_what_the_build_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(large_files_are_hashed_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_looks_the_same_is_not_read_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_digest_sees_name_mode_and_content, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_deep_a_tree_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_baseline_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_damaged_baseline_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_forged_baseline_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_changed_meanwhile_is_doubtful, set_up, tear_down),
		cmocka_unit_test_setup_teardown(old_baselines_go, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
