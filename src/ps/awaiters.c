/* awaiters.c - who awaits whom: what sync/call_graph.c finds, found from outside.
 *
 * Whoever awaits a task has a handle in the list of the task's future.  Its kind tells whose it is:
 * the one that resumes a task; `ended` of a task that another has made and awaits; a member, by
 * which a task watches several futures.
 */
#include <errno.h>
#include <stdlib.h>

#include "ps/ps.h"

/* ---- from addresses to places ---- */

struct place {
    uint64_t address;
    size_t place;
};

struct places {
    struct place *list;
    size_t count;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *one = a, *other = b;

    return one->address < other->address ? -1 : one->address > other->address;
}

static int places_make(struct places *places, const struct ps_tasks *tasks)
{
    places->list = calloc(tasks->count + 1, sizeof *places->list);
    if (places->list == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < tasks->count; i++)
        places->list[i] = (struct place){ tasks->list[i].address, i };
    places->count = tasks->count;
    qsort(places->list, places->count, sizeof *places->list, compare_places);
    return 0;
}

static const struct place *find(const struct places *places, uint64_t address)
{
    return bsearch(&(struct place){ .address = address }, places->list, places->count,
                   sizeof *places->list, compare_places);
}

/* ---- edges ---- */

static int add(struct ps_tasks *tasks, size_t awaited, const struct place *awaiter)
{
    size_t n = tasks->edge_count;

    if (awaiter == NULL) /* ended meanwhile */
        return 0;
    if (n > 0 && tasks->edges[n - 1].awaited == awaited &&
        tasks->edges[n - 1].awaiter == awaiter->place)
        return 0; /* it waits for the same in two ways */
    if ((n & (n + 1)) == 0) {
        struct ps_edge *edges = realloc(tasks->edges, (2 * n + 1) * sizeof *edges);

        if (edges == NULL)
            return -ENOMEM;
        tasks->edges = edges;
    }
    tasks->edges[tasks->edge_count++] = (struct ps_edge){ awaited, awaiter->place };
    return 0;
}

/* The task that a handle in the list of a future stands for; 0: none. */
static uint64_t awaiter_of(struct reader *reader, uint64_t handle)
{
    const struct debug_table *table = &reader->target->table;
    uint32_t state;

    bytes_at(reader, handle + table->handle_state, &state, sizeof state);
    if (word_at(reader, handle + table->handle_fn) == table->task_resume)
        return handle - table->task_resume_handle;
    if ((state & table->handle_child) != 0)
        return word_at(reader, handle - table->task_ended_handle + table->task_parent);
    if ((state & table->handle_member) == 0)
        return 0;
    uint64_t awaiter = word_at(reader, handle + table->member_awaiter);
    if (awaiter != 0)
        return awaiter;
    /* All that wait in a list: the first of them. */
    uint64_t list = word_at(reader, handle + table->member_awaiters);
    uint64_t link = list != 0 ? word_at(reader, list + table->link_next) : 0;
    return link != 0 ? word_at(reader, link - table->waiter_link + table->waiter_task) : 0;
}

static int read_awaiters(struct ps_tasks *tasks, const struct places *places, struct target *target,
                         size_t place)
{
    const struct debug_table *table = &target->table;
    struct reader reader = { .target = target };
    struct links links = { .reader = &reader,
                           .at = tasks->list[place].address + table->task_future +
                                 table->future_waiters };
    int r = 0;

    while (r == 0 && links_next(&links)) {
        uint64_t awaiter = awaiter_of(&reader, links.at - table->handle_link);

        if (awaiter != 0)
            r = add(tasks, place, find(places, awaiter));
    }
    return r < 0 ? r : reader.r;
}

int awaiters_read(struct ps_tasks *tasks, struct target *target)
{
    struct places places;
    int r = places_make(&places, tasks);

    for (size_t i = 0; i < tasks->count && r == 0; i++)
        r = read_awaiters(tasks, &places, target, i);
    free(places.list);
    return r;
}
