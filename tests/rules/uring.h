/* uring.h - what the tests of io_uring share: loops on it, and receives from sockets of the
 * library's own.
 *
 * Loops are made by asyncio_proactor_event_loop_new(), whatever back end the others are on.
 */
#ifndef ASYNCIO_TESTS_RULES_URING_H
#define ASYNCIO_TESTS_RULES_URING_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/sys.h"
#include "ground/sys_uring.h"
#include "loop/op.h"
#include "loops.h"

static inline asyncio_loop *new_proactor(void)
{
    asyncio_loop *loop = NULL;

    unsetenv("ASYNCIO_BACKEND");
    int r = asyncio_proactor_event_loop_new(&loop, NULL);
    if (r < 0 && !test_is_torture())
        FAIL("no loop: %s", asyncio_error_name(r));
    return loop;
}

static inline bool is_on_uring(const asyncio_loop *loop)
{
    return strncmp(asyncio_loop_backend_info(loop), "uring", 5) == 0;
}

/* NULL: torture has kept it from being made. */
static inline asyncio_loop *proactor(void)
{
    asyncio_loop *loop = new_proactor();
    char reason[128];

    if (loop == NULL || is_on_uring(loop))
        return loop;
    snprintf(reason, sizeof reason, "no io_uring here, but %s", asyncio_loop_backend_info(loop));
    asyncio_loop_unref(loop);
    if (test_is_torture())
        return NULL;
    SKIP(reason);
}

struct receive {
    asyncio_op op;
    int result, done;
    char data[8];
};

static inline void received(asyncio_op *op, int result)
{
    struct receive *receive = CONTAINER_OF(op, struct receive, op);

    receive->result = result;
    receive->done++;
}

struct sockets {
    int mine, peer; /* the loop owns the first */
};

static inline bool make_sockets(asyncio_loop *loop, struct sockets *sockets)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return false;
    *sockets = (struct sockets){ fds[0], fds[1] };
    if (loop_own_fd(loop, fds[0]) == 0)
        return true;
    sys_close(fds[0]);
    sys_close(fds[1]);
    return false;
}

static inline void start_receive(asyncio_loop *loop, struct receive *receive, int fd)
{
    receive->done = 0;
    receive->op.done = received;
    op_prepare(&receive->op, loop, OP_RECV, fd, receive->data, sizeof receive->data, NULL);
    op_submit(&receive->op);
}

static inline void turns(asyncio_loop *loop, const struct receive *receive)
{
    for (int i = 0; i < 100 && receive->done == 0; i++)
        turn(loop);
}

/* A whole run, at whose end everything is taken back. */
static inline void run_until_stopped(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 };

    if (asyncio_loop_call_soon(loop, &handle, stop_it, loop) == 0)
        asyncio_ignore(asyncio_loop_run_forever(loop));
    asyncio_handle_cancel(&handle);
}

static inline void with_sockets(void (*body)(asyncio_loop *loop, struct sockets *sockets))
{
    asyncio_loop *loop = proactor();
    struct sockets sockets;

    if (loop == NULL)
        return;
    if (make_sockets(loop, &sockets)) {
        body(loop, &sockets);
        loop_close_fd(loop, sockets.mine);
        sys_close(sockets.peer);
    }
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

#define URING_TEST(name)                                                                           \
    static void name(asyncio_loop *loop, struct sockets *sockets);                                 \
    TEST(uring_##name)                                                                             \
    {                                                                                              \
        with_sockets(name);                                                                        \
    }                                                                                              \
    static void name(asyncio_loop *loop, struct sockets *sockets)

#endif
