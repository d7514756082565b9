#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "stopwatch.h"

static int line = -1;

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (strlen(path) >= sizeof(address.sun_path))
		die(path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(path);
	return fd;
}

static void write_whole(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;
	while (len > 0) {
		ssize_t n = write(fd, at, len);
		if (n <= 0)
			die("the engine's line");
		at += n;
		len -= (size_t)n;
	}
}

/* Posts a body of JSON and reads the answer as far as `until` is in it. */
static void post(int fd, const char *path, const char *more, const char *body, char *answer, size_t size,
		 const char *until)
{
	char head[1024];
	size_t got = 0;
	snprintf(head, sizeof(head),
		 "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%sContent-Length: "
		 "%zu\r\n\r\n",
		 path, more, strlen(body));
	write_whole(fd, head, strlen(head));
	write_whole(fd, body, strlen(body));
	for (answer[0] = '\0'; !strstr(answer, until);) {
		ssize_t n = got + 1 < size ? read(fd, answer + got, size - 1 - got) : 0;
		if (n <= 0) {
			fprintf(stderr, "%s\n", answer);
			die("the engine's answer");
		}
		got += (size_t)n;
		answer[got] = '\0';
	}
}

void bare_open(const char *socket_path, const char *container, const char *helper, const char *folder)
{
	char path[256], body[512], answer[4096];
	int fd = connect_to(socket_path);
	snprintf(path, sizeof(path), "/containers/%s/exec", container);
	snprintf(body, sizeof(body),
		 "{\"AttachStdin\":true,\"AttachStdout\":true,\"Cmd\":[\"%s\",\"%s\"],\"User\":\"0\"}", helper, folder);
	post(fd, path, "", body, answer, sizeof(answer), "\"}");
	close(fd);
	const char *id = strstr(answer, "\"Id\":\"");
	if (!id)
		die("no exec");
	id += 6;
	snprintf(path, sizeof(path), "/exec/%.*s/start", (int)strcspn(id, "\""), id);
	line = connect_to(socket_path);
	post(line, path, "Connection: Upgrade\r\nUpgrade: tcp\r\n", "{\"Detach\":false,\"Tty\":false}", answer,
	     sizeof(answer), "\r\n\r\n");
	if (!strstr(answer, " 101 "))
		die("no upgrade");
}

/* As many files as fit a buffer in one write, as anyone would do. */
void bare_send(const struct round *round)
{
	static char buffer[64 << 10];
	size_t used = 0;
	for (unsigned i = 0; i < round->count; i++) {
		char name[FILE_NAME_SIZE];
		file_name(name, i);
		uint32_t head[2] = {(uint32_t)strlen(name), (uint32_t)round->size};
		if (used + sizeof(head) + head[0] + round->size > sizeof(buffer)) {
			write_whole(line, buffer, used);
			used = 0;
		}
		memcpy(buffer + used, head, sizeof(head));
		memcpy(buffer + used + sizeof(head), name, head[0]);
		used += sizeof(head) + head[0];
		if (used + round->size > sizeof(buffer)) {
			write_whole(line, buffer, used);
			write_whole(line, round->bytes + i * round->size, round->size);
			used = 0;
		} else {
			memcpy(buffer + used, round->bytes + i * round->size, round->size);
			used += round->size;
		}
	}
	write_whole(line, buffer, used);
}
