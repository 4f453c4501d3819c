/* test_processes.c - 1,000 children at once: each answers, none is left, nor a descriptor. */
#include <sys/resource.h>

#include "ground/fiber.h"
#include "rules/processes.h"

/* ThreadSanitizer makes a fork(2) of a vfork(2), of a process with very much memory. */
#if defined(FIBER_TSAN)
enum { CHILDREN = 100 };
#else
enum { CHILDREN = 1000 };
#endif

static struct crowd {
    int count, alive;
    asyncio_event all_alive, go;
} crowd;

/* Its child reads a line when all the others run, too. */
static int live_and_end(void *arg)
{
    static const char *const argv[] = { "cat", NULL };
    asyncio_buffer out = { 0 };
    asyncio_process *process;

    (void)arg;
    TRY(asyncio_create_subprocess_exec(
        &process, argv, &(asyncio_process_options){ .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE }));
    if (++crowd.alive == crowd.count)
        asyncio_event_set(&crowd.all_alive);
    int r = asyncio_event_wait(&crowd.go);
    if (r == 0)
        r = asyncio_process_communicate(process, "x", 1, &out, NULL);
    if (r == 0 && (asyncio_process_returncode(process) != 0 || out.size != 1))
        r = -EPROTO;
    asyncio_process_free(process);
    asyncio_buffer_free(&out);
    return r;
}

/* A failed spawn must not leave the group waiting for an event that never comes. */
static int run_crowd(void *arg)
{
    asyncio_task_group group;
    int r = 0;

    (void)arg;
    asyncio_task_group_enter(&group);
    for (int i = 0; i < crowd.count && r == 0; i++)
        r = asyncio_task_group_spawn(&group, live_and_end, NULL);
    if (r == 0)
        r = asyncio_event_wait(&crowd.all_alive);
    CHECK(r < 0 || crowd.alive == crowd.count);
    asyncio_event_set(&crowd.go);
    return asyncio_task_group_exit(&group, r);
}

/* Three descriptors for each. */
static void allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 4 * CHILDREN) {
        limit.rlim_cur = limit.rlim_max < 4 * CHILDREN ? limit.rlim_max : 4 * CHILDREN;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

TEST(a_thousand_children_at_once)
{
    allow_descriptors();
    crowd.count = test_is_torture() ? 3 : CHILDREN;
    RUN(run_crowd, NULL);
}
