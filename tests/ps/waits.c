/* waits.c - a program that stands still for asyncio-ps: tasks that wait for all kinds of things.
 *
 *     waits          main awaits "outer", which awaits "inner", which sleeps; "locked" wants a lock
 *     waits together  main has a group of "gatherer", who gathers two sleepers, "watcher" and
 *                     "shielder", who both watch "sleeper"
 *     waits cycle    two tasks await each other
 *     waits busy     tasks come and go without end
 *     waits deep     "deep" wants a lock below a hundred calls of a function
 *     waits many     five hundred tasks
 *     waits none     no loop, no task
 *     waits frames   says "kept" or "jumps" of the library's functions that call last of all
 *
 * It prints "ready" once all stand, and ends with the end of its input.  check.py, which looks at
 * it, proves GRF-06 and GRF-07.
 */
#include <asyncio.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool frames_are_kept(void); /* frames.c */

struct tasks {
    asyncio_task *outer, *inner, *locked;
    asyncio_lock lock;
};

static int end_of_input(void *arg)
{
    char byte;

    (void)arg;
    return read(STDIN_FILENO, &byte, 1) < 0 ? -EIO : 0;
}

static int herald(void *arg)
{
    (void)arg;
    puts("ready");
    return fflush(stdout) == 0 ? 0 : -EIO;
}

/* The callback runs when this task has suspended.  Neither this nor what it waits in is
 * inlined: they are looked for in stacks. */
__attribute__((noinline)) static int stand(void)
{
    int (*volatile to_thread)(asyncio_callback *fn, void *arg) = asyncio_to_thread;
    asyncio_handle handle = { 0 };
    int r = asyncio_loop_call_soon(asyncio_get_running_loop(), &handle, herald, NULL);

    if (r == 0)
        r = to_thread(end_of_input, NULL);
    asyncio_handle_cancel(&handle);
    return r;
}

static int named(asyncio_task **task, const char *name, asyncio_coro *fn, void *arg)
{
    return asyncio_create_task(task, fn, arg, &(asyncio_task_options){ .name = name });
}

/* Gives it back, and its end; NULL: it was never made. */
static void end(asyncio_task *task)
{
    if (task == NULL)
        return;
    asyncio_task_cancel(task);
    asyncio_ignore(asyncio_task_join(task));
    asyncio_task_unref(task);
}

/* ---- a chain ---- */

/* Named as compilers name their copies of functions. */
static int sleep_long(void *arg) __asm__("sleep_long.constprop.0");

static int sleep_long(void *arg)
{
    (void)arg;
    return asyncio_sleep(1000);
}

static int await_inner(void *arg)
{
    struct tasks *tasks = arg;

    return asyncio_await(tasks->inner);
}

static int await_outer(void *arg)
{
    struct tasks *tasks = arg;

    return asyncio_await(tasks->outer);
}

static int want_lock(void *arg)
{
    struct tasks *tasks = arg;
    int r = asyncio_lock_acquire(&tasks->lock);

    if (r == 0)
        asyncio_lock_release(&tasks->lock);
    return r;
}

static int chain(void *arg)
{
    struct tasks tasks = { 0 };
    asyncio_task *waiter = NULL;
    int r = asyncio_lock_acquire(&tasks.lock);

    (void)arg;
    if (r == 0)
        r = named(&tasks.inner, "inner", sleep_long, NULL);
    if (r == 0)
        r = named(&tasks.outer, "outer", await_inner, &tasks);
    if (r == 0)
        r = named(&waiter, "waiter", await_outer, &tasks);
    if (r == 0)
        r = named(&tasks.locked, "locked", want_lock, &tasks);
    if (r == 0)
        r = asyncio_sleep(0);
    if (r == 0)
        r = stand();
    end(tasks.locked);
    end(waiter);
    end(tasks.outer);
    end(tasks.inner);
    return r;
}

/* ---- several at a time ---- */

static int gather_two(void *arg)
{
    return asyncio_gather({ sleep_long, arg }, { sleep_long, arg });
}

static int watch_one(void *arg)
{
    asyncio_future *future = asyncio_task_future(arg);

    return asyncio_wait(&future, 1, INFINITY, ASYNCIO_ALL_COMPLETED);
}

static int shield_one(void *arg)
{
    return asyncio_shield(asyncio_task_future(arg));
}

static int spawn(asyncio_task_group *group, const char *name, asyncio_coro *fn, void *arg,
                 asyncio_task **task)
{
    return asyncio_task_group_create_task(group, task, fn, arg,
                                          &(asyncio_task_options){ .name = name });
}

static int together(void *arg)
{
    asyncio_task_group group;
    asyncio_task *sleeper = NULL;

    (void)arg;
    asyncio_task_group_enter(&group);
    int r = spawn(&group, "sleeper", sleep_long, NULL, &sleeper);
    if (r == 0)
        r = spawn(&group, "gatherer", gather_two, NULL, NULL);
    if (r == 0)
        r = spawn(&group, "watcher", watch_one, sleeper, NULL);
    if (r == 0)
        r = spawn(&group, "shielder", shield_one, sleeper, NULL);
    if (r == 0)
        r = asyncio_sleep(0);
    if (r == 0)
        r = stand();
    asyncio_task_group_cancel(&group);
    return asyncio_task_group_exit(&group, r);
}

/* ---- a cycle ---- */

static int cycle(void *arg)
{
    struct tasks tasks = { 0 };
    int r = named(&tasks.inner, "one", await_outer, &tasks);

    (void)arg;
    if (r == 0)
        r = named(&tasks.outer, "other", await_inner, &tasks);
    if (r == 0)
        r = asyncio_sleep(0);
    if (r == 0)
        r = stand();
    _exit(r < 0); /* neither of the two can ever end */
}

/* ---- no rest ---- */

static int step(void *arg)
{
    return asyncio_sleep(*(double *)arg);
}

static int churn(void *arg)
{
    double none = 0;
    int r = 0;

    (void)arg;
    while (r == 0)
        r = asyncio_gather({ step, &none }, { step, &none }, { step, &none });
    return r;
}

static int busy(void *arg)
{
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, churn, NULL);
    int r = stand();
    asyncio_task_group_cancel(&group);
    return asyncio_task_group_exit(&group, r);
}

/* ---- deep, many, none ---- */

/* By calls, which no compiler makes a loop of. */
__attribute__((noinline)) static int descend(struct tasks *tasks, int depth)
{
    int r = depth > 0 ? descend(tasks, depth - 1) : asyncio_lock_acquire(&tasks->lock);
    __asm__ volatile("" : "+r"(r));
    return r;
}

static int go_deep(void *arg)
{
    return descend(arg, 100);
}

static int deep(void *arg)
{
    struct tasks tasks = { 0 };
    asyncio_task *task = NULL;
    int r = asyncio_lock_acquire(&tasks.lock);

    (void)arg;
    if (r == 0)
        r = named(&task, "deep", go_deep, &tasks);
    if (r == 0)
        r = asyncio_sleep(0);
    if (r == 0)
        r = stand();
    end(task);
    return r;
}

static int many(void *arg)
{
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    for (int i = 0; i < 500; i++)
        asyncio_task_group_spawn(&group, sleep_long, NULL);
    int r = stand();
    asyncio_task_group_cancel(&group);
    return asyncio_task_group_exit(&group, r);
}

static int none(void)
{
    return herald(NULL) < 0 || end_of_input(NULL) < 0;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";

    if (strcmp(how, "together") == 0)
        return asyncio_run(together, NULL) < 0;
    if (strcmp(how, "cycle") == 0)
        return asyncio_run(cycle, NULL) < 0;
    if (strcmp(how, "busy") == 0)
        return asyncio_run(busy, NULL) < 0;
    if (strcmp(how, "deep") == 0)
        return asyncio_run(deep, NULL) < 0;
    if (strcmp(how, "many") == 0)
        return asyncio_run(many, NULL) < 0;
    if (strcmp(how, "frames") == 0)
        return puts(frames_are_kept() ? "kept" : "jumps") < 0;
    if (strcmp(how, "none") == 0)
        return none();
    return asyncio_run(chain, NULL) < 0;
}
