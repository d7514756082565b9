#include "stage.h"

#include "out.h"

enum {
	STAGED_SPARE = 96,     /* descriptors that are left for other things */
	STAGED_MOST = 4096,    /* held open; what comes then gets its hidden name at once */
	MEMORY_MAX = 32 << 20, /* of content held for writing in place */
	FILE_MODE = 0644,      /* of a new one, where the agent is told to choose */
};

uint32_t agent_uid, agent_gid;

static int proc_fds = -1; /* /proc/self/fd: without it nothing unseen can be given a name */
static size_t staged_max, staged;
static uint64_t memory_used;
static bool has_unseen = true;
static struct timespec started;

void stage_init(void)
{
	struct rlimit limit = {0};
	SYS(prlimit64, 0, RLIMIT_NOFILE, 0, &limit, 0, 0);
	sys_now(CLOCK_REALTIME_COARSE, &started); /* the clock of files' times */
	agent_uid = sys_uid();
	agent_gid = sys_gid();
	proc_fds = sys_openat(AT_FDCWD, "/proc/self/fd", O_PATH | O_DIRECTORY, 0);
	staged_max = limit.rlim_cur > STAGED_SPARE ? limit.rlim_cur - STAGED_SPARE : 0;
	if (staged_max > STAGED_MOST)
		staged_max = STAGED_MOST;
}

void stage_reset(void)
{
	memory_used = 0;
	staged = 0;
	place_forget();
}

static void put_number(char *at, uint32_t number)
{
	char digits[10];
	size_t len = 0;
	do
		digits[len++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (len > 0)
		*at++ = digits[--len];
	*at = '\0';
}

/* A directory's may stand beside a file's of the same path. The end of the name. */
static char *name_of(const char *path, bool directory, char name[HIDDEN_SIZE])
{
	static const char prefix[] = ".skiff-new-";
	uint64_t hash = wire_hash64(path, strlen(path));
	memcpy(name, prefix, sizeof(prefix) - 1);
	char *at = name + sizeof(prefix) - 1;
	for (int shift = 60; shift >= 0; shift -= 4)
		*at++ = "0123456789abcdef"[hash >> shift & 15];
	if (directory)
		*at++ = 'd';
	*at = '\0';
	return at;
}

void hidden_name(const struct op *op, char name[HIDDEN_SIZE])
{
	char *at = name_of(op->path, op->type == WIRE_MKDIR, name);
	if (op->twin) {
		*at++ = '-';
		put_number(at, batch_number(op));
	}
}

/* Somebody has op's hidden name: another request of this batch for the same path, which keeps it; else it was left by an agent that was
 * killed, since only one runs here. Then it goes. */
static int clear_hidden(struct op *op, int dir, char name[HIDDEN_SIZE])
{
	size_t len = strlen(op->path);
	for (size_t i = 0; !op->twin && i < batch_count(); i++) {
		const struct op *other = batch_op(i);
		op->twin = other != op && other->hidden && !other->twin && strlen(other->path) == len &&
			   memcmp(other->path, op->path, len) == 0;
	}
	if (op->twin)
		hidden_name(op, name);
	return place_remove(dir, name);
}

/* Where directories were made since, it is further up than path[0..len), where it would be now. */
static void clear_above(const char *path, size_t len)
{
	char above[WIRE_PATH_MAX + HIDDEN_SIZE + 1], name[HIDDEN_SIZE];
	size_t size = (size_t)(name_of(path, false, name) - name) + 1;
	memcpy(above, path, len);
	while (len-- > 0) {
		if (above[len] != '/')
			continue;
		memcpy(above + len + 1, name, size);
		sys_unlink(AT_FDCWD, above, 0);
	}
}

void stage_clear(const char *path, const struct place *place)
{
	char name[HIDDEN_SIZE];
	for (int directory = 0; directory < 2; directory++) {
		name_of(path, directory, name);
		if (sys_unlink(place->dir, name, 0) == -EISDIR) /* it changed places with what is there now */
			place_remove(place->dir, name);
	}
	if (batch_is_first())
		clear_above(path, place->dir_len);
}

static int open_hidden(struct op *op, const struct place *place)
{
	char name[HIDDEN_SIZE];
	hidden_name(op, name);
	int fd = -EEXIST;
	for (int attempt = 0; fd == -EEXIST && attempt < 2; attempt++) {
		if (attempt > 0 && clear_hidden(op, place->dir, name) < 0)
			break;
		fd = sys_openat(place->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	}
	if (fd < 0)
		return fd;
	op->hidden = true;
	op->hidden_len = place->dir_len;
	if (op->fresh && batch_is_first())
		clear_above(op->path, op->hidden_len);
	return fd;
}

/* What is asked, or what the replaced file has without the bits that would give new content its owner's rights. */
static uint32_t mode_for(const struct op *op, const struct place *place, uint32_t kept)
{
	if (op->mode != WIRE_MODE_KEEP)
		return op->mode;
	return place->exists && is_regular(&place->old) ? place->old.stx_mode & 0777 : kept;
}

static int open_unseen(struct op *op, const struct place *place)
{
	int fd = -EOPNOTSUPP;
	if (has_unseen && staged < staged_max)
		fd = sys_openat(place->dir, ".", O_RDWR | O_TMPFILE, mode_for(op, place, FILE_MODE));
	if (fd == -EOPNOTSUPP || fd == -EISDIR || fd == -ENOENT || fd == -EINVAL)
		fd = open_hidden(op, place);
	return fd;
}

bool stage_may_be_in_place(int code, const struct place *place)
{
	bool refused = code == -EACCES || code == -EPERM || code == -EROFS || code == -EBUSY || code == -EXDEV;
	return refused && place->complete && place->exists && is_regular(&place->old);
}

/* The file as the container's programs see it, for writing over it. */
static int open_destination(const struct op *op)
{
	struct statx st;
	int fd = sys_openat(AT_FDCWD, op->path, O_WRONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return fd;
	if (sys_stat(fd, "", AT_EMPTY_PATH, &st) < 0 || !is_regular(&st)) {
		sys_close(fd);
		return -EEXIST;
	}
	return fd;
}

/* Room for a longer file is taken before the first byte is written over. */
static int make_room(int fd, uint64_t size)
{
	int r = size ? sys_allocate(fd, 1 /* FALLOC_FL_KEEP_SIZE */, 0, size) : 0;
	return r == -ENOSPC || r == -EDQUOT ? r : 0;
}

static int stage_for_in_place(struct op *op)
{
	int destination = open_destination(op);
	if (destination < 0)
		return destination;
	op->in_place = true;
	int fd = op->size <= MEMORY_MAX - memory_used ? sys_memory_file("skiff") : -ENOSYS;
	if (fd >= 0) {
		memory_used += op->size;
		sys_close(destination);
		return fd;
	}
	op->direct = true;
	int r = make_room(destination, op->size);
	if (r == 0)
		return destination;
	sys_close(destination);
	return r;
}

static bool came_since_start(const struct place *place)
{
	const struct statx_timestamp *changed = &place->old.stx_ctime;
	return place->exists && is_regular(&place->old) &&
	       (changed->tv_sec > started.tv_sec ||
		(changed->tv_sec == started.tv_sec && changed->tv_nsec >= started.tv_nsec));
}

int stage_open(struct op *op, const struct place *place)
{
	op->fresh = !place->exists;
	op->recent = came_since_start(place);
	int fd = open_unseen(op, place);
	if (fd < 0 && stage_may_be_in_place(fd, place)) {
		int other = stage_for_in_place(op);
		fd = other >= 0 || other == -ENOSPC || other == -ETXTBSY ? other : fd;
	}
	if (fd < 0)
		return fd;
	op->fd = fd;
	staged++;
	return 0;
}

static int write_bytes(int fd, const unsigned char *bytes, size_t len)
{
	while (len) {
		long n = sys_write(fd, bytes, len);
		if (n < 0 && n != -EINTR)
			return (int)n;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int stage_write(struct op *op, const void *bytes, size_t len)
{
	return write_bytes(op->fd, bytes, len);
}

/* Room first where it will be renamed over another: blocks that are only promised (delayed allocation) make a file system like ext4 write the file out then,
 * and that is what a thousand small files would wait for. Where it can't be had the write tells. */
static int write_whole(struct op *op, const void *bytes, size_t len)
{
	if (len && !op->fresh && !op->recent)
		(void)sys_allocate(op->fd, 0, 0, len);
	return stage_write(op, bytes, len);
}

static bool is_after(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* Modification time: that of the last write, which is now, but later than the replaced file's, for those who compare times. mine: the new
 * file's as it is. */
static int set_time(int fd, const struct place *place, const struct statx *mine)
{
	const struct statx_timestamp *old = &place->old.stx_mtime;
	if (!place->exists || !is_regular(&place->old) || is_after(&mine->stx_mtime, old))
		return 0;
	struct timespec now,
		after = {old->tv_sec + (old->tv_nsec + 1000000) / 1000000000, (old->tv_nsec + 1000000) % 1000000000};
	sys_now(CLOCK_REALTIME, &now); /* finer than what files are stamped with */
	bool enough = now.tv_sec > after.tv_sec || (now.tv_sec == after.tv_sec && now.tv_nsec > after.tv_nsec);
	struct timespec times[2] = {now, enough ? now : after};
	return sys_set_times(fd, NULL, times, 0);
}

/* The owner that the request says, else the replaced one's, else the directory's. mine: as it is. 1: it was changed. */
static int give(struct op *op, const struct place *place, int dir, const char *name, const struct statx *mine)
{
	const struct statx *model = place->exists ? &place->old : &place->above;
	bool said = (op->flags & WIRE_OWNER) && !((op->flags & WIRE_OWNER_IF_NEW) && place->exists);
	uint32_t uid = said ? op->uid : model->stx_uid, gid = said ? op->gid : model->stx_gid;
	if (mine->stx_uid == uid && mine->stx_gid == gid)
		return 0;
	int r = sys_chown(dir, name, uid, gid, *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH);
	if (r == -EPERM || r == -EINVAL) { /* not ours to give: neither is it a reason to carry nothing */
		op->result_flags |= WIRE_OWNER_REFUSED;
		return 0;
	}
	return r < 0 ? r : 1;
}

int stage_dress(struct op *op, const struct place *place, const char *name, uint32_t kept)
{
	struct statx mine;
	int r = sys_stat(place->dir, name, AT_SYMLINK_NOFOLLOW, &mine);
	if (r == 0)
		r = give(op, place, place->dir, name, &mine);
	if (r >= 0 && !op->text)
		r = sys_chmod(place->dir, name, mode_for(op, place, kept));
	return r < 0 ? r : 0;
}

int stage_settle(struct op *op, const struct place *place)
{
	struct statx mine;
	if (op->in_place)
		return 0;
	int r = sys_stat(op->fd, "", AT_EMPTY_PATH, &mine);
	int given = r == 0 ? give(op, place, op->fd, "", &mine) : r;
	if (given < 0)
		return given;
	uint32_t mode = mode_for(op, place, FILE_MODE);
	if (given || (mine.stx_mode & 07777) != mode) /* a new owner, and a write, take bits away */
		r = sys_fchmod(op->fd, mode);
	if (r == 0)
		r = set_time(op->fd, place, &mine);
	if (r == 0 && op->hidden && staged >= staged_max) { /* it can be opened by its name */
		sys_close(op->fd);
		op->fd = -1;
		staged--;
	}
	return r;
}

void stage_file(struct op *op, const void *bytes, size_t len)
{
	struct place place;
	int r = place_find(op->path, &place);
	if (r == 0)
		r = stage_open(op, &place);
	if (r == 0)
		r = write_whole(op, bytes, len);
	if (r == 0)
		r = stage_settle(op, &place);
	if (r < 0)
		batch_fail(op, r, WIRE_REASON_NONE);
}

int stage_unseen(struct op *op, const struct place *place, const void *bytes, size_t len)
{
	op->fresh = !place->exists;
	op->recent = came_since_start(place);
	op->fd = has_unseen ? sys_openat(place->dir, ".", O_RDWR | O_TMPFILE, mode_for(op, place, FILE_MODE))
			    : -EOPNOTSUPP;
	if (op->fd < 0)
		return op->fd;
	int r = write_whole(op, bytes, len);
	if (r == 0)
		r = stage_settle(op, place);
	if (r < 0)
		stage_close(op);
	return r;
}

bool stage_has_room(size_t count)
{
	return staged_max > staged && staged_max - staged >= count;
}

void stage_counts(const struct op *op)
{
	staged += op->fd >= 0;
}

/* Copies what is staged elsewhere: between file systems there is no link. */
static int copy_content(int from, int to)
{
	uint64_t at = 0;
	for (;;) {
		long n = sys_pread(from, scratch, sizeof(scratch), at);
		if (n <= 0)
			return (int)n;
		int r = write_bytes(to, scratch, (size_t)n);
		out_alive();
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
}

/* A descriptor of what is staged: op->fd, opened again where it had to be closed. */
static int staged_content(struct op *op)
{
	if (op->fd >= 0 || !op->hidden)
		return op->fd >= 0 ? 0 : -EBADF;
	char name[WIRE_PATH_MAX + HIDDEN_SIZE + 1];
	memcpy(name, op->path, op->hidden_len);
	name[op->hidden_len] = '/';
	hidden_name(op, name + op->hidden_len + 1);
	op->fd = sys_openat(AT_FDCWD, name, O_RDONLY | O_NOFOLLOW, 0);
	if (op->fd < 0)
		return op->fd;
	staged++;
	return 0;
}

static void remove_hidden(struct op *op)
{
	char name[WIRE_PATH_MAX + HIDDEN_SIZE + 1];
	memcpy(name, op->path, op->hidden_len);
	name[op->hidden_len] = '/';
	hidden_name(op, name + op->hidden_len + 1);
	sys_unlink(AT_FDCWD, name, 0);
	op->hidden = false;
}

/* Moves what is staged to the place's file system. */
static int copy_hidden(struct op *op, const struct place *place)
{
	struct op before = *op;
	struct place found = *place;
	int r = place_look_at(&found);
	if (r < 0)
		return r;
	op->hidden = false;
	int fd = open_hidden(op, place);
	if (fd < 0) {
		op->hidden = before.hidden;
		return fd;
	}
	op->fd = fd;
	r = copy_content(before.fd, fd);
	if (r == 0)
		r = stage_settle(op, &found);
	if (before.hidden)
		remove_hidden(&before);
	sys_close(before.fd);
	return r;
}

int stage_name(const struct op *op, int dir, const char *name)
{
	/* Newer kernels let its maker give an unseen file a name, /proc lets all. Threads may find that out at once: no harm. */
	static bool by_proc;
	char number[12];
	bool asked = __atomic_load_n(&by_proc, __ATOMIC_RELAXED);
	int r = asked ? -ENOENT : sys_link(op->fd, "", dir, name, AT_EMPTY_PATH);
	if (r != -ENOENT || proc_fds < 0)
		return r;
	put_number(number, (uint32_t)op->fd);
	r = sys_link(proc_fds, number, dir, name, AT_SYMLINK_FOLLOW);
	if (r == 0)
		__atomic_store_n(&by_proc, true, __ATOMIC_RELAXED);
	return r;
}

int stage_link(struct op *op, const struct place *place)
{
	if (op->hidden || op->text || op->fd < 0)
		return -EOPNOTSUPP;
	return stage_name(op, place->dir, place->name);
}

int stage_hide(struct op *op, const struct place *place)
{
	char name[HIDDEN_SIZE];
	if (op->hidden && op->type == WIRE_WRITE) { /* it has one, on another file system */
		int r = staged_content(op);
		return r < 0 ? r : copy_hidden(op, place);
	}
	hidden_name(op, name);
	int r = -EEXIST;
	for (int attempt = 0; r == -EEXIST && attempt < 2; attempt++) {
		if (attempt > 0)
			clear_hidden(op, place->dir, name);
		r = op->text ? sys_symlink(op->text, place->dir, name) : stage_name(op, place->dir, name);
	}
	if (r == -EXDEV || (r == -ENOENT && !op->text)) {
		if (r == -ENOENT) /* it can't be named here, whatever the kernel said when it was made */
			has_unseen = false;
		return copy_hidden(op, place);
	}
	if (r < 0)
		return r;
	op->hidden = true;
	op->hidden_len = place->dir_len;
	if (!op->text)
		return 0;
	struct place found = *place;
	r = place_look_at(&found);
	return r < 0 ? r : stage_dress(op, &found, name, 0);
}

void stage_close(struct op *op)
{
	sys_close(op->fd);
	op->fd = -1;
}

void stage_drop(struct op *op)
{
	if (op->hidden)
		remove_hidden(op);
	if (op->fd >= 0) {
		stage_close(op);
		staged--;
	}
}

int stage_write_in_place(struct op *op)
{
	struct statx st;
	struct place place;
	int r = place_find(op->path, &place);
	if (r == 0 && !op->direct)
		r = staged_content(op);
	if (r < 0)
		return r;
	_cleanup_fd_ int opened = op->direct ? -1 : open_destination(op);
	int fd = op->direct ? op->fd : opened;
	if (fd < 0)
		return fd;
	if (!op->direct) {
		r = sys_stat(op->fd, "", AT_EMPTY_PATH, &st);
		op->size = st.stx_size;
		if (r == 0)
			r = make_room(fd, op->size);
		if (r == 0)
			r = copy_content(op->fd, fd);
	}
	if (r == 0)
		r = sys_truncate(fd, op->size);
	if (r < 0)
		return r;
	op->result_flags &= ~(uint32_t)WIRE_ATOMIC;
	if (op->mode != WIRE_MODE_KEEP)
		sys_fchmod(fd, op->mode);
	if (place.exists && sys_stat(fd, "", AT_EMPTY_PATH, &st) == 0)
		set_time(fd, &place, &st);
	return 0;
}
