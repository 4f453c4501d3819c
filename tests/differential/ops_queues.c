/* ops_queues.c - statements about queues: q0 first in first out, without limit; q1 the same, for
 * one item; q2 for two; q3 last in first out, for two; q4 the lowest first, without limit; q5 the
 * lowest first, for two.
 *
 * An item of a priority queue is 10 times its priority and what tells equals apart.
 */
#include "interpreter.h"

static int compare_priority(const void *a, const void *b)
{
    int first = *(const int *)a / 10, second = *(const int *)b / 10;

    return (first > second) - (first < second);
}

void queues_make(struct program *program)
{
    static const struct {
        size_t most;
        enum asyncio_queue_order order;
    } kinds[QUEUES] = { { 0, ASYNCIO_FIFO }, { 1, ASYNCIO_FIFO },     { 2, ASYNCIO_FIFO },
                        { 2, ASYNCIO_LIFO }, { 0, ASYNCIO_PRIORITY }, { 2, ASYNCIO_PRIORITY } };

    for (int i = 0; i < QUEUES; i++)
        asyncio_queue_init(&program->queues[i], sizeof(int), kinds[i].most, kinds[i].order,
                           kinds[i].order == ASYNCIO_PRIORITY ? compare_priority : NULL);
}

void queues_destroy(struct program *program)
{
    for (int i = 0; i < QUEUES; i++)
        asyncio_queue_destroy(&program->queues[i]);
}

static asyncio_queue *queue(struct run *run, const struct node *node)
{
    return &run->program->queues[node->args[0]->number];
}

/* (put q1 12) */
static int op_put(struct run *run, const struct node *node)
{
    return asyncio_queue_put(queue(run, node), &node->args[1]->number);
}

static int op_putnow(struct run *run, const struct node *node)
{
    return asyncio_queue_put_nowait(queue(run, node), &node->args[1]->number);
}

/* (get q1): gives the item. */
static int op_get(struct run *run, const struct node *node)
{
    int item, r = asyncio_queue_get(queue(run, node), &item);

    return r < 0 ? r : item;
}

static int op_getnow(struct run *run, const struct node *node)
{
    int item, r = asyncio_queue_get_nowait(queue(run, node), &item);

    return r < 0 ? r : item;
}

static int op_taskdone(struct run *run, const struct node *node)
{
    return asyncio_queue_task_done(queue(run, node));
}

static int op_qjoin(struct run *run, const struct node *node)
{
    return asyncio_queue_join(queue(run, node));
}

/* (shutdown q1 0), (shutdown q1 1): at once */
static int op_shutdown(struct run *run, const struct node *node)
{
    asyncio_queue_shutdown(queue(run, node), node->args[1]->number != 0);
    return 0;
}

const struct op ops_queues[] = {
    { "put", op_put },           { "putnow", op_putnow },
    { "get", op_get },           { "getnow", op_getnow },
    { "taskdone", op_taskdone }, { "qjoin", op_qjoin },
    { "shutdown", op_shutdown }, { NULL, NULL },
};
