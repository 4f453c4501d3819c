/* test_wake.c - a loop that sleeps for good is woken by other threads. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/backend.h"
#include "loops.h"

struct sleeping {
    asyncio_loop *loop;
    asyncio_handle handle;
    int (*wake)(struct sleeping *sleeping);
};

static int by_callback(struct sleeping *sleeping)
{
    return asyncio_loop_call_soon_threadsafe(sleeping->loop, &sleeping->handle, stop_it,
                                             sleeping->loop);
}

static int by_stop(struct sleeping *sleeping)
{
    asyncio_loop_stop(sleeping->loop);
    return 0;
}

/* Not before it has said that it sleeps: then nothing but being woken helps.  In torture it may
 * never get to sleep, since the kernel refuses to let it wait. */
static void *wake(void *arg)
{
    struct sleeping *sleeping = arg;

    for (int i = 0; !atomic_load(&sleeping->loop->asleep) && (i < 20 || !test_is_torture()); i++)
        sched_yield();
    if (sleeping->wake(sleeping) < 0)
        asyncio_loop_stop(sleeping->loop);
    return NULL;
}

/* It watches a socket to which nobody writes, so that it has no reason to look again. */
static void be_woken(asyncio_loop *loop, void *(*waker)(void *arg),
                     int (*how)(struct sleeping *sleeping))
{
    struct sleeping sleeping = { .loop = loop, .wake = how };
    pthread_t thread;
    int fds[2];

    if (sleeping.loop == NULL)
        return;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (asyncio_loop_add_reader(sleeping.loop, fds[0], SAY("never")) == 0 &&
        CHECK_INT(pthread_create(&thread, NULL, waker, &sleeping), 0)) {
        CHECK_INT(asyncio_loop_run_forever(sleeping.loop), 0);
        pthread_join(thread, NULL);
    }
    asyncio_loop_remove_reader(sleeping.loop, fds[0]);
    asyncio_loop_close(sleeping.loop);
    asyncio_loop_unref(sleeping.loop);
    close(fds[0]);
    close(fds[1]);
    CHECK_TRACE("");
}

static void sleep_until_woken(int (*how)(struct sleeping *sleeping))
{
    be_woken(loop_for_test(), wake, how);
}

/* EXE-09: a callback from another thread wakes a loop that waits for the kernel. */
TEST(EXE_09_a_callback_wakes_a_loop_asleep)
{
    sleep_until_woken(by_callback);
}

/* And so does stopping it. */
TEST(stopping_wakes_a_loop_asleep)
{
    sleep_until_woken(by_stop);
}

/* ---- looking before sleeping ---- */

static asyncio_loop *spinning_loop(double seconds)
{
    asyncio_loop *loop = NULL;
    int r = asyncio_new_event_loop(&loop, &(asyncio_loop_options){ .busy_poll = seconds });

    if (r < 0 && !test_is_torture())
        FAIL("no loop: %s", asyncio_error_name(r));
    return loop;
}

static void *wake_at_once(void *arg)
{
    struct sleeping *sleeping = arg;

    if (sleeping->wake(sleeping) < 0)
        asyncio_loop_stop(sleeping->loop);
    return NULL;
}

/* For ever, but for the waker: nobody signals a loop that does not sleep, it has to look. */
TEST(a_callback_is_noticed_by_a_loop_that_spins)
{
    be_woken(spinning_loop(3600), wake_at_once, by_callback);
}

TEST(stopping_is_noticed_by_a_loop_that_spins)
{
    be_woken(spinning_loop(3600), wake_at_once, by_stop);
}

/* wake() waits until the loop says that it sleeps. */
TEST(a_loop_that_has_spun_in_vain_sleeps)
{
    be_woken(spinning_loop(1e-4), wake, by_callback);
}

static int note_and_stop(void *arg)
{
    trace("read");
    asyncio_loop_stop(arg);
    return 0;
}

static void *write_byte(void *arg)
{
    if (write(*(int *)arg, "x", 1) != 1)
        perror("write");
    return NULL;
}

TEST(a_descriptor_is_noticed_by_a_loop_that_spins)
{
    asyncio_loop *loop = spinning_loop(3600);
    pthread_t thread;
    int fds[2];

    if (loop == NULL)
        return;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (asyncio_loop_add_reader(loop, fds[0], note_and_stop, loop) == 0 &&
        CHECK_INT(pthread_create(&thread, NULL, write_byte, &fds[1]), 0)) {
        CHECK_INT(asyncio_loop_run_forever(loop), 0);
        pthread_join(thread, NULL);
        CHECK(asyncio_loop_remove_reader(loop, fds[0]) == 1 || test_is_torture());
    }
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
    close(fds[0]);
    close(fds[1]);
}

/* ---- signals ---- */

static int by_signal(struct sleeping *sleeping)
{
    (void)sleeping;
    return raise(SIGUSR1) == 0 ? 0 : -EINVAL; /* in the thread that wakes */
}

static void spin_until_signalled(asyncio_loop *loop, void *(*waker)(void *arg))
{
    if (loop == NULL)
        return;
    if (asyncio_loop_add_signal_handler(loop, SIGUSR1, stop_it, loop) == 0) {
        be_woken(loop, waker, by_signal);
        return;
    }
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

/* What a signal leaves is seen in wake_fd alone, and asking the kernel takes it out of there. */
TEST(a_signal_is_noticed_by_a_loop_that_spins)
{
    spin_until_signalled(spinning_loop(3600), wake_at_once);
}

TEST(a_signal_is_noticed_by_a_loop_that_spins_for_any_time)
{
    spin_until_signalled(spinning_loop(INFINITY), wake_at_once);
}

TEST(a_signal_wakes_a_loop_that_has_spun_in_vain)
{
    spin_until_signalled(spinning_loop(1e-4), wake);
}

static int take_in_wake_up(void *arg)
{
    asyncio_loop *loop = arg;

    if (raise(SIGUSR1) == 0)
        loop->backend->wait(loop, 0);
    return 0;
}

/* As closing a descriptor does on io_uring, which waits for what the kernel does with it. */
TEST(a_signal_whose_wake_up_a_callback_took_in_is_noticed)
{
    asyncio_loop *loop = spinning_loop(0);
    asyncio_handle handle = { 0 };

    if (loop == NULL)
        return;
    if (asyncio_loop_add_signal_handler(loop, SIGUSR1, stop_it, loop) == 0 &&
        asyncio_loop_call_soon(loop, &handle, take_in_wake_up, loop) == 0)
        CHECK_INT(asyncio_loop_run_forever(loop), 0);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

/* ---- for how long it sleeps then ---- */

static struct backend watched;
static const struct backend *watched_by;
static int64_t longest_ns;

static void wait_watched(struct asyncio_loop *loop, int64_t timeout_ns)
{
    if (timeout_ns < 0 || timeout_ns > longest_ns)
        longest_ns = timeout_ns < 0 ? INT64_MAX : timeout_ns;
    watched_by->wait(loop, timeout_ns);
}

/* The longest wait of the kernel that a timer in so many seconds leads to. */
static int64_t longest_wait_ns(double busy_poll, double seconds)
{
    asyncio_loop *loop = spinning_loop(busy_poll);
    asyncio_timer timer = { 0 };

    if (loop == NULL)
        return 0;
    watched_by = loop->backend;
    watched = *loop->backend;
    watched.wait = wait_watched;
    loop->backend = &watched;
    longest_ns = 0;
    if (asyncio_loop_call_later(loop, &timer, seconds, stop_it, loop) == 0)
        CHECK_INT(asyncio_loop_run_forever(loop), 0);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
    return longest_ns;
}

/* Else a timer would be late by as much as was spent on looking. */
TEST(the_time_it_spins_is_part_of_the_time_to_wait)
{
    const int64_t ms = 1000 * 1000;

    CHECK_INT(longest_wait_ns(3600, 2e-3), 0);
    CHECK(longest_wait_ns(20e-3, 30e-3) <= 10 * ms);
    CHECK(longest_wait_ns(0, 30e-3) <= 30 * ms);
}

/* ---- a batch of other threads' callbacks has an end ---- */

struct again {
    asyncio_loop *loop;
    asyncio_handle first, last, beside;
    int count;
};

static int schedule_again(void *arg)
{
    struct again *again = arg;

    asyncio_handle_cancel(&again->last);
    if (++again->count < 100)
        asyncio_ignore(
            asyncio_loop_call_soon_threadsafe(again->loop, &again->first, schedule_again, again));
    return 0;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void schedules_itself(asyncio_loop *loop, bool one_beside)
{
    struct again again = { .loop = loop };

    if (asyncio_loop_call_soon_threadsafe(loop, &again.first, schedule_again, &again) < 0)
        return;
    if (one_beside)
        asyncio_ignore(asyncio_loop_call_soon_threadsafe(loop, &again.beside, do_nothing, NULL));
    asyncio_ignore(asyncio_loop_call_soon_threadsafe(loop, &again.last, do_nothing, NULL));
    turn(loop);
    CHECK_INT(again.count, 1);
    CHECK(!one_beside || again.beside.state_ != HANDLE_REMOTE);
    turn(loop);
    CHECK_INT(again.count, 2);
    asyncio_handle_cancel(&again.first);
}

static void alone(asyncio_loop *loop)
{
    schedules_itself(loop, false);
}

static void with_another(asyncio_loop *loop)
{
    schedules_itself(loop, true);
}

/* LOP-02: what a callback schedules is for the next iteration, also when the last one of the batch
 * is cancelled meanwhile: else one that schedules itself again and again would stop the loop. */
TEST(LOP_02_the_last_of_a_batch_is_cancelled)
{
    with_loop(alone);
    with_loop(with_another);
}
