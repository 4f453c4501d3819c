/* testing.c - asyncio_testing_run: a test, once for each seed, on a simulated network.
 *
 * Each run has a loop of its own, so that nothing of one can be seen by the next.  What is to go
 * wrong in the program begins with the test's coroutine and ends with it: neither its task nor the
 * end of the run is to fail for that.
 *
 * A socket left behind is one that is still open when the coroutine has returned and the network
 * has had time to carry what was written to its peers, or to give them up, which takes 15 minutes.
 */
#include "asyncio/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ground/log.h"
#include "ground/sim.h"
#include "ground/sys.h"
#include "loop/sim.h"
#include "task/task.h"

static const double DAY = 86400, LINGER = 1000, FIRST_LOOK = 0.001;

struct run {
    asyncio_coro *fn;
    void *arg;
    const asyncio_testing_options *options;
    uint64_t seed;
    asyncio_loop *loop;
    asyncio_task *main;
    int late; /* so often it was not over in time */
    size_t tasks_left, sockets_left;
};

/* ---- what is left behind ---- */

static void describe_tasks(const struct run *run)
{
    char text[300];

    for (struct asyncio_link_ *link = run->loop->scheduler->tasks.next_; link != NULL;
         link = link->next_) {
        const asyncio_task *task = CONTAINER_OF(link, asyncio_task, all);

        if (task == run->main)
            continue;
        asyncio_ignore(asyncio_task_describe(task, text, sizeof text));
        fprintf(stderr, "    left: %s\n", text);
    }
}

static void describe_sockets(const struct run *run)
{
    char text[200];

    for (size_t i = 0; sim_describe_open(sim_network_of(run->loop), i, text, sizeof text); i++)
        fprintf(stderr, "    left: %s\n", text);
}

/* What was written is still sent after its stream was freed. */
static int wait_for_sockets(struct run *run)
{
    const struct sim_network *network = sim_network_of(run->loop);
    double waited = 0, wait = 0;

    while (sim_open_sockets(network) > 0 && waited < LINGER) {
        int r = asyncio_sleep(wait);

        if (r < 0)
            return r;
        waited += wait;
        wait = wait > 0 ? 2 * wait : FIRST_LOOK;
    }
    run->sockets_left = sim_open_sockets(network);
    if (!run->options->quiet)
        describe_sockets(run);
    return 0;
}

static int look_for_leftovers(struct run *run)
{
    int r = asyncio_testing_settle();

    run->tasks_left = run->loop->scheduler->count - 1;
    if (run->tasks_left > 0 && !run->options->quiet)
        describe_tasks(run);
    if (r == 0)
        r = wait_for_sockets(run);
    if (r == 0 && (run->tasks_left > 0 || run->sockets_left > 0))
        r = ASYNCIO_ESTATE;
    return r;
}

/* ---- one run ---- */

static int run_test(void *arg)
{
    struct run *run = arg;
    struct sim_network *network = sim_network_of(run->loop);

    *sim_faults(network) = run->options->faults;
    int r = run->fn(run->arg);
    *sim_faults(network) = (asyncio_testing_faults){ 0 };
    if (r >= 0 && run->late == 0 && !run->options->leave_behind)
        r = look_for_leftovers(run);
    return r;
}

/* The clean-up of what is cancelled gets as much time again, and so does that of the loop.  Then no
 * end can be hoped for, nor another seed. */
static int time_is_up(void *arg)
{
    struct run *run = arg;

    if (++run->late > 2)
        die("seed %llu: a task has hidden every cancellation", (unsigned long long)run->seed);
    sim_set_limit(run->loop, 2 * run->loop->now_ns, time_is_up, run);
    if (run->late == 2)
        return ASYNCIO_EEXIT;
    if (!run->options->quiet)
        asyncio_dump_tasks(STDERR_FILENO);
    asyncio_task_cancel(run->main);
    return 0;
}

static int run_main(void *arg)
{
    struct run *run = arg;

    run->main = asyncio_current_task();
    return run_test(run);
}

static int make_loop(asyncio_loop **loop, const asyncio_loop_options *options)
{
    return loop_new_with(loop, options, &backend_sim);
}

static int prepare(struct run *run, asyncio_runner *runner)
{
    const asyncio_testing_options *options = run->options;
    int r = asyncio_runner_get_loop(runner, &run->loop);

    if (r < 0)
        return r;
    double limit = options->time_limit > 0 ? options->time_limit : DAY;
    sim_set_seed(sim_network_of(run->loop), run->seed);
    sim_set_trace(sim_network_of(run->loop), options->trace_fd);
    sim_set_limit(run->loop, run->loop->now_ns + sys_seconds_to_ns(limit), time_is_up, run);
    return sim_set_conditions(SIM_ANY, SIM_ANY, &options->conditions);
}

static void add_counts(asyncio_testing_counts *sum, const asyncio_testing_counts *counts)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)counts;

    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static void collect(const struct run *run, int result)
{
    const asyncio_testing_options *options = run->options;
    struct sim_network *network = sim_network_of(run->loop);

    if (options->counts != NULL) {
        add_counts(options->counts, sim_counts(network));
        options->counts->seeds++;
        options->counts->failures += result < 0;
    }
    if (options->digest != NULL)
        *options->digest = *options->digest * UINT64_C(0x9e3779b97f4a7c15) + sim_digest(network);
}

/* Whoever runs again and again is interrupted as any program is. */
static int run_seed(struct run *run)
{
    enum asyncio_toggle debug = run->options->debug;
    asyncio_runner runner = { .options = { .debug = debug == ASYNCIO_ON ? ASYNCIO_ON : ASYNCIO_OFF,
                                           .leave_sigint = true,
                                           .loop_factory = make_loop } };
    int r = prepare(run, &runner);

    if (r == 0) {
        r = asyncio_runner_run(&runner, run_main, run, NULL);
        if (run->late > 0)
            r = -ETIMEDOUT;
        collect(run, r);
    }
    asyncio_runner_close(&runner);
    return r < 0 ? r : 0;
}

/* ---- all of them ---- */

static void report(const struct run *run, int result)
{
    if (run->options->quiet)
        return;
    fprintf(stderr, "asyncio_testing_run: seed %llu: %s", (unsigned long long)run->seed,
            asyncio_strerror(result));
    if (run->tasks_left > 0 || run->sockets_left > 0)
        fprintf(stderr, " (left behind: %zu tasks, %zu sockets)", run->tasks_left,
                run->sockets_left);
    fprintf(stderr, "; ASYNCIO_SEED=%llu repeats it\n", (unsigned long long)run->seed);
}

/* False: none is wanted. */
static bool seed_wanted(uint64_t *seed)
{
    const char *text = getenv("ASYNCIO_SEED");

    if (text == NULL || *text == '\0')
        return false;
    *seed = strtoull(text, NULL, 10);
    return true;
}

int asyncio_testing_run(asyncio_coro *fn, void *arg, const asyncio_testing_options *options)
{
    static const asyncio_testing_options none = { 0 };
    int r = 0;

    if (options == NULL)
        options = &none;
    uint64_t first = options->seed > 0 ? options->seed : 1;
    uint64_t count = options->seeds > 0 ? options->seeds : 1;
    if (fn == NULL)
        return -EINVAL;
    if (seed_wanted(&first))
        count = 1;
    for (uint64_t i = 0; i < count && r == 0; i++) {
        struct run run = { .fn = fn, .arg = arg, .options = options, .seed = first + i };

        r = run_seed(&run);
        if (r < 0)
            report(&run, r);
    }
    return r;
}
