/* Several threads at one piece of work: what a batch of many files waits for is the kernel, which does several directories at once. */
#ifndef AGENT_PARALLEL_H
#define AGENT_PARALLEL_H

enum { PARALLEL_MAX = 4 /* threads, this one too */ };

/* How many can work at once here: 1 where there is one processor. */
unsigned parallel_count(void);

/* Calls work(0) … work(count - 1), each in a thread of its own (work(0) in this one), and waits for all. count: parallel_count() at most. Where a
 * thread can't be had (a limit of processes) its part is done here. work may make system calls, and write to what is its own alone. */
void parallel_do(unsigned count, void (*work)(unsigned part));

#endif
