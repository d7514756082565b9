#include "place.h"

#include "out.h"

unsigned char scratch[SCRATCH_SIZE];

/* The directory that was found last, and the path that was not there, or no directory: files come in groups. */
static struct {
	int fd; /* 0: none */
	size_t len;
	char path[WIRE_PATH_MAX + 1];
	struct statx st;
	size_t absent_len; /* 0: none */
	char absent[WIRE_PATH_MAX + 1];
} last;

static void forget_directory(void)
{
	if (last.fd > 0)
		sys_close(last.fd);
	last.fd = 0;
}

void place_forget(void)
{
	forget_directory();
	last.absent_len = 0;
}

void place_made(void)
{
	last.absent_len = 0;
}

/* Opens path[0..len) as a directory. */
static int open_directory(const char *path, size_t len)
{
	if (last.fd > 0 && last.len == len && memcmp(last.path, path, len) == 0)
		return last.fd;
	if (last.absent_len && len >= last.absent_len && memcmp(last.absent, path, last.absent_len) == 0 &&
	    (len == last.absent_len || path[last.absent_len] == '/'))
		return -ENOENT;
	forget_directory();
	memcpy(last.path, path, len);
	last.path[len] = '\0';
	int fd = sys_openat(AT_FDCWD, len ? last.path : "/", O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	int r = sys_stat(fd, "", AT_EMPTY_PATH, &last.st);
	if (r < 0) {
		sys_close(fd);
		return r;
	}
	last.fd = fd;
	last.len = len;
	return fd;
}

static size_t length_above(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len > 0 ? len - 1 : 0;
}

int place_reach(const char *path, struct place *place)
{
	size_t parent = length_above(path, strlen(path)), len = parent, absent = 0;
	int fd;
	while ((fd = open_directory(path, len)) < 0) {
		if ((fd != -ENOENT && fd != -ENOTDIR) || len == 0)
			return fd;
		absent = len;
		len = length_above(path, len);
	}
	if (absent) {
		memcpy(last.absent, path, absent);
		last.absent_len = absent;
	}
	place->dir = fd;
	place->dir_len = len;
	place->complete = len == parent;
	place->name = path + parent + 1;
	place->above = last.st;
	place->exists = false;
	return 0;
}

int place_look_at(struct place *place)
{
	int r = sys_stat(place->dir, place->name, AT_SYMLINK_NOFOLLOW, &place->old);
	place->exists = r == 0;
	return r == -ENOENT ? 0 : r;
}

int place_find(const char *path, struct place *place)
{
	int r = place_reach(path, place);
	return r == 0 && place->complete ? place_look_at(place) : r;
}

static int hash_content(const char *path, struct wire_hash *hash)
{
	_cleanup_fd_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	struct wire_hasher hasher;
	if (fd < 0)
		return fd;
	wire_hasher_init(&hasher);
	for (;;) {
		long n = sys_read(fd, scratch, sizeof(scratch));
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		wire_hasher_add(&hasher, scratch, (size_t)n);
		out_alive();
	}
	*hash = wire_hasher_value(&hasher);
	return 0;
}

int place_look(const char *path, bool content, struct found *found)
{
	int r = sys_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &found->st);
	found->kind = WIRE_ABSENT;
	found->hash = (struct wire_hash){0};
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	if (S_ISREG(found->st.stx_mode)) {
		found->kind = WIRE_FILE;
		return content ? hash_content(path, &found->hash) : 0;
	}
	if (S_ISLNK(found->st.stx_mode)) {
		found->kind = WIRE_LINK;
		long n = content ? sys_readlink(AT_FDCWD, path, (char *)scratch, sizeof(scratch)) : 0;
		if (content && n >= 0)
			found->hash = wire_hash_bytes(scratch, (size_t)n);
		return n < 0 ? (int)n : 0;
	}
	found->kind = is_directory(&found->st) ? WIRE_DIRECTORY : WIRE_OTHER;
	return 0;
}

/* True for a file that something is mounted on: a rename onto it is refused. */
static bool is_mounted(const struct place *place)
{
	return place->exists && (place->old.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
	       (place->old.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int place_check(const char *path, struct place *place, bool *atomic, enum wire_reason *reason)
{
	int r = place_find(path, place);
	*atomic = false;
	*reason = WIRE_REASON_NONE;
	if (r < 0)
		return r;
	r = sys_access(place->dir, ".", 2 | 1 /* W_OK, X_OK */);
	if (r == 0 && !is_mounted(place)) {
		*atomic = true;
		return 0;
	}
	*reason = r == 0 ? WIRE_REASON_MOUNT : r == -EROFS ? WIRE_REASON_READ_ONLY : WIRE_REASON_DIRECTORY;
	bool file = place->exists && is_regular(&place->old);
	if (file && sys_access(place->dir, place->name, 2 /* W_OK */) == 0)
		return 0;
	return r < 0 ? r : -EBUSY;
}

enum { LIST_SIZE = 2048, DEPTH_MAX = 300 };

struct entry { /* as getdents64 gives it */
	uint64_t inode;
	int64_t offset;
	uint16_t len;
	uint8_t type;
	char name[];
};

static int remove_below(int dir, const char *name, int depth, const struct statx *above);

static int remove_entry(int dir, const char *name, int depth, const struct statx *above)
{
	int r = sys_unlink(dir, name, 0);
	if (r == -EISDIR || r == -EPERM) {
		int below = remove_below(dir, name, depth + 1, above);
		if (below != -ENOTDIR && below != -ELOOP) /* a link or a file: the first answer holds */
			r = below;
	}
	return r == -ENOENT ? 0 : r;
}

/* One round over a directory's entries. How many there were, or a negative errno: the first, the rest is removed all the same. */
static int remove_entries(int fd, int depth, const struct statx *st)
{
	_Alignas(8) char list[LIST_SIZE];
	int count = 0, failed = 0;
	long n;
	while ((n = sys_list(fd, list, sizeof(list))) > 0) {
		for (long at = 0; at < n;) {
			const struct entry *entry = (const struct entry *)(list + at);
			at += entry->len;
			if (entry->name[0] == '.' && (!entry->name[1] || (entry->name[1] == '.' && !entry->name[2])))
				continue;
			int r = remove_entry(fd, entry->name, depth, st);
			failed = r < 0 && !failed ? r : failed;
			count++;
		}
	}
	return failed ? failed : n < 0 ? (int)n : count;
}

static int remove_below(int dir, const char *name, int depth, const struct statx *above)
{
	struct statx st;
	int r;
	out_alive();
	if (depth > DEPTH_MAX)
		return -ELOOP;
	_cleanup_fd_ int fd = sys_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	if (sys_stat(fd, "", AT_EMPTY_PATH, &st) < 0)
		return -EIO;
	if (above && (st.stx_dev_major != above->stx_dev_major || st.stx_dev_minor != above->stx_dev_minor ||
		      ((st.stx_mask & STATX_MNT_ID) && st.stx_mnt_id != above->stx_mnt_id)))
		return -EBUSY;			     /* mounted: not ours to empty */
	for (int rounds = 0; rounds < 8; rounds++) { /* again while somebody adds entries */
		r = remove_entries(fd, depth, &st);
		if (r < 0)
			return r;
		r = sys_unlink(dir, name, AT_REMOVEDIR);
		if (r != -ENOTEMPTY)
			return r;
		sys_seek(fd, 0);
	}
	return r;
}

int place_remove(int dir, const char *name)
{
	struct statx st;
	if (sys_stat(dir, "", AT_EMPTY_PATH, &st) < 0)
		return -EIO;
	return remove_entry(dir, name, 0, &st);
}
