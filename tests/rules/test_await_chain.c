/* test_await_chain.c - cancelling tasks that await or gather one another: in a long row, and in a
 * circle.
 *
 * asyncio passes a request on by recursion, and ends both in a RecursionError; here the innermost
 * hears of it, and in a circle one of those in it.
 */
#include "tasks.h"

enum { CHAIN_MAX = 3000 };

/* Task i awaits task next[i], or sleeps if that is itself. */
static struct chain {
    asyncio_task *tasks[CHAIN_MAX];
    int next[CHAIN_MAX];
    int count;
} chain;

static int await_next(void *arg)
{
    const int *next = arg;
    asyncio_task *awaited = chain.tasks[*next];

    if (next == &chain.next[*next])
        return asyncio_sleep(1000);
    return awaited != NULL ? asyncio_task_await(awaited) : 0;
}

static int start_chain(void)
{
    const asyncio_task_options small = { .stack_size = 32768 };
    int r = 0;

    for (int i = 0; i < chain.count; i++)
        chain.tasks[i] = NULL;
    for (int i = 0; i < chain.count && r == 0; i++)
        r = asyncio_create_task(&chain.tasks[i], await_next, &chain.next[i], &small);
    return r == 0 ? asyncio_sleep(0) : r;
}

/* Cancels the first, and waits until all have ended. */
static int end_chain(int r)
{
    if (chain.tasks[0] != NULL)
        asyncio_task_cancel(chain.tasks[0]);
    for (int i = 0; i < chain.count; i++) {
        if (chain.tasks[i] == NULL)
            continue;
        asyncio_ignore(asyncio_task_join(chain.tasks[i]));
        if (!test_is_torture()) {
            CHECK_INT(asyncio_task_result(chain.tasks[i]), -ECANCELED);
            CHECK_INT(asyncio_task_cancelling(chain.tasks[i]), 1);
        }
        asyncio_task_unref(chain.tasks[i]);
    }
    return r;
}

static int cancel_first(void *arg)
{
    (void)arg;
    return end_chain(start_chain());
}

static int cancel_first_on_a_small_stack(void *arg)
{
    asyncio_task *task;

    TRY(asyncio_create_task(&task, cancel_first, arg,
                            &(asyncio_task_options){ .stack_size = 32768 }));
    int r = asyncio_task_join(task);
    asyncio_task_unref(task);
    return r;
}

/* CAN-04: the request reaches the innermost of very many, without a stack as deep as they are. */
TEST(CAN_04_a_long_row_of_tasks_is_cancelled_from_within)
{
    chain.count = test_is_torture() ? 5 : CHAIN_MAX;
    for (int i = 0; i < chain.count; i++)
        chain.next[i] = i + 1 < chain.count ? i + 1 : i;
    RUN(cancel_first_on_a_small_stack, NULL);
}

TEST(CAN_04_two_tasks_that_await_each_other_can_be_cancelled)
{
    chain = (struct chain){ .count = 2, .next = { 1, 0 } };
    RUN(cancel_first, NULL);
}

/* The first is not in the circle itself. */
TEST(CAN_04_a_circle_of_tasks_can_be_cancelled_from_outside)
{
    chain = (struct chain){ .count = 4, .next = { 1, 2, 3, 1 } };
    RUN(cancel_first, NULL);
}

static int hold_circle(void *arg)
{
    int r = start_chain();

    if (r == 0)
        r = asyncio_task_join(chain.tasks[0]);
    for (int i = 0; i < chain.count; i++)
        asyncio_task_unref(chain.tasks[i]);
    return r;
}

/* The report of the deadlock cancels all of them. */
TEST(tasks_that_await_each_other_are_reported_and_cancelled)
{
    test_needs_thread_count();
    chain = (struct chain){ .count = 2, .next = { 1, 0 } };
    log_allow("deadlock");
    log_allow("awaits a task");
    log_allow("joins a task");
    CHECK_INT(RUN_RESULT(hold_circle, NULL), -EDEADLK);
}

/* ---- gathers in gathers ---- */

static struct tree {
    asyncio_task *inmost;
    asyncio_future *future;
    int depth, ended; /* with -ECANCELED */
} tree;

/* Each level has a call that goes deeper and one that sleeps. */
static int gathers_deeper(void *arg)
{
    int level = *(int *)arg + 1;
    int r;

    tree.inmost = asyncio_current_task();
    if (level < tree.depth)
        r = asyncio_gather({ gathers_deeper, &level }, { sleeps, NULL });
    else
        r = sleeps(NULL);
    tree.ended += r == -ECANCELED;
    return r;
}

static int cancel_tree(void *arg)
{
    int zero = 0;
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_create_task(&task, gathers_deeper, &zero, NULL));
    int r = 0;
    for (int i = 0; i < tree.depth && r == 0; i++)
        r = asyncio_sleep(0);
    asyncio_task_cancel(task);
    if (r == 0 && !test_is_torture())
        CHECK_INT(asyncio_task_cancelling(tree.inmost), 1); /* it has heard of it at once */
    asyncio_ignore(asyncio_task_join(task));
    asyncio_task_unref(task);
    if (r == 0 && !test_is_torture())
        CHECK_INT(tree.ended, tree.depth);
    return r;
}

static int cancel_tree_on_a_small_stack(void *arg)
{
    asyncio_task *task;

    TRY(asyncio_create_task(&task, cancel_tree, arg,
                            &(asyncio_task_options){ .stack_size = 32768 }));
    int r = asyncio_task_join(task);
    asyncio_task_unref(task);
    return r;
}

/* GAT-06: the request reaches the calls of very many gathers in gathers, in the same call. */
TEST(CAN_04_very_many_gathers_in_gathers_are_cancelled)
{
    tree = (struct tree){ .depth = test_is_torture() ? 40 : CHAIN_MAX };
    RUN(cancel_tree_on_a_small_stack, NULL);
}

/* Levels that gather one call each, the inmost a future. */
static int gathers_down_to_a_future(void *arg)
{
    int level = *(int *)arg + 1;
    int r;

    tree.inmost = asyncio_current_task();
    if (level < tree.depth)
        r = asyncio_gather({ gathers_down_to_a_future, &level });
    else
        r = asyncio_gather_futures((asyncio_future *[]){ tree.future }, 1, NULL);
    tree.ended += r == -ECANCELED;
    return r;
}

static int ends(void *arg)
{
    bool *ended = arg;

    *ended = true;
    return 0;
}

/* The future's end is noted, so that the inmost task is ready to go on when the request comes; in
 * the queue `first` is ahead of it, and `last` behind. */
static int cancel_behind_the_end(asyncio_task *task, asyncio_task **last, bool *ended)
{
    for (int i = 0; i < tree.depth; i++)
        TRY(asyncio_sleep(0));
    asyncio_future_set_result(tree.future, 0);
    TRY(asyncio_sleep(0));
    TRY(asyncio_create_task(last, ends, ended, NULL));
    asyncio_task_cancel(task);
    if (!test_is_torture())
        CHECK_INT(asyncio_task_cancelling(tree.inmost), 1);
    return 0;
}

static int result_of(asyncio_task *task)
{
    if (task == NULL)
        return 0;
    asyncio_task_cancel(task);
    asyncio_ignore(asyncio_task_join(task));
    int r = asyncio_task_result(task);
    asyncio_task_unref(task);
    return r;
}

static int cancel_tree_that_ends(void *arg)
{
    asyncio_future future = { 0 };
    int inmost = tree.depth, outmost = 0;
    asyncio_task *first, *task = NULL, *last = NULL;
    bool ended = false;

    (void)arg;
    tree.future = &future;
    TRY(asyncio_create_task(&first, gathers_down_to_a_future, &inmost, NULL));
    int r = asyncio_sleep(0);
    if (r == 0)
        r = asyncio_create_task(&task, gathers_down_to_a_future, &outmost, NULL);
    if (r == 0)
        r = cancel_behind_the_end(task, &last, &ended);
    for (int i = 0; i < 3 && r == 0; i++)
        r = asyncio_sleep(0);
    int results[] = { result_of(first), result_of(task), result_of(last) };
    if (r == 0 && !test_is_torture()) {
        CHECK_INT(results[0], 0);
        CHECK_INT(results[1], -ECANCELED);
        CHECK(ended);
        CHECK_INT(tree.ended, tree.depth);
    }
    return r;
}

/* As many levels as are passed through at once, and more. */
TEST(CAN_06_GAT_06_inmost_of_many_gathers_is_ready_already)
{
    for (int depth = 30; depth < 40; depth++) {
        tree = (struct tree){ .depth = depth };
        RUN(cancel_tree_that_ends, NULL);
    }
}

/* Task i gathers the next, and the last the first. */
static int gather_next(void *arg)
{
    const int *next = arg;
    asyncio_task *gathered = chain.tasks[*next];

    if (gathered == NULL)
        return 0;
    return asyncio_gather_futures((asyncio_future *[]){ asyncio_task_future(gathered) }, 1, NULL);
}

static int cancel_circle_of_gathers(void *arg)
{
    int r = 0;

    (void)arg;
    for (int i = 0; i < chain.count; i++)
        chain.tasks[i] = NULL;
    for (int i = 0; i < chain.count && r == 0; i++)
        r = asyncio_create_task(&chain.tasks[i], gather_next, &chain.next[i], NULL);
    r = r == 0 ? asyncio_sleep(0) : r;
    if (r == 0)
        asyncio_task_cancel(chain.tasks[0]); /* it returns */
    for (int i = 0; i < chain.count; i++)
        asyncio_task_unref(chain.tasks[i]);
    return r;
}

/* Nobody can end them, but that does not take for ever: the loop ends with them. */
TEST(a_circle_of_gathers_is_passed_round_once)
{
    test_needs_thread_count();
    log_allow("deadlock");
    log_allow("gathers, cancelling");
    log_allow("the loop was closed while a task was pending");
    chain.count = 100;
    for (int i = 0; i < chain.count; i++)
        chain.next[i] = (i + 1) % chain.count;
    RUN(cancel_circle_of_gathers, NULL);
}
