/* timeouts.c - what takes too long is cancelled: in one call, over several, and one in another.
 *
 *     make run PROGRAM=examples/timeouts.c
 *
 * When a timeout is over, the call that the task waits in returns -ECANCELED.  The task frees what
 * it holds and passes that on; where the timeout was entered, leaving it makes -ETIMEDOUT of it.
 */
#include <asyncio.h>
#include <stdio.h>

/* Something slow, that cleans up after itself whatever happens. */
static int brew(void *arg)
{
    double seconds = *(double *)arg;

    printf("  brewing for %.1f s\n", seconds);
    int r = asyncio_sleep(seconds);
    printf("  kettle off (%s)\n", r < 0 ? asyncio_error_name(r) : "done");
    return r;
}

/* One call: wait_for. */
static int one_call(void)
{
    double slow = 5;

    puts("wait_for, with 0.2 s for a brew of 5 s:");
    int r = asyncio_wait_for(brew, &slow, 0.2);
    printf("  -> %s\n", asyncio_strerror(r));
    return r == -ETIMEDOUT ? 0 : r;
}

/* Several calls that share one time: a scope.  It is entered and left in the same function. */
static int several_calls(void)
{
    double cup = 0.1, next_cup = 0.1;
    asyncio_timeout timeout;

    puts("a timeout of 1 s, with two cups of 0.1 s in it:");
    asyncio_timeout_enter(&timeout, 1);
    int r = brew(&cup);
    if (r == 0)
        r = brew(&next_cup);
    r = asyncio_timeout_exit(&timeout, r); /* no return between _enter and _exit */
    printf("  -> %s\n", r < 0 ? asyncio_strerror(r) : "in time");
    return r;
}

/* The inner one has its own time, but never more than the outer one has left. */
static int one_in_another(void)
{
    double slow = 5;
    asyncio_timeout patience;

    puts("0.3 s for everything, and in it 1 s for one try:");
    asyncio_timeout_enter(&patience, 0.3);
    int r = asyncio_wait_for(brew, &slow, 1);
    printf("  the inner one returns %s: it was not its time that was over\n",
           asyncio_error_name(r));
    r = asyncio_timeout_exit(&patience, r);
    printf("  -> the outer one, %s\n", asyncio_error_name(r));
    return r == -ETIMEDOUT ? 0 : r;
}

/* Whoever sees progress may grant more time. */
static int more_time(void)
{
    asyncio_timeout watchdog;
    int r = 0;

    puts("a watchdog of 0.2 s, pushed back at each of 5 steps of 0.1 s:");
    asyncio_timeout_enter(&watchdog, 0.2);
    for (int step = 0; step < 5 && r == 0; step++) {
        r = asyncio_sleep(0.1);
        asyncio_timeout_reschedule(&watchdog, asyncio_loop_time(asyncio_get_running_loop()) + 0.2);
    }
    r = asyncio_timeout_exit(&watchdog, r);
    printf("  -> %s\n", r < 0 ? asyncio_strerror(r) : "it never bit");
    return r;
}

static int show(void *arg)
{
    (void)arg;
    int r = one_call();
    if (r == 0)
        r = several_calls();
    if (r == 0)
        r = one_in_another();
    return r == 0 ? more_time() : r;
}

int main(void)
{
    int r = asyncio_run(show, NULL);

    if (r < 0)
        fprintf(stderr, "timeouts: %s\n", asyncio_strerror(r));
    return r < 0;
}
