/* `agent supervise -- CMD…`: a container's entry point that runs CMD, and starts it anew when the session asks. */
#ifndef AGENT_SUPERVISE_H
#define AGENT_SUPERVISE_H

int supervise_run(char **argv); /* argv: CMD…; the exit status: CMD's, 128 + n for a signal */

#endif
