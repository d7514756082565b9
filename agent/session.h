/* The agent's session: frames on stdin, answers on stdout, until stdin ends. */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

int session_run(void); /* the exit status */

#endif
