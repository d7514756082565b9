/* System calls without a C library: each returns what the kernel does, a negative errno where it fails. Structures and numbers come from the C
 * library's headers, of which nothing is linked. With AGENT_HOSTED the same goes through the C library, so that the agent can be built
 * with sanitizers. */
#ifndef AGENT_SYS_H
#define AGENT_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#if defined(AGENT_HOSTED)
#include <unistd.h>
static inline long sys_call(long n, long a, long b, long c, long d, long e, long f)
{
	long r = syscall(n, a, b, c, d, e, f);
	return r == -1 ? -errno : r;
}
#elif defined(__x86_64__)
static inline long sys_call(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "+a"(n)
			 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return n;
}
#elif defined(__aarch64__)
static inline long sys_call(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#else
#error "sys_call for this architecture, and _start in start.c"
#endif

#define SYS(name, a, b, c, d, e, f) \
	sys_call(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static inline int sys_openat(int dir, const char *path, int flags, unsigned mode)
{
	return (int)SYS(openat, dir, path, flags | O_CLOEXEC, mode, 0, 0);
}

static inline int sys_close(int fd)
{
	return (int)SYS(close, fd, 0, 0, 0, 0, 0);
}

static inline long sys_read(int fd, void *buffer, size_t len)
{
	return SYS(read, fd, buffer, len, 0, 0, 0);
}

static inline long sys_pread(int fd, void *buffer, size_t len, uint64_t at)
{
	return SYS(pread64, fd, buffer, len, at, 0, 0);
}

static inline long sys_write(int fd, const void *buffer, size_t len)
{
	return SYS(write, fd, buffer, len, 0, 0, 0);
}

static inline int sys_truncate(int fd, uint64_t size)
{
	return (int)SYS(ftruncate, fd, size, 0, 0, 0, 0);
}

static inline int sys_allocate(int fd, int mode, uint64_t at, uint64_t len)
{
	return (int)SYS(fallocate, fd, mode, at, len, 0, 0);
}

static inline long sys_seek(int fd, uint64_t at)
{
	return SYS(lseek, fd, at, SEEK_SET, 0, 0, 0);
}

enum { STATX_WANTED = STATX_BASIC_STATS | STATX_MNT_ID };

/* path "" with AT_EMPTY_PATH: of the descriptor. */
static inline int sys_stat(int dir, const char *path, int flags, struct statx *st)
{
	return (int)SYS(statx, dir, path, flags | AT_NO_AUTOMOUNT, STATX_WANTED, st, 0);
}

static inline int sys_mkdir(int dir, const char *name, unsigned mode)
{
	return (int)SYS(mkdirat, dir, name, mode, 0, 0, 0);
}

static inline int sys_unlink(int dir, const char *name, int flags)
{
	return (int)SYS(unlinkat, dir, name, flags, 0, 0, 0);
}

static inline int sys_rename(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return (int)SYS(renameat2, from_dir, from, to_dir, to, flags, 0);
}

static inline int sys_link(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return (int)SYS(linkat, from_dir, from, to_dir, to, flags, 0);
}

static inline int sys_symlink(const char *target, int dir, const char *name)
{
	return (int)SYS(symlinkat, target, dir, name, 0, 0, 0);
}

static inline long sys_readlink(int dir, const char *name, char *buffer, size_t cap)
{
	return SYS(readlinkat, dir, name, buffer, cap, 0, 0);
}

static inline int sys_fchmod(int fd, unsigned mode)
{
	return (int)SYS(fchmod, fd, mode, 0, 0, 0, 0);
}

static inline int sys_chmod(int dir, const char *name, unsigned mode)
{
	return (int)SYS(fchmodat, dir, name, mode, 0, 0, 0);
}

static inline int sys_chown(int dir, const char *name, uint32_t uid, uint32_t gid, int flags)
{
	return (int)SYS(fchownat, dir, name, uid, gid, flags, 0);
}

/* name NULL: of the descriptor. */
static inline int sys_set_times(int dir, const char *name, const struct timespec times[2], int flags)
{
	return (int)SYS(utimensat, dir, name, times, flags, 0, 0);
}

static inline int sys_access(int dir, const char *name, int mode)
{
	return (int)SYS(faccessat, dir, name, mode, 0, 0, 0);
}

static inline long sys_list(int fd, void *buffer, size_t len)
{
	return SYS(getdents64, fd, buffer, len, 0, 0, 0);
}

static inline int sys_memory_file(const char *name)
{
	return (int)SYS(memfd_create, name, 1 /* MFD_CLOEXEC */, 0, 0, 0, 0);
}

static inline void sys_now(int clock, struct timespec *now)
{
	SYS(clock_gettime, clock, now, 0, 0, 0, 0);
}

/* NULL where there is none. Only what is touched takes memory. */
static inline void *sys_map(size_t size)
{
	long r = SYS(mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return r < 0 && r > -4096 ? NULL : (void *)r;
}

static inline void sys_unmap(void *at, size_t size)
{
	SYS(munmap, at, size, 0, 0, 0, 0);
}

/* Gives the pages back; they read as zeros again. */
static inline void sys_forget(void *at, size_t size)
{
	SYS(madvise, at, size, MADV_DONTNEED, 0, 0, 0);
}

static inline int sys_poll(struct pollfd *fds, unsigned count, int timeout_ms)
{
	struct timespec timeout = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
	return (int)SYS(ppoll, fds, count, timeout_ms < 0 ? NULL : &timeout, 0, 0, 0);
}

static inline int sys_pipe(int ends[2])
{
	return (int)SYS(pipe2, ends, O_CLOEXEC, 0, 0, 0, 0);
}

static inline int sys_fcntl(int fd, int command, long argument)
{
	return (int)SYS(fcntl, fd, command, argument, 0, 0, 0);
}

static inline int sys_dup(int from, int to)
{
	return from == to ? sys_fcntl(to, F_SETFD, 0) : (int)SYS(dup3, from, to, 0, 0, 0, 0);
}

static inline int sys_ioctl(int fd, unsigned long request, void *argument)
{
	return (int)SYS(ioctl, fd, request, argument, 0, 0, 0);
}

static inline int sys_fork(void)
{
#ifdef AGENT_HOSTED
	int pid = fork();
	return pid < 0 ? -errno : pid;
#else
	return (int)SYS(clone, SIGCHLD, 0, 0, 0, 0, 0);
#endif
}

static inline int sys_exec(const char *path, char *const *argv, char *const *envp)
{
	return (int)SYS(execve, path, argv, envp, 0, 0, 0);
}

__attribute__((noreturn)) static inline void sys_exit(int status)
{
	for (;;)
		SYS(exit_group, status, 0, 0, 0, 0, 0);
}

/* A child that ended, or 0 where none has; status as of wait(2). */
static inline int sys_reap(int *status)
{
	return (int)SYS(wait4, -1, status, WNOHANG, 0, 0, 0);
}

static inline int sys_kill(int pid, int signal)
{
	return (int)SYS(kill, pid, signal, 0, 0, 0, 0);
}

static inline int sys_pid(void)
{
	return (int)SYS(getpid, 0, 0, 0, 0, 0, 0);
}

static inline uint32_t sys_uid(void)
{
	return (uint32_t)SYS(geteuid, 0, 0, 0, 0, 0, 0);
}

static inline uint32_t sys_gid(void)
{
	return (uint32_t)SYS(getegid, 0, 0, 0, 0, 0, 0);
}

/* Masks as the kernel has them: bit n - 1 is signal n. */
static inline void sys_signal_mask(uint64_t mask, uint64_t *before)
{
	SYS(rt_sigprocmask, SIG_SETMASK, &mask, before, sizeof(mask), 0, 0);
}

static inline int sys_signal_fd(uint64_t mask)
{
	return (int)SYS(signalfd4, -1, &mask, sizeof(mask), O_CLOEXEC | O_NONBLOCK, 0, 0);
}

static inline uint64_t signal_bit(int signal)
{
	return (uint64_t)1 << (signal - 1);
}

static inline int sys_socket(int type)
{
	return (int)SYS(socket, AF_UNIX, type | SOCK_CLOEXEC, 0, 0, 0, 0);
}

static inline int sys_bind(int fd, const void *address, unsigned len)
{
	return (int)SYS(bind, fd, address, len, 0, 0, 0);
}

static inline int sys_listen(int fd)
{
	return (int)SYS(listen, fd, 8, 0, 0, 0, 0);
}

static inline int sys_accept(int fd)
{
	return (int)SYS(accept4, fd, 0, 0, SOCK_CLOEXEC, 0, 0);
}

static inline int sys_connect(int fd, const void *address, unsigned len)
{
	return (int)SYS(connect, fd, address, len, 0, 0, 0);
}

static inline int sys_peer(int fd, struct ucred *peer)
{
	socklen_t len = sizeof(*peer);
	return (int)SYS(getsockopt, fd, SOL_SOCKET, SO_PEERCRED, peer, &len, 0);
}

/* Closes the descriptor of a variable that leaves its scope. */
static inline void cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		sys_close(*fd);
}
#define _cleanup_fd_ __attribute__((cleanup(cleanup_fd)))

#endif
