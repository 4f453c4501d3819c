/* test_task_factory.c - factories of tasks, and what a task tells (TSK-28, 29, 32). */
#include <stdio.h>

#include "loop/loop.h"
#include "rules/tasks.h"

/* ---- factories ---- */

static struct {
    asyncio_task_options options;
    char name[16];
    int calls;
} made;

static int note_options(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                        const asyncio_task_options *options)
{
    made.calls++;
    made.options = options != NULL ? *options : (asyncio_task_options){ 0 };
    if (made.options.name != NULL)
        snprintf(made.name, sizeof made.name, "%s", made.options.name);
    return asyncio_task_new(loop, task, fn, arg, options);
}

static int make_by_factory(void *arg)
{
    static char word[] = "copied";
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_context *context = arg;
    asyncio_task *task;

    asyncio_loop_set_task_factory(loop, note_options);
    TRY(hold_with(&task, says, word,
                  &(asyncio_task_options){
                      .name = "made",
                      .context = context,
                      .eager = ASYNCIO_OFF,
                      .stack_size = 100000,
                      .arg_size = sizeof word,
                  }));
    asyncio_loop_set_task_factory(loop, NULL);
    word[0] = 'C';
    CHECK_INT(made.calls, 1);
    CHECK_STR(made.name, "made");
    CHECK(made.options.context == context);
    CHECK_INT(made.options.eager, ASYNCIO_OFF);
    CHECK_INT(made.options.stack_size, 100000);
    CHECK_INT(made.options.arg_size, sizeof word);
    CHECK_STR(asyncio_task_get_name(task), "made");
    CHECK(asyncio_task_get_context(task) == context);
    CHECK_INT(asyncio_await(task), 0);
    CHECK_TRACE("copied");
    return 0;
}

TEST(TSK_28_every_option_reaches_the_factory)
{
    asyncio_context *context;

    if (asyncio_context_new(&context) < 0)
        return;
    RUN_TASKS(make_by_factory, context);
    asyncio_context_unref(context);
}

static int refuse(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                  const asyncio_task_options *options)
{
    (void)loop, (void)task, (void)fn, (void)arg, (void)options;
    return -EAGAIN;
}

static int change_factory(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_task *task = NULL;

    (void)arg;
    CHECK(asyncio_loop_get_task_factory(loop) == NULL);
    asyncio_loop_set_task_factory(loop, refuse);
    CHECK(asyncio_loop_get_task_factory(loop) == refuse);
    CHECK_INT(asyncio_create_task(&task, SAYS("no"), NULL), -EAGAIN);
    CHECK_INT(asyncio_loop_create_task(loop, &task, SAYS("no"), NULL), -EAGAIN);
    CHECK(task == NULL);
    asyncio_loop_set_task_factory(loop, NULL);
    CHECK(asyncio_loop_get_task_factory(loop) == NULL);
    TRY(hold(&task, SAYS("yes")));
    CHECK_INT(asyncio_await(task), 0);
    CHECK_TRACE("yes");
    return 0;
}

TEST(TSK_29_a_factory_can_be_set_and_taken_back)
{
    RUN_TASKS(change_factory, NULL);
}

/* Also before there is any task, and it stays for the first. */
TEST(TSK_29_a_factory_of_a_loop_that_has_no_task_yet)
{
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    CHECK(asyncio_loop_get_task_factory(loop) == NULL);
    asyncio_loop_set_task_factory(loop, refuse);
    CHECK_INT(asyncio_loop_create_task(loop, &task, SAYS("no"), NULL), -EAGAIN);
    CHECK(task == NULL);
    log_allow("closed while a task was pending"); /* in torture there may be no factory */
    asyncio_task_unref(task);
    asyncio_loop_unref(loop);
}

/* ---- what a task tells ---- */

static const asyncio_contextvar variable = { .name = "variable" };

static int set_variable(void *arg)
{
    TRY(asyncio_contextvar_set(&variable, arg, NULL));
    return asyncio_sleep(0);
}

static int get_variable(void *arg)
{
    CHECK(asyncio_contextvar_get(&variable) == arg);
    return 5;
}

static int ask_task(void *arg)
{
    static int value;
    asyncio_task *task;

    (void)arg;
    TRY(hold(&task, set_variable, &value));
    CHECK(asyncio_task_get_coro(task).fn == set_variable);
    CHECK(asyncio_task_get_coro(task).arg == &value);
    CHECK(asyncio_task_get_loop(task) == asyncio_get_running_loop());
    TRY(asyncio_await(task));
    CHECK(asyncio_task_get_coro(task).fn == set_variable);
    /* Its own context, where the variable is, and not that of who made it. */
    CHECK(asyncio_contextvar_get(&variable) == NULL);
    asyncio_context *context = asyncio_task_get_context(task);
    CHECK(context != NULL && asyncio_context_run(context, get_variable, &value) == 5);
    CHECK(asyncio_task_get_context(task) == context);
    return 0;
}

TEST(TSK_32_the_coroutine_and_the_context_of_a_task)
{
    RUN_TASKS(ask_task, NULL);
}
