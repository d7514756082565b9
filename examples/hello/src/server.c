/* A web server small enough to read: files of /srv/public on port 8080, and /version. Change this line, save, and ask for /version: */
static const char version[] = "1";

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define ROOT "/srv/public"

static const char *const types[][2] = {
	{".html", "text/html; charset=utf-8"},
	{".css", "text/css"},
	{".js", "text/javascript"},
	{".svg", "image/svg+xml"},
	{".png", "image/png"},
};

static const char *type_of(const char *path)
{
	const char *dot = strrchr(path, '.');
	for (size_t i = 0; dot && i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(dot, types[i][0]) == 0)
			return types[i][1];
	return "text/plain; charset=utf-8";
}

static int send_all(int client, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(client, bytes, len, MSG_NOSIGNAL);
		if (n <= 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_head(int client, const char *status, const char *type, long long size)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %lld\r\nCache-Control: "
			 "no-store\r\nConnection: close\r\n\r\n",
			 status, type, size);
	return send_all(client, head, (size_t)n);
}

static void send_text(int client, const char *status, const char *text)
{
	if (send_head(client, status, type_of(""), (long long)strlen(text) + 1) == 0 &&
	    send_all(client, text, strlen(text)) == 0)
		send_all(client, "\n", 1);
}

static void send_file(int client, const char *path)
{
	char name[1024], buffer[16384];
	struct stat st;
	snprintf(name, sizeof(name), ROOT "%s%s", path, path[strlen(path) - 1] == '/' ? "index.html" : "");
	int file = strstr(path, "..") ? -1 : open(name, O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &st) < 0 || !S_ISREG(st.st_mode)) {
		send_text(client, "404 Not Found", "There is no such page.");
	} else if (send_head(client, "200 OK", type_of(name), st.st_size) == 0) {
		ssize_t n;
		while ((n = read(file, buffer, sizeof(buffer))) > 0 && send_all(client, buffer, (size_t)n) == 0)
			;
	}
	if (file >= 0)
		close(file);
}

static void answer(int client)
{
	char request[4096], path[512];
	struct timeval patience = {.tv_sec = 2};
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	ssize_t n = recv(client, request, sizeof(request) - 1, 0);
	if (n <= 0)
		return;
	request[n] = '\0';
	if (sscanf(request, "GET %511[^ ?\r\n]", path) != 1 || path[0] != '/')
		send_text(client, "400 Bad Request", "This server knows GET.");
	else if (strcmp(path, "/version") == 0)
		send_text(client, "200 OK", version);
	else
		send_file(client, path);
}

static void leave(int signal)
{
	(void)signal;
	_exit(0);
}

int main(void)
{
	signal(SIGTERM, leave); /* the first process of a container must ask for it */
	signal(SIGINT, leave);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
	const char *port = getenv("PORT");
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((unsigned short)(port ? strtoul(port, NULL, 10) : 8080))};
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 16) < 0) {
		perror("server: can't listen");
		return 1;
	}
	printf("version %s listens on port %d\n", version, ntohs(address.sin_port));
	fflush(stdout);
	for (;;) {
		int client = accept(listener, NULL, NULL);
		if (client < 0 && errno != EINTR && errno != ECONNABORTED)
			return 1;
		if (client < 0)
			continue;
		answer(client);
		close(client);
	}
}
