/* reports.c - what the library says when a program goes wrong.
 *
 *     make run PROGRAM=examples/reports.c                   the first three
 *     make run PROGRAM=examples/reports.c ARGS=overflow     the last, which ends the process
 *
 * lost       a task fails and nobody ever asks for its result
 * blocked    a task computes for so long that no other can run (debug mode)
 * deadlock   two tasks wait for each other, and nothing else could wake one
 * overflow   a task needs more stack than it has
 */
#include <asyncio.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- lost ---- */

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

static int lose_an_error(void *arg)
{
    (void)arg;
    int r = asyncio_create_task(NULL, fail, NULL, &(asyncio_task_options){ .name = "forgotten" });

    return r < 0 ? r : asyncio_sleep(0.01);
}

/* ---- blocked ---- */

static int compute(void *arg)
{
    clock_t end = clock() + CLOCKS_PER_SEC * 15 / 100;

    (void)arg;
    while (clock() < end)
        continue;
    return asyncio_sleep(0);
}

/* ---- deadlock ---- */

struct table {
    asyncio_lock left, right;
};

static int eat(asyncio_lock *first, asyncio_lock *second)
{
    int r = asyncio_lock_acquire(first);

    if (r < 0)
        return r;
    r = asyncio_sleep(0.01); /* time enough for the other one to do the same */
    if (r == 0)
        r = asyncio_lock_acquire(second);
    if (r == 0)
        asyncio_lock_release(second);
    asyncio_lock_release(first);
    return r;
}

static int eat_from_the_left(void *arg)
{
    struct table *table = arg;

    return eat(&table->left, &table->right);
}

static int eat_from_the_right(void *arg)
{
    struct table *table = arg;

    return eat(&table->right, &table->left);
}

static int dine(void *arg)
{
    struct table table = { 0 };

    (void)arg;
    return asyncio_gather({ eat_from_the_left, &table }, { eat_from_the_right, &table });
}

/* ---- overflow ---- */

static int dig(int depth)
{
    volatile char frame[1024];

    frame[0] = (char)depth;
    return depth == 0 ? frame[0] : dig(depth - 1) + frame[0];
}

static int overflow(void *arg)
{
    (void)arg;
    asyncio_task_set_name(asyncio_current_task(), "digger");
    return dig(1000000);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "overflow") == 0)
        return asyncio_run(overflow, NULL) < 0;

    puts("lost:");
    int lost = asyncio_run(lose_an_error, NULL);
    puts("blocked:");
    int blocked = asyncio_run_with(compute, NULL, &(asyncio_run_options){ .debug = ASYNCIO_ON });
    puts("deadlock:");
    int deadlock = asyncio_run(dine, NULL);
    printf("asyncio_run returned %s\n", asyncio_error_name(deadlock));
    return lost < 0 || blocked < 0 || deadlock != -EDEADLK;
}
