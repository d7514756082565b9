/* The container's end of the bare session: for each file that comes, writes the bytes beside and renames. Nothing else: no answer, no check, no
 * owner, no batch.
 *
 *     bare-helper FOLDER      stdin: {u32 name's length, u32 size, name, bytes}..., little-endian */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static unsigned char buffer[1 << 20];
static size_t start, end;

/* The next bytes of the input, as many as there are, at most `most`; none at its end. */
static size_t take(unsigned char **bytes, size_t most)
{
	if (start == end) {
		ssize_t n = read(0, buffer, sizeof(buffer));
		start = 0;
		end = n > 0 ? (size_t)n : 0;
	}
	size_t n = end - start < most ? end - start : most;
	*bytes = buffer + start;
	start += n;
	return n;
}

static int take_whole(void *to, size_t size)
{
	unsigned char *bytes, *at = to;
	while (size > 0) {
		size_t n = take(&bytes, size);
		if (n == 0)
			return -1;
		for (size_t i = 0; i < n; i++)
			*at++ = bytes[i];
		size -= n;
	}
	return 0;
}

static int write_file(const char *name, size_t size)
{
	unsigned char *bytes;
	int fd = open(".bare-new", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	while (size > 0) {
		size_t n = take(&bytes, size), done = 0;
		if (n == 0)
			return -1;
		while (done < n) {
			ssize_t w = write(fd, bytes + done, n - done);
			if (w <= 0)
				return -1;
			done += (size_t)w;
		}
		size -= n;
	}
	close(fd);
	return rename(".bare-new", name);
}

int main(int argc, char **argv)
{
	uint32_t head[2];
	char name[256];
	if (argc != 2 || chdir(argv[1]) < 0)
		return 2;
	while (take_whole(head, sizeof(head)) == 0) {
		if (head[0] >= sizeof(name) || take_whole(name, head[0]) < 0)
			return 1;
		name[head[0]] = '\0';
		if (write_file(name, head[1]) < 0)
			return 1;
	}
	return 0;
}
