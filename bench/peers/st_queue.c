/* st_queue.c - queue.c for State Threads, which has no queue: the least one that can be made of a
 * ring and two conditions. */
#include <st.h>

#include "../bench.h"

enum { STACK = 16 * 1024, ROOM_MAX = 100 };

struct queue {
    size_t items[ROOM_MAX], room, first, count;
    st_cond_t filled, emptied;
};

static struct queue there, back;
static size_t total;

static void queue_init(struct queue *queue, size_t room)
{
    *queue = (struct queue){ .room = room, .filled = st_cond_new(), .emptied = st_cond_new() };
}

static void put(struct queue *queue, size_t item)
{
    while (queue->count == queue->room)
        st_cond_wait(queue->emptied);
    queue->items[(queue->first + queue->count++) % queue->room] = item;
    st_cond_signal(queue->filled);
}

static size_t get(struct queue *queue)
{
    while (queue->count == 0)
        st_cond_wait(queue->filled);
    size_t item = queue->items[queue->first];
    queue->first = (queue->first + 1) % queue->room;
    queue->count--;
    st_cond_signal(queue->emptied);
    return item;
}

static void *return_all(void *arg)
{
    for (size_t i = 0; i < total; i++)
        put(&back, get(&there));
    return arg;
}

static void *produce(void *arg)
{
    for (size_t i = 0; i < total; i++)
        put(&there, i);
    return arg;
}

static void begin(void *(*other)(void *arg), size_t room, size_t count)
{
    total = count;
    bench_require(st_set_eventsys(ST_EVENTSYS_ALT) == 0 && st_init() == 0, "st_init");
    queue_init(&there, room);
    queue_init(&back, room);
    bench_require(st_thread_create(other, NULL, 0, STACK) != NULL, "a thread");
}

static void pingpong(size_t count)
{
    begin(return_all, 1, count);
    double start = bench_cpu_ns();
    for (size_t i = 0; i < count; i++) {
        put(&there, i);
        bench_require(get(&back) == i, "an item's return");
    }
    bench_print("ns", (bench_cpu_ns() - start) / (double)count);
}

static void stream(size_t count)
{
    begin(produce, ROOM_MAX, count);
    double start = bench_cpu_ns();
    for (size_t i = 0; i < count; i++)
        bench_require(get(&there) == i, "the order of items");
    bench_print("ns", (bench_cpu_ns() - start) / (double)count);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "pingpong", pingpong }, { "stream", stream } };

    return BENCH_MAIN(argc, argv, cases);
}
