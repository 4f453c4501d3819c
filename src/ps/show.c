/* show.c - the table of tasks, and the tree of who awaits whom.
 *
 * The table has a line for each task and each that awaits it, as `python -m asyncio ps` has.  The
 * tree begins with the tasks that nobody awaits, and each has below it those that it awaits, as
 * `pstree`; one that several await is below each of them, but what is below it only the first time,
 * as there may be more ways through the graph than anybody could print.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ps/ps.h"

enum { DEPTH_MAX = 1000, CHAIN_MAX = 100 };

/* The edges in either order: where those of each task begin. */
struct graph {
    const struct ps_tasks *tasks;
    struct ps_edge *by_awaiter;
    size_t *awaiters; /* of task i, in tasks->edges: from [i] to [i + 1] */
    size_t *awaited;  /* by task i, in by_awaiter */
    bool *shown;      /* what task i awaits has been printed, in the tree */
};

/* From the counts in [i + 1] to where each begins. */
static void sum_up(size_t *begins, size_t count)
{
    for (size_t i = 0; i < count; i++)
        begins[i + 1] += begins[i];
}

static void graph_free(struct graph *graph)
{
    free(graph->by_awaiter);
    free(graph->awaiters);
    free(graph->awaited);
    free(graph->shown);
}

static int graph_make(struct graph *graph, const struct ps_tasks *tasks)
{
    size_t n = tasks->edge_count;

    *graph = (struct graph){ .tasks = tasks,
                             .by_awaiter = calloc(n + 1, sizeof *graph->by_awaiter),
                             .awaiters = calloc(tasks->count + 1, sizeof *graph->awaiters),
                             .awaited = calloc(tasks->count + 2, sizeof *graph->awaited),
                             .shown = calloc(tasks->count + 1, sizeof *graph->shown) };
    if (graph->by_awaiter == NULL || graph->awaiters == NULL || graph->awaited == NULL ||
        graph->shown == NULL) {
        graph_free(graph);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        graph->awaiters[tasks->edges[i].awaited + 1]++;
        graph->awaited[tasks->edges[i].awaiter + 2]++;
    }
    sum_up(graph->awaiters, tasks->count);
    sum_up(graph->awaited, tasks->count + 1);
    /* Where those of i begin is in [i + 1] now, and is moved on to where they end. */
    for (size_t i = 0; i < n; i++)
        graph->by_awaiter[graph->awaited[tasks->edges[i].awaiter + 1]++] = tasks->edges[i];
    return 0;
}

/* ---- one task ---- */

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

/* Who awaits it, who awaits that one, and so on; of several the first.  It may be a circle. */
static void print_chain(const struct graph *graph, size_t place)
{
    const struct ps_tasks *tasks = graph->tasks;
    size_t first = place, steps = 0;

    printf("%s", tasks->list[place].name);
    while (graph->awaiters[place] != graph->awaiters[place + 1]) {
        place = tasks->edges[graph->awaiters[place]].awaiter;
        if (++steps == CHAIN_MAX) {
            printf(" <- ...");
            return;
        }
        printf(" <- %s", tasks->list[place].name);
        if (place == first)
            return;
    }
}

static void print_line(const struct graph *graph, size_t place, const struct ps_edge *edge)
{
    const struct ps_task *task = &graph->tasks->list[place];

    printf("%-8d %#-16llx %-20s ", task->thread, (unsigned long long)task->address, task->name);
    print_stack(task);
    printf(" | ");
    if (edge != NULL)
        print_chain(graph, edge->awaiter);
    const struct ps_task *awaiter = edge != NULL ? &graph->tasks->list[edge->awaiter] : NULL;
    printf(" | %s | %#llx\n", awaiter != NULL ? awaiter->name : "",
           (unsigned long long)(awaiter != NULL ? awaiter->address : 0));
}

int show_table(const struct ps_tasks *tasks)
{
    struct graph graph;
    int r = graph_make(&graph, tasks);

    if (r < 0)
        return r;
    printf("%-8s %-16s %-20s coroutine stack | awaiter chain | awaiter name | awaiter id\n", "tid",
           "task id", "task name");
    for (size_t i = 0; i < tasks->count; i++) {
        if (graph.awaiters[i] == graph.awaiters[i + 1])
            print_line(&graph, i, NULL);
        for (size_t e = graph.awaiters[i]; e < graph.awaiters[i + 1]; e++)
            print_line(&graph, i, &tasks->edges[e]);
    }
    graph_free(&graph);
    return 0;
}

/* ---- the tree ---- */

/* Takes away, again and again, the tasks that none of those left awaits: left[] says who stays. */
static size_t leave_cycles(const struct graph *graph, bool *left, size_t *open)
{
    size_t count = graph->tasks->count, todo = 0;

    /* open[] is a list of the tasks to be taken away, from the front, and behind it the counts. */
    size_t *awaiters_left = open + count;
    for (size_t i = 0; i < count; i++) {
        left[i] = true;
        awaiters_left[i] = graph->awaiters[i + 1] - graph->awaiters[i];
        if (awaiters_left[i] == 0)
            open[todo++] = i;
    }
    for (size_t taken = 0; taken < todo; taken++) {
        left[open[taken]] = false;
        for (size_t e = graph->awaited[open[taken]]; e < graph->awaited[open[taken] + 1]; e++)
            if (--awaiters_left[graph->by_awaiter[e].awaited] == 0)
                open[todo++] = graph->by_awaiter[e].awaited;
    }
    return count - todo;
}

static size_t awaiter_left(const struct graph *graph, const bool *left, size_t place)
{
    size_t e = graph->awaiters[place];

    while (!left[graph->tasks->edges[e].awaiter])
        e++;
    return graph->tasks->edges[e].awaiter;
}

/* Each that is left is awaited by one that is left: so many steps lead into a circle. */
static void print_cycle(const struct graph *graph, const bool *left)
{
    const struct ps_tasks *tasks = graph->tasks;
    size_t start = 0;

    while (!left[start])
        start++;
    for (size_t steps = 0; steps < tasks->count; steps++)
        start = awaiter_left(graph, left, start);
    size_t at = start;
    printf("tasks that await each other: ");
    do {
        printf("%s <- ", tasks->list[at].name);
        at = awaiter_left(graph, left, at);
    } while (at != start);
    printf("%s\n", tasks->list[start].name);
}

static int check_cycles(const struct graph *graph)
{
    size_t count = graph->tasks->count;
    bool *left = calloc(count + 1, sizeof *left);
    size_t *open = calloc(2 * count + 1, sizeof *open);
    int r = left == NULL || open == NULL ? -ENOMEM : 0;

    if (r == 0 && leave_cycles(graph, left, open) > 0) {
        print_cycle(graph, left);
        r = -ELOOP;
    }
    free(left);
    free(open);
    return r;
}

static void print_task(const struct ps_task *task, int depth)
{
    printf("%*s%s (thread %d): ", 4 * depth, "", task->name, task->thread);
    print_state(task);
    printf("\n");
    for (size_t i = 0; i < task->frame_count; i++) {
        printf("%*s", 4 * depth + 4, "");
        print_place(&task->frames[i]);
        printf("\n");
    }
}

/* A branch as deep as the program's tasks await each other. */
static void print_branch(const struct graph *graph, size_t place, int depth)
{
    print_task(&graph->tasks->list[place], depth);
    if (graph->awaited[place] == graph->awaited[place + 1])
        return;
    if (depth == DEPTH_MAX || graph->shown[place]) {
        printf("%*s%s\n", 4 * depth + 4, "", graph->shown[place] ? "(as above)" : "...");
        return;
    }
    graph->shown[place] = true;
    for (size_t e = graph->awaited[place]; e < graph->awaited[place + 1]; e++)
        print_branch(graph, graph->by_awaiter[e].awaited, depth + 1);
}

int show_tree(const struct ps_tasks *tasks)
{
    struct graph graph;
    int r = graph_make(&graph, tasks);

    if (r < 0)
        return r;
    r = check_cycles(&graph);
    for (size_t i = 0; i < tasks->count && r == 0; i++)
        if (graph.awaiters[i] == graph.awaiters[i + 1])
            print_branch(&graph, i, 0);
    graph_free(&graph);
    return r;
}
