/* together.h - tasks that meet at one object: a body in a group, and those it starts by name.
 *
 * The body may return early; whoever is left then is cancelled.  At its end all have a minute of
 * virtual time to end by themselves, and it is checked that they did: so nobody waits in vain, and
 * a task that torture has cancelled does not hang those who wait for it.
 */
#ifndef ASYNCIO_TESTS_RULES_TOGETHER_H
#define ASYNCIO_TESTS_RULES_TOGETHER_H

#include "harness.h"

typedef int together_body(asyncio_task_group *group);

struct together {
    together_body *body;
};

static inline int together(void *arg)
{
    struct together *together = arg;
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    int r = together->body(&group);
    if (r >= 0)
        r = asyncio_sleep(60);
    if (r >= 0)
        CHECK_INT(asyncio_all_tasks(NULL, 0, asyncio_get_running_loop()), 1);
    asyncio_task_group_cancel(&group);
    return asyncio_task_group_exit(&group, r);
}

#define RUN_TOGETHER(body_) RUN(together, &(struct together){ .body = (body_) })

/* Starts a task with a name; `task` may be NULL. */
static inline int start(asyncio_task_group *group, asyncio_task **task, asyncio_coro *fn,
                        const char *name)
{
    asyncio_task *unused;

    return asyncio_task_group_create_task(group, task != NULL ? task : &unused, fn, NULL,
                                          &(asyncio_task_options){ .name = name });
}

/* The same for several, with names of one letter: start_all(group, wait, "abc"). */
static inline int start_all(asyncio_task_group *group, asyncio_coro *fn, const char *names)
{
    int r = 0;

    for (; *names != '\0' && r == 0; names++)
        r = start(group, NULL, fn, (char[]){ *names, '\0' });
    return r;
}

/* The name of the task that asks. */
static inline const char *me(void)
{
    return asyncio_task_get_name(asyncio_current_task());
}

/* Traces its name, once it has a turn. */
static inline int pass_by(void *arg)
{
    (void)arg;
    trace("%s", me());
    return 0;
}

/* Lets the others run, `n` times. */
static inline int turns(int n)
{
    int r = 0;

    while (n-- > 0 && r == 0)
        r = asyncio_sleep(0);
    return r;
}

#endif
