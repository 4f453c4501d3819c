/* Queues: the items - their order, how many, how they are kept, copied and dropped.  Most of it
 * needs no task. */
#include <string.h>

#include "dies.h"
#include "ground/fault.h"
#include "together.h"

struct ticket {
    int priority, number;
};

static int by_priority(const void *a, const void *b)
{
    return ((const struct ticket *)a)->priority - ((const struct ticket *)b)->priority;
}

/* ---- orders ---- */

static void put_three(asyncio_queue *queue)
{
    for (int i = 1; i <= 3; i++)
        CHECK_INT(asyncio_queue_put_nowait(queue, &((struct ticket){ 10 - i, i })), 0);
}

static void trace_all(asyncio_queue *queue)
{
    struct ticket ticket;

    while (asyncio_queue_get_nowait(queue, &ticket) == 0)
        trace("%d", ticket.number);
}

TEST(QUE_01_first_in_first_out_or_last_or_lowest)
{
    struct ticket slots[4];
    asyncio_queue fifo = ASYNCIO_QUEUE_INIT(slots);
    asyncio_queue lifo = ASYNCIO_LIFO_QUEUE_INIT(slots);
    asyncio_queue priority = ASYNCIO_PRIORITY_QUEUE_INIT(slots, by_priority);

    put_three(&fifo);
    trace_all(&fifo);
    put_three(&lifo);
    trace_all(&lifo);
    put_three(&priority);
    trace_all(&priority);
    CHECK_TRACE("1 2 3 3 2 1 3 2 1");
}

/* What any queue should be: an array of tickets in order of arrival. */
struct model {
    struct ticket tickets[400];
    int count, order;
};

static struct ticket model_take(struct model *model)
{
    int place = model->order == ASYNCIO_LIFO ? model->count - 1 : 0;

    if (model->order == ASYNCIO_PRIORITY)
        for (int i = 1; i < model->count; i++)
            if (model->tickets[i].priority < model->tickets[place].priority)
                place = i;
    struct ticket taken = model->tickets[place];
    model->count--;
    memmove(&model->tickets[place], &model->tickets[place + 1],
            (size_t)(model->count - place) * sizeof taken);
    return taken;
}

static unsigned random_below(unsigned limit)
{
    static unsigned seed = 1;

    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % limit;
}

/* Puts and gets at random, more puts than gets first and then the other way round; equals with
 * `priorities` values abound. */
static void compare_with_model(asyncio_queue *queue, int order, unsigned priorities)
{
    struct model model = { .order = order };

    for (int step = 0; step < 3000; step++) {
        unsigned puts = step / 500 % 2 == 0 ? 6 : 4;
        struct ticket ticket = { (int)random_below(priorities), step };

        if (random_below(10) < puts && model.count < 400) {
            int r = asyncio_queue_put_nowait(queue, &ticket);
            CHECK(r == 0 || r == -ENOMEM || asyncio_queue_full(queue));
            if (r == 0)
                model.tickets[model.count++] = ticket;
        } else if (model.count > 0) {
            struct ticket expected = model_take(&model);
            CHECK_INT(asyncio_queue_get_nowait(queue, &ticket), 0);
            CHECK_INT(ticket.number, expected.number);
            CHECK_INT(ticket.priority, expected.priority);
        } else {
            CHECK_INT(asyncio_queue_get_nowait(queue, &ticket), -EAGAIN);
        }
        CHECK_INT(asyncio_queue_qsize(queue), model.count);
    }
}

/* QUE-01, with storage that grows and wraps around; and QUE-21: equals in order of arrival. */
TEST(queue_agrees_with_a_model)
{
    struct ticket slots[37];
    asyncio_queue queue;

    for (int order = ASYNCIO_FIFO; order <= ASYNCIO_PRIORITY; order++)
        for (unsigned priorities = 1; priorities < 1000; priorities *= 10) {
            queue = (asyncio_queue)ASYNCIO_PRIORITY_QUEUE_INIT(slots, by_priority);
            queue.order_ = order;
            compare_with_model(&queue, order, priorities);
            for (size_t maxsize = 0; maxsize < 100; maxsize += 33) {
                asyncio_queue_init(&queue, sizeof(struct ticket), maxsize,
                                   (enum asyncio_queue_order)order, by_priority);
                compare_with_model(&queue, order, priorities);
                asyncio_queue_destroy(&queue);
            }
        }
}

TEST(QUE_21_equal_priorities_leave_in_order_of_arrival)
{
    struct ticket slots[8];
    asyncio_queue fixed = ASYNCIO_PRIORITY_QUEUE_INIT(slots, by_priority), growing;

    asyncio_queue_init(&growing, sizeof(struct ticket), 0, ASYNCIO_PRIORITY, by_priority);
    for (int i = 0; i < 8; i++) {
        CHECK_INT(asyncio_queue_put_nowait(&fixed, &((struct ticket){ i % 2, i })), 0);
        CHECK_INT(asyncio_queue_put_nowait(&growing, &((struct ticket){ i % 2, i })), 0);
    }
    trace_all(&fixed);
    trace_all(&growing);
    asyncio_queue_destroy(&growing);
    CHECK_TRACE("0 2 4 6 1 3 5 7 0 2 4 6 1 3 5 7");
}

/* ---- sizes ---- */

TEST(QUE_02_without_maxsize_it_is_never_full)
{
    int slots[3];
    asyncio_queue queue = ASYNCIO_QUEUE_INIT(slots), unbounded;

    CHECK_INT(asyncio_queue_maxsize(&queue), 3);
    asyncio_queue_init(&unbounded, sizeof(int), 0, ASYNCIO_FIFO, NULL);
    for (int i = 0; i < 1000; i++) {
        CHECK_INT(asyncio_queue_put_nowait(&unbounded, &i), 0);
        CHECK(!asyncio_queue_full(&unbounded));
    }
    CHECK_INT(asyncio_queue_maxsize(&unbounded), 0);
    for (int i = 0, item = -1; i < 1000; i++) {
        if (asyncio_queue_get_nowait(&unbounded, &item) == 0)
            CHECK_INT(item, i);
    }
    CHECK(asyncio_queue_empty(&unbounded));
    asyncio_queue_destroy(&unbounded);
}

TEST(QUE_03_without_waiting_full_and_empty_are_errors)
{
    int slots[2], item = 7;
    asyncio_queue queue = ASYNCIO_QUEUE_INIT(slots);

    CHECK(asyncio_queue_empty(&queue) && !asyncio_queue_full(&queue));
    CHECK_INT(asyncio_queue_get_nowait(&queue, &item), -EAGAIN);
    CHECK_INT(item, 7);
    CHECK_INT(asyncio_queue_put_nowait(&queue, &item), 0);
    CHECK_INT(asyncio_queue_put_nowait(&queue, &item), 0);
    CHECK(asyncio_queue_full(&queue));
    CHECK_INT(asyncio_queue_put_nowait(&queue, &item), -EAGAIN);
    CHECK_INT(asyncio_queue_qsize(&queue), 2);
    CHECK_INT(asyncio_queue_get_nowait(&queue, &item), 0);
    CHECK(!asyncio_queue_full(&queue) && !asyncio_queue_empty(&queue));
}

static void check_size_of_items(size_t size)
{
    unsigned char in[100], out[102];
    asyncio_queue queue;

    asyncio_queue_init(&queue, size, 0, ASYNCIO_FIFO, NULL);
    for (unsigned i = 0; i < 40; i++) {
        memset(in, (int)i, sizeof in);
        CHECK_INT(asyncio_queue_put_nowait_(&queue, in, size), 0);
    }
    for (unsigned i = 0; i < 40; i++) {
        memset(out, 0xee, sizeof out);
        if (asyncio_queue_get_nowait_(&queue, out + 1, size) < 0)
            break;
        CHECK(out[0] == 0xee && out[1] == i && out[size] == i && out[size + 1] == 0xee);
    }
    asyncio_queue_destroy(&queue);
}

TEST(queue_items_of_any_size)
{
    for (size_t size = 1; size <= 100; size++)
        check_size_of_items(size);
}

/* ---- memory ---- */

TEST(queue_without_memory_is_as_it_was)
{
    for (int order = ASYNCIO_FIFO; order <= ASYNCIO_PRIORITY; order++) {
        asyncio_queue queue;
        struct ticket ticket = { 0 };

        if (test_is_torture())
            SKIP("it has a plan of its own");
        asyncio_queue_init(&queue, sizeof ticket, 0, (enum asyncio_queue_order)order, by_priority);
        for (ticket.number = 0; ticket.number < 16; ticket.number++)
            CHECK_INT(asyncio_queue_put_nowait(&queue, &ticket), 0);
#ifdef ASYNCIO_FAULT_INJECTION
        for (uint64_t call = 1; call <= 1u + (order == ASYNCIO_PRIORITY); call++) {
            fault_set_plan(&(struct fault_plan){ .fail_call = call });
            CHECK_INT(asyncio_queue_put_nowait(&queue, &ticket), -ENOMEM);
            fault_set_plan(&(struct fault_plan){ 0 });
            CHECK_INT(asyncio_queue_qsize(&queue), 16);
        }
#endif
        CHECK_INT(asyncio_queue_put_nowait(&queue, &ticket), 0);
        for (int i = 0; i < 17; i++) {
            CHECK_INT(asyncio_queue_get_nowait(&queue, &ticket), 0);
            CHECK_INT(ticket.number, order == ASYNCIO_LIFO ? 16 - i : i);
            CHECK_INT(asyncio_queue_task_done(&queue), 0);
        }
        CHECK_INT(asyncio_queue_task_done(&queue), -EINVAL); /* what failed was not counted */
        asyncio_queue_destroy(&queue);
    }
}

TEST(queue_item_larger_than_memory)
{
    asyncio_queue queue;
    int item = 0;

    asyncio_queue_init(&queue, SIZE_MAX / 16 + 2, 0, ASYNCIO_FIFO, NULL); /* 16 of them: 16 bytes */
    CHECK_INT(asyncio_queue_put_nowait_(&queue, &item, SIZE_MAX / 16 + 2), -ENOMEM);
    asyncio_queue_destroy(&queue);
}

TEST(queue_can_be_moved_while_it_is_empty)
{
    asyncio_queue queue, moved;
    int item = 1;

    asyncio_queue_init(&queue, sizeof item, 0, ASYNCIO_FIFO, NULL);
    CHECK_INT(asyncio_queue_put_nowait(&queue, &item), 0);
    if (asyncio_queue_get_nowait(&queue, &item) == 0)
        CHECK_INT(asyncio_queue_task_done(&queue), 0);
    moved = queue;
    memset(&queue, 0xee, sizeof queue);
    CHECK_INT(asyncio_queue_put_nowait(&moved, &item), 0);
    asyncio_queue_destroy(&moved);
}

/* All-zeros is a FIFO queue without limit, of what it is used with first. */
TEST(queue_of_zeros_is_ready)
{
    asyncio_queue queue = { 0 };
    struct ticket ticket = { 1, 2 };

    CHECK_INT(asyncio_queue_get_nowait(&queue, &ticket), -EAGAIN);
    for (int i = 0; i < 100; i++)
        CHECK_INT(asyncio_queue_put_nowait(&queue, &ticket), 0);
    if (asyncio_queue_get_nowait(&queue, &ticket) == 0)
        CHECK_INT(ticket.number, 2);
    asyncio_queue_destroy(&queue);
}

/* ---- dropping ---- */

static asyncio_queue *dropping;

static void drop(void *item)
{
    int again = 1;

    trace("%d", *(int *)item);
    CHECK(asyncio_queue_empty(dropping)); /* forgotten already */
    CHECK_INT(asyncio_queue_put_nowait(dropping, &again), ASYNCIO_ESHUTDOWN);
}

TEST(queue_drops_what_is_left)
{
    int slots[3];
    asyncio_queue fixed = ASYNCIO_QUEUE_INIT(slots), growing;

    asyncio_queue_init(&growing, sizeof(int), 0, ASYNCIO_LIFO, NULL);
    fixed.drop = growing.drop = drop;
    for (int i = 1, item; i <= 4; i++) { /* wraps around */
        if (i == 4)
            CHECK_INT(asyncio_queue_get_nowait(&fixed, &item), 0);
        CHECK_INT(asyncio_queue_put_nowait(&fixed, &i), 0);
        CHECK_INT(asyncio_queue_put_nowait(&growing, &(int){ 10 * i }), 0);
    }
    dropping = &fixed;
    asyncio_queue_shutdown(&fixed, false); /* drops none */
    CHECK_TRACE("");
    asyncio_queue_shutdown(&fixed, true);
    CHECK_TRACE("2 3 4");
    trace_clear();
    asyncio_queue_destroy(&fixed);
    dropping = &growing;
    asyncio_queue_destroy(&growing);
    CHECK_TRACE("10 20 30 40");
    CHECK_INT(asyncio_queue_task_done(&growing), -EINVAL);
    growing.drop = NULL;
    CHECK_INT(asyncio_queue_put_nowait(&growing, &(int){ 1 }), 0); /* as after _init */
    asyncio_queue_destroy(&growing);
}

/* ---- misuse ---- */

/* All of its first line. */
static void check_dies(void (*fn)(void *arg), const char *sentence)
{
    char text[400];

    says_as_it_aborts(text, sizeof text, fn, NULL);
    text[strcspn(text, "\n")] = '\0';
    CHECK_STR(text, sentence);
}

static void put_another_size(void *arg)
{
    int slots[2];
    asyncio_queue queue = ASYNCIO_QUEUE_INIT(slots);

    (void)arg;
    asyncio_ignore(asyncio_queue_put_nowait(&queue, &(short){ 1 }));
}

static void get_another_size(void *arg)
{
    int slots[2];
    asyncio_queue queue = ASYNCIO_QUEUE_INIT(slots);
    struct ticket ticket;

    (void)arg;
    asyncio_ignore(asyncio_queue_get_nowait(&queue, &ticket));
}

static asyncio_queue abandoned;

static int get_forever(void *arg)
{
    int item;

    (void)arg;
    return asyncio_queue_get(&abandoned, &item);
}

static int abandon(asyncio_task_group *group)
{
    asyncio_queue_init(&abandoned, sizeof(int), 0, ASYNCIO_FIFO, NULL);
    TRY(start_all(group, get_forever, "a"));
    TRY(turns(1));
    asyncio_queue_shutdown(&abandoned, true); /* a is awake, but has not run */
    asyncio_queue_destroy(&abandoned);
    return 0;
}

static void destroy_while_somebody_waits(void *arg)
{
    (void)arg;
    RUN_TOGETHER(abandon);
}

TEST(queue_misuse_aborts_with_a_sentence)
{
    check_dies(put_another_size, "asyncio: an item of 2 bytes was given to a queue of items of 4");
    check_dies(get_another_size, "asyncio: an item of 8 bytes was given to a queue of items of 4");
    check_dies(destroy_while_somebody_waits,
               "asyncio: a queue was destroyed that somebody still waits for");
}
