/* test_sync_edges.c - what is met by two at once, belongs to two loops, or comes at the close of a
 * loop: in locks, queues, races, groups, call graphs, and calls from other threads. */
#include <signal.h>
#include <stdatomic.h>

#include "ground/sys.h"
#include "scopes.h"
#include "task/task.h"

/* ---- a wake-up that came to nothing ---- */

static struct {
    asyncio_as_completed iterator;
    asyncio_event go;
    asyncio_task *first;
    size_t place;
} shared;

static int takes_next(void *arg)
{
    size_t *place = arg;

    return asyncio_as_completed_next(&shared.iterator, place);
}

static int takes_before_the_first(void *arg)
{
    (void)arg;
    TRY(asyncio_event_wait(&shared.go));
    asyncio_task_cancel(shared.first);
    return takes_next(&shared.place);
}

/* In torture it may wait still. */
static void ends(asyncio_task *task)
{
    if (task == NULL)
        return;
    asyncio_task_cancel(task);
    asyncio_ignore(asyncio_task_join(task));
}

/* Woken for an item, cancelled, and the item has gone to another meanwhile. */
TEST_TASK(as_completed_cancelled_after_its_item_was_taken)
{
    static asyncio_future futures[2];
    static asyncio_future *const list[] = { &futures[0], &futures[1] };
    static size_t place;
    asyncio_task *other = NULL;

    TRY(asyncio_as_completed_init(&shared.iterator, list, 2, INFINITY));
    int r = hold(&shared.first, takes_next, &place);
    if (r == 0)
        r = hold(&other, takes_before_the_first, NULL);
    if (r == 0)
        r = asyncio_sleep(0);
    if (r == 0) {
        asyncio_ignore(asyncio_future_set_result(&futures[1], 5));
        asyncio_event_set(&shared.go);
        r = settle();
        CHECK(r < 0 || asyncio_task_cancelled(shared.first));
        CHECK(r < 0 || (asyncio_task_done(other) && shared.place == 1));
    }
    asyncio_ignore(asyncio_future_set_result(&futures[0], 5));
    if (r == 0) {
        r = asyncio_as_completed_next(&shared.iterator, &place); /* none was lost */
        CHECK_INT(r, 1);
        CHECK_INT(place, 0);
    }
    if (r > 0)
        CHECK_INT(asyncio_as_completed_next(&shared.iterator, &place), 0);
    ends(shared.first);
    ends(other);
    asyncio_as_completed_destroy(&shared.iterator);
    return r < 0 ? r : 0;
}

static int slots[1];
static asyncio_queue queue = ASYNCIO_QUEUE_INIT(slots);

static int puts_item(void *arg)
{
    int item = *(int *)arg;
    int r = asyncio_queue_put(&queue, &item);

    trace("%d:%s", item, r < 0 ? asyncio_error_name(r) : "put");
    return r;
}

/* QUE: a putter that is cancelled passes its wake-up on only if there is still room. */
TEST_TASK(queue_putter_cancelled_after_its_room_was_taken)
{
    static int one = 1, two = 2, three = 3;
    asyncio_task *first, *second;
    int item = 0;

    TRY(asyncio_queue_put_nowait(&queue, &one));
    TRY(hold(&first, puts_item, &two));
    TRY(hold(&second, puts_item, &three));
    TRY(asyncio_sleep(0));
    TRY(asyncio_queue_get_nowait(&queue, &item));
    CHECK_INT(item, 1);
    TRY(asyncio_queue_put_nowait(&queue, &one));
    asyncio_task_cancel(first);
    TRY(settle());
    CHECK_TRACE("2:ECANCELED"); /* and the second waits on */
    TRY(asyncio_queue_get_nowait(&queue, &item));
    TRY(settle());
    CHECK_TRACE("2:ECANCELED 3:put");
    return asyncio_queue_get_nowait(&queue, &item);
}

/* ---- two loops ---- */

static asyncio_lock lock;
static asyncio_semaphore semaphore;
static asyncio_condition condition;
static asyncio_future bound;

static int acquires(void *arg)
{
    return asyncio_lock_acquire(arg);
}

static int enters_semaphore(void *arg)
{
    return asyncio_semaphore_acquire(arg);
}

/* Contends for each, so that they belong to this loop from now on; the loop is kept, since the next
 * one might have its address. */
static int binds(void *arg)
{
    asyncio_task *waits;

    *(asyncio_loop **)arg = asyncio_loop_ref(asyncio_get_running_loop());
    TRY(asyncio_lock_acquire(&lock));
    int r = hold(&waits, acquires, &lock);
    if (r == 0)
        r = hold(&waits, enters_semaphore, &semaphore);
    if (r == 0)
        r = hold(&waits, awaits, &bound);
    if (r == 0)
        r = settle();
    asyncio_ignore(asyncio_lock_release(&lock));
    asyncio_ignore(asyncio_semaphore_release(&semaphore));
    asyncio_ignore(asyncio_future_set_result(&bound, 0));
    if (r == 0)
        r = settle();
    if (asyncio_lock_locked(&lock))
        asyncio_ignore(asyncio_lock_release(&lock));
    return r;
}

static int finds_them_bound(void *arg)
{
    static asyncio_future pending;
    asyncio_future *const list[] = { &bound, &pending };
    asyncio_condition other = { .lock = &lock };

    (void)arg;
    WANT(asyncio_semaphore_acquire(&semaphore), ASYNCIO_EWRONGLOOP);
    WANT(asyncio_semaphore_release(&semaphore), 0);
    WANT(asyncio_semaphore_acquire(&semaphore), 0); /* a slot that is free binds nobody */
    WANT(asyncio_wait(list, 2, INFINITY, ASYNCIO_ALL_COMPLETED), ASYNCIO_EWRONGLOOP);
    CHECK(pending.waiters_.loop_ == NULL); /* those after it were left alone */
    TRY(asyncio_lock_acquire(&lock));
    int r = asyncio_condition_wait(&other);
    CHECK_INT(r, ASYNCIO_EWRONGLOOP);
    CHECK(asyncio_lock_locked(&lock));
    asyncio_ignore(asyncio_lock_release(&lock));
    return wanted(r, ASYNCIO_EWRONGLOOP);
}

/* LCK-09, SEM, CND, WAI: what somebody waited for belongs to that one's loop. */
TEST(LCK_09_what_was_waited_for_is_refused_in_another_loop)
{
    asyncio_loop *loop = NULL;

    if (RUN_TASKS(binds, &loop))
        RUN_TASKS(finds_them_bound, NULL);
    asyncio_loop_unref(loop);
}

static int waits_for_condition(void *arg)
{
    (void)arg;
    TRY(asyncio_condition_acquire(&condition));
    int r = asyncio_condition_wait(&condition);
    if (r != ASYNCIO_EWRONGLOOP)
        asyncio_ignore(asyncio_condition_release(&condition));
    trace("%s", asyncio_error_name(r));
    return r;
}

static int takes_the_lock_away(void *arg)
{
    asyncio_task *waits;

    (void)arg;
    TRY(asyncio_condition_acquire(&condition)); /* free: the one that waits has given it up */
    int r = hold(&waits, acquires, &condition.own_);
    if (r == 0)
        r = settle();
    CHECK_INT(asyncio_condition_notify(&condition, 1), 0);
    return r;
}

/* The lock came to belong to another loop during the wait: the waiter cannot have it back. */
TEST(condition_whose_lock_goes_to_another_loop_meanwhile)
{
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    if (test_is_torture())
        SKIP("its order of events is all it is about");
    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    CHECK_INT(asyncio_loop_create_task(loop, &task, waits_for_condition, NULL, NULL), 0);
    CHECK_INT(asyncio_loop_run_once(loop, 0), 0);
    log_allow("was never taken");
    asyncio_ignore(run_result(takes_the_lock_away, NULL, ASYNCIO_DEFAULT));
    CHECK_INT(asyncio_loop_run_until_complete(loop, asyncio_task_future(task)), ASYNCIO_EWRONGLOOP);
    CHECK_TRACE("ASYNCIO_EWRONGLOOP");
    asyncio_task_unref(task);
    while (held.count > 0)
        asyncio_task_unref(held.tasks[--held.count]);
    asyncio_loop_unref(loop);
}

/* ---- waiting in vain ---- */

TEST_TASK(wait_for_more_than_an_int_can_count_is_refused)
{
    asyncio_future *const *futures = (asyncio_future *const *)(uintptr_t)8; /* never looked at */
    const asyncio_call *calls = (const asyncio_call *)(uintptr_t)8;

    WANT(asyncio_wait(futures, (size_t)INT_MAX + 1, INFINITY, ASYNCIO_ALL_COMPLETED), -EINVAL);
    WANT(asyncio_staggered_race(calls, (size_t)INT_MAX + 1, 1, NULL), -EINVAL);
    return 0;
}

static asyncio_as_completed of_closed_loop;

static int asks_for_the_next(void *arg)
{
    size_t place = 7;

    (void)arg;
    WANT(asyncio_as_completed_next(&of_closed_loop, &place), ASYNCIO_ECLOSED);
    CHECK_INT(place, 7);
    return 0;
}

/* It has no timer, then: the iterator says so, and there is nothing to undo. */
TEST(as_completed_with_a_time_in_a_closed_loop)
{
    static asyncio_future future;
    asyncio_future *const list[] = { &future };
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    asyncio_loop_close(loop);
    asyncio_set_event_loop(loop);
    int r = asyncio_as_completed_init(&of_closed_loop, list, 1, 1);
    CHECK(r == ASYNCIO_ECLOSED || r == -ENOMEM);
    asyncio_set_event_loop(NULL);
    if (r == ASYNCIO_ECLOSED)
        RUN(asks_for_the_next, NULL);
    asyncio_as_completed_destroy(&of_closed_loop);
    asyncio_loop_unref(loop);
}

/* ---- fatal errors ---- */

static int fatal_when_cancelled(void *arg)
{
    (void)arg;
    asyncio_ignore(asyncio_sleep(10));
    trace("a");
    return ASYNCIO_EEXIT;
}

static int fatal_at_once(void *arg)
{
    (void)arg;
    trace("b");
    return ASYNCIO_EEXIT;
}

static int race_of_fatals(void *arg)
{
    const asyncio_call calls[] = { { fatal_when_cancelled, NULL }, { fatal_at_once, NULL } };

    (void)arg;
    int r = asyncio_staggered_race(calls, 2, 1, NULL);
    trace("race:%s", asyncio_error_name(r));
    return r;
}

/* Of two errors that end a race the fatal one is what it ends with; here both are. */
TEST(race_with_two_fatal_errors)
{
    CHECK_INT(RUN_RESULT(race_of_fatals, NULL), ASYNCIO_EEXIT);
    if (!test_is_torture())
        CHECK_TRACE("b a race:ASYNCIO_EEXIT");
}

static int group_with_a_fatal_task(void *arg)
{
    asyncio_task_group group;
    asyncio_task *task;

    (void)arg;
    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_create_task(&group, &task, fatal_at_once, NULL, NULL);
    if (r == 0)
        r = asyncio_sleep(10);
    trace("body:%s", asyncio_error_name(r));
    r = asyncio_task_group_exit(&group, r);
    CHECK_INT(asyncio_task_group_failure_count(&group), 1); /* the task's; none of the body's */
    return r;
}

/* TGR: the cancellation of a body by the group is no failure beside the fatal one. */
TEST(group_with_a_fatal_task_ends_with_that)
{
    CHECK_INT(RUN_RESULT(group_with_a_fatal_task, NULL), ASYNCIO_EEXIT);
    if (!test_is_torture())
        CHECK_TRACE("b body:ECANCELED");
}

static int fatal_after_a_second(void *arg)
{
    (void)arg;
    TRY(asyncio_sleep(0));
    TRY(asyncio_sleep(1)); /* behind the one that waits for its turn */
    trace("a");
    return ASYNCIO_EEXIT;
}

static int fails_at_once(void *arg)
{
    (void)arg;
    trace("b");
    return -EIO;
}

static int tasks_made;

/* The main task's, of three runners, and no more. */
static int make_four(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                     const asyncio_task_options *options)
{
    return ++tasks_made > 3 ? -EAGAIN : asyncio_task_new(loop, task, fn, arg, options);
}

static int gathers_without_tasks(void *arg)
{
    const asyncio_call calls[] = { { says, TEXT("a") }, { says, TEXT("b") } };
    asyncio_loop *loop = asyncio_get_running_loop();
    int results[2] = { 77, 77 };

    (void)arg;
    asyncio_loop_set_task_factory(loop, make_four);
    tasks_made = 3;
    CHECK_INT(asyncio_gather_calls(calls, 2, results), -EAGAIN);
    CHECK_INT(results[0], 77); /* nothing was begun */
    CHECK_INT(results[1], 77);
    tasks_made = 2;
    int r = asyncio_gather_calls(calls, 2, results);
    CHECK(r == -EAGAIN || test_is_torture());
    CHECK_INT(results[1], -EAGAIN);
    tasks_made = 2;
    r = asyncio_gather_calls(calls, 2, NULL);
    CHECK(r == -EAGAIN || test_is_torture());
    asyncio_loop_set_task_factory(loop, NULL);
    return 0;
}

/* GAT: what was begun is awaited, though the rest could not be. */
TEST(gather_of_which_some_cannot_be_made)
{
    RUN(gathers_without_tasks, NULL);
}

static int race_with_another_error(void *arg)
{
    const asyncio_call calls[] = { { fatal_after_a_second, NULL },
                                   { fails_at_once, NULL },
                                   { says, TEXT("c") },
                                   { says, TEXT("d") } };

    (void)arg;
    asyncio_loop_set_task_factory(asyncio_get_running_loop(), make_four);
    int r = asyncio_staggered_race(calls, 4, 1, NULL);
    asyncio_loop_set_task_factory(asyncio_get_running_loop(), NULL);
    return r;
}

/* A runner that cannot be made after the fatal error does not hide it. */
TEST(race_with_a_fatal_error_and_another)
{
    if (test_is_torture())
        SKIP("its order of events is all it is about");
    log_expect("error: EAGAIN"); /* of the runner, which ended in the clean-up of the run */
    tasks_made = 0;
    CHECK_INT(RUN_RESULT(race_with_another_error, NULL), ASYNCIO_EEXIT);
    CHECK_TRACE("b a"); /* and not c, which had its turn, but no next one */
    CHECK_INT(tasks_made, 4);
}

/* ---- signals ---- */

static int raises_both(void *arg)
{
    (void)arg;
    raise(SIGUSR1);
    raise(SIGUSR2);
    return 0;
}

static int waits_for_either(void *arg)
{
    static asyncio_handle handle;
    const int signums[] = { SIGUSR1, SIGUSR2 };

    (void)arg;
    TRY(asyncio_loop_call_soon(asyncio_get_running_loop(), &handle, raises_both, NULL));
    int r = asyncio_wait_signals(signums, 2);
    trace("%d", r == SIGUSR1);
    return r < 0 ? r : 0;
}

/* Of two that come at once the first is the one that is returned. */
TEST(wait_signals_of_which_two_come)
{
    CHECK_INT(asyncio_wait_signal(SIGUSR1), ASYNCIO_ENOTASK);
    RUN(waits_for_either, NULL);
    if (!test_is_torture())
        CHECK_TRACE("1");
}

/* ---- threads ---- */

static atomic_bool work_is_done;

static int works(void *arg)
{
    (void)arg;
    atomic_store(&work_is_done, true);
    return 7;
}

static int works_in_thread(void *arg)
{
    (void)arg;
    int r = asyncio_to_thread(works, NULL);
    trace("%d", r);
    r = asyncio_sleep(1);
    trace("%s", asyncio_error_name(r));
    return r;
}

/* Keeps the loop until the work is over and, but for bad luck, its end has been sent. */
static int keeps_the_loop(void *arg)
{
    (void)arg;
    while (!atomic_load(&work_is_done))
        sys_pause_ns(1000000);
    sys_pause_ns(20000000);
    return 0;
}

static int cancelled_after_the_work(void *arg)
{
    static asyncio_handle keeps, cancel;
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_task *task;

    (void)arg;
    TRY(hold(&task, works_in_thread, NULL));
    TRY(asyncio_sleep(0));
    asyncio_ignore(asyncio_loop_call_soon(loop, &keeps, keeps_the_loop, NULL));
    TRY(asyncio_sleep(0));
    asyncio_ignore(asyncio_loop_call_soon(loop, &cancel, cancels, task));
    asyncio_ignore(asyncio_task_join(task));
    return 0;
}

/* EXE: the result of work that was done is not lost to a cancellation that comes too late. */
TEST(to_thread_cancelled_after_the_work)
{
    if (test_is_torture())
        SKIP("its order of events is all it is about");
    RUN_TASKS(cancelled_after_the_work, NULL);
    CHECK_TRACE("7 ECANCELED");
}
