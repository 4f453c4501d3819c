/* st_spawn.c - spawn.c for State Threads. */
#include <st.h>

#include "../bench.h"

enum { MANY = 1000, STACK = 16 * 1024 };

static st_cond_t go;

static void *nothing(void *arg)
{
    return arg;
}

static void *suspend_once(void *arg)
{
    st_cond_wait(go);
    return arg;
}

static st_thread_t start_thread(void *(*body)(void *arg))
{
    st_thread_t thread = st_thread_create(body, NULL, 1, STACK);

    bench_require(thread != NULL, "a thread");
    return thread;
}

static void spawn_one(size_t count)
{
    while (count-- > 0)
        st_thread_join(start_thread(nothing), NULL);
}

static void spawn_many(size_t count)
{
    static st_thread_t threads[MANY];

    for (size_t done = 0; done < count; done += MANY) {
        for (size_t i = 0; i < MANY; i++)
            threads[i] = start_thread(suspend_once);
        st_usleep(0); /* all of them wait now */
        st_cond_broadcast(go);
        for (size_t i = 0; i < MANY; i++)
            st_thread_join(threads[i], NULL);
    }
}

static void measure(void (*spawn)(size_t count), size_t count)
{
    bench_require(st_set_eventsys(ST_EVENTSYS_ALT) == 0 && st_init() == 0, "st_init");
    go = st_cond_new();
    spawn(MANY); /* makes the stacks */
    double start = bench_cpu_ns();
    spawn(count);
    bench_print("ns", (bench_cpu_ns() - start) / (double)count);
}

static void one(size_t count)
{
    measure(spawn_one, count);
}

static void many(size_t count)
{
    measure(spawn_many, count);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "one", one }, { "many", many } };

    return BENCH_MAIN(argc, argv, cases);
}
