/* older_kernel.h - for tests of what the library does where the kernel has less to offer. */
#ifndef ASYNCIO_TESTS_OLDER_KERNEL_H
#define ASYNCIO_TESTS_OLDER_KERNEL_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "harness.h"

/* From now on the filter holds, in this process and its children. */
static inline void filter_calls(struct sock_filter *filter, size_t size)
{
    struct sock_fprog program = { .len = (unsigned short)size, .filter = filter };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        SKIP("system calls cannot be filtered here, as under qemu-user");
}

/* These system calls do not exist any more. */
static inline void forbid_calls(const int *calls, size_t count)
{
    struct sock_filter filter[16] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                               offsetof(struct seccomp_data, nr)) };
    size_t size = 1;

    for (size_t i = 0; i < count; i++) {
        filter[size++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
        filter[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    }
    filter[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter_calls(filter, size);
}

/* From now on this call does nothing and has that error; 0: it claims to have worked. */
static inline void answer_call(int call, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };

    filter_calls(filter, sizeof filter / sizeof *filter);
}

/* The like, only where its n-th argument, a small number, is this one. */
static inline void answer_argument(int call, unsigned n, unsigned value, int error)
{
    unsigned place = (unsigned)(offsetof(struct seccomp_data, args) + n * sizeof(uint64_t));
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };

    filter_calls(filter, sizeof filter / sizeof *filter);
}

/* There are no sockets of this family any more, as where it is no part of the kernel. */
static inline void forbid_family(int family)
{
#if defined(SYS_socketcall)
    SKIP("the family is in memory, where no filter looks");
#endif
    /* Arguments are small numbers: of a family its lower half, first on a little-endian machine. */
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)family, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };

    filter_calls(filter, sizeof filter / sizeof *filter);
}

#define FORBID(...)                                                                                \
    forbid_calls((const int[]){ __VA_ARGS__ }, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))

#endif
