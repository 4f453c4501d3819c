/* allocations.c - how often the library asks for memory, for each of what a program does again and
 * again.  Prints the calls of the allocator for one operation once things have settled, and fails
 * when there are any.
 */
#include <asyncio.h>

#include "bench.h"

enum { WARM_UP = 2000, OPERATIONS = 20000 };

static size_t allocations;

static void *count(void *arg, void *memory, size_t size)
{
    (void)arg;
    if (size == 0) {
        free(memory);
        return NULL;
    }
    allocations++;
    return realloc(memory, size);
}

/* Each does `n` operations; those that take real time fewer. */
typedef int operation(size_t n);

/* ---- tasks ---- */

static int switches(size_t n)
{
    int r = 0;

    while (n-- > 0 && r == 0)
        r = asyncio_sleep(0);
    return r;
}

static int sleeps(size_t n)
{
    int r = 0;

    for (size_t i = 0; i < n / 100 && r == 0; i++)
        r = asyncio_sleep(1e-5);
    return r;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int tasks(size_t n)
{
    asyncio_task *task;
    int r = 0;

    while (n-- > 0 && r == 0) {
        r = asyncio_create_task(&task, nothing, NULL, NULL);
        if (r == 0) {
            r = asyncio_await(task);
            asyncio_task_unref(task);
        }
    }
    return r;
}

static int groups(size_t n)
{
    asyncio_task_group group;
    int r = 0;

    while (n-- > 0 && r == 0) {
        asyncio_task_group_enter(&group);
        asyncio_task_group_spawn(&group, nothing, NULL);
        r = asyncio_task_group_exit(&group, 0);
    }
    return r;
}

static int timeouts(size_t n)
{
    asyncio_timeout timeout;
    int r = 0;

    while (n-- > 0 && r == 0) {
        asyncio_timeout_enter(&timeout, 30);
        r = asyncio_timeout_exit(&timeout, asyncio_sleep(0));
    }
    return r;
}

/* ---- between two tasks ---- */

struct pair {
    asyncio_queue there, back;
    asyncio_lock lock;
    size_t n;
};

static int return_items(void *arg)
{
    struct pair *pair = arg;
    int item, r = 0;

    for (size_t i = 0; i < pair->n && r == 0; i++) {
        r = asyncio_queue_get(&pair->there, &item);
        if (r == 0)
            r = asyncio_queue_put(&pair->back, &item);
    }
    return r;
}

static int queues(size_t n)
{
    int to[1], from[1], item = 0;
    struct pair pair = { ASYNCIO_QUEUE_INIT(to), ASYNCIO_QUEUE_INIT(from), .n = n };

    int r = asyncio_create_task(NULL, return_items, &pair, NULL);
    while (n-- > 0 && r == 0) {
        r = asyncio_queue_put(&pair.there, &item);
        if (r == 0)
            r = asyncio_queue_get(&pair.back, &item);
    }
    return r;
}

static int hold(struct pair *pair)
{
    int r = asyncio_lock_acquire(&pair->lock);

    if (r < 0)
        return r;
    r = asyncio_sleep(0);
    asyncio_lock_release(&pair->lock);
    return r;
}

static int hold_often(void *arg)
{
    struct pair *pair = arg;
    int r = 0;

    for (size_t i = 0; i < pair->n && r == 0; i++)
        r = hold(pair);
    return r;
}

static int locks(size_t n)
{
    struct pair pair = { .n = n };
    asyncio_task *other;

    int r = asyncio_create_task(&other, hold_often, &pair, NULL);
    if (r < 0)
        return r;
    r = hold_often(&pair);
    r |= asyncio_await(other);
    asyncio_task_unref(other);
    return r;
}

/* ---- a connection ---- */

static int echo(asyncio_stream *stream, void *arg)
{
    char data[4096];
    int n, r = 0;

    (void)arg;
    while (r == 0 && (n = asyncio_stream_read(stream, data, sizeof data)) > 0)
        r = asyncio_stream_write(stream, data, (size_t)n);
    return r < 0 ? r : n;
}

static asyncio_stream *connection;

static int messages(size_t n)
{
    char message[1000] = { 0 };
    int r = 0;

    while (n-- > 0 && r == 0) {
        r = asyncio_stream_write(connection, message, sizeof message);
        if (r == 0)
            r = asyncio_stream_readexactly(connection, message, sizeof message);
    }
    return r;
}

/* ---- counting ---- */

static const struct {
    const char *name;
    operation *run;
} operations[] = { { "switch", switches },  { "sleep", sleeps },
                   { "task", tasks },       { "group", groups },
                   { "timeout", timeouts }, { "queue_round_trip", queues },
                   { "lock", locks },       { "stream_echo", messages } };

static int count_all(void)
{
    size_t total = 0;
    int r = 0;

    for (size_t i = 0; i < sizeof operations / sizeof *operations && r == 0; i++) {
        r = operations[i].run(WARM_UP);
        allocations = 0;
        if (r == 0)
            r = operations[i].run(OPERATIONS);
        bench_print(operations[i].name, (double)allocations / OPERATIONS);
        total += allocations;
    }
    return r < 0 ? r : total > 0;
}

static int with_connection(void *arg)
{
    asyncio_server *server;

    (void)arg;
    int r =
        asyncio_start_server(&server, echo, NULL, &(asyncio_server_options){ .host = "127.0.0.1" });
    if (r < 0)
        return r;
    r = asyncio_open_connection(&connection, "127.0.0.1", asyncio_server_port(server), NULL);
    if (r == 0) {
        r = count_all();
        asyncio_stream_free(connection);
    }
    asyncio_server_free(server);
    return r;
}

int main(void)
{
    asyncio_set_allocator(count, NULL);
    int r = asyncio_run(with_connection, NULL);
    if (r < 0)
        fprintf(stderr, "allocations: %s\n", asyncio_strerror(r));
    return r != 0;
}
