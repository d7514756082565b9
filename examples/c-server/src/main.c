/* A web server that answers one after another. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "pages.h"

static int listen_on(unsigned short port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 16) < 0) {
		perror("server: can't listen");
		exit(1);
	}
	return listener;
}

static void answer(int client)
{
	char request[4096], path[512];
	struct timeval patience = {.tv_sec = 2};
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	ssize_t n = recv(client, request, sizeof(request) - 1, 0);
	request[n > 0 ? n : 0] = '\0';
	if (sscanf(request, "GET %511[^ ?\r\n]", path) == 1 && path[0] == '/')
		pages_send(client, path);
}

static void leave(int signal)
{
	(void)signal;
	_exit(0);
}

int main(void)
{
	const char *port = getenv("PORT");
	signal(SIGTERM, leave); /* the first process of a container must ask for it */
	signal(SIGINT, leave);
	signal(SIGPIPE, SIG_IGN);
	int listener = listen_on((unsigned short)(port ? strtoul(port, NULL, 10) : 8087));
	puts("listening");
	fflush(stdout);
	for (;;) {
		int client = accept(listener, NULL, NULL);
		if (client < 0)
			continue;
		answer(client);
		close(client);
	}
}
