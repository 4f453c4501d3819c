/* show.c - the table of tasks, and the tree of who awaits whom.
 *
 * The table has a line for each task, as `python -m asyncio ps` has; the tree begins with the tasks
 * that nobody awaits, and each task has below it those that it awaits, as `pstree`.
 */
#include "ps/ps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_place(const struct ps_frame *frame)
{
    printf("%s", frame->function);
    if (frame->line > 0)
        printf(" %s:%d", frame->file, frame->line);
}

static void print_state(const struct ps_task *task)
{
    if (!task->started)
        printf("has not started");
    else if (task->what[0] == '\0')
        printf("runs, or is ready to");
    else
        printf("%s", task->what);
    if (task->cancelling)
        printf(", cancelling");
}

/* ---- the table ---- */

static void print_stack(const struct ps_task *task)
{
    for (size_t i = 0; i < task->frame_count; i++)
        printf("%s%s", i > 0 ? " <- " : "", task->frames[i].function);
    if (task->frame_count == 0)
        print_state(task);
}

static void print_chain(const struct ps_tasks *tasks, const struct ps_task *task)
{
    size_t steps = 0;

    for (int i = task->awaiter; i >= 0 && steps < tasks->count; i = tasks->list[i].awaiter, steps++)
        printf("%s%s", steps > 0 ? " <- " : "", tasks->list[i].name);
}

void show_table(const struct ps_tasks *tasks)
{
    printf("%-8s %-16s %-20s %-60s %-30s %-20s %s\n", "tid", "task id", "task name",
           "coroutine stack", "awaiter chain", "awaiter name", "awaiter id");
    for (size_t i = 0; i < tasks->count; i++) {
        const struct ps_task *task = &tasks->list[i];
        const struct ps_task *awaiter = task->awaiter >= 0 ? &tasks->list[task->awaiter] : NULL;

        printf("%-8d %#-16llx %-20s ", task->thread, (unsigned long long)task->address, task->name);
        print_stack(task);
        printf(" | ");
        print_chain(tasks, task);
        printf(" | %s | %#llx\n", awaiter != NULL ? awaiter->name : "",
               (unsigned long long)(awaiter != NULL ? awaiter->address : 0));
    }
}

/* ---- the tree ---- */

/* A task that is reached from itself; -1: there is none. */
static int find_cycle(const struct ps_tasks *tasks)
{
    for (size_t i = 0; i < tasks->count; i++) {
        size_t steps = 0;
        int at = tasks->list[i].awaiter;

        while (at >= 0 && at != (int)i && steps++ < tasks->count)
            at = tasks->list[at].awaiter;
        if (at == (int)i)
            return at;
    }
    return -1;
}

static void print_cycle(const struct ps_tasks *tasks, int start)
{
    int at = start;

    printf("tasks that await each other: ");
    do {
        printf("%s <- ", tasks->list[at].name);
        at = tasks->list[at].awaiter;
    } while (at != start);
    printf("%s\n", tasks->list[start].name);
}

static void print_branch(const struct ps_tasks *tasks, size_t place, int depth)
{
    const struct ps_task *task = &tasks->list[place];

    printf("%*s%s (thread %d): ", 4 * depth, "", task->name, task->thread);
    print_state(task);
    printf("\n");
    for (size_t i = 0; i < task->frame_count; i++) {
        printf("%*s", 4 * depth + 4, "");
        print_place(&task->frames[i]);
        printf("\n");
    }
    for (size_t i = 0; i < tasks->count; i++)
        if (tasks->list[i].awaiter == (int)place)
            print_branch(tasks, i, depth + 1);
}

int show_tree(const struct ps_tasks *tasks)
{
    int cycle = find_cycle(tasks);

    if (cycle >= 0) {
        print_cycle(tasks, cycle);
        return -ELOOP;
    }
    for (size_t i = 0; i < tasks->count; i++)
        if (tasks->list[i].awaiter < 0)
            print_branch(tasks, i, 0);
    return 0;
}
