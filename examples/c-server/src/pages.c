#include "pages.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT "/srv/public"

static void send_head(int client, const char *status, long long size)
{
	dprintf(client, "HTTP/1.1 %s\r\nContent-Length: %lld\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
		status, size);
}

static void send_text(int client, const char *status, const char *text)
{
	send_head(client, status, (long long)strlen(text) + 1);
	dprintf(client, "%s\n", text);
}

void pages_send(int client, const char *path)
{
	char name[1024];
	struct stat st;
	if (strcmp(path, "/greeting") == 0) {
		send_text(client, "200 OK", GREETING);
		return;
	}
	snprintf(name, sizeof(name), ROOT "%s%s", path, path[strlen(path) - 1] == '/' ? "index.html" : "");
	int file = strstr(path, "..") ? -1 : open(name, O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &st) < 0 || !S_ISREG(st.st_mode)) {
		send_text(client, "404 Not Found", "There is no such page.");
	} else {
		send_head(client, "200 OK", st.st_size);
		off_t sent = 0;
		while (sent < st.st_size && sendfile(client, file, &sent, (size_t)(st.st_size - sent)) > 0)
			;
	}
	if (file >= 0)
		close(file);
}
