/* stress_threads.c - threads that schedule, cancel, and stop, as fast as they can: for
 * ThreadSanitizer, which sees what model_wake takes for granted (that all but the flags is under
 * the lock).
 *
 * Each thread has a ring of handles.  It schedules one after the other, cancels some of them at
 * once or later, and now and then finds one busy.  Every callback that was scheduled runs once or
 * was cancelled in time, and those of one thread run in their order (EXE-10, EXE-11).
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "harness.h"

enum { SENDERS = 4, HANDLES = 16, ROUNDS = 3000, LOOPS = 60 };

struct sender {
    asyncio_loop *loop;
    pthread_t thread;
    unsigned random;
    int number_sent, cancelled, refused;
    int ran, last_ran; /* the loop's */
    struct slot {
        asyncio_handle handle;
        struct sender *sender;
        int number;
        atomic_int busy;
    } slots[HANDLES];
};

static struct sender senders[SENDERS];
static atomic_int left;

static unsigned draw(struct sender *sender, unsigned limit)
{
    sender->random = sender->random * 1103515245U + 12345U;
    return (sender->random >> 8) % limit;
}

static int runs(void *arg)
{
    struct slot *slot = arg;
    struct sender *sender = slot->sender;

    CHECK(slot->number > sender->last_ran);
    sender->last_ran = slot->number;
    sender->ran++;
    atomic_store(&slot->busy, false);
    return 0;
}

static void cancel(struct sender *sender, struct slot *slot)
{
    if (!atomic_load(&slot->busy))
        return;
    asyncio_handle_cancel(&slot->handle);
    /* It has run, or will not: nobody else can change that now. */
    if (atomic_exchange(&slot->busy, false))
        sender->cancelled++;
}

/* False: the loop is closed. */
static bool send_one(struct sender *sender, struct slot *slot)
{
    if (atomic_load(&slot->busy))
        cancel(sender, slot);
    slot->sender = sender;
    slot->number = sender->number_sent + 1;
    atomic_store(&slot->busy, true);
    int r = asyncio_loop_call_soon_threadsafe(sender->loop, &slot->handle, runs, slot);
    if (r == 0) {
        sender->number_sent++;
        return true;
    }
    atomic_store(&slot->busy, false);
    sender->refused += r == ASYNCIO_ECLOSED;
    return false;
}

static int last_has_gone(void *arg)
{
    asyncio_loop_stop(arg);
    return 0;
}

static void *sends(void *arg)
{
    struct sender *sender = arg;
    static asyncio_handle last;
    bool open = true;

    for (int i = 0; i < ROUNDS && open; i++) {
        open = send_one(sender, &sender->slots[draw(sender, HANDLES)]);
        if (draw(sender, 3) == 0)
            cancel(sender, &sender->slots[draw(sender, HANDLES)]);
        if (draw(sender, 20) == 0)
            sched_yield();
    }
    if (atomic_fetch_sub(&left, 1) == 1 && open)
        CHECK_INT(
            asyncio_loop_call_soon_threadsafe(sender->loop, &last, last_has_gone, sender->loop), 0);
    return NULL;
}

static void start_senders(asyncio_loop *loop, unsigned seed)
{
    atomic_store(&left, SENDERS);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ .loop = asyncio_loop_ref(loop),
                                      .random = seed * SENDERS + (unsigned)i };
        CHECK_INT(pthread_create(&senders[i].thread, NULL, sends, &senders[i]), 0);
    }
}

static void join_senders(void)
{
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(senders[i].thread, NULL);
        asyncio_loop_unref(senders[i].loop);
    }
}

TEST(EXE_10_EXE_11_each_runs_once_or_was_cancelled)
{
    asyncio_loop *loop;

    if (!CHECK_INT(asyncio_new_event_loop(&loop, NULL), 0))
        return;
    start_senders(loop, 1);
    CHECK_INT(asyncio_loop_run_forever(loop), 0);
    join_senders();
    asyncio_ignore(asyncio_loop_run_once(loop, 0)); /* what was behind the last */
    for (int i = 0; i < SENDERS; i++) {
        CHECK_INT(senders[i].ran + senders[i].cancelled, senders[i].number_sent);
        CHECK(senders[i].ran > 0);
    }
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

/* Loops that are closed meanwhile drop what they have, and refuse the rest. */
TEST(EXE_09_a_loop_is_closed_under_their_hands)
{
    for (unsigned n = 0; n < LOOPS; n++) {
        asyncio_loop *loop;

        if (!CHECK_INT(asyncio_new_event_loop(&loop, NULL), 0))
            return;
        start_senders(loop, n);
        for (unsigned turns = 0; turns < n % 8; turns++)
            asyncio_ignore(asyncio_loop_run_once(loop, 0.001));
        asyncio_loop_close(loop);
        asyncio_loop_unref(loop);
        join_senders();
        for (int i = 0; i < SENDERS; i++)
            CHECK(senders[i].ran + senders[i].cancelled <= senders[i].number_sent);
    }
}
