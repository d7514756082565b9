#include "parallel.h"

#include "out.h"
#include "sys.h"

static void (*current)(unsigned part);

unsigned parallel_count(void)
{
	static unsigned count;
	unsigned long set[16] = {0}; /* a bit for each of 1024 processors */
	if (count)
		return count;
	long bytes = SYS(sched_getaffinity, 0, sizeof(set), set, 0, 0, 0);
	for (long i = 0; i < bytes / (long)sizeof(*set); i++)
		for (unsigned long rest = set[i]; rest; rest &= rest - 1)
			count++;
	count = count < 1 ? 1 : count > PARALLEL_MAX ? PARALLEL_MAX : count;
	return count;
}

#ifdef AGENT_HOSTED
#include <pthread.h>

static pthread_t threads[PARALLEL_MAX];

static void *run(void *part)
{
	current((unsigned)(uintptr_t)part);
	return NULL;
}

static bool start(unsigned part)
{
	return pthread_create(&threads[part], NULL, run, (void *)(uintptr_t)part) == 0;
}

static void wait_for(unsigned part)
{
	pthread_join(threads[part], NULL);
}
#else
#include <linux/futex.h>
#include <linux/sched.h>

enum { STACK_SIZE = 64 << 10 };

static struct {
	char *stack;
	uint32_t running; /* the kernel makes it 0 at the thread's end, and wakes who waits for that */
} threads[PARALLEL_MAX];

static void run(uintptr_t part)
{
	current((unsigned)part);
}

/* The new thread finds on its stack what to call and with what, and ends after it. */
static long clone_thread(uintptr_t *stack, uint32_t *running)
{
	unsigned long flags =
		CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
#if defined(__x86_64__)
	long n = __NR_clone;
	register uint32_t *r10 __asm__("r10") = running;
	register long r8 __asm__("r8") = 0;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "pop %%rax\n\t"
			 "pop %%rdi\n\t"
			 "call *%%rax\n\t"
			 "mov %[exit], %%eax\n\t"
			 "xor %%edi, %%edi\n\t"
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
			 : "+a"(n)
			 : "D"(flags), "S"(stack), "d"(0L), "r"(r10), "r"(r8), [exit] "i"(__NR_exit)
			 : "rcx", "r11", "memory");
	return n;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = __NR_clone;
	register long x0 __asm__("x0") = (long)flags;
	register uintptr_t *x1 __asm__("x1") = stack;
	register long x2 __asm__("x2") = 0;
	register long x3 __asm__("x3") = 0;
	register uint32_t *x4 __asm__("x4") = running;
	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, #0\n\t"
			 "mov x30, #0\n\t"
			 "ldp x1, x0, [sp], #16\n\t"
			 "blr x1\n\t"
			 "mov x8, %[exit]\n\t"
			 "mov x0, #0\n\t"
			 "svc 0\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [exit] "i"(__NR_exit)
			 : "memory");
	return x0;
#endif
}

static bool start(unsigned part)
{
	if (!threads[part].stack)
		threads[part].stack = sys_map(STACK_SIZE);
	if (!threads[part].stack)
		return false;
	uintptr_t *top = (uintptr_t *)(void *)(threads[part].stack + STACK_SIZE) - 2; /* 16 bytes: aligned */
	top[0] = (uintptr_t)run;
	top[1] = part;
	threads[part].running = 1;
	return clone_thread(top, &threads[part].running) > 0;
}

static void wait_for(unsigned part)
{
	static const struct timespec second = {1, 0};
	while (__atomic_load_n(&threads[part].running, __ATOMIC_ACQUIRE)) {
		SYS(futex, &threads[part].running, FUTEX_WAIT, 1, &second, 0, 0);
		out_alive();
	}
}
#endif

void parallel_do(unsigned count, void (*work)(unsigned part))
{
	bool started[PARALLEL_MAX] = {false};
	current = work;
	for (unsigned part = 1; part < count; part++)
		started[part] = start(part);
	work(0);
	for (unsigned part = 1; part < count; part++) {
		if (started[part])
			wait_for(part);
		else
			work(part);
	}
}
