/* test_task_names.c - tasks: names, and who is there (TSK-17 to 19). */
#include <stdlib.h>
#include <string.h>

#include "core/future.h"
#include "loop/loop.h"
#include "rules/tasks.h"

/* ---- names, and who runs ---- */

static long number_of(const asyncio_task *task)
{
    const char *name = asyncio_task_get_name(task);

    return strncmp(name, "Task-", 5) == 0 ? strtol(name + 5, NULL, 10) : -1;
}

static int name_tasks(void *arg)
{
    static int zero;
    asyncio_task *first, *named, *second, *third;
    char copied[8] = "mine";

    (void)arg;
    TRY(hold(&first, gives, &zero));
    TRY(hold_with(&named, gives, &zero, &(asyncio_task_options){ .name = copied }));
    TRY(hold(&second, gives, &zero));
    copied[0] = '\0';
    CHECK_STR(asyncio_task_get_name(named), "mine");
    CHECK(number_of(first) > number_of(asyncio_current_task()));
    /* A name that was given uses up no number. */
    CHECK_INT(number_of(second), number_of(first) + 1);
    asyncio_task_set_name(first, "renamed");
    CHECK_STR(asyncio_task_get_name(first), "renamed");
    asyncio_task_set_name(named, "Task-0");
    TRY(hold(&third, gives, &zero));
    CHECK_INT(number_of(third), number_of(second) + 1);
    return (int)number_of(third);
}

static int name_again(void *arg)
{
    const int *last = arg;

    /* The next loop of the process goes on counting. */
    CHECK_INT(number_of(asyncio_current_task()), *last + 1);
    return 0;
}

static int name_tasks_held(void *arg)
{
    return run_holding(&(asyncio_call){ name_tasks, arg });
}

TEST(TSK_17_names)
{
    int last = RUN_RESULT(name_tasks_held, NULL);

    if (last < 0)
        return;
    RUN(name_again, &last);
}

static int name_too_long(void *arg)
{
    char name[100];
    asyncio_task *task;

    (void)arg;
    memset(name, 'x', sizeof name);
    name[99] = '\0';
    TRY(hold_with(&task, sleeps, NULL, &(asyncio_task_options){ .name = name }));
    name[63] = '\0';
    CHECK_STR(asyncio_task_get_name(task), name);
    return 0;
}

TEST(TSK_17_names_have_up_to_63_bytes)
{
    RUN_TASKS(name_too_long, NULL);
}

struct current {
    asyncio_handle handle;
    asyncio_task *expected;
    bool called;
};

static int look_in_callback(void *arg)
{
    struct current *test = arg;

    CHECK(asyncio_current_task() == NULL);
    test->called = true;
    return 0;
}

static int look_in_task(void *arg)
{
    struct current *test = arg;

    CHECK(asyncio_current_task() == test->expected);
    TRY(asyncio_sleep(0));
    CHECK(asyncio_current_task() == test->expected);
    return 0;
}

static int look_who_runs(void *arg)
{
    struct current *test = arg;
    asyncio_task *self = asyncio_current_task();

    TRY(hold(&test->expected, look_in_task, test));
    TRY(asyncio_loop_call_soon(asyncio_get_running_loop(), &test->handle, look_in_callback, test));
    CHECK(self != NULL && self != test->expected);
    TRY(asyncio_await(test->expected));
    CHECK(asyncio_current_task() == self);
    CHECK(test->called);
    return 0;
}

TEST(TSK_18_the_current_task)
{
    struct current test = { .called = false };

    CHECK(asyncio_current_task() == NULL);
    RUN_TASKS(look_who_runs, &test);
    CHECK(asyncio_current_task() == NULL);
}

/* ---- all of them ---- */

static bool among(asyncio_task *const *tasks, size_t count, const asyncio_task *task)
{
    for (size_t i = 0; i < count; i++)
        if (tasks[i] == task)
            return true;
    return false;
}

static int list_all(void *arg)
{
    static int zero;
    asyncio_loop *loop = asyncio_get_running_loop(), *other = arg;
    asyncio_task *waiting, *ended, *ready, *all[8] = { 0 };

    TRY(hold(&waiting, sleeps, NULL));
    TRY(hold(&ended, gives, &zero));
    TRY(asyncio_sleep(0));
    TRY(hold(&ready, sleeps, NULL));
    size_t count = asyncio_all_tasks(all, 8, loop);
    CHECK_INT(count, 3);
    CHECK(among(all, count, asyncio_current_task()) && among(all, count, waiting) &&
          among(all, count, ready));
    for (size_t i = 0; i < count; i++)
        asyncio_task_unref(all[i]);

    CHECK_INT(asyncio_all_tasks(NULL, 0, loop), 3); /* only counts */
    all[0] = all[1] = NULL;
    CHECK_INT(asyncio_all_tasks(all, 1, loop), 3); /* as many as there is room for */
    CHECK(all[0] != NULL && all[1] == NULL);
    asyncio_task_unref(all[0]);
    CHECK_INT(asyncio_all_tasks(NULL, 0, other), 1);
    return 0;
}

TEST(TSK_19_all_tasks)
{
    asyncio_loop *other;
    asyncio_task *stranger;

    log_expect("closed while a task was pending");
    if (asyncio_new_event_loop(&other, NULL) < 0)
        return;
    if (asyncio_loop_create_task(other, &stranger, sleeps, NULL, NULL) == 0) {
        RUN_TASKS(list_all, other);
        asyncio_task_unref(stranger);
    }
    asyncio_loop_unref(other);
}
