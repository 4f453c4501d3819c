/* turn.c - the iterations of a loop.
 *
 * What speaks for asking the kernel in an iteration: nothing is ready, so the loop may sleep; or
 * the quantum since it was last asked is over.  Tasks that switch to one another without coming
 * back here (loop_peek) count their steps down; at 0 they come back, so that the clock is read. How
 * many steps that is adapts: few when steps are long, LOOP_STEPS_MAX when they are short.
 *
 * Order within an iteration, which is asyncio's: what was ready, what the kernel reported, what
 * other threads scheduled, timers that are due.  A timer handle becomes ready; it does not run
 * while the heap is looked at, so that it may set and cancel timers.
 */
#include "ground/log.h"
#include "ground/sys.h"
#include "loop/backend.h"
#include "loop/op.h"

static const int64_t LOOK_AGAIN_NS = NS_PER_S;
enum { TIMERS_PER_TURN = 1024 };

int64_t loop_time_ns(const struct asyncio_loop *loop)
{
    return loop->virtual_time ? loop->now_ns : sys_now_ns();
}

static void read_clock(struct asyncio_loop *loop)
{
    if (!loop->virtual_time)
        loop->now_ns = sys_now_ns();
}

/* ---- waiting ---- */

/* INT64_MAX: nothing is timed. */
static int64_t next_deadline(const struct asyncio_loop *loop)
{
    int64_t timer = timers_next(&loop->timers), event = INT64_MAX;

    if (loop->backend->next != NULL && loop->backend_state != NULL)
        event = loop->backend->next((struct asyncio_loop *)(uintptr_t)loop);
    return timer < event ? timer : event;
}

/* Operations that wait, and may end without any other. */
static bool operations_may_end(struct asyncio_loop *loop)
{
    return loop->operations > 0 &&
           !(loop->backend->hopeless != NULL && loop->backend->hopeless(loop));
}

/* How long the loop may sleep; < 0: no limit. */
static int64_t sleep_limit(const struct asyncio_loop *loop, int64_t max_wait_ns)
{
    int64_t deadline = next_deadline(loop), limit = max_wait_ns;

    if (!circle_empty(&loop->ready) || atomic_load(&loop->stopping))
        return 0;
    if (deadline != INT64_MAX && !loop->virtual_time) {
        int64_t left = deadline - loop->now_ns;

        if (left < 0)
            left = 0;
        if (limit < 0 || left < limit)
            limit = left;
    }
    return limit;
}

/* For how long to sleep when there is no limit.  If nothing this loop knows of will ever make
 * something ready, another thread may; and since that may end without a word, one looks again.  The
 * threads are counted before the look at what they left: one that has ended may have been the last
 * to add. */
static int64_t unlimited_sleep(struct asyncio_loop *loop)
{
    if (loop->client == NULL || loop->holds > 0 || loop->timers.count > 0 ||
        operations_may_end(loop))
        return -1;
    if (sys_thread_count() != 1)
        return LOOK_AGAIN_NS;
    if (atomic_load(&loop->remote.pending) || atomic_load(&loop->stopping))
        return 0;
    return loop->client->stuck(loop) ? 0 : -1;
}

/* Work in other threads takes real time, and virtual time waits for it; but not for a job that
 * itself waits for this loop. */
static bool jobs_work(struct asyncio_loop *loop)
{
    return loop->jobs > atomic_load(&loop->jobs_waiting);
}

static bool something_came(struct asyncio_loop *loop)
{
    loop->backend->wait(loop, 0);
    return loop->woken || !circle_empty(&loop->ready) || atomic_load(&loop->remote.pending) ||
           atomic_load(&loop->stopping);
}

/* Looks again and again, instead of sleeping, and takes the time for that off the timeout; whether
 * there is no need to sleep any more.  When it was for nothing a few times in a row it is tried now
 * and then only. */
static bool spin(struct asyncio_loop *loop, int64_t *timeout_ns)
{
    enum { LOST_MOST = 8, NOW_AND_THEN = 32 };
    bool limited = *timeout_ns >= 0;
    int64_t limit = limited && *timeout_ns < loop->spin_ns ? *timeout_ns : loop->spin_ns;

    if (loop->spin_lost >= LOST_MOST && loop->spin_lost++ % NOW_AND_THEN != 0)
        return false;
    int64_t start = sys_now_ns(), spent;
    do {
        if (something_came(loop)) {
            loop->spin_lost = 0;
            return true;
        }
        spent = sys_now_ns() - start;
    } while (spent < limit);
    loop->spin_lost++;
    if (limited)
        *timeout_ns = spent < *timeout_ns ? *timeout_ns - spent : 0;
    return *timeout_ns == 0;
}

/* The flag first, then the look at what other threads left: who adds to that looks at the flag
 * afterwards, so one of the two notices.  A signal tells by wake_fd alone: whoever took that in has
 * to see to it that `signalled` is called before the loop sleeps. */
static void wait_backend(struct asyncio_loop *loop, int64_t timeout_ns)
{
    if (loop->before_wait != NULL)
        loop->before_wait(loop->hook_arg);
    if (loop->woken)
        timeout_ns = 0;
    bool came =
        timeout_ns != 0 && loop->spin_ns > 0 && !loop->virtual_time && spin(loop, &timeout_ns);
    if (!came && timeout_ns != 0) {
        atomic_store(&loop->asleep, true);
        if (atomic_load(&loop->remote.pending) || atomic_load(&loop->stopping) ||
            (loop->virtual_time && loop->timers.count > 0 && !jobs_work(loop)))
            timeout_ns = 0;
    }
    if (!came)
        loop->backend->wait(loop, timeout_ns);
    atomic_store(&loop->asleep, false);
    loop->woken = false;
    if (loop->after_wait != NULL)
        loop->after_wait(loop->hook_arg);
    if (loop->signalled != NULL)
        loop->signalled(loop);
}

/* Virtual time stands still while something can happen, and jumps when nothing can. */
static void wait_virtual(struct asyncio_loop *loop, int64_t limit)
{
    wait_backend(loop, 0);
    if (!circle_empty(&loop->ready) || limit == 0 || atomic_load(&loop->remote.pending))
        return;
    int64_t deadline = next_deadline(loop);
    if (deadline <= loop->now_ns)
        return;
    if (deadline == INT64_MAX || jobs_work(loop))
        wait_backend(loop, limit);
    else if (loop->backend->jump != NULL)
        loop->now_ns = loop->backend->jump(loop, deadline);
    else
        loop->now_ns = deadline;
}

/* Gives back what lies idle, a share at a time; what is left of it shortens the sleep, since
 * nothing else might ever wake the loop. */
static int64_t tidy_up(struct asyncio_loop *loop, int64_t limit)
{
    bool some_left = loop->client != NULL && loop->client->idle(loop);

    return some_left && (limit < 0 || limit > TIDY_UP_NS) ? TIDY_UP_NS : limit;
}

static void wait_kernel(struct asyncio_loop *loop, int64_t max_wait_ns)
{
    int64_t limit = sleep_limit(loop, max_wait_ns);

    if (limit < 0)
        limit = unlimited_sleep(loop);
    if (limit != 0)
        limit = tidy_up(loop, limit);
    if (loop->virtual_time)
        wait_virtual(loop, limit);
    else
        wait_backend(loop, limit);
    read_clock(loop);
    loop->polled_at_ns = loop->strode_at_ns = loop->now_ns;
}

/* ---- the batch ---- */

/* However many are due, the kernel is asked in between, and new callbacks get their turn. */
static void collect_timers(struct asyncio_loop *loop)
{
    size_t share = TIMERS_PER_TURN;
    struct asyncio_timer *timer;

    while ((timer = timers_take_due(&loop->timers, loop->now_ns, &share)) != NULL)
        loop_ready(loop, &timer->handle);
}

static void report_slow(struct asyncio_loop *loop, const asyncio_handle *handle, int64_t ns)
{
    char text[256] = "a callback";

    if (loop->client != NULL)
        loop->client->describe_step(handle, text, sizeof text);
    log_write(ASYNCIO_LOG_WARNING, "%s took %.3f seconds, in which nothing else could run", text,
              sys_ns_to_seconds(ns));
}

/* Debug mode measures every step; in virtual time no step takes any. */
static void run_measured(struct asyncio_loop *loop, struct asyncio_handle *handle)
{
    asyncio_handle copy = *handle;
    int64_t start = sys_now_ns();

    handle_run(loop, handle);
    int64_t took = sys_now_ns() - start;
    if (loop->debug && took >= loop->slow_ns)
        report_slow(loop, &copy, took);
}

/* Reads the clock when the stride is over, and says whether the quantum is. */
static bool quantum_over(struct asyncio_loop *loop)
{
    if (loop->steps_left > 0)
        return false;
    int64_t now = sys_now_ns(), took = now - loop->strode_at_ns;

    loop->strode_at_ns = now;
    if (loop->virtual_time)
        took = LOOP_QUANTUM_NS; /* its clock does not tell; so every stride */
    else
        loop->now_ns = now;
    if (took >= 2 * LOOP_QUANTUM_NS && loop->stride > 1)
        loop->stride /= 2;
    else if (took < LOOP_QUANTUM_NS && loop->stride < LOOP_STEPS_MAX)
        loop->stride *= 2;
    loop->steps_left = loop->stride;
    return loop->virtual_time || now - loop->polled_at_ns >= LOOP_QUANTUM_NS;
}

static void run_batch(struct asyncio_loop *loop)
{
    while (!circle_empty(&loop->batch) && loop->exit_code == 0 && loop == loop_current) {
        struct asyncio_handle *handle = handle_of(loop->batch.next_);

        /* A batch is finished whatever it takes; but the clock may show timers to be due. */
        if (loop->steps_left <= 0) {
            loop->poll_due = quantum_over(loop) || loop->poll_due;
            loop->return_soon = true;
        }
        if (loop->debug)
            loop->steps_left = 0; /* each step is measured */
        loop_take(loop, handle);
        if (loop->debug)
            run_measured(loop, handle);
        else
            handle_run(loop, handle);
    }
    /* What a fatal error left over comes first in the next run. */
    circle_splice(&loop->ready, &loop->batch);
}

/* What a batch begins with is the back end's to say; so each is to be begun here. */
static void put_in_order(struct asyncio_loop *loop)
{
    loop->return_soon = true;
    loop->backend->order(loop);
}

void loop_turn(struct asyncio_loop *loop, int64_t max_wait_ns)
{
    if (circle_empty(&loop->ready) || quantum_over(loop) || loop->poll_due ||
        atomic_load(&loop->stopping) || loop->debug) {
        wait_kernel(loop, max_wait_ns);
        loop->poll_due = false;
        loop->steps_left = loop->stride;
    }
    remote_collect(loop);
    collect_timers(loop);
    loop->return_soon = atomic_load_explicit(&loop->stopping, memory_order_relaxed);
    if (loop->backend->order != NULL)
        put_in_order(loop);
    circle_splice(&loop->batch, &loop->ready);
    run_batch(loop);
}

/* ---- runs ---- */

void loop_exit(struct asyncio_loop *loop, int code)
{
    loop->exit_code = code;
    loop_return_soon(loop);
}

static int begin_backend(struct asyncio_loop *loop)
{
    return loop->backend->begin != NULL ? loop->backend->begin(loop) : 0;
}

static int begin(struct asyncio_loop *loop)
{
    if (loop->closed || loop->closing)
        return ASYNCIO_ECLOSED;
    if (loop->process != sys_process_id())
        return ASYNCIO_EWRONGLOOP;
    if (loop->running || loop_current != NULL)
        return -EBUSY;
    loop->running = true;
    int r = begin_backend(loop);
    if (r < 0) {
        loop->running = false;
        return r;
    }
    loop->thread = pthread_self();
    loop->exit_code = 0;
    loop_current = loop;
    read_clock(loop);
    loop->polled_at_ns = loop->strode_at_ns = loop->now_ns;
    if (loop->client != NULL)
        loop->client->begins(loop);
    return 0;
}

/* The child of a fork that comes back here finds that its parent's loop does not run in it. */
static int end(struct asyncio_loop *loop, bool for_good)
{
    int code = loop == loop_current ? loop->exit_code : ASYNCIO_EWRONGLOOP;

    if (code == 0 && loop->deadlocked)
        code = -EDEADLK;
    if (loop->client != NULL)
        loop->client->ends(loop);
    if (loop->backend->end != NULL)
        loop->backend->end(loop, for_good);
    loop->deadlocked = false;
    loop->exit_code = 0;
    loop->running = false;
    loop_current = NULL;
    return code;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

int loop_run_until(struct asyncio_loop *loop, bool (*over)(void *arg), void *arg)
{
    int r = begin(loop);

    if (r < 0)
        return r;
    do
        loop_turn(loop, -1);
    while (loop->exit_code == 0 && loop == loop_current && !atomic_load(&loop->stopping) &&
           !over(arg));
    atomic_store(&loop->stopping, false);
    return end(loop, true);
}

int loop_run(struct asyncio_loop *loop)
{
    return loop_run_until(loop, never, NULL);
}

int asyncio_loop_run_forever(asyncio_loop *loop)
{
    return loop_run(loop);
}

int asyncio_loop_run_once(asyncio_loop *loop, double max_wait)
{
    if (isnan(max_wait))
        return -EINVAL;
    int r = begin(loop);

    if (r < 0)
        return r;
    int64_t max_wait_ns = sys_seconds_to_ns(max_wait);
    loop_turn(loop, max_wait_ns == INT64_MAX ? -1 : max_wait_ns < 0 ? 0 : max_wait_ns);
    return end(loop, false);
}

void asyncio_loop_stop(asyncio_loop *loop)
{
    atomic_store(&loop->stopping, true);
    if (loop == loop_current)
        loop_return_soon(loop);
    else
        loop_wake(loop);
}

double asyncio_loop_next_timeout(const asyncio_loop *loop)
{
    if (!circle_empty(&loop->ready) || atomic_load(&loop->stopping) ||
        atomic_load(&loop->remote.pending))
        return 0;
    int64_t deadline = next_deadline(loop), now = loop_time_ns(loop);

    if (deadline == INT64_MAX)
        return INFINITY;
    return deadline <= now ? 0 : sys_ns_to_seconds(deadline - now);
}
