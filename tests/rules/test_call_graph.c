/* test_call_graph.c - who awaits whom: captured, printed, and gone when the wait ends. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ground/switch.h"
#include "tasks.h"

/* ---- the shape of a graph as a word: child(parent(main) other) ---- */

static char shape_text[1000];

static void write_shape(const asyncio_call_graph *graph)
{
    size_t length = strlen(shape_text);

    snprintf(shape_text + length, sizeof shape_text - length, "%s",
             graph->name[0] != '\0' ? graph->name : "?");
    for (size_t i = 0; i < graph->awaited_by_size; i++) {
        strncat(shape_text, i == 0 ? "(" : " ", 2);
        write_shape(graph->awaited_by[i]);
    }
    if (graph->awaited_by_size > 0)
        strncat(shape_text, ")", 2);
}

static const char *shape(asyncio_future *future)
{
    asyncio_call_graph *graph;

    shape_text[0] = '\0';
    if (asyncio_capture_call_graph(&graph, future, 0) < 0)
        return "none";
    write_shape(graph);
    asyncio_call_graph_free(graph);
    return shape_text;
}

#define CHECK_SHAPE(future, expected) CHECK_STR(shape(future), (expected))

/* ---- tasks that wait, each in its way, for what `what` names ---- */

static struct {
    asyncio_future future; /* done when the waiting is to end */
    asyncio_future *targets[2];
    asyncio_task *waiter;
} what;

static int named(asyncio_task **task, asyncio_coro *fn, void *arg, const char *name)
{
    return hold_with(task, fn, arg, &(asyncio_task_options){ .name = name });
}

/* The target: a task that awaits the future. */
static int start_target(void)
{
    asyncio_task *target;

    what.future = (asyncio_future){ 0 };
    TRY(named(&target, awaits, &what.future, "target"));
    what.targets[0] = what.targets[1] = asyncio_task_future(target);
    return 0;
}

/* Starts the target and a waiter, looks at the target while that waits and when it has ended. */
static int look(asyncio_coro *waits, const char *shape_then)
{
    TRY(start_target());
    TRY(named(&what.waiter, waits, NULL, "waiter"));
    TRY(settle());
    CHECK_SHAPE(what.targets[0], shape_then);
    CHECK_SHAPE(&what.future, "?(target(waiter))");
    asyncio_ignore(asyncio_future_set_result(&what.future, 0));
    TRY(settle());
    CHECK_SHAPE(what.targets[0], "target");
    CHECK(asyncio_task_done(what.waiter));
    return 0;
}

/* The same with a waiter that is cancelled and leaves the target alone. */
static int look_cancelled(asyncio_coro *waits)
{
    TRY(start_target());
    TRY(named(&what.waiter, waits, NULL, "waiter"));
    TRY(settle());
    CHECK_SHAPE(what.targets[0], "target(waiter)");
    asyncio_task_cancel(what.waiter);
    TRY(settle());
    CHECK(asyncio_task_done(what.waiter));
    CHECK_SHAPE(what.targets[0], "target");
    asyncio_ignore(asyncio_future_set_result(&what.future, 0));
    return settle();
}

#define TEST_LOOK(name, expression)                                                                \
    static int name##_body(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        return expression;                                                                         \
    }                                                                                              \
    TEST(name)                                                                                     \
    {                                                                                              \
        RUN_TASKS(name##_body, NULL);                                                              \
    }

/* It has a frame while it waits, and calls what is neither a jump nor compiled into it. */
__attribute__((noinline)) static int by_await(void *arg)
{
    int (*volatile await)(asyncio_future *future) = asyncio_future_await;

    (void)arg;
    int r = await(what.targets[0]);
    __asm__ volatile("" : "+r"(r));
    return r;
}

static int by_join(void *arg)
{
    (void)arg;
    return asyncio_future_join(what.targets[0]);
}

static int by_gather(void *arg)
{
    (void)arg;
    return asyncio_gather_futures(what.targets, 2, NULL);
}

static int by_shield(void *arg)
{
    (void)arg;
    return asyncio_shield(what.targets[0]);
}

static int by_wait(void *arg)
{
    (void)arg;
    int r = asyncio_wait(what.targets, 2, INFINITY, ASYNCIO_ALL_COMPLETED);
    return r < 0 ? r : 0;
}

static int by_timeout(void *arg)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 100);
    int r = by_await(arg);
    return asyncio_timeout_exit(&timeout, r);
}

static int by_wait_for(void *arg)
{
    return asyncio_wait_for(by_await, arg, 100);
}

static int by_wait_for_future(void *arg)
{
    (void)arg;
    return asyncio_wait_for_future(what.targets[0], 100);
}

static int by_as_completed(void *arg)
{
    asyncio_as_completed iterator;
    size_t index;

    (void)arg;
    TRY(asyncio_as_completed_init(&iterator, what.targets, 2, INFINITY));
    int r = asyncio_as_completed_next(&iterator, &index);
    asyncio_as_completed_destroy(&iterator);
    return r < 0 ? r : 0;
}

static int next_of(void *arg)
{
    size_t index;
    int r = asyncio_as_completed_next(arg, &index);

    return r < 0 ? r : 0;
}

/* Others may ask for the next one than who has made the iterator. */
static int shares_iterator(void *arg)
{
    asyncio_as_completed iterator;
    asyncio_task_group group;

    (void)arg;
    TRY(start_target());
    TRY(asyncio_as_completed_init(&iterator, what.targets, 1, INFINITY));
    CHECK_SHAPE(what.targets[0], "target");
    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_create_task(&group, &what.waiter, next_of, &iterator,
                                           &(asyncio_task_options){ .name = "asks" });
    asyncio_task_set_name(asyncio_current_task(), "main");
    if (r == 0)
        r = settle();
    if (r == 0)
        CHECK_SHAPE(what.targets[0], "target(asks(main))");
    asyncio_ignore(asyncio_future_set_result(&what.future, 0));
    r = asyncio_task_group_exit(&group, r);
    asyncio_as_completed_destroy(&iterator);
    return r;
}

TEST(GRF_02_as_completed_shared)
{
    RUN_TASKS(shares_iterator, NULL);
}

/* GRF-02: await, and what rests on it. */
TEST_LOOK(GRF_02_await, look(by_await, "target(waiter)"))
TEST_LOOK(GRF_02_join, look(by_join, "target(waiter)"))
TEST_LOOK(GRF_02_timeout, look(by_timeout, "target(waiter)"))
TEST_LOOK(GRF_02_wait_for, look(by_wait_for, "target(waiter)"))
TEST_LOOK(GRF_02_wait_for_future, look(by_wait_for_future, "target(waiter)"))

/* GRF-02: what watches; also if it names one twice. */
TEST_LOOK(GRF_02_gather_of_futures, look(by_gather, "target(waiter)"))
TEST_LOOK(GRF_02_shield, look(by_shield, "target(waiter)"))
TEST_LOOK(GRF_02_wait, look(by_wait, "target(waiter)"))
TEST_LOOK(GRF_02_as_completed, look(by_as_completed, "target(waiter)"))

/* GRF-03: nothing is left of a wait that was cancelled. */
TEST_LOOK(GRF_03_shield_cancelled, look_cancelled(by_shield))
TEST_LOOK(GRF_03_wait_cancelled, look_cancelled(by_wait))
TEST_LOOK(GRF_03_as_completed_cancelled, look_cancelled(by_as_completed))

static int times_out(void *arg)
{
    (void)arg;
    TRY(start_target());
    int r = asyncio_wait(what.targets, 1, 0.5, ASYNCIO_ALL_COMPLETED);
    TRY(r);
    CHECK_INT(r, 0);
    CHECK_SHAPE(what.targets[0], "target");
    asyncio_ignore(asyncio_future_set_result(&what.future, 0));
    return settle();
}

TEST(GRF_03_wait_timed_out)
{
    RUN_TASKS(times_out, NULL);
}

/* ---- those who make the tasks they wait for: the future is awaited by a child of the waiter ----
 */

static int child(void *arg)
{
    (void)arg;
    asyncio_task_set_name(asyncio_current_task(), "child");
    return asyncio_shield(&what.future);
}

static int gathers_calls(void *arg)
{
    (void)arg;
    return asyncio_gather({ child, NULL });
}

static int groups(void *arg)
{
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, child, NULL);
    int r = asyncio_sleep(0.0001); /* it is the parent already before it waits in _exit */
    if (r == 0)
        CHECK_SHAPE(&what.future, "?(child(waiter))");
    return asyncio_task_group_exit(&group, r);
}

/* A sibling starts it; its parent is the owner of the group all the same. */
static int starts_sibling(void *arg)
{
    return asyncio_task_group_spawn(arg, child, NULL);
}

static int groups_by_a_child(void *arg)
{
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, starts_sibling, &group);
    return asyncio_task_group_exit(&group, 0);
}

static int races(void *arg)
{
    (void)arg;
    int r = asyncio_staggered_race((asyncio_call[]){ { child, NULL } }, 1, INFINITY, NULL);
    return r < 0 ? r : 0;
}

static int look_at_children(asyncio_coro *waits)
{
    what.future = (asyncio_future){ 0 };
    TRY(named(&what.waiter, waits, NULL, "waiter"));
    TRY(settle());
    CHECK_SHAPE(&what.future, "?(child(waiter))");
    asyncio_ignore(asyncio_future_set_result(&what.future, 0));
    TRY(settle());
    CHECK(asyncio_task_done(what.waiter));
    CHECK_SHAPE(&what.future, "?");
    return 0;
}

TEST_LOOK(GRF_02_gather_of_calls, look_at_children(gathers_calls))
TEST_LOOK(GRF_02_task_group, look_at_children(groups))
TEST_LOOK(GRF_02_task_group_by_a_child, look_at_children(groups_by_a_child))
TEST_LOOK(GRF_02_staggered_race, look_at_children(races))

/* ---- capturing ---- */

#if defined(FIBER_UCONTEXT)
#define NEED_STACKS() SKIP("no unwinding through ucontext")
#else
#define NEED_STACKS() (void)0
#endif

static bool stack_has(const asyncio_call_graph *graph, asyncio_coro *fn)
{
    for (size_t i = 0; i < graph->call_stack_size; i++) {
        ptrdiff_t into = (char *)graph->call_stack[i] - (char *)(uintptr_t)fn;

        if (into > 0 && into < 400)
            return true;
    }
    return false;
}

static int capture_both(void *arg)
{
    asyncio_call_graph *graph;

    (void)arg;
    TRY(start_target());
    TRY(named(&what.waiter, by_wait_for, NULL, "waiter"));
    TRY(settle());
    TRY(asyncio_capture_call_graph(&graph, what.targets[0], INT_MAX));
    CHECK(graph->future == what.targets[0]);
    CHECK_STR(graph->name, "target");
    CHECK(stack_has(graph, awaits));
    if (CHECK_INT(graph->awaited_by_size, 1)) {
        const asyncio_call_graph *waiter = graph->awaited_by[0];

        CHECK(waiter->future == asyncio_task_future(what.waiter));
        CHECK(stack_has(waiter, by_await));
        CHECK_INT(waiter->awaited_by_size, 0);
    }
    asyncio_call_graph_free(graph);
    asyncio_ignore(asyncio_future_set_result(&what.future, 0));
    return settle();
}

TEST(GRF_01_stacks_and_awaiters)
{
    NEED_STACKS();
    RUN_TASKS(capture_both, NULL);
}

static int capture_in_callback(void *arg)
{
    asyncio_call_graph *graph = NULL;
    asyncio_buffer text = { 0 };

    (void)arg;
    CHECK_INT(asyncio_capture_call_graph(&graph, NULL, 1), -ENOENT);
    if (asyncio_format_call_graph(&text, NULL, 1) == 0)
        CHECK_STR(text.data, "");
    asyncio_buffer_free(&text);
    trace("callback");
    return 0;
}

static int capture_here(void *arg)
{
    asyncio_handle handle = { 0 };
    asyncio_call_graph *graph;

    (void)arg;
    asyncio_task_set_name(asyncio_current_task(), "main");
    TRY(asyncio_capture_call_graph(&graph, NULL, INT_MAX));
    CHECK(graph->future == asyncio_task_future(asyncio_current_task()));
    CHECK(stack_has(graph, capture_here));
    asyncio_call_graph_free(graph);
    TRY(asyncio_loop_call_soon(asyncio_get_running_loop(), &handle, capture_in_callback, NULL));
    int r = settle();
    asyncio_handle_cancel(&handle);
    TRY(r);
    CHECK_TRACE("callback");
    return 0;
}

TEST(GRF_01_of_the_current_task_if_there_is_one)
{
    asyncio_call_graph *graph;

    CHECK_INT(asyncio_capture_call_graph(&graph, NULL, 1), ASYNCIO_ENOLOOP);
    RUN_TASKS(capture_here, NULL);
}

static int compare_limits(void *arg)
{
    asyncio_call_graph *whole, *part;

    (void)arg;
    TRY(start_target());
    TRY(settle());
    TRY(asyncio_capture_call_graph(&whole, what.targets[0], INT_MAX));
    size_t n = whole->call_stack_size;
    CHECK(n >= 3);
    for (int limit = -2; limit <= 2; limit++) {
        if (asyncio_capture_call_graph(&part, what.targets[0], limit) < 0)
            continue;
        if (CHECK_INT(part->call_stack_size, limit < 0 ? -limit : limit) && limit != 0)
            CHECK(memcmp(part->call_stack, whole->call_stack + (limit > 0 ? 0 : n + limit),
                         part->call_stack_size * sizeof(void *)) == 0);
        asyncio_call_graph_free(part);
    }
    asyncio_call_graph_free(whole);
    asyncio_ignore(asyncio_future_set_result(&what.future, 0));
    return settle();
}

TEST(GRF_04_limits)
{
    NEED_STACKS();
    RUN_TASKS(compare_limits, NULL);
}

/* ---- edges of one's own ---- */

TEST(GRF_05_edges_are_added_and_discarded)
{
    asyncio_future a = { 0 }, b = { 0 }, c = { 0 };
    asyncio_awaited_by ab, ac, none;

    if (test_is_torture())
        SKIP("nothing in it can fail but capturing, which the others show");
    asyncio_future_add_to_awaited_by(&ab, &a, &b);
    asyncio_future_add_to_awaited_by(&ac, &a, &c);
    CHECK_SHAPE(&a, "?(? ?)");
    CHECK_SHAPE(&b, "?");
    asyncio_future_discard_from_awaited_by(&ab);
    CHECK_SHAPE(&a, "?(?)");
    asyncio_future_discard_from_awaited_by(&ac);
    CHECK_SHAPE(&a, "?");
    asyncio_future_discard_from_awaited_by(&ac); /* a second time: no effect */
    asyncio_future_add_to_awaited_by(&none, NULL, &a);
    asyncio_future_discard_from_awaited_by(&none);
    asyncio_future_add_to_awaited_by(&none, &a, NULL);
    CHECK_SHAPE(&a, "?");
    asyncio_future_discard_from_awaited_by(&none);
}

/* Python would not come back from this one. */
TEST(GRF_05_a_cycle_is_shown_once)
{
    asyncio_future a = { 0 }, b = { 0 };
    asyncio_awaited_by ab, ba;

    if (test_is_torture())
        SKIP("nothing in it can fail but capturing, which the others show");
    asyncio_future_add_to_awaited_by(&ab, &a, &b);
    asyncio_future_add_to_awaited_by(&ba, &b, &a);
    CHECK_SHAPE(&a, "?(?(?))");
    asyncio_future_discard_from_awaited_by(&ab);
    asyncio_future_discard_from_awaited_by(&ba);
}

static void chain(asyncio_awaited_by *edges, asyncio_future *futures, int count, int step)
{
    for (int i = 0; i < count; i++)
        asyncio_future_add_to_awaited_by(&edges[i], &futures[i * step], &futures[(i + 1) * step]);
}

static void unchain(asyncio_awaited_by *edges, int count)
{
    for (int i = 0; i < count; i++)
        asyncio_future_discard_from_awaited_by(&edges[i]);
}

/* A chain longer than recursion could follow on a small stack. */
TEST(GRF_01_long)
{
    enum { LENGTH = 2000 };
    static asyncio_future futures[LENGTH + 1];
    static asyncio_awaited_by edges[LENGTH];
    asyncio_call_graph *graph;
    size_t depth = 0;

    if (test_is_torture())
        SKIP("nothing in it can fail but capturing, which the others show");
    chain(edges, futures, LENGTH, 1);
    if (CHECK_INT(asyncio_capture_call_graph(&graph, &futures[0], 0), 0)) {
        for (const asyncio_call_graph *at = graph; at->awaited_by_size > 0; at = at->awaited_by[0])
            depth++;
        CHECK_INT(depth, LENGTH);
        asyncio_call_graph_free(graph);
    }
    unchain(edges, LENGTH);
}

/* From each future to the next but one there are two ways: a tree of a billion nodes. */
TEST(GRF_01_wide)
{
    enum { STEPS = 30 };
    static asyncio_future futures[2 * STEPS + 1];
    static asyncio_awaited_by by_one[2 * STEPS], by_two[STEPS];
    asyncio_call_graph *graph;

    if (test_is_torture())
        SKIP("nothing in it can fail but capturing, which the others show");
    chain(by_one, futures, 2 * STEPS, 1);
    chain(by_two, futures, STEPS, 2);
    CHECK_INT(asyncio_capture_call_graph(&graph, &futures[0], 0), ASYNCIO_ELIMIT);
    unchain(by_one, 2 * STEPS);
    unchain(by_two, STEPS);
}

/* ---- as text ---- */

static int prints(void *arg)
{
    char text[4000], expected[400];
    int fd = memfd_create("graph", MFD_CLOEXEC);

    (void)arg;
    if (fd < 0)
        return -errno;
    int r = start_target();
    if (r == 0)
        r = named(&what.waiter, by_gather, NULL, "waiter");
    if (r == 0)
        r = settle();
    if (r == 0)
        r = asyncio_print_call_graph(what.targets[0], 0, fd);
    if (r == 0) {
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        snprintf(
            expected, sizeof expected,
            "* Task(name='target', id=%p)\n  + Awaited by:\n    * Task(name='waiter', id=%p)\n",
            (void *)what.targets[0], (void *)asyncio_task_future(what.waiter));
        CHECK_STR(text, expected);
        r = asyncio_print_call_graph(what.targets[0], 1, fd);
    }
    if (r == 0) {
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        CHECK(strstr(text, "  + Call stack:\n  |   ") != NULL);
        CHECK(strstr(text, "      + Call stack:\n      |   ") != NULL);
    }
    close(fd);
    asyncio_ignore(asyncio_future_set_result(&what.future, 0));
    return r == 0 ? settle() : r;
}

TEST(GRF_01_printed)
{
    NEED_STACKS();
    RUN_TASKS(prints, NULL);
}
