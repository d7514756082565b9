#include "look.h"

#include "batch.h"
#include "out.h"
#include "stage.h"

_Static_assert(WIRE_DATA_MAX < (int)SCRATCH_SIZE, "what READ gives, and a byte to tell that there is more");

const char *look_path(const struct wire_message *m)
{
	static char path[WIRE_PATH_MAX + 1];
	memcpy(path, m->path.data, m->path.len);
	path[m->path.len] = '\0';
	return path;
}

/* Between batches nothing that is staged has a name. */
static void clear(const char *path)
{
	struct place place;
	if (batch_count() == 0 && place_reach(path, &place) == 0)
		stage_clear(path, &place);
}

void look_stat(const struct wire_message *m)
{
	struct found found = {0};
	const char *path = look_path(m);
	clear(path);
	int r = place_look(path, !(m->flags & WIRE_NO_CONTENT), &found);
	struct wire_message answer = {.type = WIRE_STATE, .id = m->id, .value = (uint32_t)-r, .kind = found.kind};
	if (found.kind != WIRE_ABSENT) {
		answer.mode = found.st.stx_mode & 07777;
		answer.uid = found.st.stx_uid;
		answer.gid = found.st.stx_gid;
		answer.size = found.st.stx_size;
		answer.mtime = (uint64_t)found.st.stx_mtime.tv_sec * 1000000000 + found.st.stx_mtime.tv_nsec;
		answer.hash = found.hash;
	}
	out_message(&answer);
}

void look_check(const struct wire_message *m)
{
	struct place place;
	enum wire_reason reason;
	bool atomic;
	place_forget();
	int r = place_check(look_path(m), &place, &atomic, &reason);
	struct wire_message answer = {.type = WIRE_RESULT,
				      .id = m->id,
				      .value = (uint32_t)-r,
				      .reason = reason ? reason : reason_of(r),
				      .flags = atomic ? WIRE_ATOMIC : 0};
	if (place.dir > 0) {
		answer.mode = place.above.stx_mode & 07777;
		answer.uid = place.above.stx_uid;
		answer.gid = place.above.stx_gid;
	}
	out_message(&answer);
}

static long read_file(const char *path, size_t limit)
{
	struct statx st;
	_cleanup_fd_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return fd;
	int r = sys_stat(fd, "", AT_EMPTY_PATH, &st);
	if (r < 0)
		return r;
	if (!is_regular(&st))
		return -EINVAL;
	size_t held = 0;
	while (held <= limit) {
		long n = sys_read(fd, scratch + held, limit + 1 - held);
		if (n < 0)
			return n;
		if (n == 0)
			return (long)held;
		held += (size_t)n;
	}
	return -EFBIG;
}

void look_read(const struct wire_message *m)
{
	long n = read_file(look_path(m), m->value);
	if (n >= 0)
		out_message(&(struct wire_message){.type = WIRE_CONTENT, .id = m->id, .data = {scratch, (size_t)n}});
	else
		out_message(&(struct wire_message){
			.type = WIRE_RESULT, .id = m->id, .value = (uint32_t)-n, .reason = reason_of((int)n)});
}
