/* test_context.c - the rules of context variables: who sees what is set, and when a value goes. */
#include "ground/memory.h"
#include "loops.h"

#include <unistd.h>

static char none[] = "none";
static const asyncio_contextvar color = { .name = "color", .default_value = none };
static const asyncio_contextvar shape = { .name = "shape" };

static const char *get(const asyncio_contextvar *var)
{
    return asyncio_contextvar_get(var);
}

static int set(const asyncio_contextvar *var, const char *value)
{
    return asyncio_contextvar_set(var, (void *)(uintptr_t)value, NULL);
}

static int says_color(void *arg)
{
    (void)arg;
    trace("%s", get(&color));
    return 0;
}

/* ---- variables ---- */

static int sets_and_resets(void *arg)
{
    asyncio_contextvar_token first, second, other;

    (void)arg;
    CHECK_STR(get(&color), "none");
    CHECK(get(&shape) == NULL);
    TRY(asyncio_contextvar_set(&color, (void *)(uintptr_t)"red", &first));
    int r = asyncio_contextvar_set(&color, (void *)(uintptr_t)"blue", &second);
    if (r == 0) {
        CHECK_STR(get(&color), "blue");
        r = asyncio_contextvar_set(&shape, (void *)(uintptr_t)"round", &other);
        CHECK_INT(asyncio_contextvar_reset(&second), 0);
        CHECK_STR(get(&color), "red");
        CHECK_INT(asyncio_contextvar_reset(&second), ASYNCIO_ESTATE);
        if (r == 0) {
            CHECK_STR(get(&shape), "round");
            CHECK_INT(asyncio_contextvar_reset(&other), 0);
        }
    }
    CHECK_INT(asyncio_contextvar_reset(&first), 0);
    CHECK_STR(get(&color), "none");
    CHECK(get(&shape) == NULL);
    return r;
}

TEST(a_token_brings_the_value_before_back)
{
    RUN(sets_and_resets, NULL);
}

/* A task's context is its own at first, and becomes an object when somebody asks for it. */
static int is_asked_for_its_context(void *arg)
{
    asyncio_contextvar_token token;

    (void)arg;
    TRY(asyncio_contextvar_set(&color, (void *)(uintptr_t)"blue", &token));
    asyncio_context *context = asyncio_task_get_context(asyncio_current_task());
    int r = asyncio_contextvar_reset(&token);
    CHECK_INT(r, 0);
    CHECK_STR(get(&color), "red");
    CHECK_INT(asyncio_contextvar_reset(&token), ASYNCIO_ESTATE);
    return context != NULL ? 0 : -ENOMEM;
}

static int creates_one_that_is_asked(void *arg)
{
    asyncio_task *task;

    (void)arg;
    TRY(set(&color, "red"));
    TRY(asyncio_create_task(&task, is_asked_for_its_context, NULL, NULL));
    int r = asyncio_await(task);
    asyncio_task_unref(task);
    return r;
}

TEST(a_token_is_good_when_the_tasks_context_has_become_an_object)
{
    RUN(creates_one_that_is_asked, NULL);
}

static int resets(void *arg)
{
    CHECK_INT(asyncio_contextvar_reset(arg), ASYNCIO_ESTATE);
    return 0;
}

static int token_of_another(void *arg)
{
    asyncio_contextvar_token token;
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_contextvar_set(&color, (void *)(uintptr_t)"red", &token));
    int r = asyncio_create_task(&task, resets, &token, NULL);
    if (r == 0) {
        r = asyncio_task_join(task);
        asyncio_task_unref(task);
    }
    /* Asking for the context as an object does not make it another one. */
    asyncio_context *context = asyncio_task_get_context(asyncio_current_task());
    CHECK_INT(asyncio_contextvar_reset(&token), 0);
    return r < 0 ? r : context == NULL ? -ENOMEM : 0;
}

TEST(a_token_is_of_its_context_alone)
{
    RUN(token_of_another, NULL);
}

/* Setting in a loop must not make the chain longer and longer; blocks show it. */
static int sets_often(void *arg)
{
    (void)arg;
    TRY(set(&shape, "round"));
    TRY(set(&color, "red"));
    long before = blocks_alive();
    for (int i = 0; i < 100; i++) {
        TRY(set(&color, i % 2 == 0 ? "blue" : "red"));
        TRY(set(&shape, "square"));
    }
    CHECK_INT(blocks_alive(), before);
    CHECK_STR(get(&color), "red");
    CHECK_STR(get(&shape), "square");
    return 0;
}

TEST(setting_again_and_again_keeps_one_value)
{
    RUN(sets_often, NULL);
}

static int released;

static void count_release(void *value)
{
    trace("-%s", (const char *)value);
    released++;
}

static const asyncio_contextvar owned = { .name = "owned", .release = count_release };

static int holds(void *arg)
{
    (void)arg;
    TRY(asyncio_sleep(1));
    CHECK_STR(get(&owned), "value");
    CHECK_TRACE("-other");
    return 0;
}

static int sets_owned(void *arg)
{
    asyncio_contextvar_token token;
    asyncio_task *task;

    (void)arg;
    released = 0;
    TRY(asyncio_contextvar_set(&owned, (void *)(uintptr_t)"value", NULL));
    int r = asyncio_create_task(&task, holds, NULL, NULL);
    if (r < 0)
        return r;
    r = asyncio_contextvar_set(&owned, (void *)(uintptr_t)"other", &token);
    if (r == 0) {
        CHECK_TRACE("");
        CHECK_INT(asyncio_contextvar_reset(&token), 0);
        CHECK_TRACE("-other");
        r = asyncio_contextvar_set(&owned, (void *)(uintptr_t)"third", NULL);
    }
    int joined = asyncio_task_join(task);
    asyncio_task_unref(task);
    return r < 0 ? r : joined;
}

TEST(release_is_told_when_the_last_context_with_the_value_is_gone)
{
    RUN(sets_owned, NULL);
    if (released > 2) /* else torture left one out */
        CHECK_TRACE("-other -third -value"); /* shared once, it stays below the third */
}

/* ---- tasks ---- */

static int changes_color(void *arg)
{
    trace("%s", get(&color));
    TRY(set(&color, arg));
    TRY(asyncio_sleep(1));
    trace("%s", get(&color));
    return 0;
}

static int creates(void *arg)
{
    asyncio_task *task;

    (void)arg;
    TRY(set(&color, "red"));
    TRY(asyncio_create_task(&task, changes_color, (void *)(uintptr_t)"blue", NULL));
    int r = set(&color, "green");
    int joined = asyncio_task_join(task);
    asyncio_task_unref(task);
    TRY(r);
    TRY(joined);
    trace("%s", get(&color));
    CHECK_TRACE("red blue green");
    return 0;
}

/* CTX-05: after the suspension the task still has its own. */
TEST(CTX_01_a_task_runs_in_a_copy_of_its_creators_context)
{
    RUN(creates, NULL);
}

static int creates_in(void *arg)
{
    asyncio_context *context = arg;
    asyncio_task *task;

    TRY(asyncio_create_task(&task, changes_color, (void *)(uintptr_t)"blue",
                            &(asyncio_task_options){ .context = context }));
    int r = asyncio_task_join(task);
    CHECK(asyncio_task_get_context(task) == context);
    asyncio_task_unref(task);
    TRY(r);
    trace("%s", get(&color));
    TRY(asyncio_context_run(context, says_color, NULL));
    CHECK_TRACE("none blue none blue");
    return 0;
}

TEST(CTX_02_a_task_given_a_context_runs_in_it)
{
    asyncio_context *context;

    if (asyncio_context_new(&context) < 0)
        return;
    RUN(creates_in, context);
    asyncio_context_unref(context);
}

static int awaits_directly(void *arg)
{
    (void)arg;
    TRY(changes_color((void *)(uintptr_t)"blue"));
    trace("%s", get(&color));
    CHECK_TRACE("none blue blue");
    return 0;
}

TEST(CTX_03_a_coroutine_that_is_called_shares_the_context)
{
    RUN(awaits_directly, NULL);
}

static int alternates(void *arg)
{
    TRY(set(&color, arg));
    for (int i = 0; i < 3; i++) {
        TRY(asyncio_sleep(0));
        trace("%s", get(&color));
    }
    return 0;
}

static int creates_two(void *arg)
{
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, alternates, (void *)(uintptr_t)"a");
    asyncio_task_group_spawn(&group, alternates, (void *)(uintptr_t)"b");
    TRY(asyncio_task_group_exit(&group, 0));
    CHECK_STR(get(&color), "none");
    CHECK_TRACE("a b a b a b");
    return 0;
}

TEST(CTX_05_each_step_of_a_task_is_in_its_context)
{
    RUN(creates_two, NULL);
}

/* ---- callbacks ---- */

static int schedules(void *arg)
{
    asyncio_loop *loop = arg;
    asyncio_handle soon = { 0 }, remote = { 0 };
    asyncio_timer later = { 0 }, at = { 0 };
    int r = set(&color, "red");

    if (r == 0)
        r = asyncio_loop_call_later(loop, &later, 0, says_color, NULL);
    if (r == 0)
        r = asyncio_loop_call_at(loop, &at, asyncio_loop_time(loop), says_color, NULL);
    if (r == 0) {
        asyncio_ignore(asyncio_loop_call_soon(loop, &soon, says_color, NULL));
        asyncio_ignore(asyncio_loop_call_soon_threadsafe(loop, &remote, says_color, NULL));
        r = set(&color, "blue");
        turn(loop);
        turn(loop);
        CHECK_TRACE("red red red red");
    }
    asyncio_timer_cancel(&later);
    asyncio_timer_cancel(&at);
    return r;
}

static int given_contexts(void *arg)
{
    asyncio_loop *loop = arg;
    asyncio_handle soon = { 0 };
    asyncio_timer later = { 0 };
    int r = asyncio_copy_context(&soon.context);

    if (r < 0)
        return r;
    later.handle.context = soon.context;
    r = set(&color, "mine");
    if (r == 0)
        r = asyncio_loop_call_later(loop, &later, 0, says_color, NULL);
    if (r == 0) {
        asyncio_ignore(asyncio_loop_call_soon(loop, &soon, says_color, NULL));
        turn(loop);
        turn(loop);
        CHECK_TRACE("none none");
    }
    asyncio_timer_cancel(&later);
    asyncio_context_unref(soon.context);
    return r;
}

static int on_descriptor(void *arg)
{
    asyncio_loop *loop = arg;
    int fds[2], r = set(&color, "red");

    if (r < 0 || pipe(fds) < 0)
        return r;
    if (asyncio_loop_add_writer(loop, fds[1], says_color, NULL) == 0) {
        r = set(&color, "blue");
        turn(loop);
        turn(loop);
        CHECK_TRACE("red red");
        asyncio_loop_remove_writer(loop, fds[1]);
    }
    close(fds[0]);
    close(fds[1]);
    return r;
}

/* Runs fn(loop) in an empty context. */
static void in_new_context(asyncio_coro *fn)
{
    asyncio_loop *loop = loop_for_test();
    asyncio_context *context;

    if (loop != NULL && asyncio_context_new(&context) == 0) {
        int r = asyncio_context_run(context, fn, loop);

        if (r < 0 && !test_is_torture())
            FAIL("%s", asyncio_error_name(r));
        asyncio_context_unref(context);
    }
    asyncio_loop_unref(loop);
}

TEST(CTX_04_a_callback_runs_in_a_copy_made_when_it_was_scheduled)
{
    in_new_context(schedules);
}

TEST(CTX_04_or_in_the_context_it_was_given)
{
    in_new_context(given_contexts);
}

TEST(CTX_06_a_watched_descriptor_has_the_context_of_add)
{
    in_new_context(on_descriptor);
}

/* ---- contexts ---- */

static int enters_again(void *arg)
{
    CHECK_INT(asyncio_context_run(arg, says_color, NULL), -EBUSY);
    return 5;
}

static int runs_in(void *arg)
{
    CHECK_INT(asyncio_context_run(arg, enters_again, arg), 5);
    return 0;
}

TEST(a_context_is_entered_once_at_a_time)
{
    asyncio_context *context;

    if (asyncio_context_new(&context) < 0)
        return;
    CHECK(asyncio_context_ref(context) == context);
    asyncio_context_unref(context);
    RUN(runs_in, context);
    asyncio_context_unref(context);
    asyncio_context_unref(NULL);
    CHECK_TRACE("");
}

/* ---- without memory ---- */

static bool refuses(void)
{
    return true;
}

static int has_none_without_memory(void *arg)
{
    (void)arg;
    TRY(set(&color, "red"));
    memory_set_refusal(refuses);
    CHECK(asyncio_task_get_context(asyncio_current_task()) == NULL);
    memory_set_refusal(NULL);
    CHECK_STR(get(&color), "red"); /* nothing is lost */
    CHECK(asyncio_task_get_context(asyncio_current_task()) != NULL);
    CHECK_STR(get(&color), "red");
    return 0;
}

static int awaits_one_without(void *arg)
{
    asyncio_task *task;

    TRY(asyncio_create_task(&task, has_none_without_memory, arg, NULL));
    int r = asyncio_task_await(task);
    asyncio_task_unref(task);
    return r;
}

/* The values of a task become a context when it is asked for. */
TEST(CTX_02_the_context_of_a_task_without_memory)
{
    if (test_is_torture())
        SKIP("it refuses memory itself");
    RUN(awaits_one_without, NULL);
}
