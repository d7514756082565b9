#include "stage.h"

#include "out.h"

enum {
	STAGED_SPARE = 96,     /* descriptors that are left for other things */
	STAGED_MOST = 4096,    /* held open; what comes then gets its hidden name at once */
	MEMORY_MAX = 32 << 20, /* of content held for writing in place */
};

uint32_t agent_uid, agent_gid;

static int proc_fds = -1; /* /proc/self/fd: without it nothing unseen can be given a name */
static size_t staged_max, staged;
static uint64_t memory_used;
static bool has_unseen = true;

void stage_init(void)
{
	struct rlimit limit = {0};
	SYS(prlimit64, 0, RLIMIT_NOFILE, 0, &limit, 0, 0);
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

void hidden_name(const struct op *op, char name[HIDDEN_SIZE])
{
	static const char prefix[] = ".skiff-new-";
	memcpy(name, prefix, sizeof(prefix) - 1);
	put_number(name + sizeof(prefix) - 1, batch_number(op));
}

/* A hidden name that is taken was left by an agent that was killed: only one runs here. */
static int clear_hidden(int dir, const char *name)
{
	int r = sys_unlink(dir, name, 0);
	return r == -EISDIR ? sys_unlink(dir, name, AT_REMOVEDIR) : r;
}

static int open_hidden(struct op *op, const struct place *place)
{
	char name[HIDDEN_SIZE];
	hidden_name(op, name);
	int fd = sys_openat(place->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd == -EEXIST && clear_hidden(place->dir, name) == 0)
		fd = sys_openat(place->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd >= 0) {
		op->hidden = true;
		op->hidden_len = place->dir_len;
	}
	return fd;
}

static int open_unseen(struct op *op, const struct place *place)
{
	int fd = -EOPNOTSUPP;
	if (proc_fds >= 0 && has_unseen && staged < staged_max)
		fd = sys_openat(place->dir, ".", O_RDWR | O_TMPFILE, 0600);
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

int stage_open(struct op *op)
{
	struct place place;
	int r = place_find(op->path, &place);
	if (r < 0)
		return r;
	int fd = open_unseen(op, &place);
	if (fd < 0 && stage_may_be_in_place(fd, &place)) {
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

/* Modification time: now, and later than the replaced file's, for those who compare times. */
static int set_time(int dir, const char *name, const struct place *place)
{
	struct timespec now;
	sys_now(CLOCK_REALTIME, &now);
	if (place->exists && is_regular(&place->old)) {
		const struct statx_timestamp *old = &place->old.stx_mtime;
		if (old->tv_sec > now.tv_sec || (old->tv_sec == now.tv_sec && old->tv_nsec >= now.tv_nsec)) {
			now.tv_sec = old->tv_sec;
			now.tv_nsec = old->tv_nsec + 1000000;
			now.tv_sec += now.tv_nsec / 1000000000;
			now.tv_nsec %= 1000000000;
		}
	}
	struct timespec times[2] = {now, now};
	return sys_set_times(dir, name, times, name ? AT_SYMLINK_NOFOLLOW : 0);
}

/* The owner that the request says, else the replaced one's, else the directory's. */
static int give(struct op *op, const struct place *place, int dir, const char *name)
{
	const struct statx *model = place->exists ? &place->old : &place->above;
	bool said = (op->flags & WIRE_OWNER) && !((op->flags & WIRE_OWNER_IF_NEW) && place->exists);
	uint32_t uid = said ? op->uid : model->stx_uid, gid = said ? op->gid : model->stx_gid;
	struct statx mine;
	int flags = *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
	int r = sys_stat(dir, name, flags, &mine);
	if (r < 0 || (mine.stx_uid == uid && mine.stx_gid == gid))
		return r;
	r = sys_chown(dir, name, uid, gid, flags);
	if (r == -EPERM || r == -EINVAL) { /* not ours to give: neither is it a reason to carry nothing */
		op->result_flags |= WIRE_OWNER_REFUSED;
		r = 0;
	}
	return r;
}

static uint32_t mode_for(const struct op *op, const struct place *place, uint32_t kept)
{
	if (op->mode != WIRE_MODE_KEEP)
		return op->mode;
	return place->exists && is_regular(&place->old) ? place->old.stx_mode & 0777 : kept;
}

int stage_dress(struct op *op, const struct place *place, const char *name, uint32_t kept)
{
	int r = give(op, place, place->dir, name);
	if (r == 0 && !op->text)
		r = sys_chmod(place->dir, name, mode_for(op, place, kept));
	return r;
}

int stage_settle(struct op *op)
{
	struct place place;
	int r = place_find(op->path, &place);
	if (r < 0 || op->in_place)
		return r;
	r = give(op, &place, op->fd, "");
	if (r == 0)
		r = sys_fchmod(op->fd, mode_for(op, &place, 0644)); /* after give, which takes bits away */
	if (r == 0)
		r = set_time(op->fd, NULL, &place);
	if (r == 0 && op->hidden && staged >= staged_max) { /* it can be opened by its name */
		sys_close(op->fd);
		op->fd = -1;
		staged--;
	}
	return r;
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
	clear_hidden(AT_FDCWD, name);
	op->hidden = false;
}

/* Moves what is staged to the place's file system. */
static int copy_hidden(struct op *op, const struct place *place)
{
	struct op before = *op;
	op->hidden = false;
	int fd = open_hidden(op, place);
	if (fd < 0) {
		op->hidden = before.hidden;
		return fd;
	}
	op->fd = fd;
	int r = copy_content(before.fd, fd);
	if (r == 0)
		r = stage_settle(op);
	if (before.hidden)
		remove_hidden(&before);
	sys_close(before.fd);
	return r;
}

int stage_hide(struct op *op, const struct place *place)
{
	char name[HIDDEN_SIZE], number[12];
	if (op->hidden && op->type == WIRE_WRITE) { /* it has one, on another file system */
		int r = staged_content(op);
		return r < 0 ? r : copy_hidden(op, place);
	}
	hidden_name(op, name);
	if (!op->text)
		put_number(number, (uint32_t)op->fd);
	int r = -EEXIST;
	for (int attempt = 0; r == -EEXIST && attempt < 2; attempt++) {
		if (attempt > 0)
			clear_hidden(place->dir, name);
		r = op->text ? sys_symlink(op->text, place->dir, name)
			     : sys_link(proc_fds, number, place->dir, name, AT_SYMLINK_FOLLOW);
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
	return op->text ? stage_dress(op, place, name, 0) : 0;
}

void stage_drop(struct op *op)
{
	if (op->hidden)
		remove_hidden(op);
	if (op->fd >= 0) {
		sys_close(op->fd);
		staged--;
	}
	op->fd = -1;
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
	set_time(fd, NULL, &place);
	return 0;
}
