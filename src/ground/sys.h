/* sys.h - the porting contract: all that the library wants of the operating system.
 *
 * Results are >= 0, or a negated errno; EINTR is retried.  Every call that can fail asks
 * fault_fails() first and then returns -ENOMEM, -EMFILE, -ECONNRESET or what else it could really
 * return (closing never fails).  Every descriptor is close-on-exec and non-blocking from birth.
 */
#ifndef ASYNCIO_GROUND_SYS_H
#define ASYNCIO_GROUND_SYS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "asyncio.h"

enum { NS_PER_S = 1000000000 };

/* The monotonic clock. */
int64_t sys_now_ns(void);

/* Seconds as a double to nanoseconds, rounded up, so that no timer is early: INFINITY and all that
 * is beyond about 292 years become INT64_MAX; negative infinity and the like INT64_MIN; and back.
 * NaN is the caller's to refuse. */
int64_t sys_seconds_to_ns(double seconds);
double sys_ns_to_seconds(int64_t ns);

/* ---- sockets ---- */

/* Which of the hosts of a simulated network the code that runs is at (sim.h); else 0. */
unsigned sys_place(void);

/* A stream or datagram socket, here or at such a place. */
int sys_socket(int family, int type, int protocol);
int sys_socket_at(unsigned place, int family, int type, int protocol);
int sys_double(int fd); /* another descriptor of the same; close-on-exec, the rest is shared */
void sys_close(int fd); /* negative: nothing */
int sys_bind(int fd, const asyncio_address *address);
int sys_listen(int fd, int backlog);
/* 0, or -EINPROGRESS; then, once it is writable, sys_socket_error() has the outcome. */
int sys_connect(int fd, const asyncio_address *address);
int sys_socket_error(int fd);                        /* SO_ERROR, as 0 or a negated errno */
int sys_accept(int listener, asyncio_address *from); /* `from` may be NULL */
int sys_recv(int fd, void *data, size_t size);
int sys_recvfrom(int fd, void *data, size_t size, asyncio_address *from);
/* With MSG_NOSIGNAL; sizes are cut off at INT_MAX. */
int sys_send(int fd, const void *data, size_t size);
int sys_sendv(int fd, const asyncio_bytes *parts, size_t count);
int sys_sendto(int fd, const void *data, size_t size, const asyncio_address *to); /* or NULL */
int sys_shutdown_write(int fd);
int sys_getsockname(int fd, asyncio_address *address);
int sys_getpeername(int fd, asyncio_address *address);
int sys_set_option(int fd, int level, int name, int value); /* setsockopt of an int */
int sys_get_option(int fd, int level, int name);            /* getsockopt of an int >= 0 */
int sys_is_blocking(int fd);                                /* 1, 0, or an error */
int sys_set_nonblocking(int fd);                            /* one that was not made here */
/* As for sockets; writing where nobody reads any more is -EPIPE, and no signal. */
int sys_read(int fd, void *data, size_t size);
int sys_write(int fd, const void *data, size_t size);
int sys_writev(int fd, const asyncio_bytes *parts, size_t count);
enum sys_file_kind { SYS_FILE_OTHER, SYS_FILE_FIFO, SYS_FILE_SOCKET, SYS_FILE_CHARACTER };
int sys_file_kind(int fd); /* one of these, or an error */
/* Makes a file that is not a socket non-blocking, if it can so that nobody notices who shares it.
 * 0; or 1: others notice, until it is given back. */
int sys_take_file(int fd);
void sys_give_file_back(int fd);
/* SO_LINGER 0: closing it then resets the connection. */
void sys_reset_on_close(int fd);
int sys_interface_index(const char *name); /* of "eth0"; > 0, or an error */

/* ---- names ----
 *
 * Both may block for as long as name servers please, and need 12 KiB of stack: they are for
 * threads.  Errors are ASYNCIO_EAI_*, or errnos. */

/* Stores a block of memory_get(), and returns how many addresses it holds, at least 1, of which
 * some may be the same.  `host` or `service` may be NULL. */
int sys_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                    const asyncio_getaddrinfo_options *options);
/* ASYNCIO_ELIMIT: there is no room.  A size of 0: it is not wanted. */
int sys_getnameinfo(char *host, size_t host_size, char *service, size_t service_size,
                    const asyncio_address *address, int flags);

/* ---- names in the file system ---- */

struct sys_file_id {
    uint64_t device, inode;
};

/* 1: the path leads to a socket, and which one; 0: to something else.  -ENOENT. */
int sys_socket_file(const char *path, struct sys_file_id *id);
int sys_unlink(const char *path);

/* ---- files ---- */

/* Offset -1 is where the file stands, which then moves on. */
int sys_file_open(const char *path, int flags, unsigned mode);
int sys_file_read(int fd, void *data, size_t size, int64_t offset);
/* What can be read without waiting for a disk.  -EAGAIN: nothing, or one cannot know. */
int sys_file_read_cached(int fd, void *data, size_t size, int64_t offset);
int sys_file_write(int fd, const void *data, size_t size, int64_t offset);
int sys_file_sync(int fd);
int sys_file_seek(int fd, int64_t offset); /* from the beginning */
/* 1: it is one that a poll can wait for; 0: a file on a disk, always ready, and slow. */
int sys_file_can_wait(int fd);
int sys_sendfile(int socket, int file, int64_t offset, size_t count);

/* ---- waiting ---- */

/* A descriptor that is readable after sys_event_signal(), until sys_event_clear(). */
int sys_event_open(void);
void sys_event_signal(int fd); /* async-signal-safe; keeps errno */
void sys_event_clear(int fd);

struct pollfd;
struct epoll_event;

/* timeout_ns < 0: no limit.  Rounded up where the kernel's unit is coarser.  0 on EINTR, or after a
 * day: who waits looks at the clock again. */
int sys_poll(struct pollfd *fds, size_t count, int64_t timeout_ns);
void sys_pause_ns(int64_t ns); /* blocks the thread, for less than a second */
int sys_epoll_create(void);
int sys_epoll_ctl(int epoll_fd, int operation, int fd, uint32_t events, uint64_t data);
int sys_epoll_takes(int fd); /* 0; -EPERM: it is nothing that can be waited for */
int sys_epoll_wait(int epoll_fd, struct epoll_event *events, int capacity, int64_t timeout_ns);

/* ---- pages, for stacks ---- */

size_t sys_page_size(void);
void *sys_pages_reserve(size_t size); /* committed as touched; NULL: no memory */
void sys_pages_release(void *pages, size_t size);
void sys_pages_discard(void *pages, size_t size); /* gives the memory back; reads as zeros */
/* Makes pages that fault, without splitting the mapping where the kernel can
 * (MADV_GUARD_INSTALL), else by mprotect.  -ENOMEM. */
int sys_pages_guard(void *pages, size_t size);

/* ---- processes ---- */

/* Where a spawn failed: in this process or by the settings, at the directory, at the program. */
enum sys_spawn_at { SYS_SPAWN_AT_START, SYS_SPAWN_AT_CWD, SYS_SPAWN_AT_PROGRAM };

struct sys_spawn {
    const char *const *argv;
    const char *const *env; /* NULL: this process's.  Its PATH is where argv[0] is looked up */
    const char *cwd;        /* NULL: this process's */
    int stdio[3];           /* what becomes its 0, 1 and 2; negative: that is closed */
    const int *files;       /* further ones, under the same numbers; those below 3 do not count */
    size_t file_count;
    bool new_session, new_group;
    const unsigned *user, *group, *umask; /* NULL: as in this process */
};

/* Starts a program: the result is 0 once it runs as that program.  It gets the files named and no
 * others, no signal blocked, and default dispositions.  An error is exactly what the system said;
 * no child is left then.  See sys_spawn.c. */
int sys_spawn(long *pid, const struct sys_spawn *spawn, enum sys_spawn_at *at);

/* A pipe to or from a child: the end kept here is as all descriptors are, the child's blocks. */
int sys_child_pipe(int *kept, int *given, bool child_reads);
int sys_open_null(void); /* /dev/null, for both directions */
bool sys_is_open(int fd);
bool sys_is_inherited(int fd); /* open, and a program that is started here would have it */

/* A descriptor that is readable once the child has ended; for sys_poll and the like, also with
 * signals and reaping.  -ENOSYS: not this kernel. */
int sys_pidfd_open(long pid);

/* `pidfd` may be negative; then nobody else may reap meanwhile.  0 also for a child that has ended
 * and is not reaped, or was by somebody else.  -EPERM, -EINVAL. */
int sys_child_signal(long pid, int pidfd, int signum);

/* 1: it has ended and is gone now; *code is its exit status, or -N for signal N.  0: it runs.
 * -ECHILD: it is no child (any more): somebody else has reaped it. */
int sys_child_reap(long pid, int pidfd, int *code);

/* Blocks until it has ended, which leaves it to be reaped. */
void sys_child_wait(long pid, int pidfd);

/* ---- threads ---- */

/* Starts a thread that blocks all signals but those of its own faults; joinable.  The kernel keeps
 * the first 15 bytes of `name`. */
int sys_thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg, const char *name);
unsigned sys_processor_count(void);

extern atomic_long sys_process_known; /* 0: not yet */
long sys_process_find(void);
static inline long sys_process_id(void)
{
    long id = atomic_load_explicit(&sys_process_known, memory_order_relaxed);

    return id != 0 ? id : sys_process_find();
}

/* The locks of the process, each held for moments, and no two at once.  A fork finds all of them
 * open, in both processes. */
enum sys_lock {
    SYS_LOCK_LOG,
    SYS_LOCK_FAULTS,
    SYS_LOCK_ORIGINS,
    SYS_LOCK_SIGNALS,
    SYS_LOCK_SCHEDULERS,
    SYS_LOCKS
};
void sys_lock(enum sys_lock lock);
void sys_unlock(enum sys_lock lock);

/* Has forget() called in the child of every fork, before fork() returns there; signals are blocked
 * meanwhile.  Once, however often it is told. */
void sys_forget_in_child(void (*forget)(void));

int sys_thread_id(void);                                    /* as in /proc/PID/task */
void sys_write_text(int fd, const char *text, size_t size); /* all of it, as far as it goes */
/* How many threads the process has, without those of a sanitizer and those that idle; -ENOTSUP. */
int sys_thread_count(void);
/* So many threads more, or less, idle: they are the library's own and do nothing of themselves, so
 * that nobody need wait for them.  Only threads that there are may be told so: each after it was
 * started, and not any more before it ends. */
void sys_threads_idle(int change);

#endif
