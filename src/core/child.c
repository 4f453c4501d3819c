/* child.c - the life of a child, from the moment it runs: noticing its end, reaping, letting go.
 *
 * Two ways to notice: an operation that polls the pidfd, or a watcher, which is a thread that waits
 * for the end without reaping and then sends word.  Both end in notice(), in the loop.
 *
 * A watcher belongs to two, its child and its thread (then: its message).  What becomes of the end
 * that it waits for is decided by one exchange of `state`: the thread finds WATCHING, and tells the
 * loop; or the child was given up first (ORPHANED), and the thread reaps it itself.
 */
#include "core/child.h"

#include <poll.h>
#include <signal.h>

#include "ground/log.h"
#include "ground/memory.h"
#include "loop/op.h"

enum { UNKNOWN_CODE = 255, PATIENCE_NS = NS_PER_S / 10 };

enum watcher_state { WATCHING, ENDED, ORPHANED };

struct child_watcher {
    atomic_int state, references;
    long pid;
    int pidfd;                 /* an orphan's */
    struct asyncio_loop *loop; /* kept; NULL: to reap an orphan */
    asyncio_handle handle;
    struct child *child; /* the loop's thread looks at it: NULL, it is gone */
};

/* ---- the end ---- */

static void destroy(struct child *child)
{
    sys_close(child->pidfd);
    memory_free(child);
}

static void leave_loop(struct child *child)
{
    loop_leave(child->loop, &child->guest);
    loop_release(child->loop);
}

static void watcher_release(struct child_watcher *watcher)
{
    if (atomic_fetch_sub(&watcher->references, 1) != 1)
        return;
    if (watcher->loop != NULL)
        loop_let_go(watcher->loop);
    memory_free(watcher);
}

static void forget_watcher(struct child *child)
{
    if (child->watcher == NULL)
        return;
    child->watcher->child = NULL;
    watcher_release(child->watcher);
    child->watcher = NULL;
}

/* True: it has ended, is gone, and `returncode` is set. */
static bool reap(struct child *child)
{
    int code, r = sys_child_reap(child->pid, child->pidfd, &code);

    if (r == 0)
        return false;
    if (r < 0)
        log_write(ASYNCIO_LOG_WARNING,
                  "child process %ld was reaped by somebody else: its return code is taken as %d",
                  child->pid, UNKNOWN_CODE);
    child->returncode = r < 0 ? UNKNOWN_CODE : code;
    forget_watcher(child);
    return true;
}

/* It was reaped. */
static void tell(struct child *child)
{
    leave_loop(child);
    sys_close(child->pidfd);
    child->pidfd = -1;
    if (child->left)
        destroy(child);
    else
        child->exited(child);
}

/* ---- the watcher's thread ---- */

static int arrived(void *arg)
{
    struct child_watcher *watcher = arg;
    struct child *child = watcher->child;
    bool closed = watcher->loop->closed;

    watcher_release(watcher);
    /* Closed: the child is told of that by itself. */
    if (child != NULL && !closed && reap(child))
        tell(child);
    return 0;
}

static void *wait_for_end(void *arg)
{
    struct child_watcher *watcher = arg;
    int watching = WATCHING, code;

    sys_child_wait(watcher->pid, watcher->pidfd);
    if (atomic_compare_exchange_strong(&watcher->state, &watching, ENDED)) {
        if (remote_send(watcher->loop, &watcher->handle, arrived, watcher) == 0)
            watcher = NULL; /* it goes with the message */
    } else {
        (void)sys_child_reap(watcher->pid, watcher->pidfd, &code);
        sys_close(watcher->pidfd);
    }
    if (watcher != NULL)
        watcher_release(watcher);
    sys_threads_idle(-1);
    return NULL;
}

/* The thread counts as idle: it waits for what a loop holds on for, or for nothing of interest. */
static int start_watcher(struct child_watcher *watcher)
{
    pthread_t thread;

    sys_threads_idle(1);
    int r = sys_thread_start(&thread, wait_for_end, watcher, "asyncio_child");
    if (r < 0)
        sys_threads_idle(-1);
    else
        (void)pthread_detach(thread); /* it is there, and nobody joins it */
    return r;
}

static struct child_watcher *make_watcher(const struct child *child, enum watcher_state state)
{
    struct child_watcher *watcher = memory_zeroed(sizeof *watcher);

    if (watcher == NULL)
        return NULL;
    atomic_init(&watcher->state, state);
    atomic_init(&watcher->references, state == WATCHING ? 2 : 1);
    watcher->pid = child->pid;
    watcher->pidfd = -1;
    return watcher;
}

static int watch_by_thread(struct child *child)
{
    struct child_watcher *watcher = make_watcher(child, WATCHING);

    if (watcher == NULL)
        return -ENOMEM;
    watcher->loop = child->loop;
    watcher->child = child;
    loop_keep(watcher->loop);
    int r = start_watcher(watcher);
    if (r < 0) {
        loop_let_go(watcher->loop);
        memory_free(watcher);
        return r;
    }
    child->watcher = watcher;
    return 0;
}

/* ---- burying: reaping what nobody waits for ---- */

/* A thread for it, which takes over the pidfd.  -ENOMEM, -EAGAIN. */
static int hand_to_thread(struct child *child)
{
    struct child_watcher *watcher = make_watcher(child, ORPHANED);

    if (watcher == NULL)
        return -ENOMEM;
    watcher->pidfd = child->pidfd;
    int r = start_watcher(watcher);
    if (r < 0)
        memory_free(watcher);
    else
        child->pidfd = -1;
    return r;
}

/* The watcher's thread will see to it, unless it has done its part already. */
static bool hand_to_watcher(struct child *child)
{
    int watching = WATCHING;
    bool taken = child->watcher != NULL &&
                 atomic_compare_exchange_strong(&child->watcher->state, &watching, ORPHANED);

    forget_watcher(child);
    return taken;
}

/* Nothing can tell of its end: that is brought about, here and now. */
static void end_unwatched(struct child *child)
{
    (void)sys_child_signal(child->pid, child->pidfd, SIGKILL); /* or it waits for the end it has */
    while (!reap(child))
        sys_child_wait(child->pid, child->pidfd);
}

static void say_killed(const struct child *child, int error)
{
    log_write(ASYNCIO_LOG_ERROR, "child process %ld was killed: it could not be watched: %s",
              child->pid, asyncio_strerror(error));
}

/* Without a loop, and frees it.  One that was killed may take a moment: most end in here. */
static void bury(struct child *child)
{
    struct pollfd ended = { .fd = child->pidfd, .events = POLLIN };
    int r = 0;

    if (hand_to_watcher(child)) {
        destroy(child);
        return;
    }
    if (child->killed && child->pidfd >= 0)
        (void)sys_poll(&ended, 1, PATIENCE_NS); /* if it fails, the rest takes longer */
    if (!reap(child))
        r = hand_to_thread(child);
    if (r < 0) {
        if (!child->killed)
            say_killed(child, r);
        end_unwatched(child);
    }
    destroy(child);
}

/* ---- the loop ---- */

static void closing(struct loop_guest *guest)
{
    struct child *child = CONTAINER_OF(guest, struct child, guest);

    loop_release(child->loop);
    child->loop = NULL;
    if (!child->killed)
        log_write(ASYNCIO_LOG_WARNING,
                  "the loop was closed while child process %ld runs: its end will not be noticed",
                  child->pid);
    if (child->left)
        bury(child);
}

/* Where the pidfd cannot be polled, or the back end only supposes that it is ready, a thread waits
 * instead. */
static void pidfd_ready(asyncio_op *op, int result)
{
    struct child *child = CONTAINER_OF(op, struct child, ended);

    if (result == -ECANCELED || result == ASYNCIO_ECLOSED)
        return; /* the loop is being closed */
    if (result < 0 || !reap(child)) {
        int r = watch_by_thread(child);

        if (r == 0)
            return;
        say_killed(child, r);
        end_unwatched(child);
    }
    tell(child);
}

static void watch(struct child *child)
{
    op_prepare(&child->ended, child->loop, OP_POLL, child->pidfd, NULL, ASYNCIO_READABLE, NULL);
    child->ended.done = pidfd_ready;
    op_submit(&child->ended);
}

int child_begin(struct child *child)
{
    child->pidfd = sys_pidfd_open(child->pid);
    int r = child->pidfd < 0 ? watch_by_thread(child) : 0;

    if (r < 0) {
        end_unwatched(child);
        return r;
    }
    child->process = sys_process_id();
    child->guest.closing = closing;
    loop_join(child->loop, &child->guest);
    loop_hold(child->loop);
    if (child->pidfd >= 0)
        watch(child);
    return 0;
}

/* ---- for the owner ---- */

int child_signal(struct child *child, int signum)
{
    if (child->returncode != ASYNCIO_RUNNING || child->process != sys_process_id())
        return -ESRCH;
    return sys_child_signal(child->pid, child->pidfd, signum);
}

void child_leave(struct child *child, enum child_fate fate)
{
    child->left = true;
    if (child->returncode != ASYNCIO_RUNNING) {
        destroy(child);
        return;
    }
    if (fate == CHILD_KILLED) {
        child->killed = true;
        asyncio_ignore(child_signal(child, SIGKILL)); /* who may not be killed is waited for */
    }
    if (child->loop == NULL && child->process == sys_process_id())
        bury(child);
    else if (child->loop == NULL)
        destroy(child);
}
