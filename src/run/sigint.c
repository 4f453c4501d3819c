/* sigint.c - Ctrl-C while a main task runs.
 *
 * The first one is a request to cancel the main task; what becomes of it is the task's affair.  The
 * second one is for a program that does not listen: signal.c then has the process die of it, out of
 * the signal handler, so that even a callback that never returns cannot prevent it.
 */
#include "run/sigint.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ground/sys.h"

/* Others have no say in what becomes of the process. */
static bool is_first_thread(void)
{
    return syscall(SYS_gettid) == sys_process_id();
}

static bool nobody_asked_for_it(void)
{
    struct sigaction now;

    (void)sigaction(SIGINT, NULL, &now); /* cannot fail: there is such a signal */
    return (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
}

static void arrived(struct signal_watch *watch, int signum)
{
    struct sigint *sigint = CONTAINER_OF(watch, struct sigint, watch);

    (void)signum;
    sigint->came = true;
    sigint->late = !asyncio_task_cancel(sigint->main);
}

void sigint_watch(struct sigint *sigint, asyncio_loop *loop, asyncio_task *main)
{
    *sigint = (struct sigint){
        .watch = { .signals = signal_bit(SIGINT), .kind = SIGNAL_LAST_RESORT, .arrived = arrived }
    };
    if (main == NULL || !is_first_thread() || !nobody_asked_for_it())
        return;
    /* Where it cannot be watched the process dies at the first one. */
    if (signal_watch_start(&sigint->watch, loop) == 0)
        sigint->main = main;
}

int sigint_unwatch(struct sigint *sigint, int r)
{
    if (sigint->main == NULL)
        return r;
    if (sigint->watch.loop->signals != NULL) /* a fork's child has none */
        signals_deliver(sigint->watch.loop); /* what came after the loop's last look */
    signal_watch_stop(&sigint->watch);
    if (!sigint->came)
        return r;
    if (sigint->late)
        return r >= 0 ? -EINTR : r;
    return r == -ECANCELED && asyncio_task_uncancel(sigint->main) == 0 ? -EINTR : r;
}
