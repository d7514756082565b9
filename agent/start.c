/* What a C library would bring: the entry point, and the functions on memory that the compiler and wire/ call. */
#include <stddef.h>

int agent_main(int argc, char **argv, char **envp);
__attribute__((noreturn, used)) void agent_start(long *stack);

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall agent_start\n\thlt\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tand sp, x0, #-16\n\tb agent_start\n");
#endif

#include "sys.h"

void agent_start(long *stack)
{
	int argc = (int)stack[0];
	char **argv = (char **)(stack + 1);
	sys_exit(agent_main(argc, argv, argv + argc + 1));
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
#if defined(__x86_64__)
	void *at = to;
	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(len) : : "memory");
#else
	unsigned char *a = to;
	const unsigned char *b = from;
	for (; len >= 8; len -= 8, a += 8, b += 8)
		__builtin_memcpy(a, b, 8);
	while (len--)
		*a++ = *b++;
#endif
	return to;
}

void *memmove(void *to, const void *from, size_t len)
{
	unsigned char *a = to;
	const unsigned char *b = from;
	if (a + len <= b || b + len <= a)
		return memcpy(to, from, len);
	if (a < b) {
		for (size_t i = 0; i < len; i++)
			a[i] = b[i];
		return to;
	}
	while (len--)
		a[len] = b[len];
	return to;
}

void *memset(void *at, int byte, size_t len)
{
	unsigned char *a = at;
	while (len--)
		*a++ = (unsigned char)byte;
	return at;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const unsigned char *x = a, *y = b;
	for (size_t i = 0; i < len; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

void *memchr(const void *at, int byte, size_t len)
{
	const unsigned char *a = at;
	for (; len; a++, len--)
		if (*a == (unsigned char)byte)
			return (void *)a;
	return NULL;
}

char *strchr(const char *text, int byte)
{
	for (;; text++) {
		if (*text == (char)byte)
			return (char *)text;
		if (!*text)
			return NULL;
	}
}

size_t strlen(const char *text)
{
	size_t len = 0;
	while (text[len])
		len++;
	return len;
}
