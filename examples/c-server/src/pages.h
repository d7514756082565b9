/* What the server answers with. */
#ifndef PAGES_H
#define PAGES_H

/* Change this, save, and ask for /greeting. */
#define GREETING "Hello from C"

/* Writes the whole answer to GET path to the client. */
void pages_send(int client, const char *path);

#endif
