/* wait_signal.c - a task that waits for a signal.
 *
 * The watch lasts as long as the wait.  A signal that has come is not lost to a cancellation: one
 * that comes at the same time stays pending, and the number is returned.
 */
#include "core/signal.h"
#include "task/task.h"

struct signal_wait {
    struct wait wait;
    struct signal_watch watch;
    asyncio_task *task;
    int result; /* 0: nothing yet */
};

static void finish(struct signal_wait *waiting, int result)
{
    if (waiting->result != 0)
        return;
    waiting->result = result;
    task_wake(waiting->task);
}

static void arrived(struct signal_watch *watch, int signum)
{
    finish(CONTAINER_OF(watch, struct signal_wait, watch), signum);
}

static bool cancel(struct wait *wait, const char *reason)
{
    struct signal_wait *waiting = CONTAINER_OF(wait, struct signal_wait, wait);

    (void)reason;
    if (waiting->result == 0)
        signals_deliver(waiting->watch.loop);
    if (waiting->result != 0)
        return false;
    finish(waiting, -ECANCELED);
    return true;
}

int asyncio_wait_signals(const int *signums, size_t count)
{
    static const struct wait_type type = { .what = "waits for a signal",
                                           .cancel = cancel,
                                           .keeps_cancel = true };
    struct signal_wait waiting = { .wait = { &type, NULL }, .watch = { .arrived = arrived } };
    int r = task_require(&waiting.task);

    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        if (signal_bit(signums[i]) == 0)
            return -EINVAL;
        waiting.watch.signals |= signal_bit(signums[i]);
    }
    if (count == 0)
        return -EINVAL;
    r = signal_watch_start(&waiting.watch, waiting.task->scheduler->loop);
    if (r < 0)
        return r;
    asyncio_ignore(task_park(&waiting.wait)); /* a request it keeps is for the next wait */
    signal_watch_stop(&waiting.watch);
    if (waiting.result == -ECANCELED)
        waiting.task->must_cancel = false; /* several requests are one cancellation */
    return waiting.result;
}

int asyncio_wait_signal(int signum)
{
    return asyncio_wait_signals(&signum, 1);
}
