/* test_gather.c - gather (GAT-01..15, DEP-03, EAG-09). */
#include "scopes.h"

/* Sleeps, says how that ended, cleans up for a while if it was cancelled, and returns `returns`, or
 * the -ECANCELED if that is `CANCELLED`. */
enum { CANCELLED = -9999 };

struct call {
    const char *name;
    double seconds;
    int returns;
    double clean_up;
};

static int call(void *arg)
{
    const struct call *self = arg;
    int r = asyncio_sleep(self->seconds);

    trace("%s:%s", self->name, named(r));
    if (r < 0 && self->clean_up > 0) {
        int cleaned = asyncio_sleep(self->clean_up);
        trace("%s-cleaned:%s", self->name, named(cleaned));
    }
    return r < 0 && self->returns == CANCELLED ? r : self->returns;
}

#define CALL(name_, seconds_, returns_)                                                            \
    {                                                                                              \
        call, &(struct call)                                                                       \
        {                                                                                          \
            .name = (name_), .seconds = (seconds_), .returns = (returns_)                          \
        }                                                                                          \
    }

/* ---- results ---- */

TEST_TASK(GAT_01_results_are_in_the_order_of_the_calls)
{
    int results[3] = { 0 };
    asyncio_call calls[] = { CALL("a", 3, 1), CALL("b", 1, 2), CALL("c", 2, 3) };

    TRY(asyncio_gather_calls(calls, 3, results));
    CHECK_TRACE("b:ok c:ok a:ok");
    CHECK(results[0] == 1 && results[1] == 2 && results[2] == 3);
    return 0;
}

TEST_TASK(gather_as_a_macro)
{
    TRY(asyncio_gather(CALL("a", 2, 1), CALL("b", 1, 2)));
    CHECK_TRACE("b:ok a:ok");
    WANT(asyncio_gather(CALL("a", 2, 1), CALL("b", 1, -EIO)), -EIO);
    return 0;
}

TEST_TASK(GAT_02_nothing_to_gather)
{
    TRY(asyncio_create_task(NULL, SAYS("other"), NULL));
    TRY(asyncio_gather_calls(NULL, 0, NULL));
    TRY(asyncio_gather_futures(NULL, 0, NULL));
    CHECK_TRACE("");
    return settle();
}

/* Unlike asyncio it does not return before all have ended: what they use may be its caller's. */
TEST_TASK(GAT_03_DEP_03_siblings_of_a_failure_run_on_and_are_awaited)
{
    double start = now();

    WANT(asyncio_gather(CALL("a", 3, 1), CALL("b", 1, -EIO), CALL("c", 2, -EPERM)), -EIO);
    CHECK_TRACE("b:ok c:ok a:ok");
    CHECK_NEAR(now() - start, 3, 1e-6);
    CHECK_INT(asyncio_all_tasks(NULL, 0, asyncio_get_running_loop()), 1);
    return 0;
}

TEST_TASK(GAT_03_the_first_failure_is_the_one_that_came_first)
{
    static asyncio_future early, late;
    asyncio_future *futures[] = { &late, &early };

    TRY(asyncio_future_set_result(&early, -EPERM));
    TRY(later(1, fails, &late));
    WANT(asyncio_gather_futures(futures, 2, NULL), -EPERM);
    CHECK_INT(asyncio_future_result(&late), -EIO);
    return 0;
}

TEST_TASK(GAT_04_later_failures_are_not_reported)
{
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task *tasks[2];
    asyncio_future *futures[2];
    static struct call failing[] = { { "c", 1, -EIO, 0 }, { "d", 1, -EIO, 0 } };

    WANT(asyncio_gather(CALL("a", 1, -EIO), CALL("b", 2, -EPERM)), -EIO);
    for (int i = 0; i < 2; i++) {
        TRY(hold(&tasks[i], call, &failing[i]));
        futures[i] = asyncio_task_future(tasks[i]);
    }
    WANT(asyncio_gather_futures(futures, 2, NULL), -EIO);
    while (held.count > 0)
        asyncio_task_unref(held.tasks[--held.count]);
    CHECK_INT(reports->count, 0);
    return 0;
}

TEST_TASK(GAT_05_with_results_errors_are_among_them)
{
    int results[3] = { 0 };
    asyncio_call calls[] = { CALL("a", 1, -EIO), CALL("b", 2, 2), CALL("c", 3, -ECANCELED) };

    TRY(asyncio_gather_calls(calls, 3, results));
    CHECK(results[0] == -EIO && results[1] == 2 && results[2] == -ECANCELED);
    CHECK_INT(cancelling(), 0);
    return 0;
}

/* ---- cancelled ---- */

static int results_of_three[3];
static bool with_results;

static int gathers_three(void *arg)
{
    static struct call a = { "a", 10, CANCELLED, 0 }, b = { "b", 10, CANCELLED, 2 },
                       c = { "c", 0.5, 5, 0 };
    const asyncio_call calls[] = { { call, &a }, { call, &b }, { call, &c } };

    (void)arg;
    int r = asyncio_gather_calls(calls, 3, with_results ? results_of_three : NULL);
    trace("gather:%s:%d", named(r), cancelling());
    return r;
}

/* Not before the last has ended, also where asyncio ends with the first (GAT-08). */
TEST_TASK(GAT_06_GAT_08_GAT_13_cancelled_it_cancels_and_awaits_what_has_not_ended)
{
    for (int i = 0; i < 2; i++) {
        asyncio_task *task;
        double start = now();

        trace_clear();
        with_results = i == 1;
        TRY(hold(&task, gathers_three, NULL));
        TRY(asyncio_sleep(1));
        asyncio_task_cancel(task);
        WANT(asyncio_task_await(task), -ECANCELED);
        CHECK_TRACE("c:ok a:ECANCELED b:ECANCELED b-cleaned:ok gather:ECANCELED:1");
        CHECK_NEAR(now() - start, 3, 1e-6);
    }
    /* What they returned is not lost. */
    CHECK(results_of_three[0] == -ECANCELED && results_of_three[1] == -ECANCELED);
    CHECK_INT(results_of_three[2], 5);
    return 0;
}

TEST_TASK(GAT_06_every_request_is_passed_on)
{
    asyncio_task *task;

    TRY(hold(&task, gathers_three, NULL));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(task);
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(task);
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_TRACE("c:ok a:ECANCELED b:ECANCELED b-cleaned:ECANCELED gather:ECANCELED:2");
    return 0;
}

static int gathers_stubborn(void *arg)
{
    static struct call a = { "a", 10, 1, 1 }, b = { "b", 10, 2, 2 };
    const asyncio_call calls[] = { { call, &a }, { call, &b } };
    int results[2];

    int r = asyncio_gather_calls(calls, 2, arg != NULL ? results : NULL);
    trace("gather:%s", named(r));
    return r;
}

TEST_TASK(GAT_07_the_cancellation_is_returned_whatever_the_calls_make_of_it)
{
    static int yes = 1;

    for (int i = 0; i < 2; i++) {
        asyncio_task *task;

        trace_clear();
        TRY(hold(&task, gathers_stubborn, i == 1 ? &yes : NULL));
        TRY(asyncio_sleep(1));
        asyncio_task_cancel(task);
        WANT(asyncio_task_await(task), -ECANCELED);
        CHECK_TRACE("a:ECANCELED b:ECANCELED a-cleaned:ok b-cleaned:ok gather:ECANCELED");
    }
    return 0;
}

TEST_TASK(GAT_09_a_cancelled_future_among_them_is_a_failure_like_others)
{
    static asyncio_future future, other;
    asyncio_future *futures[] = { &future, &other };
    int results[2];

    asyncio_future_cancel(&future);
    TRY(asyncio_future_set_result(&other, 1));
    WANT(asyncio_gather_futures(futures, 2, NULL), -ECANCELED);
    CHECK_INT(cancelling(), 0); /* so it was not this task that was cancelled */
    TRY(asyncio_gather_futures(futures, 2, results));
    CHECK(results[0] == -ECANCELED && results[1] == 1);
    return asyncio_sleep(0);
}

TEST_TASK(GAT_10_a_call_that_is_cancelled_does_not_cancel_its_siblings)
{
    static struct call a = { "a", 10, CANCELLED, 0 }, b = { "b", 20, 0, 0 };
    asyncio_task *first, *second;

    TRY(hold(&first, call, &a));
    TRY(hold(&second, call, &b));
    asyncio_future *futures[] = { asyncio_task_future(first), asyncio_task_future(second) };
    TRY(later(1, cancels, first));
    WANT(asyncio_gather_futures(futures, 2, NULL), -ECANCELED);
    CHECK_TRACE("a:ECANCELED b:ok");
    return 0;
}

TEST_TASK(GAT_11_the_same_future_twice)
{
    static asyncio_future future, other;
    asyncio_future *futures[] = { &future, &other, &future };
    int results[3];

    TRY(later(1, completes, &future));
    TRY(later(2, fails, &other));
    TRY(asyncio_gather_futures(futures, 3, results));
    CHECK(results[0] == 7 && results[1] == -EIO && results[2] == 7);
    TRY(asyncio_gather_futures(futures, 3, results)); /* and when they are done */
    CHECK(results[0] == 7 && results[1] == -EIO && results[2] == 7);
    return 0;
}

static asyncio_future ended[2];

static int gathers_ended(void *arg)
{
    asyncio_future *futures[] = { &ended[0], &ended[1] };
    int results[2] = { 0 };

    (void)arg;
    int r = asyncio_gather_futures(futures, 2, results);
    trace("gather:%s:%d:%d:%d", named(r), cancelling(), results[0], results[1]);
    return r;
}

/* The request cannot be passed on; then it is this task that it reaches. */
TEST_TASK(GAT_12_GAT_14_cancelled_when_all_have_ended_in_this_iteration)
{
    asyncio_task *task;

    TRY(hold(&task, gathers_ended, NULL));
    TRY(later(1, completes, &ended[0]));
    TRY(later(1, completes, &ended[1]));
    TRY(later(1, cancels, task));
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_TRACE("gather:ECANCELED:1:7:7");
    CHECK(!asyncio_future_cancelled(&ended[0]) && !asyncio_future_cancelled(&ended[1]));
    return 0;
}

static asyncio_task *ring[2];

static int gathers_the_next(void *arg)
{
    asyncio_future *next = asyncio_task_future(ring[*(int *)arg]);

    return asyncio_gather_futures(&next, 1, NULL);
}

static int makes_a_ring(void *arg)
{
    static int zero = 0, one = 1;

    (void)arg;
    TRY(hold(&ring[0], gathers_the_next, &one));
    TRY(hold(&ring[1], gathers_the_next, &zero));
    TRY(settle());
    asyncio_task_cancel(ring[0]);
    TRY(settle());
    CHECK(!asyncio_task_done(ring[0]) && !asyncio_task_done(ring[1]));
    CHECK_INT(asyncio_task_cancelling(ring[0]), 2); /* it has come round, once */
    CHECK_INT(asyncio_task_cancelling(ring[1]), 1);
    return 0;
}

TEST(gather_in_a_ring_can_be_cancelled)
{
    test_needs_thread_count(); /* its tasks never end */
    log_expect("deadlock");
    log_allow("gathers"); /* who waits for what */
    log_allow("pending");
    RUN_RESULT(run_holding, (&(asyncio_call){ makes_a_ring, NULL }));
}

TEST_TASK(gather_of_oneself_is_refused)
{
    asyncio_future *self = asyncio_task_future(asyncio_current_task());

    CHECK_INT(asyncio_gather_futures(&self, 1, NULL), -EDEADLK);
    return 0;
}

static int leaves_a_trace(void *arg)
{
    asyncio_task_cancel_with(arg, "of the future");
    return 0;
}

static int reads_reason(void *arg)
{
    asyncio_future *future = arg;

    int r = asyncio_gather_futures(&future, 1, NULL);
    const char *reason = asyncio_task_cancel_reason(asyncio_current_task());
    trace("%s:%s", named(r), reason != NULL ? reason : "");
    return r;
}

TEST_TASK(gather_hands_reasons_on)
{
    asyncio_task *task, *gatherer;

    TRY(hold(&task, sleeps, NULL));
    TRY(hold(&gatherer, reads_reason, asyncio_task_future(task)));
    TRY(later(1, leaves_a_trace, task));
    WANT(asyncio_task_await(gatherer), -ECANCELED);
    CHECK_TRACE("ECANCELED:of the future");

    TRY(hold(&task, sleeps, NULL));
    TRY(hold(&gatherer, reads_reason, asyncio_task_future(task)));
    TRY(settle());
    asyncio_task_cancel_with(gatherer, "of the gather");
    TRY(settle());
    const char *reason = asyncio_task_cancel_reason(task);
    CHECK_STR(reason != NULL ? reason : "", "of the gather");

    /* One of long ago does not come up again. */
    static asyncio_future cancelled;
    asyncio_future *pointer = &cancelled;
    asyncio_task_cancel_with(asyncio_current_task(), "of long ago");
    WANT(asyncio_sleep(1), -ECANCELED);
    asyncio_task_uncancel(asyncio_current_task());
    asyncio_future_cancel(&cancelled);
    WANT(asyncio_gather_futures(&pointer, 1, NULL), -ECANCELED);
    CHECK(asyncio_task_cancel_reason(asyncio_current_task()) == NULL);
    return 0;
}

/* ---- how long it takes ---- */

static int immediate(void *arg)
{
    (void)arg;
    return 0;
}

TEST_TASK(GAT_15_DEP_07_with_immediate_calls_it_costs_at_most_3_iterations)
{
    static struct ticker ticker;

    TRY(ticker_start(&ticker));
    TRY(asyncio_sleep(0));
    int before = ticker.count;
    TRY(asyncio_gather({ immediate, NULL }, { immediate, NULL }));
    CHECK(ticker.count - before <= 3);
    return 0;
}

static int fails_at_once(void *arg)
{
    (void)arg;
    return -EIO;
}

TEST_TASK(EAG_09_eager_calls_that_end_at_once_do_not_suspend_it)
{
    int results[2] = { -1, -1 };
    const asyncio_call calls[] = { { immediate, NULL }, { fails_at_once, NULL } };

    TRY(asyncio_create_task(NULL, SAYS("other"), NULL));
    asyncio_loop_set_task_factory(asyncio_get_running_loop(), asyncio_eager_task_factory);
    TRY(asyncio_gather_calls(calls, 2, results));
    CHECK(results[0] == 0 && results[1] == -EIO);
    WANT(asyncio_gather_calls(calls, 2, NULL), -EIO);
    CHECK_TRACE("");
    TRY(asyncio_gather(CALL("a", 2, 1), { immediate, NULL })); /* the eager factory makes both */
    CHECK_TRACE("other a:ok");
    return 0;
}

TEST_TASK(gather_of_futures_that_are_done_does_not_suspend)
{
    static asyncio_future done;
    asyncio_future *futures[] = { &done, &done };

    TRY(asyncio_future_set_result(&done, 5));
    TRY(asyncio_create_task(NULL, SAYS("other"), NULL));
    TRY(asyncio_gather_futures(futures, 2, NULL));
    CHECK_TRACE("");
    return settle();
}

enum { MANY = 300, MEMBERS = 20 };

TEST_TASK(gather_of_many)
{
    static asyncio_call calls[MANY];
    static asyncio_future futures[MANY], *pointers[MANY];
    static int results[MANY], numbers[MANY];

    for (int i = 0; i < MANY; i++) {
        numbers[i] = i;
        calls[i] = (asyncio_call){ gives, &numbers[i] };
        pointers[i] = &futures[i];
    }
    TRY(asyncio_gather_calls(calls, MANY, results));
    for (int i = 0; i < MANY; i++)
        CHECK_INT(results[i], i);
    for (int i = 0; i < 20; i++)
        TRY(later(i, completes, &futures[i]));
    TRY(asyncio_gather_futures(pointers, 20, results));
    for (int i = 0; i < 20; i++)
        CHECK_INT(results[i], 7);
    return 0;
}

/* ---- what is refused, and without memory ---- */

TEST(gather_outside_a_task)
{
    asyncio_future future = { .result_ = 0 }, *pointer = &future;
    const asyncio_call one = { says, TEXT("x") };

    CHECK_INT(asyncio_gather_calls(&one, 1, NULL), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_gather_futures(&pointer, 1, NULL), ASYNCIO_ENOTASK);
    CHECK_TRACE("");
}

TEST_TASK(gather_without_memory_for_all_ends_those_that_it_started)
{
    static asyncio_call calls[MANY];
    static asyncio_future *pointers[MEMBERS];
    static asyncio_future future;
    int results[MANY] = { 0 };

    for (int i = 0; i < MANY; i++)
        calls[i] = (asyncio_call){ immediate, NULL };
    TRY(asyncio_gather_calls(calls, MANY / 2, NULL)); /* their stacks can be had again */
    for (int i = 0; i < MANY; i++)
        calls[i] = (asyncio_call){ awaits, &future };
    for (int i = 0; i < MEMBERS; i++)
        pointers[i] = &future;
    if (!without_memory(true))
        SKIP("without fault injection, or with torture's");
    int r = asyncio_gather_futures(pointers, MEMBERS, results);
    CHECK_INT(r, -ENOMEM);
    CHECK_INT(results[0], 0);
    double start = now();
    r = asyncio_gather_calls(calls, MANY, results);
    without_memory(false);
    WANT(r, -ENOMEM);
    CHECK(now() == start);
    CHECK_INT(results[0], -ECANCELED);
    CHECK_INT(results[MANY - 1], -ENOMEM);
    CHECK_INT(asyncio_all_tasks(NULL, 0, asyncio_get_running_loop()), 1);
    return asyncio_sleep(0);
}
